//! A Dockerfile and its context become an image.

use std::path::PathBuf;

use super::{Error, Setup};
use crate::build::{self, Context, Options};
use crate::dockerfile::Script;
use crate::oci::{Platform, Reference};
use crate::runtime::Secret;
use crate::store::Store;
use crate::transfer::Subject;

/// The names of a Dockerfile in a context, and what its ignore files are called.
const DOCKERFILES: [&str; 2] = ["Containerfile", "Dockerfile"];
const IGNORE_FILES: [&str; 2] = [".containerignore", ".dockerignore"];

/// A build to be.
///
/// ```
/// use rbuild::{Builder, Store};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # std::fs::write(directory.path().join("page"), "hello\n")?;
/// # let (place, site) = (directory.path().join("store"), directory.path());
/// let store = Store::open(&place)?;
/// let image = Builder::new(&store)
///     .dockerfile("ARG WHO\nFROM scratch\nARG WHO\nLABEL who=$WHO\nCOPY page /www/\n")
///     .context(site)
///     .build_arg("WHO", "me")
///     .tag("site:1".parse()?)
///     .build()?;
/// let config = &image.only_image().ok_or("one platform, one image")?.config;
/// assert_eq!(config.rootfs.diff_ids.len(), 1);
/// assert_eq!(store.find("site:1")?.map(|found| found.id()), Some(image.id()));
///
/// // What is wrong has its place.
/// let wrong = Builder::new(&store).dockerfile("FROM scratch\nCOPY absent /\n").context(site).build();
/// assert!(wrong.unwrap_err().to_string().starts_with("Dockerfile:2: "));
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is built before `build`"]
pub struct Builder<'a> {
    store: &'a Store,
    setup: Setup,
    context: Option<PathBuf>,
    dockerfile: Option<Script>,
    options: Options,
}

impl<'a> Builder<'a> {
    /// A build whose image goes to `store`, on every core, for this machine.
    pub fn new(store: &'a Store) -> Self {
        let setup = Setup::default();
        let mut options = Options::by_hand(setup.web.clone(), setup.sandbox.clone(), setup.rootfs);
        options.jobs = std::thread::available_parallelism().unwrap_or(options.jobs);
        options.platforms.clear();
        Self { store, setup, context: None, dockerfile: None, options }
    }

    /// How to go about it.
    pub fn setup(mut self, setup: Setup) -> Self {
        self.setup = setup;
        self
    }

    /// The directory that COPY and ADD copy from. If no Dockerfile is given, it is the `Containerfile` or the `Dockerfile` in
    /// there; what `.containerignore` or `.dockerignore` names is not seen. Without a context there are no files.
    pub fn context(mut self, directory: impl Into<PathBuf>) -> Self {
        self.context = Some(directory.into());
        self
    }

    /// The text of the Dockerfile, which messages call `Dockerfile`.
    pub fn dockerfile(mut self, text: &str) -> Self {
        self.dockerfile = Some(Script::new("Dockerfile", text));
        self
    }

    /// The value of an ARG.
    pub fn build_arg(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.build_args.insert(name.into(), value.into());
        self
    }

    /// The stage to end with, by name or number, instead of the last.
    pub fn target(mut self, stage: impl Into<String>) -> Self {
        self.options.target = Some(stage.into());
        self
    }

    /// What `RUN --mount=type=secret,id=ID` shows.
    pub fn secret(mut self, id: impl Into<String>, secret: Secret) -> Self {
        self.options.secrets.insert(id.into(), secret);
        self
    }

    /// A name for the image; it may have several.
    pub fn tag(mut self, name: Reference) -> Self {
        self.options.tags.push(name);
        self
    }

    /// What to build for instead of this machine; several make a list of images.
    pub fn platform(mut self, platform: Platform) -> Self {
        self.options.platforms.push(platform);
        self
    }

