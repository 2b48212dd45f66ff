//! Filling the tree from the stack: an inode is made for a name when somebody first asks for it.

use super::Errno;
use super::tree::{Data, Directory, Id, Inode, Kind, Tree};
use crate::layer::{self, Ino, Xattrs};
use crate::rootfs::trace::Lost;
use crate::rootfs::{Node, is_shown};

/// The kernel's 32-bit device number (`new_encode_dev`): 12 bits of major between the two parts of a 20-bit minor.
pub fn encode_device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xf_ff00) << 12)
}

/// (major, minor) of a device number.
pub fn decode_device(device: u32) -> (u32, u32) {
    ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00))
}

/// The attributes that pass between a step and its layers.
pub fn carried(mut xattrs: Xattrs) -> Xattrs {
    xattrs.retain(|name, value| is_shown(name, value));
    xattrs
}

impl Tree {
    /// The inode behind `name` in directory `parent`, if there is one.
    pub fn child(&mut self, parent: Id, name: &[u8]) -> Result<Option<Id>, Errno> {
        if name.len() > 255 {
            return Err(Errno::NAMETOOLONG);
        }
        let directory = self.directory(parent)?;
        if let (Some(trace), Some(below)) = (&self.trace, &self.inode(parent)?.below) {
            trace.looked(below, name);
        }
        if let Some(id) = directory.find(name) {
            return Ok(Some(id));
        }
        if !directory.may_have(name) {
            return Ok(None);
        }
        let Some(below) = &self.inode(parent)?.below else { return Ok(None) };
        let Some(node) = self.stack.child(below, name) else { return Ok(None) };
        let id = self.adopt(node, parent);
        self.directory_mut(parent)?.attach(name, id);
        Ok(Some(id))
    }

    /// Reads all of the stack's names into directory `id`.
    pub fn complete(&mut self, id: Id) -> Result<(), Errno> {
        if self.directory(id)?.complete {
            return Ok(());
        }
        let names = match &self.inode(id)?.below {
            Some(below) => {
                if let Some(trace) = &self.trace {
                    trace.listed(below);
                }
                self.stack.read_dir(below)
            }
            None => Vec::new(),
        };
        for (name, node) in names {
            let directory = self.directory(id)?;
            if directory.find(&name).is_some() || directory.gone.contains(name.as_slice()) {
                continue;
            }
            let child = self.adopt(node, id);
            self.directory_mut(id)?.attach(&name, child);
        }
        self.directory_mut(id)?.complete = true;
        Ok(())
    }

    /// Reads the whole stack into the tree.
    pub fn complete_all(&mut self) -> Result<(), Errno> {
        if let Some(trace) = &self.trace {
            trace.lose(Lost::Links);
        }
        let mut pending = vec![super::tree::ROOT];
        while let Some(id) = pending.pop() {
            self.complete(id)?;
            for (_, child) in self.directory(id)?.entries() {
                if matches!(self.inode(child)?.kind, Kind::Directory(_)) {
                    pending.push(child);
                }
            }
        }
        Ok(())
    }

    /// The inode for a node of the stack: the one that is here already if another name led to it before.
    pub fn adopt(&mut self, node: Node, parent: Id) -> Id {
        let found = self.stack.inode(&node);
        let is_directory = matches!(found.kind, layer::Kind::Directory);
        let key = (!is_directory).then(|| self.stack.file_id(&node));
        if let Some(&id) = key.and_then(|key| self.adopted.get(&key)) {
            return id;
        }
        let links = key.and_then(|key| self.links.get_or_insert_with(|| self.stack.links()).get(&key));
        let nlink = links.copied().unwrap_or(found.nlink).max(1);
        let kind = match (found.kind, key) {
            (layer::Kind::Directory, _) | (_, None) => Kind::Directory(Directory::new(parent)),
            (layer::Kind::File | layer::Kind::LinkBelow(_), Some((layer, ino))) => {
                Kind::File(Data::Below { layer, ino, size: found.size })
            }
            (layer::Kind::Symlink(target), _) => Kind::Symlink(target.into()),
            (layer::Kind::Char { major, minor }, _) => Kind::Char(encode_device(major, minor)),
            (layer::Kind::Block { major, minor }, _) => Kind::Block(encode_device(major, minor)),
            (layer::Kind::Fifo, _) => Kind::Fifo,
        };
        let inode = Inode {
            kind,
            mode: found.mode & 0o7777,
            uid: found.uid,
            gid: found.gid,
            // A layer records one time; a fresh copy of the tree would show it as all three.
            atime: found.mtime,
            mtime: found.mtime,
            ctime: found.mtime,
            xattrs: None,
            nlink,
            lookups: 0,
            below: Some(node),
        };
        let id = self.insert(inode);
        if let Some(key) = key {
            self.adopted.insert(key, id);
        }
        id
    }

    /// Bytes of a file of the stack are told, or kept.
    pub fn reads(&self, layer: usize, ino: Ino) {
        if let Some(trace) = &self.trace {
            trace.read(&self.stack.layers()[layer], ino);
        }
    }

    /// The extended attributes of `id`, read from the stack if they are still as below.
    pub fn xattrs(&mut self, id: Id) -> Result<&mut Xattrs, Errno> {
        let inode = self.inode(id)?;
        if inode.xattrs.is_none() {
            let xattrs = inode.below.as_ref().map(|node| self.stack.xattrs(node)).unwrap_or_default();
            self.inode_mut(id)?.xattrs = Some(carried(xattrs));
        }
        Ok(self.inode_mut(id)?.xattrs.get_or_insert_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_survive_the_kernels_encoding() {
        for (major, minor) in [(0, 0), (1, 3), (8, 255), (8, 256), (259, 65_536), (4095, 0xf_ffff)] {
            assert_eq!(decode_device(encode_device(major, minor)), (major, minor), "{major}:{minor}");
        }
        assert_eq!(encode_device(1, 3), 0x103);
    }
}
