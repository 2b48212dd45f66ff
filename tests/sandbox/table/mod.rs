//! One table of file-system rows for every driver and every way of owning files.
//!
//! ```text
//!                    ┌─ layers ──► Sandbox, a step on the driver ──► what it saw, the tree it leaves ─┐
//! rows (PLACES × operations)                    └──────► the frozen layer, read in two ways ──────────┼─► compare
//!                    └─ a plain copy of the same tree in a volume ──► what it saw, its tree ──────────┘
//! ```
//!
//! The same program performs on both sides: this one, shown inside by a volume, with the loader and the libraries it
//! was started with. All rows of a driver are one step: each has a directory of its own in one tree.
//!
//! What a row must have in common with the plain copy: what every call came to (results and errors), the tree as stat,
//! readdir, read, readlink and the xattr calls tell it, the same in the next step (whose layer is empty), the stack with
//! the frozen layer as rbuild reads it, and as python's tarfile does. And the layer says nothing that it need not.
//!
//! `RBUILD_TEST_ROWS=TEXT` runs only the rows whose title (as a failure prints it) has TEXT in it.

mod compare;
mod copy;
mod layers;
mod line;
mod look;
mod make;
mod perform;
mod plain;
mod rows;
mod tree;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rbuild::layer::{Layer, Written};
use rbuild::rootfs::Stack;
use rbuild::runtime::{Access, Exit, LayerFiles, Mount, RootfsChoice};
use rbuild_userns::idmap::{Choice, Mode};

use crate::bench::{Bench, in_words};
use compare::Observation;
use layers::Entry;
use line::Line;
use perform::Performer;
use plain::{Devices, Like, Standing};
use rows::{Operation, PLACES, Place, Share};
use tree::Made;

/// The argument that makes this program a performer; what follows says on what.
pub const PERFORMER: &str = "--perform";

/// Who owns the files of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The ids of the user namespace, or the machine's.
    Mapped,
    /// One id is mapped; owners are records.
    Recorded,
}

impl Ownership {
    const RECORDED: &str = "recorded";

    /// As an argument of a performer.
    fn as_argument(self) -> &'static str {
        if self == Self::Recorded { Self::RECORDED } else { "mapped" }
    }
}

/// What the table runs on. Not `kernel` with recorded ownership: it refuses to be taken then.
pub const PAIRS: &[(&str, RootfsChoice, Ownership)] = &[
    ("table::kernel::mapped", RootfsChoice::Kernel, Ownership::Mapped),
    ("table::fuse::mapped", RootfsChoice::Fuse, Ownership::Mapped),
    ("table::plain::mapped", RootfsChoice::Plain, Ownership::Mapped),
    ("table::fuse::recorded", RootfsChoice::Fuse, Ownership::Recorded),
    ("table::plain::recorded", RootfsChoice::Plain, Ownership::Recorded),
];

/// Fewer would not be the table that was asked for.
const AT_LEAST: usize = 300;

/// A row: a place, and what is done there.
struct Row {
    place: &'static Place,
    operation: Operation,
    /// The directory that is its own.
    dir: String,
}

impl Row {
    fn title(&self) -> String {
        format!("{} [{}]", self.operation.0, self.place.name)
    }
}

/// The rows whose title has `part` in it.
fn rows_with(part: &str, ownership: Ownership) -> Vec<Row> {
    let mut rows = all_rows(ownership);
    rows.retain(|row| row.title().contains(part));
    rows
}

fn all_rows(ownership: Ownership) -> Vec<Row> {
    let operations = rows::operations(ownership);
    let of_place = |(number, place): (usize, &'static Place)| {
        let operations = operations.iter().enumerate();
        let row = move |(at, operation): (usize, &Operation)| Row {
            place,
            operation: *operation,
            dir: format!("t/p{number:02}/o{at:03}"),
        };
        let taken = |at: &usize| place.share == Share::All || (at + number).is_multiple_of(3);
        operations.filter(|(at, _)| taken(at)).map(row).collect::<Vec<_>>()
    };
    PLACES.iter().enumerate().flat_map(of_place).collect()
}

