//! The traced cache: what a RUN did not look at may change under it, and nothing else.

mod rows;

use std::fs;

use super::worlds;
use crate::support::{Said, World};
use rows::{ROWS, Want};

const BASE: &str = "FROM base\n";

/// The drivers that hear what a step looks at, each with a world that has the base.
fn traced_worlds() -> Vec<(String, World)> {
    let mut worlds = worlds();
    worlds.retain(|(driver, _)| driver != "plain");
    assert!(!worlds.is_empty(), "no driver traces here");
    for (_, world) in &worlds {
        world.busybox();
        world.build(crate::build::BUSYBOX, &["-t", "base"]).good();
    }
    worlds
}

fn build(world: &World, steps: &str, args: &[&str]) -> Said {
    world.build(&format!("{BASE}{steps}"), &[&["-t", "x"], args].concat())
}

/// What became of each RUN with a shell: whether it was taken, and how.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    Ran,
    Exact,
    Traced,
}

fn came(said: &Said) -> Vec<Came> {
    let steps = said.stdout.split("STEP ").filter(|step| step.contains(": RUN "));
    let came = |step: &str| match step {
        _ if step.contains("--> Using cache (traced)") => Came::Traced,
        _ if step.contains("--> Using cache") => Came::Exact,
        _ => Came::Ran,
    };
    steps.map(came).collect()
}

/// A directory for every row, as old as all others whatever was done in it.
fn parent(script: impl Fn(&rows::Row) -> String) -> String {
    let in_its_own = |(number, row)| format!("mkdir -p /p/{number}/in; cd /p/{number}; {}\n", script(row));
    let all = ROWS.iter().enumerate().map(in_its_own).collect::<Vec<_>>().concat();
    // what a row wants done after that it writes to /late
    let old = "find /p -exec touch -h -d @1000000000 {} +; touch /late; sh /late; rm /late";
    format!("RUN <<EOF\nset -e\n{all}{old}\nEOF\n")
}

/// The steps of all rows, each in its own directory.
fn steps() -> String {
    let step = |(number, row): (usize, &rows::Row)| {
        format!("RUN --cache=traced cd /p/{number}; {}; true\n", row.command)
    };
    ROWS.iter().enumerate().map(step).collect::<Vec<_>>().concat()
}

#[test]
fn nothing_that_a_step_looked_at_may_change() {
    for (driver, world) in traced_worlds() {
        let before = parent(|row| row.before.to_owned());
        build(&world, &format!("{before}{}", steps()), &[]).good();
        // something else changes: everything is taken
        let beside = parent(|row| format!("{}; echo new > unseen", row.before));
        let said = build(&world, &format!("{beside}{}", steps()), &[]).good();
        for (row, came) in ROWS.iter().zip(came(&said).iter().skip(1)) {
            assert_eq!(
                *came,
                Came::Traced,
                "{driver}: {} is taken where nothing changed\n{}",
                row.name,
                said.stdout
            );
        }
        let after = parent(|row| format!("{}; {}", row.before, row.after));
        let said = build(&world, &format!("{after}{}", steps()), &[]).good();
        for (row, came) in ROWS.iter().zip(came(&said).iter().skip(1)) {
            let want = match row.want {
                Want::Run => Some(Came::Ran),
                Want::Take => Some(Came::Traced),
                Want::Either => None,
            };
            assert!(
                want.is_none_or(|want| want == *came),
                "{driver}: {}: {came:?}\n{}",
                row.name,
                said.stdout
            );
        }
        // whatever was taken, the result is that of running
        let (taken, ran) = (world.tree("x"), {
            build(&world, &format!("{after}{}", steps()), &["--no-cache"]).good();
            world.tree("x")
        });
        assert_eq!(taken, ran, "{driver}");
    }
}

