//! A copy that no Dockerfile asks for: its words are taken as they are, and nothing is recorded of it.

use std::sync::Arc;

use super::super::StepError;
use super::super::context::Context;
use super::super::executor::Executor;
use super::super::stage::Stage;
use super::tree::Tree;
use super::words::absolute;
use super::{Request, digest, rules, sources};
use crate::dockerfile::Copy;
use crate::store::LayerRecord;

/// By this verb sources may be elsewhere; whether archives are unpacked, the instruction says.
const VERB: &str = "ADD";

impl Executor<'_> {
    /// Copies from `files`. Returns the layer, if there is one, and the digest of what was copied.
    pub(in crate::build) fn copy_by_hand(
        &self,
        stage: &Stage,
        copy: &Copy,
        files: Arc<Context>,
    ) -> Result<(Option<LayerRecord>, [u8; 32]), StepError> {
        let dest = absolute(&stage.image.config.working_dir, &copy.dest);
        let request = Request { verb: VERB, written: copy, copy: copy.clone(), dest };
        let remotes = self.identify_all(stage, &request)?;
        let mut trees = vec![Tree::Context(files)];
        let places = self.obtain_all(&request, remotes, &mut trees)?;
        let sources = sources(&request, &rules(&request, None)?, &places, trees)?;
        let digests = digest::content(&sources)?;
        let known = sources.by_source(&digests.files);
        let work = self.work_out(stage, &request, &places, sources.trees)?;
        Ok((self.write(&work, &work.expected(&known)?)?, digests.content))
    }
}
