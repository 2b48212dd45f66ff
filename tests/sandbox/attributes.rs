//! Attributes that name users: file capabilities of nested user namespaces, and access lists that the namespace cannot name.

use std::fs::{self, File};
use std::io::Seek as _;

use rbuild::layer::{Content, EntryKind, LayerWriter, Limits, Metadata, TarReader, Xattrs};
use rbuild::runtime::{Exit, Job, LayerFiles};
use rbuild_userns::idmap::{Choice, Mode};

use crate::bench::{Bench, in_words};
use crate::identity::{RECORDING, has_python, python};

pub const TESTS: &[(&str, fn())] =
    &[("a_nested_namespace_s_capability_keeps_its_root", a_nested_namespace_s_capability_keeps_its_root)];

pub const RECORDED: &[(&str, fn())] =
    &[("lists_of_others_stay_in_the_layers", lists_of_others_stay_in_the_layers)];

/// In a namespace whose root is the step's user 1000, root gives a file of its own a capability.
const NESTED: &str = r#"
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
value = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
os.close(os.open("/a/nested", os.O_CREAT, 0o755)), os.close(os.open("/a/own", os.O_CREAT, 0o755))
os.chown("/a/nested", 1000, 1000)
os.setxattr("/a/own", "security.capability", value)
ready, mapped = os.pipe(), os.pipe()
if (pid := os.fork()) == 0:
    os.setresgid(1000, 1000, 1000), os.setresuid(1000, 1000, 1000)
    assert libc.unshare(0x10000000) == 0, os.strerror(ctypes.get_errno())
    os.write(ready[1], b"x"), os.read(mapped[0], 1)
    os.setxattr("/a/nested", "security.capability", value)
    print("nested", os.getxattr("/a/nested", "security.capability").hex(), flush=True)
    os._exit(0)
os.read(ready[0], 1)
for name, text in [("setgroups", "deny"), ("uid_map", "0 1000 1"), ("gid_map", "0 1000 1")]:
    with open(f"/proc/{pid}/{name}", "w") as file:
        file.write(text)
os.write(mapped[1], b"x")
assert os.waitpid(pid, 0)[1] == 0
print("step", os.getxattr("/a/nested", "security.capability").hex(), os.getxattr("/a/own", "security.capability").hex())
"#;

/// `VFS_CAP_REVISION_2` and `_3` with `cap_net_raw=ep`, the latter for the namespace whose root is 1000
/// (linux/capability.h).
const OLDER: &str = "0100000200200000000000000000000000000000";
const OF_1000: &str = "0100000300200000000000000000000000000000e8030000";

fn a_nested_namespace_s_capability_keeps_its_root() {
    if !has_python() {
        println!("skipped: needs python3");
        return;
    }
    let bench = Bench::new();
    if bench.sandbox.idmap() == Mode::Single {
        println!("skipped: where one id is mapped, a nested namespace has no other root");
        return;
    }
    let program = bench.dir.join("nested.py");
    fs::write(&program, NESTED).unwrap();
    let mut job = python(&bench, &program);
    job.rootfs = bench.job("").rootfs;
    job.confinement.security.capabilities.extend(["CAP_SYS_ADMIN".to_owned(), "CAP_SETFCAP".to_owned()]);
    let (said, layer) = layer_of(&bench, &job);
    // inside, root's own is what it wrote
    assert_eq!(said, format!("nested {OLDER}\nstep {OF_1000} {OLDER}\n"));
    let held = |path: &str| attribute(&layer, path, "security.capability");
    assert_eq!(held("a/nested"), OF_1000, "what buildah commits, too: the id is the image's, as an owner is");
    assert_eq!(held("a/own"), OLDER);
}

const LOOK: &str = r#"
import os
def tried(call, *args):
    try:
        return call(*args)
    except OSError as error:
        return error.strerror
print(os.listxattr("/a/named"), tried(os.getxattr, "/a/named", "system.posix_acl_access"), tried(os.setxattr, "/a/named", "system.posix_acl_access", bytes.fromhex("LIST")))
os.chmod("/a/named", 0o604)
with open("/a/other", "a") as file:
    file.write("more")
"#;

/// `user::rw-,user:7:rw-,group::r--,mask::rw-,other::---`, and the same after `chmod 604`.
const LIST: &str = "0200000001000600ffffffff020006000700000004000400ffffffff10000600ffffffff20000000ffffffff";
const CHANGED: &str =
    "0200000001000600ffffffff020006000700000004000400ffffffff10000000ffffffff20000400ffffffff";

fn lists_of_others_stay_in_the_layers() {
    if !has_python() {
        println!("skipped: needs python3");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let bench = Bench::with(scratch.path(), Choice::Force(Mode::Single))
        .unwrap_or_else(|error| panic!("{}", in_words(&error)));
    let program = bench.dir.join("look.py");
    fs::write(&program, LOOK.replace("LIST", LIST)).unwrap();
    let named = named(&bench);
    for rootfs in RECORDING {
        let mut job = Job { rootfs, ..python(&bench, &program) };
        job.stack.push(named.clone());
        let (said, layer) = layer_of(&bench, &job);
        assert_eq!(said, "[] No data available Invalid argument\n", "{rootfs:?}");
        let held = |path: &str| attribute(&layer, path, "system.posix_acl_access");
        assert_eq!((held("a/named"), held("a/other")), (CHANGED.to_owned(), LIST.to_owned()), "{rootfs:?}");
    }
}

/// A layer with two files whose lists name a user that one mapped id leaves without a name.
fn named(bench: &Bench) -> LayerFiles {
    let (tar, index) = (bench.dir.join("named.tar"), bench.dir.join("named.index"));
    let file = File::options().read(true).write(true).create_new(true).open(&tar).unwrap();
    let mut writer = LayerWriter::create(file);
    let xattrs = Xattrs::from([(b"system.posix_acl_access".to_vec(), hex::decode(LIST).unwrap())]);
    let meta = Metadata { mode: 0o660, xattrs, ..Metadata::default() };
    for name in ["a/named", "a/other"] {
        let content = Content::File { size: 4, data: &mut &b"text"[..] };
        writer.append(name.as_bytes(), &meta, content).unwrap();
    }
    let written = writer.finish().unwrap();
    fs::write(&index, &written.index).unwrap();
    LayerFiles { diff_id: written.diff_id, tar, index }
}

/// What a job says, and the layer that it leaves.
fn layer_of(bench: &Bench, job: &Job) -> (String, File) {
    let (mut tar, said) = (tempfile::tempfile().unwrap(), std::sync::Mutex::new(Vec::new()));
    let tell = |_, bytes: &[u8]| said.lock().unwrap().extend_from_slice(bytes);
    let outcome = bench.sandbox.run(job, tar.try_clone().unwrap(), &tell);
    let said = String::from_utf8(said.into_inner().unwrap()).unwrap();
    let outcome = outcome.unwrap_or_else(|error| panic!("{}: {said}", in_words(&error)));
    assert_eq!(outcome.exit, Exit::Code(0), "{said}");
    tar.rewind().unwrap();
    (said, tar)
}

/// A file's attribute in a layer, in hexadecimal digits.
fn attribute(mut layer: &File, path: &str, name: &str) -> String {
    layer.rewind().unwrap();
    let mut entries = TarReader::new(layer, Limits::default());
    while let Some(entry) = entries.next_entry().unwrap() {
        if entry.path == path.as_bytes() && matches!(entry.kind, EntryKind::File { .. }) {
            return entry.meta.xattrs.get(name.as_bytes()).map(hex::encode).unwrap_or_default();
        }
    }
    panic!("{path} is not in the layer");
}
