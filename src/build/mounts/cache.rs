//! `type=cache`: a directory of the store that commands find again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::StepError;
use super::super::executor::Executor;
use super::super::roots::Root;
use super::super::stage::Stage;
use super::{Planned, Ready, What, access};
use crate::dockerfile::{CacheSpec, Sharing};
use crate::runtime::{Attributes, CacheDirectory, Layers, Mount, Source};
use crate::store::{CacheMount, CacheMountId, Hold};

/// A cache that a RUN asks for.
pub(super) struct Cache {
    pub spec: CacheSpec,
    id: CacheMountId,
    /// Whose files it starts with.
    from: Option<Arc<Stage>>,
}

impl Executor<'_> {
    pub(super) fn plan_cache(
        &self,
        stage: &Stage,
        spec: CacheSpec,
        target: &str,
    ) -> Result<Cache, StepError> {
        let layers = |name: &str| match self.mount_source(stage, name, target)? {
            Root::Stage(stage) => Ok(stage),
            context @ Root::Context(_) => {
                self.stage_on(stage.index, name, &context, &self.options.platform).map(Arc::new)
            }
        };
        let from = spec.from.as_deref().map(layers).transpose()?;
        let id = spec.id.clone().unwrap_or_else(|| target.to_owned());
        // one that starts with other files is another
        let seed = from.as_ref().map(|stage| {
            let chain = stage.chain().map_or_else(|| "scratch".to_owned(), |chain| chain.to_string());
            format!("{chain} {}", spec.source.as_deref().unwrap_or("/"))
        });
        Ok(Cache { spec, id: CacheMountId { id, seed }, from })
    }

    /// Takes all caches of a RUN, each once, in the order of their ids: so no two builds ever wait for each other.
    pub(super) fn ready_caches(&self, planned: &[Planned], ready: &mut Ready) -> Result<(), StepError> {
        let mut wanted: BTreeMap<&CacheMountId, Hold> = BTreeMap::new();
        let caches = || {
            planned.iter().filter_map(|planned| match &planned.what {
                What::Cache(cache) => Some((&planned.target, cache)),
                _ => None,
            })
        };
        for (_, cache) in caches() {
            let hold = match cache.spec.sharing {
                Sharing::Shared => Hold::Shared,
                Sharing::Private => Hold::Private,
                Sharing::Locked => Hold::Locked,
            };
            wanted.entry(&cache.id).and_modify(|other| *other = (*other).max(hold)).or_insert(hold);
        }
        let mut held: BTreeMap<&CacheMountId, CacheMount> = BTreeMap::new();
        for (id, hold) in wanted {
            held.insert(id, self.take(id, hold)?);
        }
        for (target, cache) in caches() {
            let source = Source::Cache(self.directory(cache, &held[&cache.id])?);
            let access = access(cache.spec.writable.unwrap_or(true));
            ready.mounts.push(Mount { target: target.clone(), source, access, rights: Vec::new() });
        }
        ready.caches.extend(held.into_values());
        Ok(())
    }

    /// Waits for whoever has the cache.
    fn take(&self, id: &CacheMountId, hold: Hold) -> Result<CacheMount, StepError> {
        /// How often it is looked whether the other is done.
        const LOOK: Duration = Duration::from_millis(20);
        loop {
            if let Some(taken) = self.store.try_cache_mount(id, hold)? {
                return Ok(taken);
            }
            if self.cancel.is_cancelled() {
                return Err(StepError::Cancelled);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn directory(&self, cache: &Cache, held: &CacheMount) -> Result<CacheDirectory, StepError> {
        let CacheSpec { mode, uid, gid, source, .. } = &cache.spec;
        let source = source.as_deref().map(|source| source.trim_start_matches('/')).unwrap_or_default();
        let seed = cache.from.as_ref().filter(|_| !held.is_made());
        let seed = seed
            .map(|stage| Ok::<_, StepError>(Layers { stack: self.layer_files(stage)?, path: source.into() }));
        let asked = mode.is_some() || (*uid, *gid) != (0, 0);
        let attributes = Attributes { mode: mode.unwrap_or(0o755), uid: *uid, gid: *gid };
        Ok(CacheDirectory {
            path: held.path().to_owned(),
            seed: seed.transpose()?,
            // of what it starts with, only that part was taken
            shown: if cache.from.is_some() { String::new() } else { source.to_owned() }.into(),
            attributes: (cache.from.is_none() || asked).then_some(attributes),
        })
    }
}

impl Cache {
    /// What the key says of it: nothing of what is in it.
    pub(super) fn setting(&self) -> String {
        format!("{:?} seed {:?}", self.spec, self.id.seed)
    }
}