/// What no root shows is part of what was run.
#[test]
fn what_else_decides_stays_in_the_key() {
    const RUN: &str = "RUN --cache=traced echo x > /o\n";
    let rows: [(&str, String, &[&str]); 9] = [
        ("an argument", "RUN --cache=traced echo y > /o\n".into(), &[]),
        ("the environment", format!("ENV A=b\n{RUN}"), &[]),
        ("a build argument", format!("ARG A\n{RUN}"), &["--build-arg", "A=b"]),
        ("the directory", format!("WORKDIR /bin\n{RUN}"), &[]),
        ("the user", "USER 7\nRUN --cache=traced echo x > /o || true\n".into(), &[]),
        ("the network", RUN.replace("traced", "traced --network=none"), &[]),
        ("a mount", RUN.replace("traced", "traced --mount=type=tmpfs,target=/t"), &[]),
        ("the names of machines", RUN.into(), &["--add-host", "a:10.0.0.1"]),
        ("the shell", format!("SHELL [\"/bin/ash\", \"-c\"]\n{RUN}"), &[]),
    ];
    let (driver, world) = traced_worlds().remove(0);
    build(&world, RUN, &[]).good();
    for (name, steps, args) in rows {
        // another parent, so that the key of the step itself tells nothing
        let said = build(&world, &format!("RUN echo {name} > /unseen\n{steps}"), args).good();
        assert_eq!(came(&said), [Came::Ran, Came::Ran], "{driver}: {name}\n{}", said.stdout);
    }
    let label = format!("LABEL a=b\nRUN echo label > /unseen\n{RUN}");
    let said = build(&world, &label, &[]).good();
    assert_eq!(came(&said), [Came::Ran, Came::Traced], "{driver}: no command sees a label\n{}", said.stdout);
}

/// The user by name is looked up in the parent before the step begins.
#[test]
fn a_user_who_has_another_number_is_another_user() {
    for (driver, world) in traced_worlds() {
        let steps = |uid: u32| {
            format!(
                "RUN mkdir -p -m 755 /etc; echo u:x:{uid}:{uid}::/:/bin/sh > /etc/passwd; touch -d @1 /etc/passwd /etc; mkdir -m 777 /w; touch -d @1 /w\n\
                 USER u\nRUN --cache=traced echo x > /w/o\n"
            )
        };
        build(&world, &steps(7), &[]).good();
        let said = build(&world, &steps(8), &[]).good();
        assert_eq!(came(&said), [Came::Ran, Came::Ran], "{driver}\n{}", said.stdout);
    }
}

const PROJECT: &str =
    "WORKDIR /app\nCOPY . .\nRUN cat package.json > installed; mkdir modules; echo x > modules/m\n";

/// Changes a file the way an editor does: another one takes its name.
fn edit(world: &World, name: &str, text: &str) {
    world.file("edited", text);
    fs::rename(world.path("context/edited"), world.path("context").join(name)).unwrap();
}

#[test]
fn an_install_survives_the_edit_of_a_source_file() {
    for (driver, world) in traced_worlds() {
        world.file(".dockerignore", "Dockerfile\n").file("package.json", "{1}").file("src/main.js", "one");
        let install =
            |args: &[&str]| build(&world, PROJECT, &[&["--cache-mode=traced"], args].concat()).good();
        assert_eq!(came(&install(&[])), [Came::Ran]);
        edit(&world, "src/main.js", "two!");
        let said = install(&[]);
        assert_eq!(came(&said), [Came::Traced], "{driver}\n{}", said.stdout);
        let tree = world.tree("x");
        let has = |path: &str, size: &str| tree.iter().any(|line| line.contains(&format!(" {size} {path} ")));
        assert!(
            has("app/src/main.js", "4") && has("app/installed", "3") && has("app/modules/m", "2"),
            "{tree:?}"
        );
        assert_eq!(came(&install(&[])), [Came::Exact], "{driver}: it has a record of its own by now");
        // what it read does count, and the line says what it was
        edit(&world, "package.json", "{2}");
        let said = install(&[]);
        assert_eq!(came(&said), [Came::Ran], "{driver}\n{}", said.stdout);
        assert!(
            said.stdout.contains("--> Traced: /app/package.json has other "),
            "{driver}\n{}",
            said.stdout
        );
        // nobody asked for it
        edit(&world, "src/main.js", "three");
        assert_eq!(came(&build(&world, PROJECT, &[]).good()), [Came::Ran], "{driver}");
        edit(&world, "src/main.js", "four!!");
        let exact = PROJECT.replace("RUN ", "RUN --cache=exact ");
        assert_eq!(came(&build(&world, &exact, &["--cache-mode=traced"]).good()), [Came::Ran], "{driver}");
        assert_eq!(came(&install(&["--no-cache"])), [Came::Ran], "{driver}");
    }
}

