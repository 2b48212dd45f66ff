//! What the command is: its ends, its environment, its rights.

use rbuild::runtime::{Error, Exit, Job, Owners, RootfsChoice, Seccomp};
use rbuild_userns::idmap::{Choice, Mode};

use crate::bench::{Bench, in_words};

pub const TESTS: &[(&str, fn())] = &[
    ("a_command_ends_as_it_ends", a_command_ends_as_it_ends),
    ("a_program_that_cannot_run_says_so", a_program_that_cannot_run_says_so),
    ("nothing_leaks_into_a_step", nothing_leaks_into_a_step),
    ("rights_are_as_asked", rights_are_as_asked),
    ("the_filter_refuses_and_allows", the_filter_refuses_and_allows),
    ("another_user_has_no_rights", another_user_has_no_rights),
    ("every_way_of_mapping_ids_runs_a_step", every_way_of_mapping_ids_runs_a_step),
    ("long_environments_and_much_output_arrive", long_environments_and_much_output_arrive),
];

fn a_command_ends_as_it_ends() {
    let bench = Bench::new();
    let rows = [
        ("exit 0", Exit::Code(0)),
        ("exit 3", Exit::Code(3)),
        ("exit 255", Exit::Code(255)),
        ("nosuch", Exit::Code(127)),
        // the first process of a pid namespace is shielded from signals it sends itself, as in every container
        ("kill -TERM $$; exit 4", Exit::Code(4)),
        ("sh -c 'kill -KILL $$'; exit $?", Exit::Code(137)),
        // what runs on in the background ends with the command, and so do its outputs
        ("sleep 1000 & nohup sleep 1001 & exit 5", Exit::Code(5)),
    ];
    for (script, want) in rows {
        assert_eq!(bench.run(&bench.job(script)).exit(), want, "{script}");
    }
}

fn a_program_that_cannot_run_says_so() {
    let bench = Bench::new();
    let rows = [
        ("nosuch", 127, "rbuild: exec \"nosuch\": not found in PATH (/usr/bin:/bin)\n"),
        ("/bin/nosuch", 127, "rbuild: exec \"/bin/nosuch\": no such file or directory\n"),
        (
            "/bin/no-interpreter",
            127,
            "rbuild: exec \"/bin/no-interpreter\": /bin/no-interpreter: its interpreter is not found\n",
        ),
        (
            "not-executable",
            126,
            "rbuild: exec \"not-executable\": /bin/not-executable: Permission denied (os error 13)\n",
        ),
        ("/bin", 126, "rbuild: exec \"/bin\": /bin: Permission denied (os error 13)\n"),
        ("garbage", 126, "rbuild: exec \"garbage\": /bin/garbage: Exec format error (os error 8)\n"),
    ];
    for (program, code, stderr) in rows {
        let mut job = bench.job("");
        job.process.args = vec![program.to_owned()];
        let ran = bench.run(&job);
        assert_eq!((ran.exit(), &*ran.stderr, &*ran.stdout), (Exit::Code(code), stderr, ""), "{program}");
    }
}

fn nothing_leaks_into_a_step() {
    let bench = Bench::new();
    // 3 is the directory that ls itself reads
    assert_eq!(bench.output("ls /proc/self/fd", |_| {}), "0\n1\n2\n3\n");
    assert_eq!(bench.output("readlink /proc/self/fd/0", |_| {}), "/dev/null\n");
    let environment = bench.output("", |job| {
        job.process.args = vec!["env".to_owned()];
        job.process.env.push("B=two words".to_owned());
        job.process.env.push("EMPTY=".to_owned());
    });
    assert_eq!(environment, "PATH=/usr/bin:/bin\nB=two words\nEMPTY=\n");
    let rows = [
        ("umask", "0022\n"),
        ("hostname", "step\n"),
        ("echo $$", "1\n"),
        ("cat /proc/sys/kernel/hostname", "step\n"),
        (
            "grep -E '^(SigBlk|SigIgn):' /proc/self/status",
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
        ),
        // supervisor, server and the program itself are nowhere to be seen
        ("ls /proc | grep -c '^[0-9]'", "3\n"),
        ("mount | grep -c ' on /proc/driver'; ls -A /proc/driver | grep -c rbuild", "0\n0\n"),
    ];
    for (script, want) in rows {
        assert_eq!(bench.output(&format!("{script}; true"), |_| {}), want, "{script}");
    }
}

