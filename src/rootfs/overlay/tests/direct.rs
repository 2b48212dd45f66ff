//! The operations themselves, without a kernel in between: what it would not let through, and what it does not show.

use std::path::PathBuf;

use super::{Scratch, dump};
use crate::fuse::{Place, Privileges};
use crate::layer::Layer;
use crate::rootfs::Stack;
use crate::rootfs::acl;
use crate::rootfs::overlay::create::{Modes, New};
use crate::rootfs::overlay::rename::{Source, Target};
use crate::rootfs::overlay::tree::ROOT;
use crate::rootfs::overlay::xattr::Setting;
use crate::rootfs::overlay::{Errno, Overlay};
use crate::rootfs::{Ids, Owner};

const OWNER: Owner = Owner { uid: 7, gid: 8 };

fn modes(mode: u32) -> Modes {
    Modes { mode, umask: 0o022 }
}

struct Bare {
    overlay: Overlay,
    scratch: Scratch,
}

impl Bare {
    fn new(layers: &[&str]) -> Self {
        let scratch = Scratch::new();
        let overlay = Overlay::new(scratch.stack(layers), &scratch.make("live"), Ids::Mapped, None);
        Self { overlay, scratch }
    }

    /// The inode at `path`, and its mode.
    fn find(&self, path: &str) -> (u64, u32) {
        let mut at = ROOT;
        for name in path.split('/') {
            at = self.overlay.lookup(at, name.as_bytes()).unwrap().unwrap_or_else(|| panic!("{path}")).id;
        }
        (at, self.overlay.attributes(at).unwrap().mode)
    }

    fn make(&self, parent: u64, name: &str, new: New<'_>, mode: u32) -> u64 {
        self.overlay.create(parent, name.as_bytes(), new, modes(mode), OWNER).unwrap().id
    }

    fn in_live(&self) -> usize {
        std::fs::read_dir(self.scratch.path("live")).unwrap().count()
    }

    /// Freezes; the layer, and its stack.
    fn freeze(self) -> (std::sync::Arc<Layer>, Stack) {
        let path = self.scratch.path("frozen.tar");
        let tar = std::fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let written = self.overlay.freeze(tar, &Vec::<PathBuf>::new()).unwrap();
        let layer = self.scratch.open(&path, &written);
        let all = self.overlay.stack.layers().iter().cloned().chain([std::sync::Arc::clone(&layer)]);
        (layer, Stack::new(all.collect()))
    }
}

/// A list of owner, group, the user 9, a mask and others.
pub fn list(owner: u8, group: u8, named: u8, mask: u8, other: u8) -> Vec<u8> {
    let none = [255; 4];
    let entries =
        [(1, owner, none), (2, named, [9, 0, 0, 0]), (4, group, none), (16, mask, none), (32, other, none)];
    let entries = entries.into_iter().flat_map(|(tag, bits, id)| [[tag, 0, bits, 0], id].concat());
    [2, 0, 0, 0].into_iter().chain(entries).collect()
}

