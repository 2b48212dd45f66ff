//! COPY, ADD and WORKDIR: a layer straight from its input. Nothing is mounted, nobody needs privilege.
//!
//! ```text
//! words    the instruction after expansion
//! remote   sources that are elsewhere: the web, repositories
//! tree     where files come from: the context, a stage, an image, what was fetched
//! landing  where they go, and what is in the way
//! digest   what the cache key says of them
//! table    the same for people, path by path
//! work     the layer, written from them
//! snapshot the same for what a RUN is shown of the context or a stage
//! ```
//!
//! `--link` is a layer that knows nothing of the one below: it is laid out over an empty root, and its key has no
//! parent, so that it serves on any other.

mod archive;
mod by_hand;
mod checked;
mod digest;
mod landing;
pub(super) mod remote;
mod snapshot;
mod table;
pub(super) mod tree;
mod words;
mod work;

pub(super) use archive::is_archive;
pub(super) use snapshot::Snapshot;
pub use table::Table;
pub(super) use words::{absolute, blame, told};

use std::sync::Arc;

use super::StepError;
use super::context::Context;
use super::executor::{Executor, lock};
use super::key::{Ingredients, Inputs};
use super::roots::Root;
use super::stage::Stage;
use super::step::Identity;
use super::user::Accounts;
use crate::dockerfile::{self, Chmod, Copy, IgnoreFile, PathPattern};
use crate::layer::{EntryKind, Timestamp};
use crate::oci::ContainerConfig;
use crate::rootfs::Stack;
use crate::store::{CacheKey, LayerRecord};

use landing::{Destination, Landing, Rules, Source};
use remote::{Identified, Remote};
use tree::{Item, Tree};
use words::history;
use work::{Archive, Work};

/// A COPY or ADD: as it is written, for messages, and after expansion.
struct Request<'a> {
    verb: &'static str,
    written: &'a Copy,
    copy: Copy,
    /// The destination, absolute.
    dest: String,
}

/// Whether the destination is a directory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    /// If there is one, or its name says so.
    AsFound,
    /// In any case.
    Directory,
}

/// Where a source is: in which tree, and in which directory of a repository.
struct Place {
    source: Source,
    subdirectory: Option<String>,
}

impl Request<'_> {
    /// The words of the sources, expanded and as written; none for a heredoc.
    fn words(&self) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
        self.copy.sources.iter().map(path_of).zip(self.written.sources.iter().map(path_of))
    }
}

/// A source's word, unless it is a heredoc.
pub(super) fn path_of(source: &dockerfile::Source) -> Option<&str> {
    match source {
        dockerfile::Source::Path(path) => Some(path),
        dockerfile::Source::Heredoc(_) => None,
    }
}

