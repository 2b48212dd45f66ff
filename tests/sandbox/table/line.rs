//! How a tree is put into words, so that a step, a plain directory, a stack and an unpacked tar can be compared.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

/// One name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Relative to the row's directory, which is `.`.
    pub path: String,
    /// Kind, mode, owner, bytes or target or device, attributes, time.
    pub what: String,
    /// The first of the names that share an inode, where there are several.
    pub group: Option<String>,
    /// What only a mounted tree can say; `None` where it was read from layers.
    pub live: Option<Live>,
}

/// What stat(2) and readdir(3) say beyond what a layer holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// What is to be seen; on a plain copy, `Line::what` says what a layer is to hold.
    pub what: String,
    pub inode: u64,
    /// 1 for directories, whose count is the file system's own affair.
    pub names: u64,
    /// Where stat(2), readdir(3) and open(2) contradict each other.
    pub oddity: String,
    /// On a plain copy that is like overlayfs: the names of this file need not have one number.
    pub apart: bool,
}

/// The facts of one name, before they are words.
#[derive(Default)]
pub struct Facts<'a> {
    pub kind: &'a str,
    /// Of symlinks it says nothing.
    pub mode: u32,
    pub owner: (u32, u32),
    /// Length and digest, target, device numbers.
    pub content: String,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub time: (i64, u32),
}

/// Times after this are told by the clock, and called "now".
const CLOCK: i64 = 1_700_000_000;
const FAR: i64 = 2_000_000_000;

impl Facts<'_> {
    pub fn in_words(&self) -> String {
        let mut words = format!("{} {}:{}", self.kind, self.owner.0, self.owner.1);
        if self.kind != "symlink" {
            write!(words, " {:04o}", self.mode).unwrap();
        }
        if !self.content.is_empty() {
            write!(words, " {}", self.content).unwrap();
        }
        for (name, value) in &self.xattrs {
            write!(words, " {}={}", name.escape_ascii(), hex::encode(value)).unwrap();
        }
        match self.time {
            (CLOCK..FAR, _) => words.push_str(" @now"),
            (secs, nanos) => write!(words, " @{secs}+{nanos}").unwrap(),
        }
        words
    }
}

/// A file's bytes in words.
pub fn content(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    format!("{} #{}", bytes.len(), hex::encode(&digest.as_ref()[..8]))
}

/// The attributes of a tree that are its own: not this machine's labels, nor what a driver keeps for itself.
pub fn is_of_the_tree(xattr: &[u8]) -> bool {
    xattr.starts_with(b"user.") || xattr == b"security.capability" || xattr.starts_with(b"system.posix_acl_")
}

/// Sorts lines by path, and names every group of those with the same identity after its first.
pub fn group<T: Eq + Hash>(lines: Vec<(Line, Option<T>)>) -> Vec<Line> {
    let mut lines = lines;
    lines.sort_by(|(one, _), (other, _)| one.path.cmp(&other.path));
    let mut members: HashMap<&T, Vec<usize>> = HashMap::new();
    for (index, (_, identity)) in lines.iter().enumerate() {
        if let Some(identity) = identity {
            members.entry(identity).or_default().push(index);
        }
    }
    let groups: Vec<Vec<usize>> = members.into_values().filter(|members| members.len() > 1).collect();
    let mut lines: Vec<Line> = lines.into_iter().map(|(line, _)| line).collect();
    for group in groups {
        let first = lines[group[0]].path.clone();
        for index in group {
            lines[index].group = Some(first.clone());
        }
    }
    lines
}
