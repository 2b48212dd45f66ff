//! Tables for the room as a whole: tars of several makers in, one description per entry out.

mod compression;
mod foreign;
mod hostile;
mod random;
mod semantics;
mod stored;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::*;
use crate::oci::DiffId;

/// A layer made in memory of a tar.
fn layer_of(tar: &[u8]) -> Result<Layer, Error> {
    let file = tempfile::tempfile()?;
    let written = ingest(&mut &*tar, file.try_clone()?, &Limits::default())?;
    assert_eq!(written.size, tar.len() as u64, "ingest keeps every byte");
    open(file, written)
}

/// A layer made by calls.
fn layer_by(build: impl FnOnce(&mut LayerWriter)) -> (Layer, Vec<u8>) {
    let file = tempfile::tempfile().unwrap();
    let mut writer = LayerWriter::create(file.try_clone().unwrap());
    build(&mut writer);
    let written = writer.finish().unwrap();
    let mut tar = vec![0; usize::try_from(written.size).unwrap()];
    file.read_exact_at(&mut tar, 0).unwrap();
    assert_eq!(written.diff_id, DiffId(crate::oci::Digest::of(&tar)));
    (open(file, written).unwrap(), tar)
}

fn open(tar: File, written: Written) -> Result<Layer, Error> {
    let Written { diff_id, size, index, .. } = written;
    let index = Index::from_bytes(index)?;
    assert_eq!((index.diff_id(), index.tar_size()), (diff_id, size));
    Ok(Layer { diff_id, size, index, tar })
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Every name of a layer in order: `path kind mode uid:gid mtime nlink marks {xattrs} content`.
fn describe(layer: &Layer) -> Vec<String> {
    let mut lines = vec![format!(". {}", describe_inode(layer, Index::ROOT))];
    let mut todo = vec![(String::new(), Index::ROOT)];
    while let Some((parent, dir)) = todo.pop() {
        for (name, child) in layer.index.children(dir) {
            assert_eq!(layer.index.lookup(dir, name), Some(child), "lookup finds {}", text(name));
            let path = format!("{parent}{}", text(name));
            let Child::Node(ino) = child else {
                lines.push(format!("{path} whiteout"));
                continue;
            };
            lines.push(format!("{path} {}", describe_inode(layer, ino)));
            if layer.index.inode(ino).kind == Kind::Directory {
                todo.push((format!("{path}/"), ino));
            }
        }
    }
    lines.sort();
    lines
}

fn describe_inode(layer: &Layer, ino: Ino) -> String {
    let inode = layer.index.inode(ino);
    let kind = match inode.kind {
        Kind::File => "file".to_owned(),
        Kind::Directory => "dir".to_owned(),
        Kind::Symlink(target) => format!("->{}", text(target)),
        Kind::Char { major, minor } => format!("char {major},{minor}"),
        Kind::Block { major, minor } => format!("block {major},{minor}"),
        Kind::Fifo => "fifo".to_owned(),
        Kind::LinkBelow(target) => format!("=>{}", text(target)),
    };
    if inode.implicit {
        return format!("{kind} implicit{}", if inode.opaque { " opaque" } else { "" });
    }
    let Timestamp { secs, nanos } = inode.mtime;
    let mut words = vec![kind, format!("{:o} {}:{} {secs}.{nanos:09}", inode.mode, inode.uid, inode.gid)];
    if inode.nlink != 1 {
        words.push(format!("x{}", inode.nlink));
    }
    if inode.opaque {
        words.push("opaque".to_owned());
    }
    words.extend(layer.index.xattrs(ino).map(|(name, value)| format!("{}={}", text(name), text(value))));
    if inode.kind == Kind::File {
        words.push(describe_content(&content_of(layer, ino)));
    }
    words.join(" ")
}

/// A file's bytes, read in odd pieces.
fn content_of(layer: &Layer, ino: Ino) -> Vec<u8> {
    let mut content = Vec::new();
    let mut piece = [0xee; 7777];
    loop {
        let n = layer.read_at(ino, &mut piece, content.len() as u64).unwrap();
        content.extend_from_slice(&piece[..n]);
        if n == 0 {
            assert_eq!(content.len() as u64, layer.index.inode(ino).size);
            return content;
        }
    }
}

/// Short content as it is; long content by length and hash (not the slow one of the two, in a debug build).
fn describe_content(content: &[u8]) -> String {
    if content.len() <= 16 {
        format!("{:?}", text(content))
    } else {
        format!("{} {}", content.len(), blake3::hash(content).to_hex())
    }
}

/// The entries of a tar as the unpacking side sees them, with their content.
fn entries_of(tar: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, Error> {
    let mut reader = TarReader::new(tar, Limits::default());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        entries.push((entry, content));
    }
    Ok(entries)
}

/// A tar of hand-made headers.
#[derive(Default)]
struct Forge(Vec<u8>);

impl Forge {
    /// Appends one header with raw fields, and data padded to blocks.
    fn entry(self, kind: u8, name: &str, link: &str, data: &[u8]) -> Self {
        self.sized(kind, name, link, format!("{:011o}", data.len()).as_bytes(), data)
    }

    fn sized(mut self, kind: u8, name: &str, link: &str, size: &[u8], data: &[u8]) -> Self {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..107].copy_from_slice(b"0000644");
        block[108..115].copy_from_slice(b"0000000");
        block[116..123].copy_from_slice(b"0000000");
        block[124..124 + size.len()].copy_from_slice(size);
        block[136..147].copy_from_slice(b"00000000000");
        block[156] = kind;
        block[157..157 + link.len()].copy_from_slice(link.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        self.0.extend_from_slice(&block);
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        let at = self.0.len() - 512 - data.len().next_multiple_of(512);
        self.seal(at)
    }

    /// Changes bytes of the last header, which has no data.
    fn patch(mut self, at: usize, bytes: &[u8]) -> Self {
        let start = self.0.len() - 512;
        self.0[start + at..start + at + bytes.len()].copy_from_slice(bytes);
        self.seal(start)
    }

    fn seal(mut self, start: usize) -> Self {
        let block = &mut self.0[start..start + 512];
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self
    }

    fn pax(self, records: &[(&str, &str)]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            pax::push_record(&mut data, key.as_bytes(), value.as_bytes());
        }
        self.entry(b'x', "pax", "", &data)
    }

    fn file(self, name: &str, data: &str) -> Self {
        self.entry(b'0', name, "", data.as_bytes())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}
