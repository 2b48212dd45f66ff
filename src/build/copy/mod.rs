//! COPY, ADD and WORKDIR: a layer straight from its input. Nothing is mounted, nobody needs privilege.
//!
//! ```text
//! tree     where files come from: the context, a stage, an image
//! landing  where they go, and what is in the way
//! digest   what the cache key says of them
//! work     the layer, written from them
//! ```

mod archive;
mod digest;
mod landing;
pub(super) mod tree;
mod work;

use super::StepError;
use super::executor::Executor;
use super::key::Inputs;
use super::plan;
use super::stage::Stage;
use super::step::Identity;
use super::user::Accounts;
use crate::dockerfile::{Copy, Source};
use crate::layer::Timestamp;
use crate::store::LayerRecord;

use landing::{Destination, Landing};
use tree::Tree;
use work::Work;

impl Executor<'_> {
    /// Carries out a COPY or an ADD.
    pub(super) fn copy(
        &mut self,
        stage: &mut Stage,
        verb: &'static str,
        copy: &Copy,
    ) -> Result<(), StepError> {
        let copy = self.expanded(stage, copy)?;
        plan::supported_sources(verb, &copy)?;
        let created_by = history(verb, &copy);
        let (source, tree) = match &copy.from {
            None => (String::new(), None),
            Some(name) => {
                let source = self.source(name)?;
                let tree = Tree::Stack(source.stack(self.store)?, format!("{name:?}"));
                (format!("{:?}", source.chain()), Some(tree))
            }
        };
        // The layer and the keys need the executor; the context is lent out meanwhile.
        let context = std::rc::Rc::clone(&self.context);
        let work = self.work_out(stage, verb, &copy, tree.unwrap_or(Tree::Context(&context)))?;
        let before = stage.image.config.clone();
        let identity = Identity { before, created_by, settings: vec![verb.to_owned()] };
        let quick = digest::quick(&work, &source)
            .map(|digest| self.key(stage, &identity, Some(Inputs::Quick(digest))));
        if let Some(quick) = &quick
            && let Some(record) = self.recorded(quick)?
        {
            self.hit(stage, record);
            return Ok(());
        }
        let content = self.key(stage, &identity, Some(Inputs::Content(digest::content(&work)?)));
        self.once(stage, &content, &identity.created_by, |executor, stage| executor.write(stage, &work))?;
        if let Some(quick) = quick
            && let Some(record) = self.store.cached(&content)?
        {
            self.store.put_cached(&quick, &record)?;
        }
        Ok(())
    }

    /// Sets the working directory and makes it if it is missing.
    pub(super) fn workdir(&mut self, stage: &mut Stage, word: &str) -> Result<(), StepError> {
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
        &mut self,
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
        let mut landing = Landing::new(&stack, Some(owner), None, now());
        let destination = landing.destination(path)?;
        landing.make_directory(&destination.path)?;
        if landing.placed.is_empty() {
            return Ok(None);
        }
        let tree = Tree::Stack(stack.clone(), String::new());
        let work = Work { tree, placed: landing.placed, archives: Vec::new(), owner: None };
        self.write(stage, &work)
    }

    /// The instruction with its variables replaced.
    fn expanded(&self, stage: &Stage, copy: &Copy) -> Result<Copy, StepError> {
        let escape = self.dockerfile.escape;
        let expand = |word: &str| stage.scope.expand(word, escape, &stage.image.config);
        let option = |word: &Option<String>| word.as_deref().map(expand).transpose();
        let sources = copy.sources.iter().map(|source| match source {
            Source::Path(path) => Ok(Source::Path(expand(path)?)),
            Source::Heredoc(heredoc) if heredoc.expand => {
                let body = stage.scope.expand_heredoc(&heredoc.body, &stage.image.config)?;
                Ok(Source::Heredoc(crate::dockerfile::Heredoc { body, ..heredoc.clone() }))
            }
            Source::Heredoc(heredoc) => Ok(Source::Heredoc(heredoc.clone())),
        });
        Ok(Copy {
            sources: sources.collect::<Result<_, StepError>>()?,
            dest: expand(&copy.dest)?,
            from: option(&copy.from)?,
            chown: option(&copy.chown)?,
            chmod: option(&copy.chmod)?,
            ..copy.clone()
        })
    }

    /// Finds the sources and decides where each lands. No file's bytes are read, save to tell an archive.
    fn work_out<'t>(
        &self,
        stage: &Stage,
        verb: &str,
        copy: &Copy,
        tree: Tree<'t>,
    ) -> Result<Work<'t>, StepError> {
        let stack = stage.stack(self.store)?;
        let owner = copy.chown.as_deref().map(|spec| Accounts::of(&stack)?.owner(spec)).transpose()?;
        let mode = copy.chmod.as_deref().map(octal).transpose()?;
        let mut landing = Landing::new(&stack, owner, mode, now());
        let dest = absolute(&stage.image.config.working_dir, &copy.dest);
        let dest = landing.destination(&dest)?;
        let mut archives = Vec::new();
        room_for(copy.sources.len(), &dest, &copy.dest)?;
        for source in &copy.sources {
            let found = match source {
                Source::Path(path) => tree.select(path)?,
                Source::Heredoc(heredoc) => {
                    landing.text(&heredoc.name, heredoc.body.clone(), &dest)?;
                    continue;
                }
            };
            room_for(found.len(), &dest, &copy.dest)?;
            for found in found {
                if verb == "ADD" && archive::is_archive(&tree, &found.item)? {
                    landing.make_directory(&dest.path)?;
                    archives.push((dest.path.clone(), found.item));
                } else {
                    landing.copy(&tree, found, &dest)?;
                }
            }
        }
        let placed = landing.placed;
        Ok(Work { tree, placed, archives, owner })
    }

    /// Writes the layer into the store.
    fn write(&mut self, stage: &Stage, work: &Work<'_>) -> Result<Option<LayerRecord>, StepError> {
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

/// Several sources need a directory to go into. `word` is the destination as it was written.
fn room_for(count: usize, dest: &Destination, word: &str) -> Result<(), StepError> {
    if count < 2 || dest.is_directory {
        return Ok(());
    }
    Err(StepError::Invalid(format!(
        "when specifying multiple sources, the destination {word:?} must be a directory and end in '/'"
    )))
}

fn octal(mode: &str) -> Result<u32, StepError> {
    match u32::from_str_radix(mode, 8) {
        Ok(bits) if bits <= 0o7777 && !mode.starts_with('+') => Ok(bits),
        _ if mode.contains(['=', '+', '-']) => {
            Err(StepError::Unsupported(format!("symbolic --chmod={mode}")))
        }
        _ => Err(StepError::Invalid(format!(
            "invalid chmod parameter: '{mode}'. it should be octal string and between 0 and 07777"
        ))),
    }
}

/// `path` as seen from `directory`, clean but for a trailing slash, which is kept.
fn absolute(directory: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("/{directory}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let is_directory = path.ends_with('/') || path.ends_with("/.") || matches!(path, "." | "..");
    let slash = if is_directory && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

fn now() -> Timestamp {
    let now = jiff::Timestamp::now();
    // The clock stands after 1970, so both parts are positive.
    Timestamp { secs: now.as_second(), nanos: now.subsec_nanosecond().unsigned_abs() }
}

/// The history entry: the instruction after expansion.
fn history(verb: &str, copy: &Copy) -> String {
    let flags = [("from", &copy.from), ("chown", &copy.chown), ("chmod", &copy.chmod)];
    let flags = flags.iter().filter_map(|(name, value)| Some(format!("--{name}={}", value.as_ref()?)));
    let sources = copy.sources.iter().map(|source| match source {
        Source::Path(path) => path.clone(),
        Source::Heredoc(heredoc) => format!("<<{}", heredoc.name),
    });
    let words: Vec<String> = flags.chain(sources).chain([copy.dest.clone()]).collect();
    format!("{verb} {}", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_to_the_working_directory() {
        for (directory, path, want) in [
            ("", "a", "/a"),
            ("/w", "a/", "/w/a/"),
            ("/w", ".", "/w/"),
            ("/w", "../x", "/x"),
            ("/w", "/x/../y", "/y"),
            ("/w", "../../..", "/"),
            ("/", "./", "/"),
        ] {
            assert_eq!(absolute(directory, path), want, "{path:?} from {directory:?}");
        }
    }

    #[test]
    fn chmod_takes_octal() {
        for (mode, want) in [
            ("755", Some(0o755)),
            ("04755", Some(0o4755)),
            ("7777", Some(0o7777)),
            ("10000", None),
            ("888", None),
            ("u+x", None),
            ("", None),
        ] {
            assert_eq!(octal(mode).ok(), want, "{mode}");
        }
    }
}
