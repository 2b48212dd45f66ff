//! Layers in a few words, for tests. One line of a layer is one of
//!
//! ```text
//! d PATH [MODE] [UID:GID]        f PATH TEXT [MODE] [UID:GID]      l PATH TARGET
//! h PATH TARGET                  w PATH (whiteout)                 o PATH (opaque)
//! c PATH MAJOR:MINOR             p PATH (fifo)                     x PATH NAME=VALUE (a file with an attribute)
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use super::Stack;
use crate::layer::{Child, Content, Index, Ino, Kind, Layer, LayerWriter, Metadata, Timestamp};

/// The time of every entry made here.
pub(super) const TIME: Timestamp = Timestamp { secs: 1_000_000_000, nanos: 123_456_789 };

/// A stack of layers, bottom first, each a text of lines.
pub(super) fn stack(layers: &[&str]) -> Stack {
    Stack::new(layers.iter().map(|lines| layer(lines)).collect())
}

pub(super) fn layer(lines: &str) -> Arc<Layer> {
    let tar = tempfile::tempfile().unwrap();
    let mut writer = LayerWriter::create(tar.try_clone().unwrap());
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        append(&mut writer, line);
    }
    read_back(writer.finish().unwrap(), tar)
}

/// A layer just written, ready to be read.
pub(super) fn read_back(written: crate::layer::Written, tar: std::fs::File) -> Arc<Layer> {
    let index = Index::from_bytes(written.index).unwrap();
    Arc::new(Layer { diff_id: written.diff_id, size: written.size, index, tar })
}

fn append(writer: &mut LayerWriter, line: &str) {
    let mut words = line.split(' ');
    let (kind, path) = (words.next().unwrap(), words.next().unwrap());
    let path = if path == "." { "" } else { path };
    let content = if matches!(kind, "d" | "w" | "o" | "p") { "" } else { words.next().unwrap() };
    let mode = words
        .next()
        .map_or(if kind == "d" { 0o755 } else { 0o644 }, |word| u32::from_str_radix(word, 8).unwrap());
    let (uid, gid) = words.next().map_or((0, 0), pair);
    let mut meta = Metadata { mode, uid, gid, mtime: TIME, ..Metadata::default() };
    let mut data = content.as_bytes();
    let content = match kind {
        "w" => return writer.whiteout(path.as_bytes()).unwrap(),
        "o" => return writer.opaque(path.as_bytes()).unwrap(),
        "d" => Content::Directory,
        "f" => Content::File { size: data.len() as u64, data: &mut data },
        "l" => Content::Symlink(content.as_bytes()),
        "h" => Content::Hardlink(content.as_bytes()),
        "c" => Content::Char { major: pair(content).0, minor: pair(content).1 },
        "p" => Content::Fifo,
        "x" => {
            let (name, value) = content.split_once('=').unwrap();
            meta.xattrs.insert(name.into(), value.into());
            data = b"";
            Content::File { size: 0, data: &mut data }
        }
        _ => panic!("{line}: no such kind"),
    };
    writer.append(path.as_bytes(), &meta, content).unwrap();
}

fn pair(word: &str) -> (u32, u32) {
    let (one, other) = word.split_once(':').unwrap();
    (one.parse().unwrap(), other.parse().unwrap())
}

/// All that a layer says, in the same words: directories only where they have an entry of their own, attributes only
/// where they are not the usual ones.
pub(super) fn dump(layer: &Layer) -> Vec<String> {
    let mut lines = Vec::new();
    dump_dir(layer, Index::ROOT, "", &mut HashMap::new(), &mut lines);
    lines
}

fn dump_dir(layer: &Layer, dir: Ino, path: &str, seen: &mut HashMap<Ino, String>, lines: &mut Vec<String>) {
    let inode = layer.index.inode(dir);
    let shown = if path.is_empty() { "." } else { path };
    if !inode.implicit {
        lines.push(with_attributes(layer, dir, format!("d {shown}"), 0o755));
    }
    if inode.opaque {
        lines.push(format!("o {shown}"));
    }
    for (name, child) in layer.index.children(dir) {
        let path = format!("{path}{}{}", if path.is_empty() { "" } else { "/" }, name.escape_ascii());
        match child {
            Child::Whiteout => lines.push(format!("w {path}")),
            Child::Node(ino) if matches!(layer.index.inode(ino).kind, Kind::Directory) => {
                dump_dir(layer, ino, &path, seen, lines);
            }
            Child::Node(ino) => {
                if let Some(first) = seen.get(&ino) {
                    lines.push(format!("h {path} {first}"));
                } else {
                    lines.push(dump_file(layer, ino, &path));
                    seen.insert(ino, path);
                }
            }
        }
    }
}

fn dump_file(layer: &Layer, ino: Ino, path: &str) -> String {
    let inode = layer.index.inode(ino);
    match inode.kind {
        Kind::File => {
            let mut text = vec![0; usize::try_from(inode.size).unwrap().min(40)];
            let count = layer.read_at(ino, &mut text, 0).unwrap();
            with_attributes(
                layer,
                ino,
                format!("f {path} {}", text[..count].trim_ascii_end().escape_ascii()),
                0o644,
            )
        }
        Kind::Symlink(target) => format!("l {path} {}", target.escape_ascii()),
        Kind::LinkBelow(target) => format!("h {path} {}", target.escape_ascii()),
        Kind::Char { major, minor } => {
            with_attributes(layer, ino, format!("c {path} {major}:{minor}"), 0o644)
        }
        Kind::Block { major, minor } => {
            with_attributes(layer, ino, format!("b {path} {major}:{minor}"), 0o644)
        }
        Kind::Fifo => with_attributes(layer, ino, format!("p {path}"), 0o644),
        Kind::Directory => unreachable!("directories are walked"),
    }
}

fn with_attributes(layer: &Layer, ino: Ino, line: String, usual: u32) -> String {
    let inode = layer.index.inode(ino);
    let mut words = vec![line];
    if inode.mode != usual {
        words.push(format!("{:o}", inode.mode));
    }
    if (inode.uid, inode.gid) != (0, 0) {
        words.push(format!("{}:{}", inode.uid, inode.gid));
    }
    let xattrs = layer.index.xattrs(ino);
    words.extend(xattrs.map(|(name, value)| format!("{}={}", name.escape_ascii(), value.escape_ascii())));
    words.join(" ")
}
