//! A mounted tree in words: what stat, readdir, read, readlink and the xattr calls say of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirEntryExt, FileTypeExt, MetadataExt};
use std::path::Path;

use super::line::{Facts, Line, Live, content, group, is_of_the_tree};
use super::plain::Standing;

/// Everything at and below the working directory. `standing`: what a plain copy knows better than its inodes do.
pub fn look(standing: Option<&Standing>) -> Vec<Line> {
    let mut lines = Vec::new();
    let here = fs::symlink_metadata(".").unwrap();
    let mut pending = vec![(".".to_owned(), String::new())];
    while let Some((path, listed)) = pending.pop() {
        let (line, identity) = line(&path, &listed, here.dev(), standing);
        if line.what.starts_with("directory") {
            pending.extend(names_in(&path));
        }
        lines.push((line, identity));
    }
    group(lines)
}

/// The names in a directory, each with what readdir(3) says of it.
fn names_in(dir: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(dir).unwrap();
    let named = entries.map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let name = name.to_str().expect("names of the table are UTF-8");
        let path = if dir == "." { name.to_owned() } else { format!("{dir}/{name}") };
        (path, format!("{} {}", kind(entry.file_type().unwrap()), entry.ino()))
    });
    named.collect()
}

fn line(path: &str, listed: &str, device: u64, standing: Option<&Standing>) -> (Line, Option<u64>) {
    let stat = fs::symlink_metadata(path).unwrap();
    let stands_for = standing.and_then(|standing| standing.of(stat.ino()));
    let kind = kind(stat.file_type());
    let mut oddity = String::new();
    if path != "." && listed != format!("{kind} {}", stat.ino()) {
        oddity = format!("listed as {listed}, is {kind} {}", stat.ino());
    }
    if stat.dev() != device {
        oddity.push_str(" on another device");
    }
    let content = match kind {
        "file" => match fs::read(path) {
            Ok(bytes) if bytes.len() as u64 == stat.size() => content(&bytes),
            Ok(bytes) => format!("{} bytes of {}", bytes.len(), stat.size()),
            Err(error) => error.to_string(),
        },
        "symlink" => format!("-> {}", fs::read_link(path).unwrap().display()),
        "char" | "block" => {
            let number = stat.rdev();
            format!("{},{}", rustix::fs::major(number), rustix::fs::minor(number))
        }
        _ => String::new(),
    };
    let mut facts = Facts {
        kind,
        mode: stat.mode() & 0o7777,
        owner: (stat.uid(), stat.gid()),
        content,
        xattrs: xattrs(path),
        time: (stat.mtime(), u32::try_from(stat.mtime_nsec()).unwrap()),
    };
    let shown = facts.in_words();
    if let Some((device_kind, major, minor)) = stands_for.and_then(|below| below.device) {
        facts.kind = device_kind;
        facts.content = format!("{major},{minor}");
    }
    let names = match kind {
        "directory" => 1,
        _ => stands_for.and_then(|below| below.names).unwrap_or(stat.nlink()),
    };
    let identity = (kind != "directory").then_some(stat.ino());
    let apart = standing.is_some_and(|standing| standing.is_apart(&stat));
    let held = facts.in_words();
    let what = if standing.is_some_and(Standing::shows_stand_ins) { shown } else { held.clone() };
    let live = Live { what, inode: stat.ino(), names, oddity, apart };
    (Line { path: path.to_owned(), what: held, group: None, live: Some(live) }, identity)
}

fn kind(file_type: fs::FileType) -> &'static str {
    match file_type {
        kind if kind.is_dir() => "directory",
        kind if kind.is_file() => "file",
        kind if kind.is_symlink() => "symlink",
        kind if kind.is_fifo() => "fifo",
        kind if kind.is_socket() => "socket",
        kind if kind.is_char_device() => "char",
        kind if kind.is_block_device() => "block",
        _ => "unknown",
    }
}

fn xattrs(path: &str) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let names = list_xattrs(path.as_ref()).unwrap();
    let values = names.into_iter().map(|name| {
        let value = xattr(path.as_ref(), &name).unwrap();
        (name, value)
    });
    values.collect()
}

/// The names of what belongs to the tree, sorted.
pub fn list_xattrs(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut list = vec![0; 1 << 16];
    let len = rustix::fs::llistxattr(path, &mut list[..])?;
    let names = list[..len].split(|&byte| byte == 0).filter(|name| is_of_the_tree(name));
    let mut names: Vec<Vec<u8>> = names.map(<[u8]>::to_vec).collect();
    names.sort();
    Ok(names)
}

pub fn xattr(path: &Path, name: &[u8]) -> io::Result<Vec<u8>> {
    let mut value = vec![0; 1 << 16];
    let len = rustix::fs::lgetxattr(path, std::ffi::OsStr::from_bytes(name), &mut value[..])?;
    value.truncate(len);
    Ok(value)
}
