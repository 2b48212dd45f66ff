//! What the kernel and the operations do together: POSIX ACLs, files without a name, whiteouts.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;

use super::cases::{BASE, shell};
use super::namespace::{Half, enter, has_many_ids};
use super::{Scratch, direct};

#[test]
fn lists_pass_through_the_kernel() {
    if enter("rootfs::overlay::tests::through::lists_pass_through_the_kernel") == Half::Outer {
        return;
    }
    let scratch = Scratch::new();
    let stack = scratch.stack(&[BASE]);
    let root = scratch.mount(&stack);
    let at = |name: &str| root.path().join(name);
    let set = |name: &str, attribute: &str, list: &[u8]| {
        rustix::fs::setxattr(at(name), attribute, list, XattrFlags::empty())
    };
    let list = |name: &str, attribute: &str| {
        let mut value = vec![0; 256];
        rustix::fs::getxattr(at(name), attribute, &mut value[..]).map(|length| value[..length].to_vec())
    };
    let mode = |name: &str| fs::metadata(at(name)).unwrap().mode() & 0o7777;
    let (access, default) = ("system.posix_acl_access", "system.posix_acl_default");
    set("b", default, &direct::list(7, 5, 6, 7, 0)).unwrap();
    shell("umask 077; echo > b/new; mkdir b/sub; echo > plain", root.path());
    assert_eq!((mode("b/new"), mode("b/sub"), mode("plain")), (0o660, 0o770, 0o600));
    assert_eq!(list("b/sub", default).unwrap(), direct::list(7, 5, 6, 7, 0));
    assert_eq!(list("b/new", access).unwrap(), direct::list(6, 5, 6, 6, 0));
    shell("chmod 640 b/new", root.path());
    assert_eq!(list("b/new", access).unwrap(), direct::list(6, 5, 6, 4, 0));
    set("b/new", access, &direct::list(7, 0, 7, 7, 0)).unwrap();
    assert_eq!(mode("b/new"), 0o770, "what the kernel had cached is not believed");
    assert_eq!(set("a/f", default, &direct::list(7, 5, 6, 7, 0)), Err(Errno::ACCESS));
    if has_many_ids() {
        fs::set_permissions(scratch.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        shell(
            "chmod 755 b; setpriv --reuid=9 --regid=5 --clear-groups sh -c 'cat b/new; ! cat plain' 2>/dev/null",
            root.path(),
        );
    }
    drop(scratch.freeze(root, &[]));
}

#[test]
fn files_without_a_name_and_whiteouts_pass_through_the_kernel() {
    if enter("rootfs::overlay::tests::through::files_without_a_name_and_whiteouts_pass_through_the_kernel")
        == Half::Outer
    {
        return;
    }
    let scratch = Scratch::new();
    let (lines, rows) = scratch.run(&[BASE], |root| {
        let unnamed = |text: &[u8]| {
            let file =
                rustix::fs::open(root.join("b"), OFlags::TMPFILE | OFlags::RDWR, 0o640.into()).unwrap();
            let mut file = File::from(file);
            file.write_all(text).unwrap();
            file
        };
        let (kept, lost) = (unnamed(b"kept"), unnamed(&vec![b'x'; 100_000]));
        assert_eq!((kept.metadata().unwrap().nlink(), lost.metadata().unwrap().size()), (0, 100_000));
        let by_descriptor = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&kept));
        rustix::fs::linkat(CWD, by_descriptor, CWD, root.join("b/named"), AtFlags::SYMLINK_FOLLOW).unwrap();
        assert_eq!(kept.metadata().unwrap().nlink(), 1);
        drop((kept, lost));
        let (f, moved) = (root.join("a/f"), root.join("moved"));
        rustix::fs::renameat_with(CWD, &f, CWD, &moved, RenameFlags::WHITEOUT).unwrap();
        let left = fs::symlink_metadata(&f).unwrap();
        assert_eq!((left.rdev(), left.mode()), (0, 0o020_000));
        fs::remove_file(f).unwrap();
        // The kernel gives its last reference back some time after the close.
        let live = root.parent().unwrap().join("live");
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::read_dir(&live).unwrap().count() > 0 {
            assert!(Instant::now() < deadline, "not freed");
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    assert_eq!(lines, ["dir a", "wh a/f", "file+ a/g", "dir b", "file+ b/h", "file b/named", "file+ moved"]);
    let named = rows.iter().find(|row| row.path == "b/named").unwrap();
    assert_eq!((named.kind.as_str(), named.mode), ("file kept", 0o640));
}

#[test]
fn a_file_with_holes_occupies_less_than_it_is_long() {
    if enter("rootfs::overlay::tests::through::a_file_with_holes_occupies_less_than_it_is_long")
        == Half::Outer
    {
        return;
    }
    let scratch = Scratch::new();
    let root = scratch.mount(&scratch.stack(&["file f text"]));
    let occupied = |name: &str| {
        let file = File::open(root.path().join(name)).unwrap();
        let meta = file.metadata().unwrap();
        (meta.len(), meta.blocks() * 512 < meta.len())
    };
    shell(
        "truncate -s 1M f
         head -c 200000 /dev/zero >dense
         truncate -s 1M end; printf end >>end
         cp --sparse=always dense sparse; truncate -s 150000 dense",
        root.path(),
    );
    for (name, expected) in [
        ("f", (1 << 20, true)),
        ("dense", (150_000, false)),
        ("end", ((1 << 20) + 3, true)),
        ("sparse", (200_000, true)),
    ] {
        assert_eq!(occupied(name), expected, "{name}");
    }
    drop(scratch.freeze(root, &[]));
}