impl Executor<'_> {
    /// Carries out a COPY or an ADD.
    pub(super) fn copy(
        &self,
        stage: &mut Stage,
        verb: &'static str,
        written: &Copy,
    ) -> Result<(), StepError> {
        self.copy_from(stage, verb, written, None)
    }

    /// Copies all of `context`, which is called `name`, to the root of `stage`.
    pub(super) fn copy_all(
        &self,
        stage: &mut Stage,
        name: &str,
        context: Arc<Context>,
    ) -> Result<(), StepError> {
        let (from, sources) = (Some(name.to_owned()), vec![dockerfile::Source::Path("/".to_owned())]);
        let copy = Copy { from, sources, dest: "/".to_owned(), ..Copy::default() };
        self.copy_from(stage, "COPY", &copy, Some(context))
    }

    /// `context`: what `--from` names, if that is known.
    fn copy_from(
        &self,
        stage: &mut Stage,
        verb: &'static str,
        written: &Copy,
        context: Option<Arc<Context>>,
    ) -> Result<(), StepError> {
        let copy = self.expanded(stage, written)?;
        let created_by = history(verb, &copy);
        let dest = absolute(&stage.image.config.working_dir, &copy.dest);
        let request = Request { verb, written, copy, dest };
        let before = stage.image.config.clone();
        let identity = Identity { before, created_by, settings: vec![verb.to_owned()] };
        let remotes = self.identify_all(stage, &request)?;
        let root = self.copied_from(stage, &request, context)?;
        let rules = rules(&request, self.owner_of_link(stage, &request)?)?;
        let key = |inputs| self.copy_key(stage, &request, &identity, inputs);
        // Where every source is known by a name of its bytes, none need be here to know the key.
        let named = digest::named(&request, &remotes, root.layers().as_deref(), rules.owner);
        let named = named.map(|digest| key(Inputs::Named(digest)));
        if let Some(named) = &named
            && let Some(record) = self.recorded(stage, named)?
        {
            self.hit(stage, named, record, &identity.created_by);
            return Ok(());
        }
        let files = self.files(&root, request.copy.from.as_deref().unwrap_or_default())?;
        let mut trees = vec![Tree::Context(files)];
        let places = self.obtain_all(&request, remotes, &mut trees)?;
        let sources = sources(&request, &rules, &places, trees)?;
        let digests = digest::content(&sources)?;
        let content = key(Inputs::Content(digests.content));
        let record = self.once(stage, &content, &identity.created_by, |executor, stage| {
            executor.keep_table(&content, &table::of(&sources, &digests));
            let known = sources.by_source(&digests.files);
            let work = executor.work_out(stage, &request, &places, sources.trees)?;
            executor.write(&work, &work.expected(&known)?)
        })?;
        named.map_or(Ok(()), |named| self.alias(stage, &named, content, record))
    }

    /// What the instruction copies from: `context`, if that is given, what `--from` names, or the build context.
    fn copied_from(
        &self,
        stage: &Stage,
        request: &Request<'_>,
        context: Option<Arc<Context>>,
    ) -> Result<Root, StepError> {
        match (context, &request.copy.from) {
            (Some(context), _) => Ok(Root::Context(context)),
            (None, None) => Ok(Root::Context(Arc::clone(&self.context))),
            (None, Some(name)) => {
                let blamed = blame(request.written.from.as_deref().unwrap_or_default());
                self.root(stage, name).map_err(blamed)
            }
        }
    }

    /// What each source that is elsewhere stands for, in the order of the sources.
    fn identify_all(
        &self,
        stage: &Stage,
        request: &Request<'_>,
    ) -> Result<Vec<Option<Identified>>, StepError> {
        Remote::check_flags(request.verb, &request.copy)?;
        let identify = |(path, word): (Option<&str>, Option<&str>)| {
            let Some(path) = path else { return Ok(None) };
            let checksum = request.copy.checksum.as_deref();
            let identified = match Remote::of(request.verb, path, &request.copy) {
                Ok(Some(remote)) => self.access().identify(remote, checksum, self.memory(stage)).map(Some),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            if let Ok(Some(found)) = &identified {
                lock(&self.materials).push(found.material());
            }
            identified.map_err(blame(word.unwrap_or_default()))
        };
        request.words().map(identify).collect()
    }

    /// Brings here what is elsewhere, and tells where each source is.
    fn obtain_all(
        &self,
        request: &Request<'_>,
        remotes: Vec<Option<Identified>>,
        trees: &mut Vec<Tree>,
    ) -> Result<Vec<Place>, StepError> {
        let mut places = Vec::new();
        for (number, (remote, (_, word))) in remotes.into_iter().zip(request.words()).enumerate() {
            let part = (number, 0);
            let Some(remote) = remote else {
                places.push(Place { source: Source { tree: 0, part }, subdirectory: None });
                continue;
            };
            let source = Source { tree: trees.len(), part };
            places.push(Place { source, subdirectory: remote.subdirectory() });
            trees.push(self.access().obtain(remote).map_err(blame(word.unwrap_or_default()))?);
        }
        Ok(places)
    }

    /// The step's key over `inputs`. That of `--link` says nothing of the parent, not even its working directory.
    fn copy_key(
        &self,
        stage: &Stage,
        request: &Request<'_>,
        identity: &Identity,
        inputs: Inputs,
    ) -> CacheKey {
        if !request.copy.link {
            return self.key(stage, identity, Some(inputs));
        }
        let config = ContainerConfig::default();
        let base = Ingredients::new(&self.options.platform, None, &config, None, &identity.created_by);
        let settings = [request.verb, "link", &request.dest].map(str::to_owned);
        let key = Ingredients { settings: &settings, inputs: Some(inputs), ..base }.key();
        self.journal.made_of(stage.index, key)
    }

    /// Sets the working directory and makes it if it is missing.
    pub(super) fn workdir(&self, stage: &mut Stage, word: &str) -> Result<(), StepError> {
        let before = stage.image.config.clone();
        let path = stage.scope.expand(word, self.dockerfile.escape, &before)?;
        let path = absolute(&before.working_dir, &path);
        let path = if path == "/" { path } else { path.trim_end_matches('/').to_owned() };
        stage.image.config.working_dir.clone_from(&path);
        let created_by = format!("WORKDIR {path}");
        let identity = Identity { before, created_by, settings: Vec::new() };
        let key = self.key(stage, &identity, None);
        let made = self.once(stage, &key, &identity.created_by, |executor, stage| {
            executor.make_directory(stage, &path, &identity.before.user)
        });
        made.map(drop)
    }

    /// Makes the directory `path` and what is missing above it, unless it is there. They belong to `user`, and to its
    /// group as `--chown` would have it.
    fn make_directory(
        &self,
        stage: &Stage,
        path: &str,
        user: &str,
    ) -> Result<Option<LayerRecord>, StepError> {
        let stack = self.stack(stage)?;
        let owner = match Accounts::of(&stack)?.owner(user) {
            Ok(owner) => owner,
            // The image may learn the name later; only who runs as it needs it now.
            Err(StepError::NoSuchId { .. }) => (0, 0),
            Err(error) => return Err(error),
        };
        let rules = Rules { owner: Some(owner), chmod: None, exclude: IgnoreFile::default(), now: now() };
        let mut landing = Landing::new(&stack, &[], &rules);
        let destination = landing.destination(path)?;
        landing.make_directory(&destination.path)?;
        if landing.placed.is_empty() {
            return Ok(None);
        }
        let placed = landing.placed;
        self.write(&Work { trees: Vec::new(), placed, archives: Vec::new(), owner: None, stack }, &[])
    }

    /// Decides where each source lands in the root of `stage`.
    fn work_out(
        &self,
        stage: &Stage,
        request: &Request<'_>,
        places: &[Place],
        trees: Vec<Tree>,
    ) -> Result<Work, StepError> {
        let stack = if request.copy.link { Stack::new(Vec::new()) } else { self.stack(stage)? };
        let rules = rules(request, self.owner(stage, request)?)?;
        land_all(stack, Room::AsFound, request, &rules, places, trees)
    }

    /// `--chown`, resolved in the root of `stage`.
    fn owner(&self, stage: &Stage, request: &Request<'_>) -> Result<Option<(u32, u32)>, StepError> {
        let owner = |spec: &str| Accounts::of(&self.stack(stage)?)?.owner(spec);
        let blamed = blame(request.written.chown.as_deref().unwrap_or_default());
        request.copy.chown.as_deref().map(owner).transpose().map_err(blamed)
    }

    /// The same for a key that says nothing of the parent; where it does, the words of the instruction are enough.
    fn owner_of_link(&self, stage: &Stage, request: &Request<'_>) -> Result<Option<(u32, u32)>, StepError> {
        if request.copy.link { self.owner(stage, request) } else { Ok(None) }
    }

    /// Writes the layer of files with these digests into the store.
    fn write(&self, work: &Work, digests: &[[u8; 32]]) -> Result<Option<LayerRecord>, StepError> {
        let tar = self.store.tmp_file()?;
        let file = tar
            .file()
            .try_clone()
            .map_err(|source| StepError::Read { path: tar.path().display().to_string(), source })?;
        let written = work.write(file, digests)?;
        if written.entries == 0 {
            return Ok(None);
        }
        Ok(Some(self.store.commit_layer(tar, &written)?))
    }
}