#[test]
fn lists_and_modes_go_together_from_directory_to_layer() {
    let bare = Bare::new(&["dir d\nfile d/old text"]);
    let overlay = &bare.overlay;
    let set = |id, name, value: &[u8], setgid| overlay.set_xattr(id, name, value, Setting::Any, setgid);
    let (d, _) = bare.find("d");
    let (old, _) = bare.find("d/old");
    set(d, acl::DEFAULT, &list(7, 5, 6, 7, 0), Privileges::Keep).unwrap();
    assert_eq!(set(old, acl::DEFAULT, &list(7, 5, 6, 7, 0), Privileges::Keep), Err(Errno::ACCESS));
    assert_eq!(set(old, acl::ACCESS, b"no list", Privileges::Keep), Err(Errno::INVAL));

    let file = bare.make(d, "file", New::File, 0o666);
    assert_eq!(overlay.xattr(file, acl::ACCESS).unwrap(), list(6, 5, 6, 6, 0), "no umask, only the mode");
    assert_eq!(bare.find("d/file").1, 0o660);
    let sub = bare.make(d, "sub", New::Directory, 0o777);
    assert_eq!(overlay.xattr(sub, acl::DEFAULT).unwrap(), list(7, 5, 6, 7, 0));
    assert_eq!(overlay.xattr(sub, acl::ACCESS).unwrap(), list(7, 5, 6, 7, 0));
    assert_eq!(bare.find("d/sub").1, 0o770);
    bare.make(d, "link", New::Symlink(b"x"), 0o777);
    assert_eq!(overlay.xattr(bare.find("d/link").0, acl::ACCESS), Err(Errno::NODATA));
    bare.make(ROOT, "plain", New::File, 0o666);
    assert_eq!(bare.find("plain").1, 0o644, "without a list the umask counts");

    let change = |id, mode| {
        let changes = super::super::attributes::Changes { mode: Some(mode), ..Default::default() };
        overlay.set_attributes(id, &changes).unwrap();
    };
    change(file, 0o640);
    assert_eq!(overlay.xattr(file, acl::ACCESS).unwrap(), list(6, 5, 6, 4, 0), "chmod sets the mask");
    change(old, 0o2755);
    set(old, acl::ACCESS, &list(7, 5, 7, 7, 1), Privileges::Keep).unwrap();
    assert_eq!(bare.find("d/old").1, 0o2771);
    set(old, acl::ACCESS, &list(7, 5, 7, 7, 1), Privileges::Clear).unwrap();
    assert_eq!(bare.find("d/old").1, 0o771);
    let minimal =
        [&[2, 0, 0, 0][..], &[1, 0, 6, 0], &[255; 4], &[4, 0, 4, 0], &[255; 4], &[32, 0, 0, 0], &[255; 4]];
    set(sub, acl::ACCESS, &minimal.concat(), Privileges::Keep).unwrap();
    assert_eq!((overlay.xattr(sub, acl::ACCESS), bare.find("d/sub").1), (Err(Errno::NODATA), 0o640));

    let (layer, stack) = bare.freeze();
    assert_eq!(
        dump::layer(&layer),
        ["dir d", "file d/file", "symlink d/link", "file d/old", "dir d/sub", "file plain"]
    );
    let overlay = Overlay::new(stack, std::path::Path::new("unused"), Ids::Mapped, None);
    let d = overlay.lookup(ROOT, b"d").unwrap().unwrap().id;
    let file = overlay.lookup(d, b"file").unwrap().unwrap();
    assert_eq!(overlay.xattr(d, acl::DEFAULT).unwrap(), list(7, 5, 6, 7, 0), "read back from the layer");
    assert_eq!((overlay.xattr(file.id, acl::ACCESS).unwrap(), file.mode), (list(6, 5, 6, 4, 0), 0o640));
}

#[test]
fn a_file_without_a_name_gets_one_or_goes() {
    let bare = Bare::new(&["dir d"]);
    let overlay = &bare.overlay;
    let (d, _) = bare.find("d");
    let large = vec![b'x'; 100_000];
    let [named, lost] = [(); 2].map(|()| overlay.create_unnamed(d, modes(0o666), OWNER).unwrap());
    assert_eq!((named.nlink, named.mode), (0, 0o644));
    for file in [named.id, lost.id] {
        overlay.write(file, 0, &large).unwrap();
    }
    assert_eq!(bare.in_live(), 2);
    overlay.link(named.id, d, b"name").unwrap();
    overlay.forget(named.id, 2);
    overlay.forget(lost.id, 1);
    assert_eq!(overlay.attributes(lost.id).err(), Some(Errno::STALE));
    assert_eq!(bare.in_live(), 1);
    assert_eq!(overlay.attributes(named.id).unwrap().nlink, 1);
    assert_eq!(dump::layer(&bare.freeze().0), ["dir d", "file d/name"]);
}

