//! What a command is kept from, and what it is given, beyond the usual.

use rbuild::runtime::seccomp::{self, Machine};
use rbuild::runtime::{Exit, Job, Masks, Seccomp};

use crate::bench::Bench;

pub const TESTS: &[(&str, fn())] = &[
    ("a_profile_of_ones_own_decides", a_profile_of_ones_own_decides),
    ("what_is_masked_is_hidden_and_the_rest_shows", what_is_masked_is_hidden_and_the_rest_shows),
    ("shared_memory_has_its_size", shared_memory_has_its_size),
];

fn with_profile(job: &mut Job, rules: &str) {
    let text = format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rules}]}}"#);
    let profile = seccomp::parse(&text, Machine::host()).unwrap();
    job.confinement.security.seccomp = Seccomp::Profile(Box::new(profile));
}

fn a_profile_of_ones_own_decides() {
    let bench = Bench::new();
    let rows = [
        (
            r#"{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}"#,
            "mkdir /tmp/d",
            1,
            "No space left",
        ),
        (
            r#"{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}"#,
            "mkdir /tmp/d; exit $?",
            159,
            "",
        ),
        (r#"{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_TRAP"}"#, "mkdir /tmp/d; exit $?", 159, ""),
        (r#"{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_LOG"}"#, "mkdir /tmp/d", 0, ""),
        (
            r#"{"names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]}"#,
            "sleep 9 & kill -USR2 $! && ! kill -USR1 $!",
            0,
            "not permitted",
        ),
        // everything that the usual profile withholds is there
        ("", "unshare -U true", 0, ""),
    ];
    for (rules, script, code, text) in rows {
        let mut job = bench.job(script);
        with_profile(&mut job, rules);
        let ran = bench.run(&job);
        assert_eq!(ran.exit(), Exit::Code(code), "{script} under {rules}\n{}", ran.stderr);
        assert!(ran.stderr.contains(text), "{script} under {rules}\n{}", ran.stderr);
    }
    let mut job = bench.job("true");
    with_profile(&mut job, r#"{"names": ["execve"], "action": "SCMP_ACT_ERRNO"}"#);
    let refusal = bench.run(&job).refusal();
    assert_eq!(refusal, "the seccomp profile refuses execve, without which no command starts");
}

fn what_is_masked_is_hidden_and_the_rest_shows() {
    let bench = Bench::new();
    let rows: &[(&[&str], &[&str], &str, &str)] = &[
        (&[], &[], "wc -c < /proc/version > /tmp/n; grep -c -x 0 /tmp/n", "0\n"),
        (&["/proc/version"], &[], "wc -c < /proc/version", "0\n"),
        (&["/etc", "/no/such"], &[], "ls -A /etc | wc -l", "0\n"),
        // through a link of the image, and never out of the root
        (&["/links/escape/../bin"], &[], "ls -A /bin/busybox", "/bin/busybox\n"),
        (&[], &[], "mount | grep -c ' on /proc/sys '", "1\n"),
        (&[], &["/proc/sys"], "mount | grep -c ' on /proc/sys '", "0\n"),
        (&[], &["/proc/*"], "mount | grep -c ' on /proc/'", "0\n"),
        (&[], &["/proc/*"], "mount | grep -c ' on /sys/firmware'", "1\n"),
        (
            &[],
            &["/proc/*", "/sys/*", "/sys/*/*", "/sys/*/*/*"],
            "mount | grep -c -e ' on /proc/' -e ' on /sys/firmware'",
            "0\n",
        ),
    ];
    for (hidden, shown, script, want) in rows {
        let got = bench.output(&format!("{script}; true"), |job| {
            let words = |list: &[&str]| list.iter().map(ToString::to_string).collect();
            job.confinement.security.masks = Masks { hidden: words(hidden), shown: words(shown) };
        });
        assert_eq!(got, *want, "{script} without {hidden:?}, with {shown:?}");
    }
}

fn shared_memory_has_its_size() {
    let bench = Bench::new();
    for (size, want) in [(64 << 20, "size=65536k"), (1 << 20, "size=1024k"), (0, "size=0k")] {
        let got =
            bench.output("grep ' /dev/shm ' /proc/mounts", |job| job.confinement.limits.shared_memory = size);
        assert!(got.contains(want), "{size}: {got}");
    }
}
