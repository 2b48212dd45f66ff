//! Merge: what the upper layers of a stack say together, written as one layer in their place.
//!
//! The new layer over those below is the same tree as the whole stack was. Entries come sorted by path, so the bytes depend
//! on what the layers say and on nothing else: not on the order in which somebody wrote them. A layer may be merged with
//! itself alone, to get it into that form, or to change its times.

use std::collections::HashMap;
use std::fs::File;

use super::{Follow, Node, Stack};
use crate::layer::{Child, Content, Index, Ino, Kind, LayerWriter, Metadata, Timestamp, Written};
use crate::rootfs::Error;

/// What the merged layers say of a name.
#[derive(Default)]
struct Said {
    /// Anything but a directory.
    file: Option<(usize, Ino)>,
    /// A directory: those that add up, top first.
    parts: Vec<(usize, Ino)>,
    /// Whether nothing below the merged layers shows through.
    covers: bool,
}

impl Stack {
    /// Writes the layers from `first` on as one layer into `tar`, from its start. `time` gives each entry its
    /// modification time from the one it had.
    ///
    /// With 0 the result is the flattened tree, in which nothing hides anything. Errors as [`LayerWriter`] does, and with
    /// [`Error::Io`] where a layer cannot be read.
    pub fn merge(
        &self,
        first: usize,
        time: &dyn Fn(Timestamp) -> Timestamp,
        tar: File,
    ) -> Result<Written, Error> {
        let mut writer = LayerWriter::create(tar);
        self.merge_into(&mut writer, first, b"", time)?;
        Ok(writer.finish()?)
    }

    /// Appends the whole flattened tree to `writer`, in the directory `place`; empty for the root.
    pub fn append_to(
        &self,
        writer: &mut LayerWriter,
        place: &[u8],
        time: &dyn Fn(Timestamp) -> Timestamp,
    ) -> Result<(), Error> {
        self.merge_into(writer, 0, place, time)
    }

    fn merge_into(
        &self,
        writer: &mut LayerWriter,
        first: usize,
        place: &[u8],
        time: &dyn Fn(Timestamp) -> Timestamp,
    ) -> Result<(), Error> {
        let mut merge = Merge { stack: self, first, time, writer, written: HashMap::new() };
        let roots = (first..self.layers.len()).rev().map(|layer| (layer, Child::Node(Index::ROOT)));
        let root = merge.said(roots);
        merge.directory(place, &root)?;
        if root.covers && first > 0 {
            merge.writer.opaque(place)?;
        }
        merge.children(place, &root.parts, root.covers)
    }
}

struct Merge<'a> {
    stack: &'a Stack,
    first: usize,
    time: &'a dyn Fn(Timestamp) -> Timestamp,
    writer: &'a mut LayerWriter,
    /// Files that have a name already: the first one.
    written: HashMap<(usize, Ino), Vec<u8>>,
}