#[test]
fn a_damaged_trace_is_told_and_left_aside() {
    let (_, world) = traced_worlds().remove(0);
    let steps = |word: &str| format!("RUN echo {word} > /unseen\nRUN --cache=traced echo x > /o\n");
    build(&world, &steps("one"), &[]).good();
    let traces = || {
        let keys = fs::read_dir(world.store().join("rbuild/traces")).unwrap();
        keys.flat_map(|key| fs::read_dir(key.unwrap().path()).unwrap().map(|file| file.unwrap().path()))
    };
    for trace in traces() {
        fs::write(trace, "{\"looks\":[{\"path\":").unwrap();
    }
    let said = build(&world, &steps("two"), &[]).good();
    assert_eq!(came(&said), [Came::Ran, Came::Ran]);
    assert!(
        said.stderr.contains("[Warning] damaged trace of a step, it is not looked at: "),
        "{}",
        said.stderr
    );
    assert_eq!(came(&build(&world, &steps("three"), &[]).good()), [Came::Ran, Came::Traced]);
    // pruned with the records that they are of
    world.run(&["prune", "--all", "--force"]).good();
    assert!(!world.store().join("rbuild/traces").exists());
}

/// The content of caches is in no key, so what is behind one may be made anew from something else.
#[test]
fn a_trace_is_of_the_layer_whose_run_it_saw() {
    // (COPY is a stage of its own, since it is not to be done again)
    const STEPS: &str = "FROM base AS files\nCOPY src /src\nFROM files AS run\n\
         RUN --mount=type=cache,target=/c test -e /c/o || cp /src/a /c/o; cp /c/o /out\n";
    const FILL: &str = "RUN --mount=type=cache,target=/c echo zero > /c/o\n";
    const EMPTY: &str = "RUN --mount=type=cache,target=/c rm /c/o\n";
    for (driver, world) in traced_worlds() {
        world.file("src/a", "one");
        let traced = || world.build(STEPS, &["-t", "x", "--cache-mode=traced"]).good();
        build(&world, FILL, &[]).good();
        assert_eq!(came(&traced()), [Came::Ran], "{driver}: it does not look at /src/a");
        build(&world, EMPTY, &["--no-cache"]).good();
        world.build(STEPS, &["--no-cache-filter=run"]).good();
        build(&world, EMPTY, &["--no-cache"]).good();
        edit(&world, "src/a", "three");
        assert_eq!(came(&traced()), [Came::Ran], "{driver}: the layer is of another run than the trace");
        let tree = world.tree("x");
        assert!(tree.iter().any(|line| line.contains(" 5 out ")), "{driver}: {tree:?}");
    }
}

/// `fuse` keeps the names of a file together, so it has to find them all; overlayfs parts them.
#[test]
fn a_file_with_a_name_that_was_not_looked_at_gives_the_trace_up() {
    for (driver, world) in traced_worlds() {
        let steps = |word: &str| {
            format!(
                "RUN mkdir /p; echo 1 > /p/f; ln /p/f /p/g; touch -d @1 /p/f /p; echo {word} > /unseen\n\
                 RUN --cache=traced echo 2 >> /p/f\n"
            )
        };
        let said = build(&world, &steps("one"), &[]).good();
        let told = said.stderr.contains("it changed a file of which it did not look at every name");
        assert_eq!(told, driver == "fuse", "{driver}\n{}", said.stderr);
        let want = if told { Came::Ran } else { Came::Traced };
        assert_eq!(came(&build(&world, &steps("two"), &[]).good()), [Came::Ran, want], "{driver}");
    }
}

#[test]
fn a_driver_that_cannot_trace_says_so() {
    let worlds = worlds();
    let Some((_, world)) = worlds.iter().find(|(driver, _)| driver == "plain") else { return };
    world.busybox();
    world.build(crate::build::BUSYBOX, &["-t", "base"]).good();
    let steps = |word: &str| format!("RUN echo {word} > /unseen\nRUN --cache=traced echo x > /o\n");
    let said = build(world, &steps("one"), &[]).good();
    let told = "[Warning] RUN --cache=traced: the step is cached for this parent alone: the plain root file system driver";
    assert!(said.stderr.contains(told), "{}", said.stderr);
    assert_eq!(came(&build(world, &steps("two"), &[]).good()), [Came::Ran, Came::Ran]);
    assert_eq!(came(&build(world, &steps("two"), &[]).good()), [Came::Exact, Came::Exact]);
}