fn rights_are_as_asked() {
    let bench = Bench::new();
    let status = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | tr -d '\\t' | tr '\\n' ' '";
    // bits 0 1 3 4 5 6 7 8 10 18 31 (linux/capability.h)
    let (all, none) = ("00000000800405fb", "0000000000000000");
    // where others are recorded the kernel knows root alone, and a filter hands calls over whatever the profile
    let owners = bench.owners();
    let (users, unfiltered) = if owners == Owners::Recorded { (all, "2") } else { (none, "0") };
    let rows = [
        ("root", 0, Seccomp::Default, false, all, all, "0", "2"),
        ("no new privileges", 0, Seccomp::Default, true, all, all, "1", "2"),
        ("unconfined", 0, Seccomp::Unconfined, false, all, all, "0", unfiltered),
        ("a user", 1000, Seccomp::Default, false, users, all, "0", "2"),
    ];
    for (name, uid, seccomp, no_new_privileges, effective, bounding, nnp, mode) in rows {
        let got = bench.output(status, |job| {
            job.process.uid = uid;
            job.confinement.security.seccomp = seccomp;
            job.confinement.security.no_new_privileges = no_new_privileges;
        });
        let want = format!(
            "CapInh:{none} CapPrm:{effective} CapEff:{effective} CapBnd:{bounding} CapAmb:{none} NoNewPrivs:{nnp} Seccomp:{mode} "
        );
        assert_eq!(got, want, "{name}");
    }
    let mut job = bench.job("true");
    job.confinement.security.capabilities.push("CAP_NONSENSE".to_owned());
    assert_eq!(bench.run(&job).refusal(), "capability \"CAP_NONSENSE\" is unknown");
}

fn the_filter_refuses_and_allows() {
    let bench = Bench::new();
    let rows = [
        ("unshare -U true", 1),
        ("mount -t tmpfs none /tmp", 1),
        ("umount /proc", 1),
        ("chroot / true", 0),
        ("touch /tmp/f && chown 0:0 /tmp/f && chmod 4755 /tmp/f", 0),
        ("touch /tmp/f && chown 33:33 /tmp/f && chmod 4755 /tmp/f", 0),
    ];
    for (script, want) in rows {
        let ran = bench.run(&bench.job(&format!("{script}; exit $(( $? != 0 ))")));
        assert_eq!(ran.exit(), Exit::Code(want), "{script}: {}", ran.stderr);
    }
}

fn another_user_has_no_rights() {
    let bench = Bench::new();
    let owners = bench.owners();
    let as_user = |script: &str| {
        bench.output(script, |job| {
            job.process.uid = 1000;
            job.process.gid = 1001;
            job.process.groups = Some(vec![1002, 1003]);
        })
    };
    assert_eq!(as_user("id -u; id -g; id -G"), "1000\n1001\n1001 1002 1003\n");
    // to the kernel every file is the one user's own where one id is mapped
    if owners == Owners::Mapped {
        assert_eq!(as_user("touch /etc/x || echo refused"), "refused\n");
    }
    assert_eq!(as_user("touch /tmp/x && stat -c %u:%g /tmp/x"), "1000:1001\n");
    assert_eq!(as_user("echo x > /dev/null; echo y > /dev/stdout"), "y\n");
}

/// Before its command runs, with the next thing to try.
fn long_environments_and_much_output_arrive() {
    let bench = Bench::new();
    let long = "x".repeat(120_000);
    let lengths = bench.output("echo ${#A} ${#B}", |job| {
        job.process.env.extend([format!("A={long}"), format!("B={long}")]);
    });
    assert_eq!(lengths, "120000 120000\n");
    let ran = bench.run(&bench.job("dd if=/dev/zero bs=1000 count=3000 2>/dev/null | tr '\\0' a; dd if=/dev/zero bs=1000 count=2000 2>/dev/null | tr '\\0' b >&2"));
    assert_eq!(ran.exit(), Exit::Code(0));
    assert_eq!((ran.stdout.len(), ran.stderr.len()), (3_000_000, 2_000_000));
}

fn every_way_of_mapping_ids_runs_a_step() {
    for mode in [Mode::Root, Mode::Helper, Mode::Newuidmap, Mode::Single] {
        let scratch = tempfile::tempdir().unwrap();
        let bench = match Bench::with(scratch.path(), Choice::Force(mode)) {
            Ok(bench) => bench,
            Err(error @ Error::Identity(_)) => {
                println!("skipped {mode:?}: {}", in_words(&error));
                continue;
            }
            Err(error) => panic!("{mode:?}: {}", in_words(&error)),
        };
        assert_eq!(bench.sandbox.idmap(), mode);
        // the one that records owners
        let driver = |job: &Job| if mode == Mode::Single { RootfsChoice::Fuse } else { job.rootfs };
        let got = bench.output("id -u; touch /etc/new; stat -c %u /etc/new; ls -d /dev/pts", |job| {
            job.rootfs = driver(job);
        });
        assert_eq!(got, "0\n0\n/dev/pts\n", "{mode:?}");
        let mut job = bench.job("true");
        job.rootfs = driver(&job);
        job.process.uid = 4_000_000;
        let ran = bench.run(&job);
        if mode == Mode::Single {
            assert_eq!(ran.exit(), Exit::Code(0), "recorded: nothing has to be mapped");
        } else if mode != Mode::Root {
            assert!(ran.refusal().contains("become user 4000000"), "{mode:?}");
        }
        bench.sandbox.close().unwrap();
    }
}
