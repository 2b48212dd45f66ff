//! Ways to fool the traced cache. Each row has a directory of its own in which `in` is made, and all times in it are the
//! same afterwards, but for those that a row sets by way of `/late`.

/// One way.
pub struct Row {
    pub name: &'static str,
    /// What the parent has.
    pub before: &'static str,
    /// What the step does.
    pub command: &'static str,
    /// What another parent has besides.
    pub after: &'static str,
    pub want: Want,
}

/// What comes of the step on the other parent.
#[derive(Clone, Copy)]
pub enum Want {
    /// It must run again.
    Run,
    /// Its result must be taken.
    Take,
    /// Drivers differ, and both are right.
    Either,
}

const fn run(name: &'static str, before: &'static str, command: &'static str, after: &'static str) -> Row {
    Row { name, before, command, after, want: Want::Run }
}

const fn take(name: &'static str, before: &'static str, command: &'static str, after: &'static str) -> Row {
    Row { name, before, command, after, want: Want::Take }
}

pub const ROWS: &[Row] = &[
    // names
    run("a new file where there was none", "true", "test -e in/a || echo no > out", "touch in/a"),
    run(
        "a new file that shadows another one",
        "mkdir in/x in/y; echo y > in/y/f",
        "PATH=in/x:in/y; for d in in/x in/y; do test -e $d/f && break; done; echo $d > out",
        "echo x > in/x/f",
    ),
    run("a file that is gone", "echo 1 > in/f", "cat in/f > out || true", "rm in/f"),
    run(
        "a directory on the way to nothing",
        "true",
        "test -e in/a/b/c || echo no > out",
        "mkdir -p in/a/b; touch in/a/b/c",
    ),
    // attributes
    run("another mode", "echo 1 > in/f; chmod 644 in/f", "test -x in/f || echo no > out", "chmod 755 in/f"),
    run("a setuid bit", "echo 1 > in/f; chmod 755 in/f", "stat -c %a in/f > out", "chmod 4755 in/f"),
    run("another owner", "touch in/f", "stat -c %u in/f > out", "chown 7 in/f"),
    run("another group", "touch in/f", "stat -c %g in/f > out", "chown :7 in/f"),
    run("another length", "echo 1 > in/f", "stat -c %s in/f > out", "echo 11 > in/f"),
    run("another mode of a directory on the way", "echo 1 > in/f", "cat in/f > out", "chmod 711 in"),
    run("one more name of a file", "touch in/f", "stat -c %h in/f > out", "ln in/f in/g"),
    run(
        "two names of one file that were of two",
        "touch in/a in/b; ln in/a in/aa; ln in/b in/bb",
        "test in/a -ef in/b || echo no > out",
        "ln -f in/a in/b; rm in/aa",
    ),
    run(
        "another type, all else the same",
        "mkfifo in/f; chmod 600 in/f",
        "test -p in/f && echo p > out",
        "rm in/f; touch in/f; chmod 600 in/f",
    ),
    run(
        "another time of a file",
        "touch in/f",
        "stat -c %Y in/f > out",
        "echo \"touch -d @7 $PWD/in/f\" >> /late",
    ),
    run(
        "another time of a directory",
        "true",
        "stat -c %Y in > out",
        "echo \"touch -d @7 $PWD/in\" >> /late",
    ),
    // what stands at a name
    run(
        "a directory replaced by a file",
        "mkdir in/d",
        "test -d in/d && echo d > out",
        "rmdir in/d; touch in/d",
    ),
    run(
        "a directory replaced by a link to a copy",
        "mkdir in/d in/e; echo 1 > in/d/f; echo 1 > in/e/f",
        "cat in/d/f > out; cd -P in/d; pwd > ../../out",
        "rm -r in/d; ln -s e in/d",
    ),
    run(
        "a link that is turned",
        "echo a > in/a; echo b > in/b; ln -s a in/l",
        "cat in/l > out",
        "ln -sfn b in/l",
    ),
    run("a link whose target changes", "echo a > in/a; ln -s a in/l", "cat in/l > out", "echo b > in/a"),
    run("a link whose target comes to be", "ln -s a in/l", "test -e in/l || echo no > out", "echo b > in/a"),
    // listings
    run("a name more in a listing", "touch in/a", "echo in/* > out", "touch in/b"),
    run("a name less in a listing", "touch in/a in/b", "echo in/* > out", "rm in/b"),
    run("another type in a listing", "mkdir in/a in/b", "echo in/*/ > out", "rmdir in/b; touch in/b"),
    run("an empty listing that fills", "mkdir in/d", "rmdir in/d || echo full > out", "touch in/d/f"),
    // bytes
    run("other bytes, as many and as old", "echo 1 > in/f", "cat in/f > out", "echo 2 > in/f"),
    run(
        "other bytes behind those that were read",
        "echo 12 > in/f",
        "head -c 1 in/f > out",
        "echo 13 > in/f",
    ),
    run(
        "another program",
        "printf '#!/bin/sh\\necho 1\\n' > in/f; chmod 755 in/f",
        "in/f > out",
        "sed -i s/1/2/ in/f",
    ),
    // bytes that only the layer has
    run("the rest of a file that is written to", "echo 12 > in/f", "echo 3 >> in/f", "echo 13 > in/f"),
    run("the bytes of a file whose mode is set", "echo 1 > in/f", "chmod 600 in/f", "echo 2 > in/f"),
    run("the bytes of a file whose time is set", "echo 1 > in/f", "touch -d @7 in/f", "echo 2 > in/f"),
    run("the bytes of a file that is renamed", "echo 1 > in/f", "mv in/f in/g", "echo 2 > in/f"),
    run("the bytes of a file that is linked", "echo 1 > in/f", "ln in/f in/g", "echo 2 > in/f"),
    run("a file cut short", "echo 123 > in/f", "truncate -s 2 in/f", "echo 223 > in/f"),
    run(
        "the depths of a directory that is renamed",
        "mkdir -p in/d/e; echo 1 > in/d/e/f",
        "mv in/d in/n",
        "echo 2 > in/d/e/f",
    ),
    run(
        "a name in the depths of a directory that is renamed",
        "mkdir -p in/d/e",
        "mv in/d in/n",
        "touch in/d/e/f",
    ),
    run(
        "what else was in a directory made anew",
        "mkdir in/d; touch in/d/f",
        "rm -r in/d; mkdir in/d",
        "touch in/d/g",
    ),
    Row {
        name: "a file made as it was, compared with one that is not",
        before: "echo 1 > in/f",
        command: "echo 1 > in/f; touch -d @1000000000 in/f",
        after: "echo 2 > in/f",
        want: Want::Either,
    },
    // what nobody looked at
    take(
        "a file beside one that is read",
        "echo 1 > in/f; echo 1 > in/g",
        "cat in/f > out",
        "echo 22 > in/g; touch in/h",
    ),
    take("the bytes of what is listed", "echo 1 > in/f", "echo in/* > out", "echo 2 > in/f; chmod 600 in/f"),
    take(
        "the bytes of what is only looked up",
        "echo 1 > in/f",
        "test -e in/f && echo yes > out",
        "echo 2 > in/f",
    ),
    take("the bytes of what is overwritten", "echo 1 > in/f", "echo new > in/f", "echo 2 > in/f"),
    take("the bytes of what is removed", "echo 1 > in/f", "rm in/f", "echo 2 > in/f"),
    take("a file beside a new one", "echo 1 > in/f", "echo new > in/g", "echo 22 > in/f; touch in/h"),
    take("a file beside a renamed one", "echo 1 > in/f; echo 1 > in/g", "mv in/f in/n", "echo 22 > in/g"),
    take(
        "a directory beside the way",
        "mkdir -p in/d/e in/a/b; echo 1 > in/a/b/f",
        "cat in/a/b/f > out",
        "rm -r in/d; touch in/a/x",
    ),
];
