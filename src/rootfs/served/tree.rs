//! The operations on the served tree: what the kernel may ask, answered with values. Nothing here knows FUSE's wire.

use std::sync::{Arc, PoisonError};

use super::Tree;
use super::node_id::NodeId;
use super::view::{Entry, View};
use crate::fuse::{self, Attributes, Errno, FileType, Time};
use crate::layer::{Ino, Inode, Kind, Layer};
use crate::rootfs::{Node, is_carried, is_shown};

/// What a directory holds, in the order in which it is told: `.` and `..` first.
pub(super) type Listing = Vec<(Vec<u8>, Attributes)>;

/// Listings kept while the kernel is in the middle of them; one that was abandoned goes when there are so many.
const MAX_LISTINGS: usize = 64;

/// The attribute by which overlayfs knows an opaque directory of a lower layer (mount option `userxattr`).
const OPAQUE: &[u8] = b"user.overlay.opaque";

/// A node id with what stands behind it.
enum Place {
    Root,
    Whiteout,
    File(Arc<Layer>, Ino),
    Dir(Arc<View>, u16, Node),
}

impl Tree {
    /// `None`: the name is not there, and never will be.
    pub(super) fn lookup(&self, parent: u64, name: &[u8]) -> Result<Option<Attributes>, Errno> {
        match self.place(parent)? {
            Place::Root => self.view_root(name).map(Some),
            Place::Dir(view, number, dir) => {
                if let Some(trace) = &self.trace {
                    trace.looked(&dir, name);
                }
                Ok(view.child(&dir, name).map(|entry| attributes(&view, number, &entry)))
            }
            Place::File(..) | Place::Whiteout => Err(Errno::NOTDIR),
        }
    }

    pub(super) fn getattr(&self, ino: u64) -> Result<Attributes, Errno> {
        Ok(match self.place(ino)? {
            Place::Root => ROOT,
            Place::Whiteout => whiteout(),
            Place::File(layer, inner) => attr(ino, &layer.index.inode(inner)),
            Place::Dir(view, _, dir) => attr(ino, &view.stack.inode(&dir)),
        })
    }

    pub(super) fn readlink(&self, ino: u64) -> Result<Vec<u8>, Errno> {
        let Place::File(layer, inner) = self.place(ino)? else { return Err(Errno::INVAL) };
        match layer.index.inode(inner).kind {
            Kind::Symlink(target) => Ok(target.to_vec()),
            _ => Err(Errno::INVAL),
        }
    }

    /// Fills `buf` as far as the file goes; returns how far.
    pub(super) fn read(&self, ino: u64, buf: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let Place::File(layer, inner) = self.place(ino)? else { return Err(Errno::ISDIR) };
        if let Some(trace) = &self.trace {
            trace.read(&layer, inner);
        }
        let mut filled = 0;
        while filled < buf.len() {
            match layer.read_at(inner, &mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
            }
        }
        Ok(filled)
    }