/// What the sources are, for the key: as they land in an empty root, so that no layer below is looked at. Who is to own
/// them, and what is in their way, follows from the instruction and the parent, which the key names.
fn sources(
    request: &Request<'_>,
    rules: &Rules,
    places: &[Place],
    trees: Vec<Tree>,
) -> Result<Work, StepError> {
    land_all(Stack::new(Vec::new()), Room::Directory, request, rules, places, trees)
}

/// Finds the sources and decides where each lands. No file's bytes are read, save to tell an archive.
fn land_all(
    stack: Stack,
    room: Room,
    request: &Request<'_>,
    rules: &Rules,
    places: &[Place],
    trees: Vec<Tree>,
) -> Result<Work, StepError> {
    let (copy, written) = (&request.copy, request.written);
    let mut landing = Landing::new(&stack, &trees, rules);
    let dest = landing.destination(&request.dest).map_err(blame(&written.dest))?;
    // What --parents copies goes into a directory whatever is there.
    let dest =
        Destination { is_directory: dest.is_directory || copy.parents || room == Room::Directory, ..dest };
    let mut archives = Vec::new();
    let mut unmatched = None;
    room_for(copy.sources.len(), &dest, &copy.dest).map_err(blame(&written.dest))?;
    for (source, ((_, word), place)) in copy.sources.iter().zip(request.words().zip(places)) {
        let word = word.unwrap_or_default();
        let found = match source {
            dockerfile::Source::Path(path) => {
                let landed = land(request, (path, word), place, &dest, &mut landing, &mut archives);
                landed.map_err(blame(word))
            }
            dockerfile::Source::Heredoc(heredoc) => landing.text(&heredoc.name, heredoc.body.clone(), &dest),
        };
        match found {
            // `COPY package.json yarn.lock* ./`: a wildcard may match nothing where something else is copied.
            Err(error) if error.is_unmatched_glob() => drop(unmatched.get_or_insert(error)),
            found => found?,
        }
    }
    let placed = landing.placed;
    match unmatched {
        Some(error) if placed.is_empty() && archives.is_empty() => Err(error),
        _ => Ok(Work { trees, placed, archives, owner: rules.owner, stack }),
    }
}

