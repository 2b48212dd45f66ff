//! The layers of the table: made from the places' descriptions, and read again after a step.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rbuild::layer::{Child, Content, Index, Ino, Kind, Layer, LayerWriter, Metadata, Timestamp, Written};
use rbuild::rootfs::{Follow, Node, Stack};
use rbuild::runtime::LayerFiles;

use super::line::{Facts, Line, content, group};
use super::tree::{Made, TIME, What};

/// A layer's files, in a directory of the test.
pub fn files(dir: &Path, name: &str, written: &Written) -> LayerFiles {
    let (tar, index) = (dir.join(format!("{name}.tar")), dir.join(format!("{name}.index")));
    fs::write(&index, &written.index).unwrap();
    LayerFiles { diff_id: written.diff_id, tar, index }
}

/// Writes a layer of entries, given by the directory of the row that they belong to.
pub fn write(dir: &Path, name: &str, entries: &[(String, Vec<Made>)]) -> LayerFiles {
    let tar = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(dir.join(format!("{name}.tar")))
        .unwrap();
    let mut writer = LayerWriter::create(tar);
    for (row, entries) in entries {
        for made in entries {
            append(&mut writer, row, made);
        }
    }
    files(dir, name, &writer.finish().unwrap())
}

fn append(writer: &mut LayerWriter, row: &str, made: &Made) {
    let within = |path: &str| format!("{row}/{path}").trim_matches('/').to_owned();
    let path = within(&made.path);
    let xattrs = made.xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()));
    let meta = Metadata {
        mode: made.mode,
        uid: made.owner.0,
        gid: made.owner.1,
        mtime: Timestamp { secs: TIME.0, nanos: TIME.1 },
        xattrs: xattrs.collect(),
    };
    let (target, mut data);
    let content = match made.what {
        What::Whiteout => return writer.whiteout(path.as_bytes()).unwrap(),
        What::Opaque => return writer.opaque(path.as_bytes()).unwrap(),
        What::Dir => Content::Directory,
        What::File(text) => {
            data = text.as_bytes();
            Content::File { size: data.len() as u64, data: &mut data }
        }
        What::Link(ref first) => {
            target = within(first);
            Content::Hardlink(target.as_bytes())
        }
        What::Symlink(target) => Content::Symlink(target.as_bytes()),
        What::Fifo => Content::Fifo,
        What::Char(major, minor) => Content::Char { major, minor },
        What::Block(major, minor) => Content::Block { major, minor },
    };
    writer.append(path.as_bytes(), &meta, content).unwrap();
}

pub fn open(files: &LayerFiles) -> Arc<Layer> {
    Arc::new(Layer::open(files.diff_id, &files.tar, &files.index).unwrap())
}

/// What a stack has at and below the directory `row`.
pub fn of_stack(stack: &Stack, row: &str) -> Vec<Line> {
    let Some(top) = stack.resolve(row.as_bytes(), Follow::Last).unwrap().node else { return Vec::new() };
    let mut lines = Vec::new();
    let mut pending = vec![(".".to_owned(), top)];
    while let Some((path, node)) = pending.pop() {
        for (name, child) in stack.read_dir(&node) {
            let name = String::from_utf8(name).unwrap();
            pending.push((if path == "." { name } else { format!("{path}/{name}") }, child));
        }
        let line = Line { path, what: facts(stack, &node).in_words(), group: None, live: None };
        lines.push((line, (!stack.is_dir(&node)).then(|| stack.file_id(&node))));
    }
    group(lines)
}

fn facts(stack: &Stack, node: &Node) -> Facts<'static> {
    let inode = stack.inode(node);
    let (kind, content) = match inode.kind {
        Kind::Directory => ("directory", String::new()),
        Kind::File => {
            let mut bytes = Vec::new();
            stack.open(node).read_to_end(&mut bytes).unwrap();
            ("file", content(&bytes))
        }
        Kind::Symlink(target) => ("symlink", format!("-> {}", target.escape_ascii())),
        Kind::Fifo => ("fifo", String::new()),
        Kind::Char { major, minor } => ("char", format!("{major},{minor}")),
        Kind::Block { major, minor } => ("block", format!("{major},{minor}")),
        Kind::LinkBelow(target) => ("dangling", target.escape_ascii().to_string()),
    };
    Facts {
        kind,
        mode: inode.mode & 0o7777,
        owner: (inode.uid, inode.gid),
        content,
        xattrs: stack.xattrs(node),
        time: (inode.mtime.secs, inode.mtime.nanos),
    }
}

