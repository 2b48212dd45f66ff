//! Tests that mount for real, each in a mount namespace of its own.

mod bench;
mod cases;
mod direct;
mod dump;
mod namespace;
mod oracle;
mod races;
mod random;
mod through;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::layer::{Content, Layer, LayerWriter, Metadata, Timestamp, Written};
use crate::rootfs::{Ids, Root, Stack};
use dump::Row;

/// The time of everything in a layer made by [`Scratch::layer`].
const OLD: i64 = 1_000_000_000;

/// A directory for a test's layers, mount point and plain copies.
struct Scratch {
    directory: TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn make(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// A layer from lines: `dir PATH`, `file PATH TEXT`, `link PATH TARGET`, `symlink PATH TARGET`, `fifo PATH`,
    /// `char PATH`, `wh PATH`, `opaque PATH`.
    fn layer(&self, lines: &str) -> Arc<Layer> {
        let (path, tar) =
            tempfile::NamedTempFile::new_in(self.directory.path()).unwrap().keep().map(flip).unwrap();
        let mut writer = LayerWriter::create(tar);
        let time = Timestamp { secs: OLD, nanos: 5 };
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.splitn(3, ' ');
            let (verb, path) = (words.next().unwrap(), words.next().unwrap().as_bytes());
            let rest = words.next().unwrap_or("").as_bytes();
            let meta = |mode| Metadata { mode, mtime: time, ..Metadata::default() };
            let mut data = rest;
            let (mode, content) = match verb {
                "dir" => (0o755, Content::Directory),
                "file" => (0o644, Content::File { size: rest.len() as u64, data: &mut data }),
                "link" => (0o644, Content::Hardlink(rest)),
                "symlink" => (0o777, Content::Symlink(rest)),
                "fifo" => (0o600, Content::Fifo),
                "char" => (0o666, Content::Char { major: 1, minor: 3 }),
                "wh" => {
                    writer.whiteout(path).unwrap();
                    continue;
                }
                "opaque" => {
                    writer.opaque(path).unwrap();
                    continue;
                }
                other => panic!("{other}"),
            };
            writer.append(path, &meta(mode), content).unwrap();
        }
        self.open(&path, &writer.finish().unwrap())
    }

    fn open(&self, tar: &Path, written: &Written) -> Arc<Layer> {
        let index = tempfile::NamedTempFile::new_in(self.directory.path()).unwrap();
        std::fs::write(index.path(), &written.index).unwrap();
        Arc::new(Layer::open(written.diff_id, tar, index.path()).unwrap())
    }

    /// A stack of layers in lines, bottom first.
    fn stack(&self, layers: &[&str]) -> Stack {
        Stack::new(layers.iter().map(|lines| self.layer(lines)).collect())
    }

    fn mount(&self, stack: &Stack) -> Box<dyn Root> {
        super::mount(stack.clone(), &self.path("mnt"), &self.make("live"), Ids::Mapped, None).unwrap()
    }

    fn freeze(&self, root: Box<dyn Root>, ignore: &[&str]) -> Arc<Layer> {
        let ignore: Vec<PathBuf> = ignore.iter().map(PathBuf::from).collect();
        let (path, tar) =
            tempfile::NamedTempFile::new_in(self.directory.path()).unwrap().keep().map(flip).unwrap();
        let written = root.freeze(tar, &ignore).unwrap();
        assert_eq!(
            std::fs::read_dir(self.path("live")).unwrap().count(),
            0,
            "live is empty after the freeze"
        );
        self.open(&path, &written)
    }

    /// Runs `step` on `layers` and returns what the frozen layer says, one line per entry, and the merged tree.
    fn run(&self, layers: &[&str], step: impl FnOnce(&Path)) -> (Vec<String>, Vec<Row>) {
        let stack = self.stack(layers);
        let root = self.mount(&stack);
        step(root.path());
        let layer = self.freeze(root, &[]);
        let lines = dump::layer(&layer);
        let mut all = stack.layers().to_vec();
        all.push(layer);
        (lines, dump::stack(&Stack::new(all)))
    }
}

fn flip((file, path): (File, PathBuf)) -> (PathBuf, File) {
    (path, file)
}
