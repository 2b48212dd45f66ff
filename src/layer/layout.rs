//! The end of a tree: inodes numbered breadth first, names of one directory side by side and sorted.

use super::format::{self, HEADER, Record, Type};
use super::path;
use super::tree::{Link, Tree, narrow};
use crate::oci::DiffId;

/// Links followed to find what a link to a later entry means.
const LINKS: usize = 40;

/// Index bytes in the making.
struct Layout {
    /// From the tree's inode to the index's.
    numbers: Vec<Option<u32>>,
    inodes: Vec<Record>,
    /// The tree's directories whose names are still to come.
    directories: Vec<(u32, u32)>,
    names: Vec<u8>,
    name_count: usize,
}

impl Tree {
    /// The bytes of the index of tar `diff_id`, which is `tar_size` bytes long.
    pub(super) fn finish(mut self, diff_id: DiffId, tar_size: u64) -> Vec<u8> {
        self.resolve_links();
        let mut order: Vec<u32> = (0..narrow(self.names.len())).collect();
        order.sort_unstable_by_key(|at| {
            let link = &self.names[*at as usize];
            (link.directory, self.name(link))
        });
        let mut layout = Layout {
            numbers: vec![None; self.inodes.len()],
            inodes: Vec::new(),
            directories: Vec::new(),
            names: Vec::new(),
            name_count: 0,
        };
        layout.number(&self, 0);
        let mut next = 0;
        while let Some(&(directory, number)) = layout.directories.get(next) {
            next += 1;
            layout.lay(&self, &order, directory, number);
        }
        layout.write(&self, diff_id, tar_size)
    }

    /// A link to a path that came later in the tar means that path: a layer is what it adds up to.
    fn resolve_links(&mut self) {
        for at in 0..self.names.len() {
            let inode = self.names[at].inode;
            self.names[at].inode = self.chase(inode);
        }
    }

    fn chase(&mut self, mut inode: u32) -> u32 {
        for _ in 0..LINKS {
            let Some(record) = self.inodes.get(inode as usize) else { break };
            if record.kind != Type::LinkBelow {
                break;
            }
            let target = self.text(record.payload).to_vec();
            // A loop of symlinks on the way is no path of this layer.
            match self.lookup(&target).unwrap_or(None) {
                Some(found) if self.inodes[found as usize].kind != Type::Directory && found != inode => {
                    inode = found;
                }
                _ => break,
            }
        }
        inode
    }
}

impl Layout {
    /// The index's number of a tree's inode, given on first sight.
    fn number(&mut self, tree: &Tree, inode: u32) -> u32 {
        if let Some(number) = self.numbers[inode as usize] {
            return number;
        }
        let number = narrow(self.inodes.len());
        let record = tree.inodes[inode as usize];
        self.numbers[inode as usize] = Some(number);
        self.inodes.push(record);
        if record.kind == Type::Directory {
            self.directories.push((inode, number));
        }
        number
    }

    fn lay(&mut self, tree: &Tree, order: &[u32], directory: u32, number: u32) {
        let link = |at: &u32| &tree.names[*at as usize];
        let start = order.partition_point(|at| link(at).directory < directory);
        let here = order[start..].iter().map(link).take_while(|link| link.directory == directory);
        let first = self.name_count;
        for link in here.filter(|link| !tree.name(link).starts_with(path::RESERVED)) {
            self.lay_name(tree, link);
        }
        let record = &mut self.inodes[number as usize];
        record.payload = [narrow(first), narrow(self.name_count - first)];
        record.links = 1;
    }

    fn lay_name(&mut self, tree: &Tree, link: &Link) {
        let present = tree.inodes.get(link.inode as usize).is_some();
        let number = if present { self.number(tree, link.inode) } else { 0 };
        if present {
            let record = &mut self.inodes[number as usize];
            record.links += 1;
            if link.whiteout && record.kind == Type::Directory {
                record.marks |= format::OPAQUE;
            }
        }
        let mark = if present { 0 } else { format::WHITEOUT };
        format::put(&mut self.names, [link.start]);
        self.names.extend_from_slice(&u16::from(link.len).to_le_bytes());
        self.names.extend_from_slice(&mark.to_le_bytes());
        format::put(&mut self.names, [number]);
        self.name_count += 1;
    }

    fn write(&self, tree: &Tree, diff_id: DiffId, tar_size: u64) -> Vec<u8> {
        let records = self.inodes.len() * format::INODE + tree.extents.len() * format::EXTENT;
        let mut out = Vec::with_capacity(HEADER + records + self.names.len() + tree.strings.len());
        out.extend_from_slice(format::MAGIC);
        format::put(&mut out, [format::VERSION, 0]);
        out.resize(format::CHECKSUM.end, 0);
        out.extend_from_slice(diff_id.0.as_bytes());
        out.extend_from_slice(&tar_size.to_le_bytes());
        let counts = [self.inodes.len(), self.name_count, tree.extents.len(), tree.strings.len()];
        format::put(&mut out, counts.map(narrow));
        out.resize(HEADER, 0);
        for record in &self.inodes {
            record.write(&mut out);
        }
        out.extend_from_slice(&self.names);
        for extent in &tree.extents {
            format::write_extent(*extent, &mut out);
        }
        out.extend_from_slice(&tree.strings);
        let checksum = blake3::hash(&out[format::CHECKSUM.end..]);
        out[format::CHECKSUM].copy_from_slice(checksum.as_bytes());
        out
    }
}
