//! COPY, ADD and WORKDIR: a layer straight from its input. Nothing is mounted, nobody needs privilege.
//!
//! ```text
//! words    the instruction after expansion
//! tree     where files come from: the context, a stage, an image
//! landing  where they go, and what is in the way
//! digest   what the cache key says of them
//! work     the layer, written from them
//! snapshot the same for what a RUN is shown of the context or a stage
//! ```
//!
//! `--link` is a layer that knows nothing of the one below: it is laid out over an empty root, and its key has no
//! parent, so that it serves on any other.

mod archive;
mod digest;
mod landing;
mod snapshot;
pub(super) mod tree;
mod words;
mod work;

pub(super) use snapshot::Snapshot;
pub(super) use words::{absolute, blame};

use super::StepError;
use super::executor::Executor;
use super::key::{Ingredients, Inputs};
use super::plan;
use super::stage::Stage;
use super::step::Identity;
use super::user::Accounts;
use crate::dockerfile::{self, Chmod, Copy, IgnoreFile, PathPattern};
use crate::layer::Timestamp;
use crate::oci::ContainerConfig;
use crate::rootfs::Stack;
use crate::store::{CacheKey, LayerRecord};

use landing::{Destination, Landing, Rules, Source};
use tree::Tree;
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

impl Executor<'_> {
    /// Carries out a COPY or an ADD.
    pub(super) fn copy(
        &self,
        stage: &mut Stage,
        verb: &'static str,
        written: &Copy,
    ) -> Result<(), StepError> {
        let copy = self.expanded(stage, written)?;
        plan::supported_sources(verb, &copy)?;
        let created_by = history(verb, &copy);
        let dest = absolute(&stage.image.config.working_dir, &copy.dest);
        let request = Request { verb, written, copy, dest };
        let (source, tree) = match &request.copy.from {
            None => (String::new(), None),
            Some(name) => {
                let blamed = blame(written.from.as_deref().unwrap_or_default());
                let source = self.source(stage, name).map_err(blamed)?;
                let tree = Tree::Stack(source.stack(self.store)?, format!("{name:?}"));
                (format!("{:?}", source.chain()), Some(tree))
            }
        };
        let work = self.work_out(stage, &request, vec![tree.unwrap_or(Tree::Context(&self.context))])?;
        let before = stage.image.config.clone();
        let identity = Identity { before, created_by, settings: vec![verb.to_owned()] };
        let key = |inputs| self.copy_key(stage, &request, &identity, inputs);
        let quick = digest::quick(&work, &source).map(|digest| key(Inputs::Quick(digest)));
        if let Some(quick) = &quick
            && let Some(record) = self.recorded(quick)?
        {
            self.hit(stage, record);
            return Ok(());
        }
        let content = key(Inputs::Content(digest::content(&work)?));
        self.once(stage, &content, &identity.created_by, |executor, stage| executor.write(stage, &work))?;
        if let Some(quick) = quick
            && let Some(record) = self.store.cached(&content)?
        {
            self.store.put_cached(&quick, &record)?;
        }
        Ok(())
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
        Ingredients { settings: &settings, inputs: Some(inputs), ..base }.key()
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
        self.once(stage, &key, &identity.created_by, |executor, stage| {
            executor.make_directory(stage, &path, &identity.before.user)
        })
    }

    /// Makes the directory `path` and what is missing above it, unless it is there. They belong to `user`.
    fn make_directory(
        &self,
        stage: &Stage,
        path: &str,
        user: &str,
    ) -> Result<Option<LayerRecord>, StepError> {
        let stack = stage.stack(self.store)?;
        let owner = match Accounts::of(&stack)?.identity(user) {
            Ok(user) => (user.uid, user.gid),
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
        let work = Work { trees: Vec::new(), placed: landing.placed, archives: Vec::new(), owner: None };
        self.write(stage, &work)
    }

    /// Finds the sources and decides where each lands. No file's bytes are read, save to tell an archive.
    fn work_out<'t>(
        &self,
        stage: &Stage,
        request: &Request<'_>,
        trees: Vec<Tree<'t>>,
    ) -> Result<Work<'t>, StepError> {
        let (copy, written) = (&request.copy, request.written);
        let stack = if copy.link { Stack::new(Vec::new()) } else { stage.stack(self.store)? };
        let rules = self.rules(stage, request)?;
        let mut landing = Landing::new(&stack, &trees, &rules);
        let dest = landing.destination(&request.dest).map_err(blame(&written.dest))?;
        // What --parents copies goes into a directory whatever is there.
        let dest = Destination { is_directory: dest.is_directory || copy.parents, ..dest };
        let mut archives = Vec::new();
        let mut unmatched = None;
        room_for(copy.sources.len(), &dest, &copy.dest).map_err(blame(&written.dest))?;
        for (source, word) in copy.sources.iter().zip(&written.sources) {
            let found = match (source, word) {
                (dockerfile::Source::Path(path), dockerfile::Source::Path(word)) => {
                    let landed = land(request, (path, word), &dest, &mut landing, &mut archives);
                    landed.map_err(blame(word))
                }
                (dockerfile::Source::Heredoc(heredoc), _) => {
                    landing.text(&heredoc.name, heredoc.body.clone(), &dest)
                }
                (dockerfile::Source::Path(_), dockerfile::Source::Heredoc(_)) => {
                    unreachable!("expansion makes no path of a heredoc")
                }
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
            _ => Ok(Work { trees, placed, archives, owner: rules.owner }),
        }
    }

    /// What the flags say.
    fn rules(&self, stage: &Stage, request: &Request<'_>) -> Result<Rules, StepError> {
        let (copy, written) = (&request.copy, request.written);
        let owner = |spec: &str| Accounts::of(&stage.stack(self.store)?)?.owner(spec);
        let owner = copy.chown.as_deref().map(owner).transpose();
        let chmod = copy.chmod.as_deref().map(Chmod::parse).transpose();
        let chmod = chmod.map_err(|why| StepError::Invalid(why.to_string()));
        let mut patterns = Vec::new();
        for (pattern, word) in copy.exclude.iter().zip(&written.exclude) {
            let parsed = PathPattern::parse(pattern.trim())
                .map_err(|why| StepError::Invalid(format!("--exclude={pattern}: {why}")));
            patterns.push(parsed.map_err(blame(word))?);
        }
        Ok(Rules {
            owner: owner.map_err(blame(written.chown.as_deref().unwrap_or_default()))?,
            chmod: chmod.map_err(blame(written.chmod.as_deref().unwrap_or_default()))?,
            exclude: IgnoreFile::of(patterns),
            now: now(),
        })
    }

    /// Writes the layer into the store.
    fn write(&self, stage: &Stage, work: &Work<'_>) -> Result<Option<LayerRecord>, StepError> {
        let tar = self.store.tmp_file()?;
        let file = tar
            .file()
            .try_clone()
            .map_err(|source| StepError::Read { path: tar.path().display().to_string(), source })?;
        let written = work.write(&stage.stack(self.store)?, file)?;
        if written.entries == 0 {
            return Ok(None);
        }
        Ok(Some(self.store.commit_layer(tar, &written)?))
    }
}

/// Finds what `path` names and places it. `word` is how it is written.
fn land(
    request: &Request<'_>,
    (path, word): (&str, &str),
    dest: &Destination,
    landing: &mut Landing<'_>,
    archives: &mut Vec<Archive>,
) -> Result<(), StepError> {
    let source = Source(0);
    let tree = landing.tree(source);
    if request.copy.parents {
        return tree
            .pick(path)?
            .into_iter()
            .try_for_each(|picked| landing.copy_with_parents(source, picked, dest));
    }
    let found = tree.select(path)?;
    room_for(found.len(), dest, &request.copy.dest)?;
    let unpack = request.copy.unpack.unwrap_or(request.verb == "ADD");
    for found in found {
        if unpack && archive::is_archive(tree, &found.item)? {
            landing.make_directory(&dest.path)?;
            let (word, dest) = (word.to_owned(), dest.path.clone());
            archives.push(Archive { source, item: found.item, word, dest });
        } else {
            landing.copy(source, found, dest)?;
        }
    }
    Ok(())
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
