//! RUN: the command becomes a job for the sandbox, what it changed becomes a layer.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::executor::Executor;
use super::key::Inputs;
use super::metadata::{command_line, shell};
use super::mounts::Plan;
use super::scope::is_proxy;
use super::stage::Stage;
use super::step::Identity;
use super::traced::Trace;
use super::user::Accounts;
use super::{FailedState, StepError};
use crate::dockerfile::Run;
use crate::oci::Platform;
use crate::progress::Event;
use crate::runtime::{
    self, Access, Exit, Input, Job, Keep, LayerFiles, Mount, Network, ProcessSpec, Security, Traced, Tracing,
};
use crate::store::{CacheKey, CacheRecord, LayerRecord};

/// Where the body of a heredoc that names its own interpreter is found by the kernel.
const SCRIPTS: &str = "/dev/pipes";

/// A RUN that is to be done.
pub(super) struct Work {
    pub program: Program,
    pub network: Network,
    /// Another one than every RUN has.
    pub security: Option<Security>,
    pub mounts: Plan,
    pub tracing: Tracing,
}

/// A RUN that was done.
pub(super) struct Ended {
    pub exit: Exit,
    /// What it changed, if it changed anything and that is kept.
    pub layer: Option<LayerRecord>,
    traced: Option<Traced>,
    out_of_memory: Option<u64>,
}

/// The variables of a command that no key has.
#[derive(Clone, Copy)]
enum Further<'a> {
    /// Left out: for a key.
    Nothing,
    /// The proxies, and these.
    Variables(&'a [String]),
}

/// What a RUN executes.
pub(super) struct Program {
    pub args: Vec<String>,
    /// The body of a heredoc that starts with `#!`, and its name.
    pub script: Option<(String, String)>,
}

