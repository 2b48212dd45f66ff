//! The real case: a Debian base from a registry, a compiler installed in a RUN, a program copied into a
//! second stage, pushed, pulled and run by podman.

use crate::support::{World, provided, tool};

const PROGRAM: &str = r#"#include <stdio.h>
#include <unistd.h>
int main(void) { printf("hello from uid %d\n", (int) getuid()); return 0; }
"#;

fn build_push_run(driver: &str) {
    let Some(registry) = provided("RBUILD_TEST_REGISTRY") else { return };
    let Some(base) = provided("RBUILD_TEST_BASE") else { return };
    let world = World::with(&["--rootfs", driver]);
    world.file("hello.c", PROGRAM);
    let file = format!(
        "ARG BASE={base}\nFROM ${{BASE}} AS build\n\
         RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev\n\
         COPY hello.c /src/\nWORKDIR /src\nRUN gcc -O2 -Wall -o hello hello.c\n\n\
         FROM ${{BASE}}\nRUN useradd --create-home --uid 4711 app\n\
         COPY --from=build --chown=app:app /src/hello /home/app/hello\n\
         LABEL org.opencontainers.image.title=hello version=\"1.0\"\nUSER app\nENTRYPOINT [\"/home/app/hello\"]\n"
    );
    let name = format!("{registry}/e2e/hello-{driver}:1");
    world.build(&file, &["-t", &name]).good();
    let tree = world.tree(&name);
    assert!(
        tree.iter().any(|line| line.starts_with("f 0755 4711:4711 ") && line.contains(" home/app/hello #")),
        "{driver}"
    );
    world.run(&["push", &name]).good();
    let storage = world.path("p");
    let root = storage.display().to_string();
    let global = [
        "--root",
        &root,
        "--runroot",
        &format!("{root}-run"),
        "--storage-driver",
        "overlay",
        "--cgroup-manager",
        "cgroupfs",
        "--runtime",
        "runc",
    ];
    let podman = |args: &[&str]| tool("podman", &[&global[..], args].concat());
    podman(&["pull", "--quiet", "--tls-verify=false", &name]);
    assert_eq!(podman(&["run", "--rm", "--network=host", &name]), "hello from uid 4711\n", "{driver}");
    let label = podman(&["inspect", "--format", "{{index .Config.Labels \"version\"}}", &name]);
    assert_eq!(label.trim(), "1.0");
    podman(&["rmi", "--all", "--force"]);
    // podman mounts its own storage over itself in there.
    podman(&["unshare", "sh", "-c", &format!("umount {root}/overlay; rm -rf {root} {root}-run")]);
}

#[test]
fn on_the_kernel_driver() {
    build_push_run("kernel");
}

#[test]
fn on_the_fuse_driver() {
    build_push_run("fuse");
}

/// What gives files away and becomes others: accounts, a service's own files, sandboxed downloads, packages with a group
/// of their own, archives, setuid and setgid.
const IDENTITIES: &str = r"
RUN useradd --system --uid 999 --create-home --home-dir /srv/app app \
 && su app -s /bin/sh -c 'touch /srv/app/mine; mkdir /srv/app/d; ln -s mine /srv/app/l; id' \
 && install -o app -g app -m 750 /dev/null /srv/app/installed && su nobody -s /bin/sh -c id
RUN mkdir /t && cd /t && mkdir a && touch a/f a/g && chown 12:34 a a/f && chmod 4751 a/g && chown root:shadow a/g \
 && chmod 2755 a/g && tar cf /t.tar a && rm -r a && tar xpf /t.tar && rm /t.tar && chown --from=12:34 -R daemon:adm a