    /// Anything else that can be asked of a build. What [`Builder::setup`] and [`Builder::dockerfile`] say counts more.
    pub fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Builds, as [`build::build`] does, and returns what it made: an image, or a list of them.
    ///
    /// Errors with [`Error::Build`] and the place in the Dockerfile if an instruction cannot be carried out, and with
    /// [`Error::NoDockerfile`] or [`Error::Nothing`] if there is none.
    pub fn build(self) -> Result<Subject, Error> {
        let context = self.open_context()?;
        let dockerfile = match self.dockerfile {
            Some(script) => script,
            None => find_dockerfile(&context, self.context)?,
        };
        let Setup { web, sandbox, rootfs, cancel, sink, .. } = self.setup.clone();
        let mut options = Options { dockerfile, rootfs, web, sandbox, ..self.options };
        if options.platforms.is_empty() {
            options.platforms.push(options.platform.clone());
        }
        let client = self.setup.client()?;
        Ok(build::build(self.store, &client, context, &options, &cancel, &*sink)?)
    }

    fn open_context(&self) -> Result<Context, Error> {
        let Some(path) = &self.context else { return Ok(Context::empty(Context::MAIN)) };
        let opened = Context::of_directory(path, Context::MAIN);
        let mut context = opened.map_err(|source| Error::Context { path: path.clone(), source })?;
        for name in IGNORE_FILES {
            if let Some(text) = context.text(name)? {
                context.hide(&text).map_err(|source| Error::Ignore { name, source })?;
                break;
            }
        }
        Ok(context)
    }
}

fn find_dockerfile(context: &Context, directory: Option<PathBuf>) -> Result<Script, Error> {
    for name in DOCKERFILES {
        if let Some(text) = context.text(name)? {
            return Ok(Script::new(name, &text));
        }
    }
    Err(directory.map_or(Error::Nothing, Error::NoDockerfile))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message of a build that goes wrong, in a store of its own.
    fn refused(build: impl FnOnce(Builder<'_>) -> Builder<'_>) -> String {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let error = build(Builder::new(&store)).build().unwrap_err();
        assert!(store.images().unwrap().is_empty(), "{error}");
        build::chain(&error)
    }

    /// A context of files, each with its text.
    fn context(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    #[test]
    fn a_context_has_its_own_dockerfile_and_ignore_file() {
        let files =
            [("Dockerfile", "FROM scratch\nCOPY . /\n"), (".dockerignore", "b\n"), ("a", ""), ("b", "")];
        let directory = context(&files);
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let image = Builder::new(&store).context(directory.path()).build().unwrap();
        let [diff_id] = &image.only_image().unwrap().config.rootfs.diff_ids[..] else { panic!("one layer") };
        let stack = crate::rootfs::Stack::new(vec![store.layer(diff_id).unwrap()]);
        for (name, is_there) in [(&b"a"[..], true), (b"Dockerfile", true), (b"b", false)] {
            assert_eq!(stack.read(name, 4096).unwrap().is_some(), is_there, "{name:?}");
        }
    }

    #[test]
    fn what_cannot_be_built_says_why() {
        let (empty, ignoring) = (context(&[]), context(&[(".containerignore", "[\n")]));
        let missing = empty.path().join("missing");
        for (message, want) in [
            (refused(|builder| builder), "neither a Dockerfile nor a context is given"),
            (refused(|builder| builder.context(empty.path())), "has neither Containerfile nor Dockerfile"),
            (refused(|builder| builder.context(&missing)), "missing: No such file or directory"),
            (refused(|builder| builder.context(ignoring.path())), ".containerignore: "),
            (refused(|builder| builder.dockerfile("FROM scratch\nCOPPY a /\n")), "Dockerfile:2"),
            (refused(|builder| builder.dockerfile("FROM scratch\n").target("x")), "target stage \"x\""),
            // the program of the tests has a main that is not ours
            (refused(|builder| builder.dockerfile("FROM scratch\nRUN [\"/x\"]\n")), "rbuild::init()"),
        ] {
            assert!(message.contains(want), "{message:?} does not say {want:?}");
        }
    }
}