impl Executor<'_> {
    pub(super) fn run(&self, stage: &mut Stage, run: &Run) -> Result<(), StepError> {
        let mounts = self.plan_mounts(stage, run)?;
        let network = self.network(run)?;
        let security = self.security(run)?;
        self.answer_devices(run)?;
        let program = Program::of(stage, run);
        let before = stage.image.config.clone();
        let arguments = stage.scope.environment(&before);
        let command = program.args.join(" ");
        let created_by = match arguments.len() {
            0 => format!("RUN {command}"),
            count => {
                let pairs: Vec<_> = arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("RUN |{count} {} {command}", pairs.join(" "))
            }
        };
        // The words of the command are listed again one by one: joined, ["a b"] and ["a", "b"] are one text.
        let mut settings = program.args.clone();
        settings.push(format!("network={network}"));
        settings.extend(program.script.iter().map(|(name, body)| format!("script {name}: {body}")));
        let confinement = &self.options.confinement;
        settings.extend(confinement.mounts.iter().map(|mount| format!("mount {mount:?}")));
        settings.extend(confinement.devices.iter().map(|device| format!("device {device:?}")));
        settings.push(format!("names {:?}", confinement.names));
        settings.extend(mounts.settings());
        settings.extend(security.is_some().then(|| "security=insecure".to_owned()));
        let identity = Identity { before, created_by, settings };
        let named = mounts.named()?.map(|inputs| self.key(stage, &identity, Some(inputs)));
        if let Some(key) = &named
            && let Some(record) = self.recorded(stage, key)?
        {
            self.hit(stage, key, record, &identity.created_by);
            return Ok(());
        }
        let content = self.shown(&mounts)?;
        let key = self.key(stage, &identity, content);
        let tracing = self.tracing(run);
        let work = Work { program, network, security, mounts, tracing };
        let record = match tracing {
            Tracing::Off => self.once(stage, &key, &identity.created_by, |executor, stage| {
                executor.keep_shown(&key, &work.mounts)?;
                Ok(executor.execute(stage, &work)?.0)
            })?,
            Tracing::On => self.once_traced(stage, &key, &identity, content, &work)?,
        };
        named.map_or(Ok(()), |named| self.alias(stage, &named, key, record))
    }

    /// Does the work behind `key` unless it, or the same on another parent, is recorded; notes what it looks at.
    fn once_traced(
        &self,
        stage: &mut Stage,
        key: &CacheKey,
        identity: &Identity,
        inputs: Option<Inputs>,
        work: &Work,
    ) -> Result<CacheRecord, StepError> {
        // What is recorded under the key itself comes first, and needs no layer here.
        if let Some(record) = self.known(stage, key)? {
            self.hit(stage, key, record.clone(), &identity.created_by);
            return Ok(record);
        }
        let process = self.process(stage, &work.program, Further::Nothing)?;
        let trace = Trace::of(&self.options.platform, identity, inputs, &process);
        if let Some(record) = self.take_traced(stage, key, &identity.created_by, &trace)? {
            return Ok(record);
        }
        let mut looks = None;
        let record = self.once(stage, key, &identity.created_by, |executor, parent| {
            executor.keep_shown(key, &work.mounts)?;
            let (layer, traced) = executor.execute(parent, work)?;
            looks = traced.map(|traced| executor.looks(parent, &traced)).transpose()?.flatten();
            Ok(layer)
        })?;
        looks.map_or(Ok(()), |looks| self.keep_trace(key, &record, &trace, looks))?;
        Ok(record)
    }

    /// Runs the program on the stage's root and stores what it changed, `None` if it changed nothing; and what it looked
    /// at, if that was asked for. Errors with [`StepError::Failed`] unless it ends well.
    fn execute(
        &self,
        stage: &Stage,
        work: &Work,
    ) -> Result<(Option<LayerRecord>, Option<Traced>), StepError> {
        let ended = self.carry_out(stage, work, Input::Nothing, Keep::Offered)?;
        if ended.exit == Exit::Code(0) {
            return Ok((ended.layer, ended.traced));
        }
        let arguments = stage.scope.environment(&stage.image.config).into_iter();
        let arguments = arguments.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut left = Box::new(FailedState { piece: stage.to_piece(), arguments });
        left.piece.add(ended.layer);
        let Ended { exit, out_of_memory, .. } = ended;
        // 126: it is there and cannot be executed
        let platform = stage.platform();
        let foreign =
            (exit == Exit::Code(126) && !platform.satisfies(&Platform::host())).then(|| Box::new(platform));
        let command = work.program.args.join(" ");
        Err(StepError::Failed { command, exit, out_of_memory, foreign, left })
    }

    /// Runs the program on the stage's root, where it reads `input`. After the ends that `keep` tells what it changed is
    /// stored.
    pub(super) fn carry_out(
        &self,
        stage: &Stage,
        work: &Work,
        input: Input<'_>,
        keep: Keep,
    ) -> Result<Ended, StepError> {
        let program = &work.program;
        let ready = self.ready_mounts(stage, &work.mounts)?;
        let live = self.store.lease_live()?;
        let tar = self.store.tmp_file()?;
        let script = program.script.as_ref().map(|(_, body)| script_beside(tar.path(), body)).transpose()?;
        let mut confinement = self.options.confinement.clone();
        confinement.network = work.network.clone();
        if let Some(security) = &work.security {
            confinement.security = security.clone();
        }
        confinement.mounts.extend(ready.mounts.iter().cloned());
        let script =
            script.as_ref().map(|script| Mount::bind(&**script, &*program.args[0], Access::ReadOnly));
        confinement.mounts.extend(script);
        let job = Job {
            stack: self.layer_files(stage)?,
            rootfs: self.options.rootfs,
            live: live.path().to_owned(),
            shelf: Some(self.sandbox.shelf()?),
            process: self.process(stage, program, Further::Variables(&ready.env))?,
            confinement,
            tracing: work.tracing,
            keep,
        };
        let file = tar.file().try_clone().map_err(|source| read_error(tar.path(), source))?;
        let label = Some(self.label(stage.index));
        let told = |stream, bytes: &[u8]| {
            self.sink.event(Event::Output { stage: label, stream, bytes: bytes.to_vec() });
        };
        let outcome =
            self.sandbox.get()?.run_with(&job, file, input, &told).map_err(|error| match error {
                runtime::Error::Cancelled => StepError::Cancelled,
                other => StepError::Runtime(other),
            })?;
        let changed = outcome.layer.filter(|layer| layer.entries > 0);
        let (exit, traced, out_of_memory) = (outcome.exit, outcome.traced, outcome.out_of_memory);
        let layer = match changed.map(|layer| self.store.commit_layer(tar, &layer)).transpose() {
            // what the command failed of counts for more
            Err(_) if keep == Keep::Offered && exit != Exit::Code(0) => None,
            layer => layer?,
        };
        Ok(Ended { exit, layer, traced, out_of_memory })
    }

    fn process(
        &self,
        stage: &Stage,
        program: &Program,
        further: Further<'_>,
    ) -> Result<ProcessSpec, StepError> {
        let config = &stage.image.config;
        let accounts = Accounts::of(&self.stack(stage)?)?;
        let mut user = accounts.identity(&config.user)?;
        for group in &self.options.further_groups {
            user.groups.push(accounts.group(group)?);
        }
        let groups = (self.options.sandbox.groups == runtime::Groups::Dropped).then_some(user.groups);
        let name = |row: &str| row.split_once('=').map_or_else(String::new, |(name, _)| name.to_owned());
        let mut env = self.environment(stage, &user.home, further);
        if let Further::Variables(own) = further {
            env.retain(|row| !own.iter().any(|other| name(other) == name(row)));
            env.extend_from_slice(own);
        }
        let cwd = if config.working_dir.is_empty() { "/" } else { &config.working_dir };
        Ok(ProcessSpec {
            args: program.args.clone(),
            env,
            cwd: cwd.to_owned(),
            uid: user.uid,
            gid: user.gid,
            groups,
        })
    }

    /// The command's variables, the strongest source first; a name appears once.
    fn environment(&self, stage: &Stage, home: &str, further: Further<'_>) -> Vec<String> {
        let config = &stage.image.config;
        let given = self.options.build_args.iter().filter(|(name, _)| is_proxy(name));
        let proxies = given.chain(&self.options.proxies).map(|(name, value)| (name.as_str(), value.as_str()));
        let proxies = proxies.filter(|_| !matches!(further, Further::Nothing));
        let offered = stage.scope.environment(config).into_iter().chain(proxies).chain([("HOME", home)]);
        let mut env = config.env.clone();
        for (name, value) in offered {
            let is_set = |row: &String| row.split_once('=').is_some_and(|(set, _)| set == name);
            if !env.iter().any(is_set) {
                env.push(format!("{name}={value}"));
            }
        }
        env
    }

    /// The files of the stage's layers. Opening them first rebuilds an index that is missing.
    pub(super) fn layer_files(&self, stage: &Stage) -> Result<Vec<LayerFiles>, StepError> {
        self.stack(stage)?;
        let files = stage.diff_ids().iter().map(|diff_id| LayerFiles {
            diff_id: *diff_id,
            tar: self.store.blob_path(&diff_id.0),
            index: self.store.index_path(diff_id),
        });
        Ok(files.collect())
    }

    fn network(&self, run: &Run) -> Result<Network, StepError> {
        match run.network.as_deref() {
            None | Some("default") => Ok(self.options.confinement.network.clone()),
            Some("host") => Ok(Network::Host),
            Some("none") => Ok(Network::None),
            Some(other) => Err(StepError::Unsupported(format!("RUN --network={other}"))),
        }
    }

    /// What `--security=insecure` gives; `None`: what every RUN has.
    fn security(&self, run: &Run) -> Result<Option<Security>, StepError> {
        match run.security.as_deref() {
            None | Some("sandbox") => Ok(None),
            Some("insecure") => self.options.insecure.clone().map(Some).ok_or(StepError::NotAllowed {
                flag: "--security=insecure",
                entitlement: "security.insecure",
            }),
            Some(other) => Err(StepError::Unsupported(format!("RUN --security={other}"))),
        }
    }

    /// There is no device by name: one that is required is an error, any other is left out.
    fn answer_devices(&self, run: &Run) -> Result<(), StepError> {
        for word in &run.devices {
            let (name, required) = device(word)?;
            if required {
                return Err(StepError::NoDevice(name.to_owned()));
            }
            let text = format!(
                "RUN --device={name}: devices by CDI name are not known here, the command does without (rbuild bud \
                 --device takes nodes of /dev)"
            );
            self.sink.event(Event::Warning(text));
        }
        Ok(())
    }
}