impl Merge<'_> {
    /// As [`Stack::settle`] does, and what of it lower layers must be told.
    fn said(&self, said: impl Iterator<Item = (usize, Child)>) -> Said {
        let mut all = Said::default();
        for (layer, child) in said {
            let Child::Node(ino) = child else {
                all.covers = true;
                break;
            };
            let inode = self.stack.index(layer).inode(ino);
            match inode.kind {
                Kind::Directory => all.parts.push((layer, ino)),
                _ if !all.parts.is_empty() => {
                    all.covers = true;
                    break;
                }
                _ => {
                    all.file = Some((layer, ino));
                    break;
                }
            }
            if inode.opaque {
                all.covers = true;
                break;
            }
        }
        all
    }

    /// Everything in the directory `path`, of which `parts` are merged. `hidden`: nothing below shows through.
    fn children(&mut self, path: &[u8], parts: &[(usize, Ino)], hidden: bool) -> Result<(), Error> {
        let stack = self.stack;
        let mut sources: Vec<_> =
            parts.iter().map(|&(layer, ino)| (layer, stack.index(layer).children(ino).peekable())).collect();
        while let Some(name) = super::first_name(&mut sources) {
            let rows: Vec<_> = sources
                .iter_mut()
                .filter_map(|(layer, rows)| Some((*layer, rows.next_if(|row| row.0 == name)?.1)))
                .collect();
            let said = self.said(rows.into_iter());
            let path = if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() };
            self.entry(&path, &said, hidden)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &[u8], said: &Said, hidden: bool) -> Result<(), Error> {
        let shows_through = self.first > 0 && !hidden;
        match said.file {
            Some(file) => self.file(path, file),
            None if said.parts.is_empty() && shows_through => Ok(self.writer.whiteout(path)?),
            None if said.parts.is_empty() => Ok(()),
            None => {
                self.directory(path, said)?;
                if said.covers && shows_through {
                    self.writer.opaque(path)?;
                }
                self.children(path, &said.parts, hidden || said.covers)
            }
        }
    }

    /// The directory's own entry; none where the merged layers only name it as a parent.
    fn directory(&mut self, path: &[u8], said: &Said) -> Result<(), Error> {
        let own = said.parts.iter().find(|&&(layer, ino)| !self.stack.index(layer).inode(ino).implicit);
        let Some(&own) = own else { return Ok(()) };
        let meta = self.meta(own);
        Ok(self.writer.append(path, &meta, Content::Directory)?)
    }

    fn file(&mut self, path: &[u8], file: (usize, Ino)) -> Result<(), Error> {
        let (layer, ino) = file;
        let Kind::LinkBelow(target) = self.stack.index(layer).inode(ino).kind else {
            return self.content(path, file);
        };
        let Some(found) = self.stack.link_below(layer, target) else { return Ok(()) };
        let file = self.stack.file_id(&found);
        // A link to what stays below remains one, unless another file has got the target's name.
        let now = self.stack.resolve(target, Follow::Parents).ok().and_then(|resolved| resolved.node);
        if file.0 < self.first && now.is_some_and(|now| self.stack.file_id(&now) == file) {
            return Ok(self.writer.append(path, &self.meta(file), Content::Hardlink(target))?);
        }
        self.content(path, file)
    }

    /// The file itself, or a link to the name it has got already.
    fn content(&mut self, path: &[u8], file: (usize, Ino)) -> Result<(), Error> {
        let meta = self.meta(file);
        if let Some(first) = self.written.get(&file) {
            return Ok(self.writer.append(path, &meta, Content::Hardlink(first))?);
        }
        let (stack, node) = (self.stack, Node { parts: vec![file] });
        let inode = stack.inode(&node);
        let mut data = stack.open(&node);
        let content = match inode.kind {
            Kind::File => Content::File { size: inode.size, data: &mut data },
            Kind::Symlink(target) => Content::Symlink(target),
            Kind::Char { major, minor } => Content::Char { major, minor },
            Kind::Block { major, minor } => Content::Block { major, minor },
            Kind::Fifo => Content::Fifo,
            Kind::Directory | Kind::LinkBelow(_) => {
                unreachable!("links are resolved and lead to no directory")
            }
        };
        self.writer.append(path, &meta, content)?;
        self.written.insert(file, path.to_vec());
        Ok(())
    }

    fn meta(&self, (layer, ino): (usize, Ino)) -> Metadata {
        let index = self.stack.index(layer);
        let inode = index.inode(ino);
        let xattrs = index.xattrs(ino).map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        let mtime = (self.time)(inode.mtime);
        Metadata { mode: inode.mode, uid: inode.uid, gid: inode.gid, mtime, xattrs }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::rootfs::testing::{TIME, dump, read_back, stack};

    fn merged(stack: &Stack, first: usize) -> Vec<String> {
        let tar = tempfile::tempfile().unwrap();
        let written = stack.merge(first, &|time| time, tar.try_clone().unwrap()).unwrap();
        dump(&read_back(written, tar))
    }

    #[test]
    fn layers_are_one_that_says_the_same() {
        for (row, layers, first, want) in [
            ("one", &["f b 1\nf a 2"][..], 0, &["f a 2", "f b 1"][..]),
            ("flattened", &["f a 1\nf b 2", "w a\nf c 3"], 0, &["f b 2", "f c 3"]),
            ("a whiteout of what is below", &["f a 1", "w a", "f c 3"], 1, &["f c 3", "w a"]),
            ("a whiteout of a merged one too", &["d d", "f a 1", "w a"], 1, &["w a"]),
            ("recreated", &["f a/x 1", "w a", "d a\nf a/y 2"], 1, &["d a", "f a/y 2", "o a"]),
            ("opaque over a merged one", &["f d/x 1", "f d/y 2", "o d\nf d/z 3"], 1, &["f d/z 3", "o d"]),
            ("flattened opaque", &["f d/x 1", "d d\no d\nf d/z 3"], 0, &["d d", "f d/z 3"]),
            ("a file over a directory", &["d d", "f d/x 1", "f d 2"], 1, &["f d 2"]),
            ("a directory over a file", &["d a", "f d 2", "d d\nf d/x 1"], 1, &["d d", "f d/x 1", "o d"]),
            (
                "attributes of the upper",
                &["d d", "d d 700\nf d/x 1", "f d/y 1 600 5:6"],
                1,
                &["d d 700", "f d/x 1", "f d/y 1 600 5:6"],
            ),
            ("a parent that nobody wrote", &["d d", "f d/x 1"], 1, &["f d/x 1"]),
            ("hard links", &["f z 0", "f b 1\nh a b"], 1, &["f a 1", "h b a"]),
            ("a link between merged layers", &["f z 0", "f b 1", "h a b"], 1, &["f a 1", "h b a"]),
            ("a link to what stays below", &["f b 1", "h a b"], 1, &["h a b"]),
            ("a link to what is gone", &["f b 1", "h a b", "w b"], 1, &["f a 1", "w b"]),
            ("a link to what is another", &["f b 1", "h a b", "f b 2"], 1, &["f a 1", "f b 2"]),
        ] {
            let layers = stack(layers);
            let mut found = merged(&layers, first);
            found.sort();
            let mut want: Vec<String> = want.iter().map(|line| (*line).to_owned()).collect();
            want.sort();
            assert_eq!(found, want, "{row}");
        }
    }

    #[test]
    fn the_order_of_writing_does_not_show_and_times_are_as_told() {
        let bytes = |layers: &[&str], time: &dyn Fn(Timestamp) -> Timestamp| {
            let tar = tempfile::tempfile().unwrap();
            let written = stack(layers).merge(0, time, tar.try_clone().unwrap()).unwrap();
            let mut bytes = vec![0; usize::try_from(written.size).unwrap()];
            tar.read_exact_at(&mut bytes, 0).unwrap();
            bytes
        };
        let early = Timestamp { secs: 7, nanos: 0 };
        let clamp = |time: Timestamp| time.min(early);
        let one = bytes(&["f b 1\nf a 2\nl c d"], &clamp);
        assert!(one == bytes(&["l c d\nf a 2\nf b 1"], &|_| early));
        assert!(one != bytes(&["f b 1\nf a 2\nl c d"], &|time| time.min(TIME)));
    }
}
