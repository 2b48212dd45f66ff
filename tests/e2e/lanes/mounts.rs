//! Volumes and mounts of a RUN.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Child, Command, Stdio};

use super::worlds;
use crate::build::BUSYBOX;
use crate::support::{World, tool};

/// Builds one RUN, whose layer must have none of the paths in `absent`.
fn run(world: &World, args: &[&str], command: &str, absent: &[&str]) -> String {
    let args = [&["--no-cache", "-t", "x"], args].concat();
    let said = world.build(&format!("{BUSYBOX}COPY tree /tree\nRUN {command}\n"), &args).good();
    let tree = world.tree("x");
    for path in absent {
        let found = tree.iter().find(|line| line.split(' ').any(|word| word == *path));
        assert_eq!(found, None, "{args:?}: {path}");
    }
    said.stdout
}

fn prepared(world: &World) -> (String, String) {
    world
        .busybox()
        .file("tree/d/f", "image's")
        .file("tree/g", "g")
        .file("v/sub/f", "host's")
        .file("v/one", "one");
    (world.path("context/v").display().to_string(), world.path("context/v/one").display().to_string())
}

#[test]
fn volumes_have_the_options_that_they_were_given() {
    for (driver, world) in worlds() {
        let (dir, file) = prepared(&world);
        let flags = "grep ' /v ' /proc/self/mounts | cut -d' ' -f4 | tr ',' '\\n' | grep -cxE";
        let rows: [(String, String, &str); 8] = [
            (format!("{dir}:/v"), "cat /v/sub/f; touch /v/new && echo wrote".to_owned(), "host'swrote\n"),
            (format!("{dir}:/v:ro"), "cat /v/one; touch /v/no 2>/dev/null || echo refused".to_owned(), "onerefused\n"),
            (format!("{dir}:/v:z,Z,rbind,rshared"), "cat /v/one".to_owned(), "one"),
            (format!("{dir}:/v:noexec,nosuid,nodev"), format!("{flags} 'noexec|nosuid|nodev'"), "3\n"),
            (format!("{dir}:/v:noexec"), "cp /bin/busybox /v/sub/b; /v/sub/b true 2>/dev/null || echo refused; rm /v/sub/b".to_owned(), "refused\n"),
            (format!("{file}:/tree/g:ro"), "cat /tree/g".to_owned(), "one"),
            (format!("{dir}:/tree/d"), "cat /tree/d/one; ls /tree/d/f 2>/dev/null || echo hidden".to_owned(), "onehidden\n"),
            (format!("{dir}:/new/deep/v:O"), "echo x > /new/deep/v/sub/f; rm /new/deep/v/one; echo y > /new/deep/v/y; ls /new/deep/v; cat /new/deep/v/sub/f".to_owned(), "new\nsub\ny\nx\n"),
        ];
        for (volume, command, want) in rows {
            let said = run(
                &world,
                &["--volume", &volume],
                &command,
                &["v", "new", "new/deep", "new/deep/v", "tree/d/one"],
            );
            assert!(said.contains(&format!("{command}\n{want}")), "{driver}: {volume}\n{said}");
        }
        // what went to the overlay went nowhere
        assert_eq!(fs::read_to_string(world.path("context/v/sub/f")).unwrap(), "host's");
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        assert!(!world.path("context/v/y").exists() && world.path("context/v/new").exists());
        assert_eq!(
            fs::read_dir(world.store().join("rbuild/live")).unwrap().count(),
            0,
            "{driver}: live/ is empty"
        );
    }
}

