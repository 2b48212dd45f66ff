//! Trees as rows that can be compared: of a directory on disk, of a stack, of one layer.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use crate::layer::{Child, Index, Ino, Kind, Layer};
use crate::rootfs::{Node, Stack};

/// One line of a tree. Hard links of one file share `group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub path: String,
    pub kind: String,
    pub mode: u32,
    pub owner: (u32, u32),
    /// Seconds and nanoseconds of the last modification; `None` if it was during the test.
    pub time: Option<(i64, i64)>,
    pub xattrs: Vec<(String, String)>,
    pub group: Option<String>,
}

fn text(bytes: &[u8]) -> String {
    if bytes.len() > 80 {
        return format!("{} bytes {}", bytes.len(), blake3::hash(bytes).to_hex());
    }
    String::from_utf8_lossy(bytes).into_owned()
}

fn set(seconds: i64, nanoseconds: i64) -> Option<(i64, i64)> {
    (seconds < 1_700_000_000).then_some((seconds, nanoseconds))
}

/// Everything below `root`, sorted; sockets left out.
pub fn directory(root: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut inodes = std::collections::HashMap::new();
    let mut pending = vec![String::new()];
    while let Some(path) = pending.pop() {
        let full = root.join(&path);
        let meta = std::fs::symlink_metadata(&full).unwrap();
        let file_type = meta.file_type();
        if file_type.is_socket() {
            continue;
        }
        let kind = if file_type.is_dir() {
            for entry in std::fs::read_dir(&full).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                pending.push(if path.is_empty() { name } else { format!("{path}/{name}") });
            }
            "dir".into()
        } else if file_type.is_symlink() {
            format!("symlink {}", text(std::fs::read_link(&full).unwrap().as_os_str().as_bytes()))
        } else if file_type.is_fifo() {
            "fifo".into()
        } else if file_type.is_file() {
            let bytes = std::fs::read(&full).unwrap();
            assert_eq!(bytes.len() as u64, meta.size(), "{path}");
            format!("file {}", text(&bytes))
        } else {
            format!("device {:x}", meta.rdev())
        };
        if meta.nlink() > 1 && !file_type.is_dir() {
            inodes.entry(meta.ino()).or_insert_with(Vec::new).push(path.clone());
        }
        rows.push(Row {
            kind,
            mode: meta.mode() & 0o7777,
            owner: (meta.uid(), meta.gid()),
            time: set(meta.mtime(), meta.mtime_nsec()),
            xattrs: if file_type.is_symlink() { Vec::new() } else { xattrs(&full) },
            group: None,
            path,
        });
    }
    group(rows, inodes.into_values())
}

fn xattrs(path: &Path) -> Vec<(String, String)> {
    let mut names = vec![0; 4096];
    let length = rustix::fs::listxattr(path, &mut names[..]).unwrap();
    let names = names[..length].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user."));
    let mut found: Vec<_> = names
        .map(|name| {
            let mut value = vec![0; 4096];
            let length = rustix::fs::getxattr(path, name, &mut value[..]).unwrap();
            (text(name), text(&value[..length]))
        })
        .collect();
    found.sort();
    found
}

/// Everything in `stack`, sorted.
pub fn stack(stack: &Stack) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut inodes = std::collections::HashMap::new();
    let mut pending: Vec<(String, Node)> = vec![(String::new(), stack.root())];
    while let Some((path, node)) = pending.pop() {
        let inode = stack.inode(&node);
        let kind = match inode.kind {
            Kind::Directory => {
                for (name, child) in stack.read_dir(&node) {
                    let name = String::from_utf8(name).unwrap();
                    pending.push((if path.is_empty() { name } else { format!("{path}/{name}") }, child));
                }
                "dir".into()
            }
            Kind::File => {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut stack.open(&node), &mut bytes).unwrap();
                format!("file {}", text(&bytes))
            }
            Kind::Symlink(target) => format!("symlink {}", text(target)),
            Kind::Fifo => "fifo".into(),
            Kind::Char { major, minor } | Kind::Block { major, minor } => {
                format!("device {:x}", (u64::from(major) << 8) | u64::from(minor))
            }
            Kind::LinkBelow(target) => format!("dangling {}", text(target)),
        };
        if !matches!(inode.kind, Kind::Directory) {
            inodes.entry(stack.file_id(&node)).or_insert_with(Vec::new).push(path.clone());
        }
        rows.push(Row {
            path,
            kind,
            mode: inode.mode & 0o7777,
            owner: (inode.uid, inode.gid),
            time: set(inode.mtime.secs, inode.mtime.nanos.into()),
            xattrs: stack
                .xattrs(&node)
                .iter()
                .filter(|(name, _)| name.starts_with(b"user."))
                .map(|(name, value)| (text(name), text(value)))
                .collect(),
            group: None,
        });
    }
    group(rows, inodes.into_values())
}

/// Sorts, and names each group of hard links after its first.
fn group(mut rows: Vec<Row>, groups: impl Iterator<Item = Vec<String>>) -> Vec<Row> {
    for mut names in groups.filter(|names| names.len() > 1) {
        names.sort();
        for row in rows.iter_mut().filter(|row| names.contains(&row.path)) {
            row.group = Some(names[0].clone());
        }
    }
    rows.sort_by(|one, other| one.path.cmp(&other.path));
    rows
}

/// What one layer says, in the words of `Scratch::layer` without contents; files with more than one name as
/// `file+`.
pub fn layer(layer: &Layer) -> Vec<String> {
    let mut lines = Vec::new();
    describe(layer, Index::ROOT, "", &mut lines);
    lines
}

fn describe(layer: &Layer, directory: Ino, path: &str, lines: &mut Vec<String>) {
    for (name, child) in layer.index.children(directory) {
        let name = format!("{path}{}", String::from_utf8_lossy(name));
        let Child::Node(ino) = child else {
            lines.push(format!("wh {name}"));
            continue;
        };
        let inode = layer.index.inode(ino);
        let verb = match inode.kind {
            Kind::Directory if inode.opaque => "opaque",
            Kind::Directory if inode.implicit => "implicit",
            Kind::Directory => "dir",
            Kind::File if inode.nlink > 1 => "file+",
            Kind::File => "file",
            Kind::Symlink(_) => "symlink",
            Kind::Char { .. } | Kind::Block { .. } => "device",
            Kind::Fifo => "fifo",
            Kind::LinkBelow(_) => "link-below",
        };
        lines.push(format!("{verb} {name}"));
        if matches!(inode.kind, Kind::Directory) {
            describe(layer, ino, &format!("{name}/"), lines);
        }
    }
}
