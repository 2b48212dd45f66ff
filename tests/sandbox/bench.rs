//! A sandbox with a small image: busybox on scratch.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use rbuild::layer::{Content, LayerWriter, Metadata, Written};
use rbuild::progress::Stream;
use rbuild::runtime::{
    Cancel, Confinement, Error, Exit, Groups, Job, Keep, LayerFiles, Names, Options, Outcome, Owners,
    ProcessSpec, RootfsChoice, Sandbox, Tracing,
};
use rbuild_userns::idmap::Choice;

pub const BUSYBOX: &str = "/bin/busybox";
const SHELF: &str = "shelf";
const APPLETS: &str = "sh cat ls grep sleep true false id env mkdir touch echo ps mount stat head kill readlink wc \
                       chmod rm hostname ifconfig chown chroot unshare umount find pwd tr sort nohup dd mv cp date ln test mknod";

/// Why no test can run here.
fn unfit() -> Option<&'static str> {
    (!Path::new(BUSYBOX).exists()).then_some("needs busybox-static")
}

/// The driver that the jobs ask for.
static DRIVER: Mutex<RootfsChoice> = Mutex::new(RootfsChoice::Auto);

/// Runs a test whose jobs all ask for `driver`, or says why it cannot; where everything must run, that is a failure.
pub fn on(driver: RootfsChoice, test: &dyn Fn()) {
    match unfit().map_or_else(|| choose(driver), |why| Err(why.to_owned())) {
        Ok(()) => test(),
        // in this lane every job runs on the others
        Err(why) if why.contains("one id is mapped") => println!("{driver:?}: skipped: {why}"),
        Err(why) if std::env::var_os("RBUILD_TEST_ALL").is_some() => panic!("{driver:?}: {why}"),
        Err(why) => println!("{driver:?}: skipped: {why}"),
    }
}

/// What every job asks for.
pub fn driver() -> RootfsChoice {
    *DRIVER.lock().unwrap()
}

/// From here on every job asks for this one. Errors with its refusal.
fn choose(driver: RootfsChoice) -> Result<(), String> {
    *DRIVER.lock().unwrap() = driver;
    let bench = Bench::new();
    let scratch = tempfile::tempdir_in(&bench.dir).unwrap();
    let probed = bench.sandbox.probe(scratch.path()).unwrap();
    if driver == RootfsChoice::Auto {
        return Ok(());
    }
    probed.drivers.into_iter().find(|(probed, _)| *probed == driver).expect("every driver is probed").1
}

pub struct Bench {
    pub dir: PathBuf,
    pub sandbox: Sandbox,
    pub cancel: Cancel,
    base: LayerFiles,
    next: AtomicU32,
    /// Removed with the bench.
    scratch: Option<tempfile::TempDir>,
}

/// What came out of a job.
pub struct Ran {
    pub outcome: Result<Outcome, Error>,
    pub stdout: String,
    pub stderr: String,
}