#[test]
fn an_overlay_keeps_what_is_written_where_it_was_told_to() {
    let (_, world) = worlds().remove(0);
    let (dir, _) = prepared(&world);
    let [upper, work] = ["upper", "work"].map(|name| {
        fs::create_dir(world.path(name)).unwrap();
        world.path(name).display().to_string()
    });
    let volume = format!("{dir}:/v:O,upperdir={upper},workdir={work}");
    let attempt = world.build(&format!("{BUSYBOX}RUN echo kept > /v/one\n"), &["--volume", &volume]);
    if attempt.code != 0 {
        // the temporary directory of a container may lie on an overlay, which is no upper side for another
        attempt.fails(125, "mount an overlay of");
        eprintln!("skipped: overlayfs does not take {upper} as an upper side");
        return;
    }
    assert_eq!(fs::read_to_string(world.path("upper/one")).unwrap(), "kept\n");
    assert_eq!(fs::read_to_string(world.path("context/v/one")).unwrap(), "one");
    fs::set_permissions(world.path("work/work"), fs::Permissions::from_mode(0o700)).ok();
}

#[test]
fn files_in_memory_and_read_only_binds() {
    for (driver, world) in worlds() {
        let (dir, _) = prepared(&world);
        let bind = format!("type=bind,source={dir},target=/m");
        let rows: [(&str, &str, &str); 6] = [
            (&bind, "cat /m/one; touch /m/no 2>/dev/null || echo refused", "onerefused\n"),
            (&format!("{bind},rw"), "touch /m/made && echo wrote", "wrote\n"),
            (
                "type=tmpfs,target=/m,size=64k,mode=0711",
                "stat -c %a /m; dd if=/dev/zero of=/m/x bs=1k count=100 2>/dev/null || echo full",
                "711\nfull\n",
            ),
            ("type=tmpfs,target=/tree/d", "ls /tree/d | wc -l; echo lost > /tree/d/f", "0\n"),
            (
                "type=tmpfs,target=/tree/d,tmpcopyup",
                "cat /tree/d/f; echo; echo lost > /tree/d/f",
                "image's\n",
            ),
            (
                "type=tmpfs,target=/tree/d,tmpcopyup,ro",
                "cat /tree/d/f; echo x 2>/dev/null > /tree/d/f || echo refused",
                "image'srefused\n",
            ),
        ];
        for (mount, command, want) in rows {
            let said = run(&world, &["--mount", mount], command, &["m", "m/x"]);
            assert!(said.contains(&format!("{command}\n{want}")), "{driver}: {mount}\n{said}");
            let tree = world.tree("x");
            assert!(
                tree.iter().any(|line| line.starts_with("f 0644 0:0 7 tree/d/f")),
                "{driver}: {mount}: the layer has the image's"
            );
        }
    }
}

#[test]
fn a_mount_within_a_mount_leaves_no_stub_behind() {
    for (driver, world) in worlds() {
        let (dir, file) = prepared(&world);
        // given the wrong way round: the inner one first
        let inner = format!("{file}:/v/made/here/file");
        let outer = format!("{dir}:/v");
        let args = ["--volume", &inner, "--mount", "type=tmpfs,target=/v/sub/memory", "--volume", &outer];
        let command = "cat /v/made/here/file /v/sub/f; test -d /v/sub/memory && echo there";
        let said = run(&world, &args, command, &["v"]);
        assert!(said.contains("onehost'sthere\n"), "{driver}\n{said}");
        for name in ["made", "sub/memory"] {
            assert!(!world.path("context/v").join(name).exists(), "{driver}: {name} stayed on the host");
        }
        // a stub that a step has filled is the user's
        let said = run(
            &world,
            &["--volume", &outer, "--volume", &format!("{dir}:/v/again")],
            "touch /v/again/x /v/one",
            &["v"],
        );
        drop(said);
        assert!(!world.path("context/v/again").exists(), "{driver}");
        fs::remove_file(world.path("context/v/x")).unwrap();
    }
}