/// What the flags say.
fn rules(request: &Request<'_>, owner: Option<(u32, u32)>) -> Result<Rules, StepError> {
    let (copy, written) = (&request.copy, request.written);
    let chmod = copy.chmod.as_deref().map(Chmod::parse).transpose();
    let chmod = chmod.map_err(|why| StepError::Invalid(why.to_string()));
    let mut patterns = Vec::new();
    for (pattern, word) in copy.exclude.iter().zip(&written.exclude) {
        let parsed = PathPattern::parse(pattern.trim())
            .map_err(|why| StepError::Invalid(format!("--exclude={pattern}: {why}")));
        patterns.push(parsed.map_err(blame(word))?);
    }
    Ok(Rules {
        owner,
        chmod: chmod.map_err(blame(written.chmod.as_deref().unwrap_or_default()))?,
        exclude: IgnoreFile::of(patterns),
        now: now(),
    })
}

/// Finds what `path` names and places it. `word` is how it is written.
fn land(
    request: &Request<'_>,
    (path, word): (&str, &str),
    place: &Place,
    dest: &Destination,
    landing: &mut Landing<'_>,
    archives: &mut Vec<Archive>,
) -> Result<(), StepError> {
    let copy = &request.copy;
    let source = place.source;
    let tree = landing.tree(source);
    if copy.parents {
        let mut picked = tree.pick(path)?.into_iter();
        return picked.try_for_each(|picked| landing.copy_with_parents(source, picked, dest));
    }
    let (found, unpack) = match tree {
        Tree::Body(body) => (vec![body.found()], copy.unpack.unwrap_or(false)),
        Tree::Checkout(_) => (vec![tree.directory(place.subdirectory.as_deref())?], false),
        Tree::Context(_) => (tree.select(path)?, copy.unpack.unwrap_or(request.verb == "ADD")),
    };
    room_for(found.len(), dest, &copy.dest)?;
    for (number, found) in found.into_iter().enumerate() {
        let source = Source { part: (source.part.0, number), ..source };
        if unpack && is_archive_at(tree, &found.item)? {
            landing.make_directory(&dest.path)?;
            let (word, dest) = (word.to_owned(), dest.path.clone());
            archives.push(Archive { source, item: found.item, word, dest });
        } else {
            landing.copy(source, found, dest)?;
        }
    }
    Ok(())
}

/// Whether ADD unpacks `item`.
fn is_archive_at(tree: &Tree, item: &Item) -> Result<bool, StepError> {
    Ok(matches!(item.kind, EntryKind::File { size: 1.. }) && is_archive(tree.open(item)?))
}

/// Several sources need a directory to go into. `word` is the destination as it was written.
fn room_for(count: usize, dest: &Destination, word: &str) -> Result<(), StepError> {
    if count < 2 || dest.is_directory {
        return Ok(());
    }
    Err(StepError::Invalid(format!(
        "when specifying multiple sources, the destination {word:?} must be a directory and end in '/'"
    )))
}

fn now() -> Timestamp {
    let now = jiff::Timestamp::now();
    // The clock stands after 1970, so both parts are positive.
    Timestamp { secs: now.as_second(), nanos: now.subsec_nanosecond().unsigned_abs() }
}