/// What python3's tarfile makes of the same layers, bottom first, by the directory of each row (`t/PLACE/OPERATION`).
pub fn of_tars(tars: &[PathBuf]) -> BTreeMap<String, Vec<Line>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/flatten.py");
    let script = if Path::new(script).exists() { script } else { "tests/e2e/flatten.py" };
    let output = Command::new("python3").args([script, "--times"]).args(tars).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut rows: BTreeMap<String, Vec<(Line, Option<String>)>> = BTreeMap::new();
    for text in String::from_utf8(output.stdout).unwrap().lines() {
        let (path, line, shared) = parse(text);
        let mut names = path.splitn(4, '/');
        let row = names.by_ref().take(3).collect::<Vec<_>>();
        if row.len() < 3 {
            continue;
        }
        let path = names.next().unwrap_or(".").to_owned();
        rows.entry(row.join("/")).or_default().push((Line { path, ..line }, shared));
    }
    rows.into_iter().map(|(row, lines)| (row, group(lines))).collect()
}

/// A line of `flatten.py`: its path, what it says, and the path whose bytes it shares.
fn parse(text: &str) -> (String, Line, Option<String>) {
    let mut words = text.split(' ').peekable();
    let mut next = || words.next().unwrap();
    let kind = match next() {
        "d" => "directory",
        "f" => "file",
        "l" => "symlink",
        "p" => "fifo",
        "c" => "char",
        "b" => "block",
        other => panic!("{other}: {text}"),
    };
    let mode = u32::from_str_radix(next(), 8).unwrap();
    let (uid, gid) = next().split_once(':').unwrap();
    let mut facts =
        Facts { kind, mode, owner: (uid.parse().unwrap(), gid.parse().unwrap()), ..Facts::default() };
    if matches!(kind, "file" | "char" | "block") {
        next().clone_into(&mut facts.content);
    }
    let path = next().to_owned();
    let mut shared = (kind != "directory").then(|| path.clone());
    while let Some(word) = words.next() {
        match word.split_at(1) {
            ("-", _) => facts.content = format!("-> {}", words.next().unwrap()),
            ("=", "") => shared = words.next().map(str::to_owned),
            ("#", _) => facts.content = format!("{} {word}", facts.content),
            ("@", time) => {
                let (secs, nanos) = time.split_once('+').unwrap();
                facts.time = (secs.parse().unwrap(), nanos.parse().unwrap());
            }
            _ => {
                let (name, value) = word.split_once('=').unwrap();
                facts.xattrs.insert(name.as_bytes().to_vec(), hex::decode(value).unwrap());
            }
        }
    }
    (path, Line { path: String::new(), what: facts.in_words(), group: None, live: None }, shared)
}

/// What a layer has an entry for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    Node,
    Whiteout,
    Opaque,
}

/// All entries of a layer by path.
pub fn entries(layer: &Layer) -> BTreeMap<String, Vec<Entry>> {
    let mut all: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    let mut pending = vec![(String::new(), Child::Node(Index::ROOT))];
    while let Some((path, child)) = pending.pop() {
        let entries = all.entry(path.clone()).or_default();
        let Child::Node(ino) = child else {
            entries.push(Entry::Whiteout);
            continue;
        };
        let inode = layer.index.inode(ino);
        if !inode.implicit {
            entries.push(Entry::Node);
        }
        if inode.opaque {
            entries.push(Entry::Opaque);
        }
        pending.extend(children(layer, ino, &path));
    }
    all
}

fn children(layer: &Layer, dir: Ino, path: &str) -> Vec<(String, Child)> {
    let slash = if path.is_empty() { "" } else { "/" };
    let children = layer.index.children(dir);
    children.map(|(name, child)| (format!("{path}{slash}{}", String::from_utf8_lossy(name)), child)).collect()
}