#[test]
fn the_image_does_not_lead_a_mount_outside() {
    for (driver, world) in worlds() {
        let (dir, _) = prepared(&world);
        let outside = world.path("outside");
        fs::create_dir(&outside).unwrap();
        let link = outside.display().to_string();
        let file = format!(
            "{BUSYBOX}RUN ln -s {link} /abs; ln -s ../../../../../../..{link} /rel; ln -s abs /twice\n"
        );
        world.build(&file, &["-t", "linked"]).good();
        for target in ["/abs/v", "/rel/v", "/twice/v"] {
            let volume = format!("{dir}:{target}");
            let said = world
                .build(&format!("FROM linked\nRUN cat {target}/one\n"), &["--volume", &volume, "-t", "x"])
                .good();
            assert!(said.stdout.contains("one"), "{driver}: {target}\n{}", said.stdout);
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{driver}: {target}");
            let stub = format!(" {}", &link[1..]);
            assert!(!world.tree("x").iter().any(|line| line.contains(&stub)), "{driver}: {target}");
        }
    }
}

#[test]
fn bad_mounts_are_refused_in_words() {
    let (_, world) = worlds().remove(0);
    let (dir, file) = prepared(&world);
    let volume = |rest: &str| ["--volume".to_owned(), format!("{dir}{rest}")];
    let mount = |text: &str| ["--mount".to_owned(), text.to_owned()];
    let rows = [
        (volume(""), "expected HOST:CONTAINER[:OPTION,…]"),
        (volume(":v"), "must be absolute"),
        (volume("/none:/v"), "No such file or directory"),
        (volume(":/v:what"), "unknown volume option \"what\""),
        (["--volume".to_owned(), "cache:/v".to_owned()], "there are no named volumes"),
        (["--volume".to_owned(), format!("{file}:/v:O")], "the option O takes a directory"),
        (["--volume".to_owned(), "/usr:/v:U".to_owned()], "is not given away"),
        (["--volume".to_owned(), format!("{file}:/tree")], &*format!("mount {file} at \"/tree\"")),
        (volume(":/tree/g"), &*format!("mount {dir} at \"/tree/g\"")),
        (volume(":/tree/g/below"), "resolve \"/tree/g/below\" in the root"),
        (mount("type=cache,target=/v"), "a mount of type cache belongs to the RUN of a Dockerfile"),
        (mount("type=bind,target=/v"), "a bind mount needs a source"),
        (mount("type=tmpfs,target=/v,size=lots"), "size=lots: expected a number of bytes"),
    ];
    for (args, want) in rows {
        let args = [&*args[0], &*args[1]];
        let said = world.build(&format!("{BUSYBOX}COPY tree /tree\nRUN echo never\n"), &args);
        assert!(!said.stdout.contains("\nnever\n"), "{args:?}");
        said.fails(125, want);
    }
    let twice = [
        &*volume(":/v").concat().replace("--volume", "--volume="),
        &*volume(":/v/").concat().replace("--volume", "--volume="),
    ];
    world.build(BUSYBOX, &twice).fails(125, "two mounts have the target");
}

#[test]
fn an_owner_is_given_and_shows_on_the_host() {
    let lane = std::env::var("RBUILD_TEST_LANE").unwrap_or_default();
    let (_, world) = worlds().remove(0);
    let (dir, _) = prepared(&world);
    let build = |user: &str| {
        let file = format!("{BUSYBOX}USER {user}\nRUN stat -c %u:%g /v /v/sub/f; echo mine > /v/new\n");
        world.build(&file, &["--no-cache", "--volume", &format!("{dir}:/v:U")])
    };
    if lane == "single" {
        build("7:8").fails(125, "to 7:8: Invalid argument");
        return;
    }
    let said = build("7:8");
    if said.code != 0 && lane.is_empty() {
        eprintln!("skipped: one id is mapped");
        return;
    }
    assert!(said.good().stdout.contains("7:8\n7:8\n"));
    let owner = fs::metadata(world.path("context/v/new")).unwrap().uid();
    assert_eq!(owner == 7, lane == "root", "{owner}");
    // and back, so that the directory can be removed
    assert!(build("0:0").good().stdout.contains("0:0\n0:0\n"));
    assert_eq!(fs::metadata(world.path("context/v/new")).unwrap().uid(), rustix::process::geteuid().as_raw());
}