#[test]
fn an_unlinked_file_is_used_on_and_freed_at_the_end() {
    let text = "0123456789".repeat(10_000);
    let bare = Bare::new(&[&format!("file big {text}\nlink other big")]);
    let overlay = &bare.overlay;
    let (big, _) = bare.find("big");
    overlay.unlink(ROOT, b"big").unwrap();
    assert_eq!(overlay.attributes(big).unwrap().nlink, 1, "its other name, which nobody has asked for yet");
    overlay.write(big, 5, b"new").unwrap();
    assert_eq!(bare.find("other").0, big);
    overlay.unlink(ROOT, b"other").unwrap();
    overlay.write(big, 0, b"NEW").unwrap();
    overlay.truncate(big, 90_000).unwrap();
    let mut start = [0; 10];
    overlay.read(big, 0, &mut start).unwrap();
    assert_eq!(&start, b"NEW34new89");
    let shown = overlay.attributes(big).unwrap();
    assert_eq!((shown.nlink, shown.size, bare.in_live()), (0, 90_000, 1));
    overlay.forget(big, 2);
    assert_eq!((overlay.attributes(big).err(), bare.in_live()), (Some(Errno::STALE), 0));
    assert_eq!(dump::layer(&bare.freeze().0), ["wh big", "wh other"]);
}

#[test]
fn a_whiteout_stays_where_a_name_was() {
    for (target, name) in [(Target::Replace, "d/b"), (Target::Keep, "d/new")] {
        let bare = Bare::new(&["dir d\nfile d/a text\nfile d/b other"]);
        let (d, _) = bare.find("d");
        let to = Place { parent: d, name: name.split_once('/').unwrap().1.as_bytes() };
        let from = Place { parent: d, name: b"a" };
        bare.overlay.rename(from, to, target, Source::Whiteout(OWNER)).unwrap();
        let whiteout = bare.overlay.attributes(bare.find("d/a").0).unwrap();
        assert_eq!((whiteout.mode, whiteout.device, whiteout.uid), (0, 0, 7), "{target:?}");
        let lines = ["dir d".to_owned(), "device d/a".into(), format!("file {name}")];
        assert_eq!(dump::layer(&bare.freeze().0), lines, "{target:?}");
    }
}

#[test]
fn directories_count_their_subdirectories() {
    let bare = Bare::new(&["dir below\ndir below/sub"]);
    let overlay = &bare.overlay;
    let a = bare.make(ROOT, "a", New::Directory, 0o755);
    let b = bare.make(ROOT, "b", New::Directory, 0o755);
    let links = |expected: (u32, u32), after: &str| {
        let shown = |id| overlay.attributes(id).unwrap().nlink;
        assert_eq!((shown(a), shown(b)), expected, "{after}");
    };
    let at = |parent, name: &'static str| Place { parent, name: name.as_bytes() };
    let rename = |from, to, target| overlay.rename(from, to, target, Source::Nothing).unwrap();
    links((2, 2), "made");
    bare.make(a, "x", New::Directory, 0o755);
    bare.make(a, "file", New::File, 0o644);
    bare.make(b, "y", New::Directory, 0o755);
    bare.make(b, "z", New::Directory, 0o755);
    links((3, 4), "filled");
    rename(at(a, "x"), at(b, "x"), Target::Replace);
    links((2, 5), "moved");
    rename(at(b, "x"), at(b, "y"), Target::Replace);
    links((2, 4), "moved over another");
    rename(at(a, "file"), at(b, "y"), Target::Exchange);
    links((3, 3), "exchanged with a file");
    overlay.rmdir(b, b"z").unwrap();
    links((3, 2), "removed");
    let (below, _) = bare.find("below");
    assert_eq!(overlay.attributes(below).unwrap().nlink, 1, "not counted");
    rename(at(ROOT, "below"), at(b, "below"), Target::Replace);
    links((3, 3), "one from below moved in");
}