/// The other side: performs all rows below `root` and tells each observation, one a line.
pub fn perform(arguments: &[String]) {
    let [arguments @ .., ownership, part] = arguments else { panic!("whose rows, and which") };
    let ownership = if ownership == Ownership::RECORDED { Ownership::Recorded } else { Ownership::Mapped };
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let mut out = std::io::stdout().lock();
    for row in rows_with(part, ownership) {
        let observation = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["step"] => in_step(&row),
            ["look"] => {
                std::env::set_current_dir(Path::new("/").join(&row.dir)).unwrap();
                Observation { saw: Vec::new(), before: Vec::new(), after: look::look(None) }
            }
            ["plain", like, devices] => on_plain_copy(&row, like, devices),
            ref other => panic!("{other:?}"),
        };
        serde_json::to_writer(&mut out, &observation).unwrap();
        out.write_all(b"\n").unwrap();
    }
}

fn in_step(row: &Row) -> Observation {
    std::env::set_current_dir(Path::new("/").join(&row.dir)).unwrap();
    let mut performer = Performer::default();
    let mut saw = performer.perform(row.place.setup);
    saw.extend(performer.perform(row.operation.1));
    Observation { saw, before: Vec::new(), after: look::look(None) }
}

fn on_plain_copy(row: &Row, like: &str, devices: &str) -> Observation {
    let like = match like {
        "overlayfs" => Like::Overlayfs,
        "directory" => Like::Directory,
        _ => Like::Itself,
    };
    let devices = if devices == "stand-ins" { Devices::StandIns } else { Devices::Nodes };
    let dir = plain_directory().join(&row.dir);
    plain::enter(&dir).unwrap();
    let standing = Standing::of_layers(&(row.place.layers)(), like, devices).unwrap();
    let before = look::look(Some(&standing));
    let mut performer = Performer::on_plain_copy(standing);
    let mut saw = performer.perform(row.place.setup);
    saw.extend(performer.perform(row.operation.1));
    let after = look::look(performer.plain.as_ref());
    fs::remove_dir_all(dir).unwrap();
    Observation { saw, before, after }
}

/// A step's own tmpfs, because it is fast; where that takes no `user.*` attributes (before Linux 6.6), a volume.
fn plain_directory() -> &'static Path {
    let fast = Path::new("/dev/shm");
    let takes = rustix::fs::setxattr(fast, "user.table", b"1", rustix::fs::XattrFlags::empty()).is_ok();
    if takes { fast } else { Path::new(PLAIN) }
}

/// Where a job finds room for plain copies, this program, and what it is loaded with.
const PLAIN: &str = "/plain";
const PROGRAM: &str = "/performer";
const LIBRARIES: &str = "/performer.d";