#[test]
fn an_owner_is_given_in_an_overlay_alone() {
    let lane = std::env::var("RBUILD_TEST_LANE").unwrap_or_default();
    let (_, world) = worlds().remove(0);
    let (dir, _) = prepared(&world);
    let file =
        format!("{BUSYBOX}USER 7:8\nRUN stat -c %u:%g /v /v/sub/f; echo mine > /v/sub/f; cat /v/sub/f\n");
    let said = world.build(&file, &["--no-cache", "--volume", &format!("{dir}:/v:O,U")]);
    if lane == "single" {
        said.fails(125, "to 7:8: Invalid argument");
        return;
    }
    if said.code != 0 && lane.is_empty() {
        eprintln!("skipped: one id is mapped");
        return;
    }
    assert!(said.good().stdout.contains("7:8\n7:8\nmine\n"));
    let there = fs::metadata(world.path("context/v/sub/f")).unwrap();
    assert_eq!(there.uid(), rustix::process::geteuid().as_raw(), "the host's file is whose it was");
    assert_eq!(fs::read_to_string(world.path("context/v/sub/f")).unwrap(), "host's");
}

/// The root of an overlay is the upper directory's, which is made for it.
#[test]
fn an_overlay_looks_like_its_directory() {
    let lane = std::env::var("RBUILD_TEST_LANE").unwrap_or_default();
    let (_, world) = worlds().remove(0);
    let (dir, _) = prepared(&world);
    let look = |volume: &str| {
        let said = world
            .build(&format!("{BUSYBOX}RUN stat -c '%a %u:%g' /v\n"), &["--no-cache", "--volume", volume]);
        let stdout = said.good().stdout;
        let line =
            stdout.lines().find(|line| line.contains(':') && line.starts_with(|c: char| c.is_ascii_digit()));
        line.unwrap_or_default().split(' ').map(str::to_owned).collect::<Vec<_>>()
    };
    // the last is root's: to anybody else an id that is not mapped
    let own = fs::metadata(&dir).unwrap().permissions();
    for (path, mode) in
        [(&*dir, Some(0o2750)), (&*dir, Some(0o1777)), (&*dir, Some(0o500)), ("/usr/share", None)]
    {
        if let Some(mode) = mode {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let (bound, over) = (look(&format!("{path}:/v")), look(&format!("{path}:/v:O")));
        assert_eq!(bound[0], over[0], "{path}, {mode:?}");
        // with one id no directory can be made that is nobody's
        if lane != "single" || mode.is_some() {
            assert_eq!(bound[1], over[1], "{path}, {mode:?}");
        }
    }
    fs::set_permissions(&dir, own).unwrap();
}

/// Overlayfs takes no overlay as its upper side, so what is written goes into memory.
#[test]
fn an_overlay_is_written_in_memory_where_the_disk_takes_none() {
    let mut world = World::new();
    let (dir, _) = prepared(&world);
    let [lower, upper, work] = ["l", "u", "w"].map(|name| {
        fs::create_dir(world.path(name)).unwrap();
        world.path(name).display().to_string()
    });
    fs::create_dir(world.store()).unwrap();
    let store = world.store().display().to_string();
    let mounted = format!(
        "set -e; mount -t overlay overlay -o lowerdir={lower},upperdir={upper},workdir={work},userxattr {store}"
    );
    let within = |then: &str| {
        let script = format!("{mounted}; {then} exec \"$@\"");
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", &script, "sh"]
            .map(str::to_owned)
            .to_vec()
    };
    world.around = within("");
    let file = format!("{BUSYBOX}RUN echo written > /v/one; rm /v/sub/f; cat /v/one; ls /v/sub | wc -l\n");
    let said = world.build(&file, &["--no-cache", "--volume", &format!("{dir}:/v:O")]).good();
    assert!(said.stdout.contains("written\n0\n"), "{}", said.stdout);
    assert_eq!(fs::read_to_string(world.path("context/v/one")).unwrap(), "one");
    assert!(world.path("context/v/sub/f").exists());
    // on the disk it is really refused
    world.around = within(&format!("mkdir {store}/up {store}/wo;"));
    let on_disk = format!("{dir}:/v:O,upperdir={store}/up,workdir={store}/wo");
    world.build(&file, &["--no-cache", "--volume", &on_disk]).fails(125, "mount an overlay of");
    // overlayfs leaves a directory that nobody may read
    fs::set_permissions(world.path("w/work"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_right_that_the_host_does_not_give_is_not_given() {
    let lane = std::env::var("RBUILD_TEST_LANE").unwrap_or_default();
    let (_, world) = worlds().remove(0);
    world.busybox();
    // /dev/shm is mounted without exec or devices on any system
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let shm = mounts.lines().find(|line| line.contains(" /dev/shm ")).unwrap_or_default();
    if !shm.contains("nodev") {
        eprintln!("skipped: /dev/shm is not nodev: {shm}");
        return;
    }
    let said = world
        .build(&format!("{BUSYBOX}RUN grep -c ' /v ' /proc/self/mounts\n"), &["--volume", "/dev/shm:/v:dev"]);
    if lane == "root" {
        said.good();
    } else {
        said.fails(125, "the host's mount does not allow \"dev\", and a user namespace cannot lift that");
    }
}

/// An agent that ends with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_step_asks_the_ssh_agent_of_the_host() {
    let Some(base) = crate::support::provided("RBUILD_TEST_BASE") else { return };
    let (_, world) = worlds().remove(0);
    let key = world.path("key").display().to_string();
    tool("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "key of the test", "-f", &key]);
    let socket = world.path("agent").display().to_string();
    let agent = Command::new("ssh-agent").args(["-D", "-a", &socket]).stdout(Stdio::null()).spawn();
    let _agent = Agent(agent.expect("the package openssh-client is installed"));
    while !world.path("agent").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let added = Command::new("ssh-add").arg(&key).env("SSH_AUTH_SOCK", &socket).output().unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    // the program of the host and what it needs, so that nothing has to be installed in the image
    let mut args = vec!["--volume".to_owned(), format!("{socket}:{socket}")];
    args.extend([
        "--tls-verify=false".to_owned(),
        "--build-arg".to_owned(),
        format!("SSH_AUTH_SOCK={socket}"),
    ]);
    world.file("ask", "").busybox();
    fs::copy("/usr/bin/ssh-add", world.path("context/ssh-add")).unwrap();
    let crypto = tool("ldd", &["/usr/bin/ssh-add"]);
    let library = crypto
        .lines()
        .find(|line| line.contains("libcrypto"))
        .and_then(|line| line.split_whitespace().nth(2));
    let library = library.expect("ssh-add is linked with libcrypto").to_owned();
    fs::copy(&library, world.path("context/libcrypto")).unwrap();
    let name = library.rsplit('/').next().unwrap();
    let file = format!(
        "FROM {base}\nARG SSH_AUTH_SOCK\nCOPY ssh-add /usr/bin/\nCOPY libcrypto /usr/lib/{name}\nRUN LD_LIBRARY_PATH=/usr/lib ssh-add -l\n"
    );
    let args: Vec<&str> = args.iter().map(String::as_str).chain(["-t", "x"]).collect();
    let said = world.build(&file, &args).good();
    assert!(said.stdout.contains("key of the test (ED25519)"), "{}", said.stdout);
    assert!(!world.tree("x").iter().any(|line| line.ends_with(&socket[1..])), "the socket is in the layer");
}