/// `name[,required[=BOOL]]`, and whether it is required.
fn device(word: &str) -> Result<(&str, bool), StepError> {
    let (name, option) = word.split_once(',').unwrap_or((word, "required=false"));
    let name = name.strip_prefix("name=").unwrap_or(name);
    match option {
        _ if name.is_empty() => Err(StepError::Invalid(format!("--device={word}: expected NAME[,required]"))),
        "required" | "required=true" => Ok((name, true)),
        "required=false" => Ok((name, false)),
        _ => Err(StepError::Invalid(format!("--device={word}: expected NAME[,required]"))),
    }
}

impl Program {
    fn of(stage: &Stage, run: &Run) -> Self {
        let [heredoc] = &run.heredocs[..] else {
            return Self { args: command_line(stage, &run.command), script: None };
        };
        if !run.is_one_heredoc() {
            return Self { args: command_line(stage, &run.command), script: None };
        }
        if heredoc.body.starts_with("#!") {
            let script = Some((heredoc.name.clone(), heredoc.body.clone()));
            return Self { args: vec![format!("{SCRIPTS}/{}", heredoc.name)], script };
        }
        let mut args = shell(stage);
        args.push(heredoc.body.clone());
        Self { args, script: None }
    }
}

/// A file with `body` in the directory of `tar`, for every user of the container to execute. It is closed:
/// execve refuses a script that someone may still write to (ETXTBSY).
fn script_beside(tar: &Path, body: &str) -> Result<tempfile::TempPath, StepError> {
    let directory = tar.parent().unwrap_or(Path::new("/"));
    let write = || {
        // the store may lie behind a symlink; what is mounted may not
        let mut script = tempfile::NamedTempFile::new_in(std::fs::canonicalize(directory)?)?;
        script.write_all(body.as_bytes())?;
        script.as_file().set_permissions(Permissions::from_mode(0o755))?;
        Ok(script.into_temp_path())
    };
    write().map_err(|source| read_error(directory, source))
}

fn read_error(path: &Path, source: std::io::Error) -> StepError {
    StepError::Read { path: path.display().to_string(), source }
}