/// Runs the whole table on one driver.
pub fn run(driver: RootfsChoice, ownership: Ownership) {
    let scratch = tempfile::tempdir().unwrap();
    let table = Table::new(scratch.path(), ownership);
    if table.mapped.sandbox.idmap() == Mode::Single {
        println!(
            "skipped: with one id a plain copy cannot have other owners; users with a range of ids run this"
        );
        return;
    }
    if ownership == Ownership::Recorded && table.mapped.sandbox.idmap() == Mode::Root {
        // the machine's root keeps setuid bits of what it writes to (CAP_FSETID), root of a user namespace does not
        println!("skipped: a plain copy would be made by another root; users with a range of ids run this");
        return;
    }
    let like = match driver {
        RootfsChoice::Kernel => Like::Overlayfs,
        RootfsChoice::Plain => Like::Directory,
        _ => Like::Itself,
    };
    let devices = if ownership == Ownership::Recorded { Devices::StandIns } else { Devices::Nodes };
    let expected = table.on_plain_copies(like, devices);
    let bench = table.recorded.as_ref().unwrap_or(&table.mapped);
    let (stepped, written) = table.job(bench, driver, &table.stack, &["step"]);
    let grown = [&table.stack[..], &[layers::files(scratch.path(), "frozen", &written)]].concat();
    let (next, empty) = table.job(bench, driver, &grown, &["look"]);
    let frozen = Frozen::new(&grown);
    let verdicts = Verdicts { like, expected: &expected, stepped: &stepped, next: &next, frozen: &frozen };
    let wrong: Vec<String> =
        table.rows.iter().enumerate().flat_map(|(at, row)| verdicts.of(row, at)).collect();
    println!("{} rows on {driver:?}, {ownership:?}", table.rows.len());
    assert!(!table.part.is_empty() || table.rows.len() >= AT_LEAST);
    assert!(wrong.is_empty(), "{driver:?}, {ownership:?}: {} differences\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(empty.entries, 0, "{driver:?}, {ownership:?}: looking is no change");
    assert_eq!(frozen.beside_the_rows(), [""; 0], "{driver:?}, {ownership:?}: written beside the rows");
}

/// The rows, their layers, and the place where they run.
struct Table {
    rows: Vec<Row>,
    ownership: Ownership,
    /// What their titles have in common.
    part: String,
    dir: PathBuf,
    /// Where the plain copies are, and the steps of mapped ownership.
    mapped: Bench,
    /// Where the steps of recorded ownership are.
    recorded: Option<Bench>,
    stack: Vec<LayerFiles>,
}

impl Table {
    fn new(dir: &Path, ownership: Ownership) -> Self {
        let part = std::env::var("RBUILD_TEST_ROWS").unwrap_or_default();
        let rows = rows_with(&part, ownership);
        let bench = |name: &str, choice| {
            fs::create_dir(dir.join(name)).unwrap();
            Bench::with(&dir.join(name), choice).unwrap_or_else(|error| panic!("{}", in_words(&error)))
        };
        let mapped = bench("mapped", Choice::Auto);
        let single = || bench("recorded", Choice::Force(Mode::Single));
        let recorded = (ownership == Ownership::Recorded).then(single);
        let top = vec![(String::new(), vec![tree::dir("t")])];
        let mut entries: Vec<Vec<(String, Vec<Made>)>> = vec![top];
        for row in &rows {
            entries[0].push((row.dir.clone(), vec![tree::dir("")]));
            for (number, layer) in (row.place.layers)().into_iter().enumerate() {
                if entries.len() == number {
                    entries.push(Vec::new());
                }
                entries[number].push((row.dir.clone(), layer));
            }
        }
        let layer = |(number, entries): (usize, &Vec<(String, Vec<Made>)>)| {
            layers::write(dir, &format!("layer-{number}"), entries)
        };
        let stack = entries.iter().enumerate().map(layer).collect();
        let libraries = dir.join("libraries");
        fs::create_dir(&libraries).unwrap();
        for library in loaded_libraries() {
            fs::copy(&library, libraries.join(library.file_name().unwrap())).unwrap();
        }
        fs::create_dir(dir.join("plain")).unwrap();
        Self { rows, ownership, part, dir: dir.to_owned(), mapped, recorded, stack }
    }

    /// What the rows come to on a plain directory of the same file system. Its driver has nothing to do with it.
    fn on_plain_copies(&self, like: Like, devices: Devices) -> Vec<Observation> {
        let like = match like {
            Like::Itself => "itself",
            Like::Overlayfs => "overlayfs",
            Like::Directory => "directory",
        };
        let devices = if devices == Devices::StandIns { "stand-ins" } else { "nodes" };
        self.job(&self.mapped, RootfsChoice::Auto, &self.stack[..1], &["plain", like, devices]).0
    }

    /// A performer in a step: what it observed, and the layer that it left in `frozen.tar`.
    fn job(
        &self,
        bench: &Bench,
        driver: RootfsChoice,
        stack: &[LayerFiles],
        role: &[&str],
    ) -> (Vec<Observation>, Written) {
        let dir = &self.dir;
        let mut job = bench.job("");
        job.stack = stack.to_vec();
        job.rootfs = driver;
        let loader = fs::read_dir(dir.join("libraries")).unwrap().map(|entry| entry.unwrap().file_name());
        let loader =
            loader.filter_map(|name| name.into_string().ok()).find(|name| name.starts_with("ld-")).unwrap();
        let arguments = [&format!("{LIBRARIES}/{loader}"), "--library-path", LIBRARIES, PROGRAM, PERFORMER];
        job.process.args = arguments
            .iter()
            .chain(role)
            .chain([&self.ownership.as_argument(), &&*self.part])
            .map(|argument| (*argument).to_owned())
            .collect();
        job.confinement.security.capabilities.push("CAP_MKNOD".to_owned());
        let mount = |source: PathBuf, target: &str, access| Mount::bind(source, target, access);
        job.confinement.mounts = vec![
            mount(std::env::current_exe().unwrap(), PROGRAM, Access::ReadOnly),
            mount(dir.join("libraries"), LIBRARIES, Access::ReadOnly),
            mount(dir.join("plain"), PLAIN, Access::ReadWrite),
        ];
        let (out, err) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let name = if role == ["step"] { "frozen.tar" } else { "left.tar" };
        let tar =
            File::options().read(true).write(true).create(true).truncate(true).open(dir.join(name)).unwrap();
        let outcome = bench.sandbox.run(&job, tar, &|stream, bytes| {
            let to = if stream == rbuild::progress::Stream::Stdout { &out } else { &err };
            to.lock().unwrap().extend_from_slice(bytes);
        });
        let outcome = outcome.unwrap_or_else(|error| panic!("{role:?}: {}", in_words(&error)));
        let said = String::from_utf8_lossy(&err.into_inner().unwrap()).into_owned();
        assert_eq!(outcome.exit, Exit::Code(0), "{role:?}: {said}");
        let out = String::from_utf8(out.into_inner().unwrap()).unwrap();
        let observations: Vec<Observation> =
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(observations.len(), self.rows.len(), "{role:?}: {said}");
        (observations, outcome.layer.unwrap())
    }
}

/// The loader and the shared libraries that this process runs with.
fn loaded_libraries() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mapped = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let mut libraries: Vec<PathBuf> = mapped.filter(|path| path.contains(".so")).map(PathBuf::from).collect();
    libraries.sort();
    libraries.dedup();
    libraries
}