RUN apt-get update && apt-get install -y --no-install-recommends cron at cpio rsync sudo && rm -rf /var/lib/apt/lists/*
COPY programs.sh /
RUN sh /programs.sh
USER app:adm
WORKDIR /srv/app/work
RUN id && touch /srv/app/by-user
";

/// What programs that turn into others, or ask who others are, print: a line each.
const PROGRAMS: &str = r#"
row() { echo "= $1: $(timeout 60 sh -c "$2" 2>&1 < /dev/null | tr '\n' '|')"; }
row su "su - app -c 'id; pwd'"
row runuser "runuser -u app -- id"
row setpriv "setpriv --reuid=999 --regid=4 --clear-groups id"
row ambient "setpriv --reuid=999 --regid=4 --clear-groups --inh-caps=+setgid --ambient-caps=+setgid setpriv --groups=7 id"
row bounding "setpriv --bounding-set=-chown sh -c 'chown 5 /t; touch /t/made; stat -c %u /t'"
row sudo "sudo -u nobody id; sudo -u nobody sudo -n true; echo 'app ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/app"
row sudo-back "su app -s /bin/sh -c 'sudo id; sudo -u nobody id; sudo touch /t/by-root; stat -c %u /t/by-root'"
row cpio "cd /t; chown -R 12:34 a; find a | sort | cpio -o > /c; mkdir /u; cd /u; cpio -id < /c; stat -c '%u:%g %a' a a/f; rm /c"
row rsync "rsync -a /t/ /v/; stat -c '%u:%g %a' /v/a /v/a/f; su app -s /bin/sh -c 'rsync -a /t/ /tmp/v/; stat -c %u:%g /tmp/v/a/f; rm -r /tmp/v'"
row groups "gpasswd -a app adm; id app; newgrp adm; su app -s /bin/sh -c 'sg adm id'"
row statoverride "dpkg-statoverride --add --update app adm 2750 /t; stat -c '%U:%G %a' /t; dpkg-statoverride --list"
row peer "su app -s /usr/bin/perl -- -MSocket -e 'socketpair A, B, AF_UNIX, SOCK_STREAM, 0; print join q(:), (unpack q(i3), getsockopt A, SOL_SOCKET, 17)[1, 2]'"
row daemon "start-stop-daemon --start --chuid app:adm --exec /usr/bin/id"
row crontab "echo '* * * * * true' | crontab -u app -; su app -s /bin/sh -c 'crontab -l'; stat -c '%U:%G %a' /var/spool/cron/crontabs/app"
row stdout "ln -s /dev/stdout /o; chown app /o; stat -Lc %U /o; stat -c %U /o"
"#;

/// Content with the time of day, or the order of a hash table, in it. Whose it is and with which bits is compared all the
/// same.
const CHANGEABLE: [&str; 5] = [
    "\tvar/cache/apt/",
    "\tvar/cache/ldconfig/",
    "\tvar/log/",
    "\trun/sudo/ts/",
    "\tvar/spool/cron/crontabs/",
];
/// Columns of a header before the size.
const WHOSE: usize = 6;

#[test]
fn one_id_gives_the_headers_of_all_ids() {
    let Some(base) = provided("RBUILD_TEST_BASE") else { return };
    let build = |global: &[&str]| {
        let world = World::with(global);
        world.file("programs.sh", PROGRAMS);
        let said = world.build(&format!("FROM {base}{IDENTITIES}"), &["-t", "x"]).good();
        for line in
            ["uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n", "uid=999(app) gid=4(adm)"]
        {
            assert!(said.stdout.contains(line), "{line}\n{}", said.stdout);
        }
        let printed = said.stdout.lines().filter(|line| line.starts_with("= ")).map(str::to_owned);
        (printed.collect::<Vec<_>>(), world.headers("x"))
    };
    let info = World::new().run(&["info"]).good().stdout;
    if info.contains("\"mode\": \"single\"") {
        eprintln!("skipped: needs a range of ids to compare with");
        return;
    }
    let (all_printed, all) = build(&["--rootfs", "fuse"]);
    assert_eq!(all_printed.len(), PROGRAMS.lines().filter(|line| line.starts_with("row ")).count());
    assert!(all.len() > 3000, "{} headers", all.len());
    for driver in ["fuse", "plain"] {
        let (one_printed, one) = build(&["--rootfs", driver, "--idmap", "single"]);
        assert_eq!(all_printed, one_printed, "{driver}");
        same_headers(driver, &all, &one);
    }
}

fn same_headers(driver: &str, all: &[String], one: &[String]) {
    let judged = |line: &String| {
        let is_changeable = CHANGEABLE.iter().any(|path| line.contains(path));
        let columns = if is_changeable { WHOSE } else { usize::MAX };
        line.split('\t').take(columns).collect::<Vec<_>>().join("\t")
    };
    let pairs = all.iter().zip(one).map(|(all, one)| (judged(all), judged(one)));
    let differ: Vec<_> = pairs.filter(|(all, one)| all != one).collect();
    assert!(differ.is_empty(), "{driver}: {differ:#?}");
    assert_eq!(all.len(), one.len(), "{driver}");
}
