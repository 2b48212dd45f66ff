//! Tars made by GNU tar and by Python, compared field by field with what was put in.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::*;

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn gnu_tar(dir: &Path, args: &[&str]) -> Vec<u8> {
    let fixed = ["--sort=name", "-C"];
    run(Command::new("tar").arg("-c").args(args).args(fixed).arg(dir).arg("."))
}

/// A directory with one of everything that this account can make.
fn zoo() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let long = format!("{}/{}", ["long"; 30].join("/"), "n".repeat(200));
    std::fs::create_dir_all(at(&long).parent().unwrap()).unwrap();
    std::fs::write(at(&long), "deep").unwrap();
    std::fs::write(at("setuid"), "x").unwrap();
    std::fs::set_permissions(at("setuid"), PermissionsExt::from_mode(0o4751)).unwrap();
    std::fs::hard_link(at(&long), at("hard")).unwrap();
    symlink("t".repeat(150), at("sym")).unwrap();
    symlink("/etc/x", at("abs")).unwrap();
    run(Command::new("mkfifo").arg(at("fifo")));
    std::fs::create_dir(at("empty")).unwrap();
    std::fs::write(at("big"), vec![7; 1_100_001]).unwrap();
    let sparse = File::create(at("sparse")).unwrap();
    for place in 0..40 {
        sparse.write_all_at(b"data", place << 15).unwrap();
    }
    sparse.set_len(3 << 19).unwrap();
    for name in ["setuid", "hard", "fifo", "empty", "big", "sparse", "."] {
        run(Command::new("touch").args(["-h", "-d", "@1600000000.123456789"]).arg(at(name)));
    }
    dir
}

/// What the directory itself says, in the words of [`describe`].
fn describe_directory(root: &Path, whole_seconds: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut todo = vec![(root.to_owned(), ".".to_owned())];
    while let Some((path, name)) = todo.pop() {
        let meta = path.symlink_metadata().unwrap();
        let kind = match meta.file_type() {
            kind if kind.is_dir() => "dir".to_owned(),
            kind if kind.is_symlink() => format!("->{}", path.read_link().unwrap().display()),
            kind if kind.is_file() => "file".to_owned(),
            _ => "fifo".to_owned(),
        };
        let nanos = if whole_seconds { 0 } else { meta.mtime_nsec() };
        let mode = meta.mode() & 0o7777;
        let owner = format!("{}:{}", meta.uid(), meta.gid());
        let mut words = vec![name.clone(), kind, format!("{mode:o} {owner} {}.{nanos:09}", meta.mtime())];
        if meta.is_file() && meta.nlink() > 1 {
            words.push(format!("x{}", meta.nlink()));
        }
        if meta.is_file() {
            words.push(describe_content(&std::fs::read(&path).unwrap()));
        }
        lines.push(words.join(" "));
        if meta.is_dir() {
            for child in std::fs::read_dir(&path).unwrap().map(Result::unwrap) {
                let child_name = child.file_name().into_string().unwrap();
                let name = if name == "." { child_name } else { format!("{name}/{child_name}") };
                todo.push((child.path(), name));
            }
        }
    }
    lines.sort();
    lines
}

#[test]
fn gnu_tar_in_every_format() {
    let zoo = zoo();
    let rows: [(&[&str], bool); 7] = [
        (&["--format=gnu"], true),
        (&["--format=gnu", "--sparse"], true),
        (&["--format=pax"], false),
        (&["--format=posix", "--sparse"], false),
        (&["--format=posix", "--sparse", "--sparse-version=0.1"], false),
        (&["--format=posix", "--sparse", "--sparse-version=0.0"], false),
        (&["--format=oldgnu", "--sparse"], true),
    ];
    for (args, whole_seconds) in rows {
        let tar = gnu_tar(zoo.path(), args);
        let layer = layer_of(&tar).unwrap_or_else(|error| panic!("{args:?}: {error}"));
        assert_eq!(describe(&layer), describe_directory(zoo.path(), whole_seconds), "{args:?}");
        let Some(Child::Node(sparse)) = layer.index.lookup(Index::ROOT, b"sparse") else {
            panic!("{args:?}")
        };
        let stored: u64 = layer.index.extents(sparse).map(|(_, _, len)| len).sum();
        assert_eq!(stored < 1 << 18, args.contains(&"--sparse"), "{args:?} stores {stored} bytes");
        let (_, content) =
            entries_of(&tar).unwrap().into_iter().find(|(entry, _)| entry.path == b"sparse").unwrap();
        assert!(content == std::fs::read(zoo.path().join("sparse")).unwrap(), "{args:?} through the reader");
    }
}

#[test]
fn gnu_tar_in_plain_ustar() {
    let dir = tempfile::tempdir().unwrap();
    let parent = dir.path().join("p".repeat(60)).join("q".repeat(60));
    std::fs::create_dir_all(&parent).unwrap();
    std::fs::write(parent.join("f".repeat(90)), "split").unwrap();
    for format in ["--format=ustar", "--format=v7"] {
        if format == "--format=v7" {
            std::fs::rename(parent.join("f".repeat(90)), dir.path().join("f")).unwrap();
            std::fs::remove_dir_all(dir.path().join("p".repeat(60))).unwrap();
        }
        let layer = layer_of(&gnu_tar(dir.path(), &[format])).unwrap();
        assert_eq!(describe(&layer), describe_directory(dir.path(), true), "{format}");
    }
}