/// A stack with the layer that a step left on top, as two readers tell it.
struct Frozen {
    stack: Stack,
    tars: BTreeMap<String, Vec<Line>>,
    entries: BTreeMap<String, Vec<Entry>>,
}

impl Frozen {
    fn new(files: &[LayerFiles]) -> Self {
        let layers: Vec<_> = files.iter().map(layers::open).collect();
        let top: &Layer = layers.last().unwrap();
        let entries = layers::entries(top);
        let tars: Vec<PathBuf> = files.iter().map(|files| files.tar.clone()).collect();
        Self { stack: Stack::new(layers), tars: layers::of_tars(&tars), entries }
    }

    /// The layer's entries in a row's directory.
    fn entries_of(&self, row: &str) -> BTreeMap<String, Vec<Entry>> {
        let inside = self.entries.range(row.to_owned()..).take_while(|(path, _)| path.starts_with(row));
        let relative = |path: &String| match path.strip_prefix(row).unwrap() {
            "" => ".".to_owned(),
            below => below.trim_start_matches('/').to_owned(),
        };
        inside.map(|(path, entries)| (relative(path), entries.clone())).collect()
    }

    /// Entries of what is no row's.
    fn beside_the_rows(&self) -> Vec<&str> {
        let said = self.entries.iter().filter(|(_, entries)| !entries.is_empty());
        said.map(|(path, _)| path.as_str()).filter(|path| *path != "t" && !path.starts_with("t/")).collect()
    }
}

struct Verdicts<'a> {
    like: Like,
    expected: &'a [Observation],
    stepped: &'a [Observation],
    next: &'a [Observation],
    frozen: &'a Frozen,
}

impl Verdicts<'_> {
    fn of(&self, row: &Row, at: usize) -> Vec<String> {
        let (expected, stepped) = (&self.expected[at], &self.stepped[at]);
        let no_tar = Vec::new();
        let in_tars = self.frozen.tars.get(&row.dir).unwrap_or(&no_tar);
        let verdicts = [
            compare::saw(&stepped.saw, &expected.saw, self.like),
            compare::live(&stepped.after, &expected.after, self.like),
            compare::frozen("the stack", &layers::of_stack(&self.frozen.stack, &row.dir), &expected.after),
            compare::frozen("the tars", in_tars, &expected.after),
            compare::next(&self.next[at].after, &expected.after),
            compare::minimal(&self.frozen.entries_of(&row.dir), expected, self.like),
        ];
        let words = format!("{}; {}", row.place.setup, row.operation.1);
        let told = |difference: String| format!("{} ({words}): {difference}", row.title());
        verdicts.into_iter().filter_map(Result::err).map(told).collect()
    }
}