    /// The directory's listing. Kept from the start of a reading (`offset` 0) to its end, so that a long one is merged
    /// once and not once per buffer.
    pub(super) fn listing(&self, ino: u64, offset: usize) -> Result<Arc<Listing>, Errno> {
        let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listing) = listings.get(&ino).cloned() {
            if offset >= listing.len() {
                listings.remove(&ino);
            }
            return Ok(listing);
        }
        drop(listings);
        let listing = Arc::new(self.list(ino)?);
        if offset < listing.len() {
            let mut listings = self.listings.lock().unwrap_or_else(PoisonError::into_inner);
            if listings.len() >= MAX_LISTINGS {
                listings.clear();
            }
            listings.insert(ino, Arc::clone(&listing));
        }
        Ok(listing)
    }

    /// One extended attribute's value.
    pub(super) fn getxattr(&self, ino: u64, name: &[u8]) -> Result<Vec<u8>, Errno> {
        match self.place(ino)? {
            Place::Dir(view, _, dir) if name == OPAQUE && view.is_opaque(&dir) => Ok(b"y".to_vec()),
            Place::File(layer, inner) => layer
                .index
                .xattrs(inner)
                .find_map(|(row, value)| (row == name && is_shown(name, value)).then(|| value.to_vec()))
                .ok_or(Errno::NODATA),
            Place::Dir(view, _, dir) => view
                .stack
                .xattrs(&dir)
                .remove(name)
                .filter(|value| is_shown(name, value))
                .ok_or(Errno::NODATA),
            _ => Err(Errno::NODATA),
        }
    }

    /// The names of all extended attributes, each ended by a zero byte.
    pub(super) fn listxattr(&self, ino: u64) -> Result<Vec<u8>, Errno> {
        let names: Vec<Vec<u8>> = match self.place(ino)? {
            Place::File(layer, inner) => layer.index.xattrs(inner).map(|(name, _)| name.to_vec()).collect(),
            Place::Dir(view, _, dir) => view.stack.xattrs(&dir).into_keys().collect(),
            Place::Root | Place::Whiteout => Vec::new(),
        };
        let mut list = Vec::new();
        for name in names.iter().filter(|name| is_carried(name)) {
            list.extend_from_slice(name);
            list.push(0);
        }
        Ok(list)
    }

    fn list(&self, ino: u64) -> Result<Listing, Errno> {
        let this = self.getattr(ino)?;
        // The kernel makes no inode of these two, and asks no further.
        let mut listing =
            vec![(b".".to_vec(), this), (b"..".to_vec(), Attributes { id: fuse::ROOT, ..this })];
        match self.place(ino)? {
            Place::Root => {
                let count = self.tables.read().unwrap_or_else(PoisonError::into_inner).views.len();
                for number in 0..count {
                    let name = number.to_string().into_bytes();
                    let root = self.view_root(&name)?;
                    listing.push((name, root));
                }
            }
            Place::Dir(view, number, dir) => {
                if let Some(trace) = &self.trace {
                    trace.listed(&dir);
                }
                let rows = view.read_dir(&dir).into_iter();
                listing.extend(rows.map(|(name, entry)| (name, attributes(&view, number, &entry))));
            }
            Place::File(..) | Place::Whiteout => return Err(Errno::NOTDIR),
        }
        Ok(listing)
    }

    fn view_root(&self, name: &[u8]) -> Result<Attributes, Errno> {
        let number: u16 =
            std::str::from_utf8(name).ok().and_then(|name| name.parse().ok()).ok_or(Errno::NOENT)?;
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let view = tables.views.get(usize::from(number)).ok_or(Errno::NOENT)?;
        Ok(attributes(view, number, &Entry::Node(view.stack.root())))
    }

    fn place(&self, ino: u64) -> Result<Place, Errno> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        match NodeId::from_u64(ino).ok_or(Errno::STALE)? {
            NodeId::Root => Ok(Place::Root),
            NodeId::Whiteout => Ok(Place::Whiteout),
            NodeId::File { layer, ino } => {
                let layer = tables.layers.get(layer as usize).ok_or(Errno::STALE)?;
                Ok(Place::File(Arc::clone(layer), ino))
            }
            NodeId::Dir { view: number, part, ino } => {
                let view = tables.views.get(usize::from(number)).ok_or(Errno::STALE)?;
                let dir = view.dir(part, ino).ok_or(Errno::STALE)?;
                Ok(Place::Dir(Arc::clone(view), number, dir))
            }
        }
    }
}

/// An entry's attributes, its node id among them; a directory becomes known to its view.
fn attributes(view: &View, number: u16, entry: &Entry) -> Attributes {
    let Entry::Node(node) = entry else { return whiteout() };
    let inode = view.stack.inode(node);
    let id = if matches!(inode.kind, Kind::Directory) {
        let (part, ino) = view.remember(node);
        NodeId::Dir { view: number, part, ino }
    } else {
        let (part, ino) = view.stack.file_id(node);
        NodeId::File { layer: view.layers[part], ino }
    };
    attr(id.to_u64(), &inode)
}

const ROOT: Attributes = Attributes {
    id: fuse::ROOT,
    kind: FileType::Directory,
    mode: 0o755,
    uid: 0,
    gid: 0,
    nlink: 1,
    device: 0,
    size: 0,
    blocks: 0,
    atime: Time { secs: 0, nanos: 0 },
    mtime: Time { secs: 0, nanos: 0 },
    ctime: Time { secs: 0, nanos: 0 },
};

fn whiteout() -> Attributes {
    Attributes { id: NodeId::Whiteout.to_u64(), kind: FileType::Char, mode: 0, ..ROOT }
}

fn attr(id: u64, inode: &Inode<'_>) -> Attributes {
    let (kind, size, device) = match inode.kind {
        Kind::Directory => (FileType::Directory, 0, 0),
        Kind::File => (FileType::File, inode.size, 0),
        Kind::Symlink(target) => (FileType::Symlink, target.len() as u64, 0),
        Kind::Char { major, minor } => (FileType::Char, 0, device(major, minor)),
        Kind::Block { major, minor } => (FileType::Block, 0, device(major, minor)),
        // A stack has resolved every link to a lower layer; an index that still holds one shows an inert object.
        Kind::Fifo | Kind::LinkBelow(_) => (FileType::Fifo, 0, 0),
    };
    let mtime = inode.mtime.into();
    Attributes {
        id,
        kind,
        mode: inode.mode & 0o7777,
        uid: inode.uid,
        gid: inode.gid,
        nlink: inode.nlink,
        device,
        size,
        blocks: size.div_ceil(512),
        atime: mtime,
        mtime,
        ctime: mtime,
    }
}

/// The wire's 32 bits of a device number: the kernel's `new_encode_dev` (`include/linux/kdev_t.h`).
fn device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0xfff00) << 12
}