#[test]
fn gnu_tar_with_xattrs() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    std::fs::write(&file, "").unwrap();
    let set = |name: &str, value: &str| {
        Command::new("setfattr")
            .args(["-n", name, "-v", value])
            .arg(&file)
            .status()
            .is_ok_and(|s| s.success())
    };
    if !set("user.a", "0x000a3d") {
        eprintln!("skipped: needs user extended attributes on the temporary directory");
        return;
    }
    let layer =
        layer_of(&gnu_tar(dir.path(), &["--format=posix", "--xattrs", "--xattrs-include=*"])).unwrap();
    let Some(Child::Node(ino)) = layer.index.lookup(Index::ROOT, b"f") else { panic!("no f") };
    assert_eq!(layer.index.xattrs(ino).collect::<Vec<_>>(), [(&b"user.a"[..], &b"\0\n="[..])]);
}

/// Entry by entry: format, attributes, and the line that must come out. Python writes what no file system here has.
#[test]
fn python_writes_odd_headers() {
    let script = r#"
import io, sys, tarfile
for fmt in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as tar:
        def add(name, kind=tarfile.REGTYPE, data=b"", **fields):
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data)
            for key, value in fields.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
        add("ids", uid=2**21, gid=2**32 - 2)
        add("old", mtime=-2)
        add("dev", tarfile.CHRTYPE, devmajor=10, devminor=229)
        add("blk", tarfile.BLKTYPE, devmajor=259, devminor=1048575, mode=0o1660)
        add("sym", tarfile.SYMTYPE, linkname="../" * 60 + "x")
        add("l" * 90 + "/" + "m" * 120, data=b"long")
        add("d\u00e9j\u00e0", data=b"vu")
        if fmt == tarfile.PAX_FORMAT:
            add("frac", mtime=-1.5, pax_headers={"SCHILY.xattr.user.x": "y", "comment": "c"})
    sys.stdout.buffer.write(len(out.getvalue()).to_bytes(8, "little") + out.getvalue())
"#;
    let mut stream = &run(Command::new("python3").args(["-c", script]))[..];
    let long = format!("{}/{}", "l".repeat(90), "m".repeat(120));
    let mut want = vec![
        ". dir implicit".to_owned(),
        "blk block 259,1048575 1660 0:0 0.000000000".to_owned(),
        "d\\xc3\\xa9j\\xc3\\xa0 file 644 0:0 0.000000000 \"vu\"".to_owned(),
        "dev char 10,229 644 0:0 0.000000000".to_owned(),
        "ids file 644 2097152:4294967294 0.000000000 \"\"".to_owned(),
        format!("{} dir implicit", "l".repeat(90)),
        format!("{long} file 644 0:0 0.000000000 \"long\""),
        "old file 644 0:0 -2.000000000 \"\"".to_owned(),
        format!("sym ->{}x 644 0:0 0.000000000", "../".repeat(60)),
    ];
    for format in ["GNU", "PAX"] {
        let (len, rest) = stream.split_first_chunk::<8>().unwrap();
        let (tar, rest) = rest.split_at(usize::try_from(u64::from_le_bytes(*len)).unwrap());
        stream = rest;
        if format == "PAX" {
            want.push("frac file 644 0:0 -2.500000000 user.x=y \"\"".to_owned());
            want.sort();
        }
        assert_eq!(describe(&layer_of(tar).unwrap()), want, "{format}");
    }
}

/// The other way round: what we write, GNU tar and Python read.
#[test]
fn others_read_what_we_write() {
    let mut meta = Metadata { mode: 0o755, uid: 3_000_000, gid: 1, ..Metadata::default() };
    meta.mtime = Timestamp { secs: 1_600_000_000, nanos: 123_000_000 };
    let long = ["long"; 60].join("/");
    let (_, tar) = layer_by(|writer| {
        writer.append(b"", &meta, Content::Directory).unwrap();
        writer.append(b"f", &meta, Content::File { size: 3, data: &mut &b"abc"[..] }).unwrap();
        writer.append(long.as_bytes(), &meta, Content::Directory).unwrap();
        writer.append(b"s", &meta, Content::Symlink(long.as_bytes())).unwrap();
        writer.append(b"h", &meta, Content::Hardlink(b"f")).unwrap();
        writer.append(b"c", &meta, Content::Char { major: 1, minor: 3 }).unwrap();
        writer.whiteout(b"gone").unwrap();
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &tar).unwrap();
    let list = |args: &[&str]| {
        let listed = run(Command::new("tar").args(args).arg(file.path()).env("TZ", "UTC"));
        String::from_utf8(listed).unwrap()
    };
    let names = list(&["--quoting-style=literal", "-tf"]);
    assert_eq!(names, format!("./\nf\n{long}/\ns\nh\nc\n.wh.gone\n"));
    let verbose = list(&["--numeric-owner", "--full-time", "-tvf"]);
    let lines: Vec<&str> = verbose.lines().collect();
    assert!(lines[1].starts_with("-rwxr-xr-x 3000000/1 "), "{}", lines[1]);
    assert!(lines[1].ends_with(" 3 2020-09-13 12:26:40.123 f"), "{}", lines[1]);
    assert!(lines[5].contains(" 1,3 "), "{}", lines[5]);
    let script =
        "import sys,tarfile\nfor m in tarfile.open(sys.argv[1]): print(m.name, m.mtime, m.uid, m.linkname)";
    let read = String::from_utf8(run(Command::new("python3").args(["-c", script]).arg(file.path()))).unwrap();
    assert!(read.contains(&format!("s 1600000000.123 3000000 {long}\n")), "{read}");
}