impl Bench {
    pub fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let mut bench = Self::at(scratch.path());
        bench.scratch = Some(scratch);
        bench
    }

    pub fn at(dir: &Path) -> Self {
        Self::with(dir, Choice::Auto).unwrap_or_else(|error| panic!("{}", in_words(&error)))
    }

    pub fn with(dir: &Path, idmap: Choice) -> Result<Self, Error> {
        let cancel = Cancel::default();
        let sandbox =
            Sandbox::start(&Options { idmap, groups: Groups::Dropped, maps: (None, None) }, cancel.clone())?;
        let next = AtomicU32::new(0);
        match fs::create_dir(dir.join(SHELF)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => panic!("{error}"),
            _ => {}
        }
        Ok(Self { dir: dir.to_path_buf(), sandbox, cancel, base: base(dir), next, scratch: None })
    }

    /// A job that runs a shell script.
    pub fn job(&self, script: &str) -> Job {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let live = self.dir.join(format!("live-{number}"));
        fs::create_dir(&live).unwrap();
        Job {
            stack: vec![self.base.clone()],
            rootfs: *DRIVER.lock().unwrap(),
            live,
            shelf: Some(self.dir.join(SHELF)),
            process: ProcessSpec {
                args: ["/bin/sh", "-c", script].map(str::to_owned).into(),
                env: vec!["PATH=/usr/bin:/bin".to_owned()],
                cwd: "/".to_owned(),
                uid: 0,
                gid: 0,
                groups: Some(Vec::new()),
            },
            confinement: Confinement {
                names: Names { hostname: "step".to_owned(), ..Names::default() },
                ..Confinement::default()
            },
            tracing: Tracing::Off,
            keep: Keep::Success,
        }
    }

    /// Whose the files of its jobs can be.
    pub fn owners(&self) -> Owners {
        self.sandbox.owners()
    }

    pub fn run(&self, job: &Job) -> Ran {
        let texts = [Mutex::new(Vec::new()), Mutex::new(Vec::new())];
        let tar = tempfile::tempfile_in(&self.dir).unwrap();
        let outcome = self.sandbox.run(job, tar, &|stream, bytes| {
            let text = &texts[usize::from(stream == Stream::Stderr)];
            text.lock().unwrap().extend_from_slice(bytes);
        });
        assert_eq!(fs::read_dir(&job.live).unwrap().count(), 0, "left in {}", job.live.display());
        let [stdout, stderr] = texts.map(|text| String::from_utf8(text.into_inner().unwrap()).unwrap());
        Ran { outcome, stdout, stderr }
    }

    /// Runs a script that must succeed, and returns what it wrote to standard output.
    pub fn output(&self, script: &str, change: impl FnOnce(&mut Job)) -> String {
        let mut job = self.job(script);
        change(&mut job);
        let ran = self.run(&job);
        assert_eq!(ran.exit(), Exit::Code(0), "{script}\n{}{}", ran.stdout, ran.stderr);
        ran.stdout
    }
}

impl Ran {
    pub fn exit(&self) -> Exit {
        match &self.outcome {
            Ok(outcome) => {
                assert_eq!(outcome.layer.is_some(), outcome.exit == Exit::Code(0));
                outcome.exit
            }
            Err(error) => panic!("{}", in_words(error)),
        }
    }

    pub fn refusal(&self) -> String {
        match &self.outcome {
            Ok(outcome) => panic!("{:?}\n{}{}", outcome.exit, self.stdout, self.stderr),
            Err(error) => in_words(error),
        }
    }
}

pub fn in_words(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", in_words(cause))).unwrap_or_default();
    format!("{error}{cause}")
}

fn base(dir: &Path) -> LayerFiles {
    let (tar, index) = (dir.join("base.tar"), dir.join("base.index"));
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&tar).unwrap();
    let written = write_base(LayerWriter::create(file));
    fs::write(&index, &written.index).unwrap();
    LayerFiles { diff_id: written.diff_id, tar, index }
}

fn write_base(mut writer: LayerWriter) -> Written {
    let meta = |mode| Metadata { mode, ..Metadata::default() };
    for dir in ["bin", "etc", "a", "links"] {
        writer.append(dir.as_bytes(), &meta(0o755), Content::Directory).unwrap();
    }
    writer.append(b"tmp", &meta(0o1777), Content::Directory).unwrap();
    let mut put = |path: &str, mode, mut bytes: &[u8]| {
        let content = Content::File { size: bytes.len() as u64, data: &mut bytes };
        writer.append(path.as_bytes(), &meta(mode), content).unwrap();
    };
    put("bin/busybox", 0o755, &fs::read(BUSYBOX).unwrap());
    put("etc/passwd", 0o644, b"root:x:0:0::/root:/bin/sh\n");
    put("bin/not-executable", 0o644, b"#!/bin/sh\n");
    put("bin/no-interpreter", 0o755, b"#!/bin/missing\n");
    put("bin/garbage", 0o755, b"\x7fELFno");
    for applet in APPLETS.split_whitespace() {
        writer
            .append(format!("bin/{applet}").as_bytes(), &meta(0o777), Content::Symlink(b"busybox"))
            .unwrap();
    }
    for (link, text) in
        [("links/escape", "../../../../../../a/target"), ("etc/resolv.conf", "/run/resolved/conf")]
    {
        writer.append(link.as_bytes(), &meta(0o777), Content::Symlink(text.as_bytes())).unwrap();
    }
    writer.finish().unwrap()
}
