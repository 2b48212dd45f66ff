//! Instructions that only change the config.
//!
//! Each sees the environment as it was before it: `ENV a=1 b=$a` does not see its own `a`.

use serde_json::json;

use super::StepError;
use super::copy::absolute;
use super::executor::Executor;
use super::scope::Global;
use super::stage::Stage;
use super::step::Identity;
use crate::dockerfile::{Arg, Command, Healthcheck, Instruction, Step, check_signal, ports};
use crate::oci;

/// What a shell form is given to where SHELL says nothing.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

impl Executor<'_> {
    /// Carries out an instruction that makes no layer.
    pub(super) fn metadata(&self, stage: &mut Stage, step: &Step) -> Result<(), StepError> {
        let before = stage.image.config.clone();
        let mut change = Change { escape: self.dockerfile.escape, global: &self.global, stage: &mut *stage };
        let created_by = change.make(step)?;
        let identity = Identity { before, created_by, settings: Vec::new() };
        let key = self.key(stage, &identity, None);
        self.once(stage, &key, &identity.created_by, |_, _| Ok(None)).map(drop)
    }

    /// The same by hand: nothing is recorded. Errors with [`StepError::Invalid`] if the instruction makes a layer.
    pub(super) fn change_by_hand(&self, stage: &mut Stage, step: &Step) -> Result<(), StepError> {
        match &step.instruction {
            Instruction::Run(_) | Instruction::Copy(_) | Instruction::Add(_) => {
                Err(StepError::Invalid(format!("{:?} does more than change the config", step.text)))
            }
            Instruction::Workdir(path) => {
                let path = stage.scope.expand(path, self.dockerfile.escape, &stage.image.config)?;
                stage.image.config.working_dir = absolute(&stage.image.config.working_dir, &path);
                Ok(())
            }
            _ => Change { escape: self.dockerfile.escape, global: &self.global, stage }.make(step).map(drop),
        }
    }

    /// Sets the variables of the command line, as if ENV came first in the stage.
    pub(super) fn begin_with(&self, stage: &mut Stage, env: &[(String, String)]) -> Result<(), StepError> {
        self.amend(stage, "ENV", env, |config| {
            for (name, value) in env {
                config.set_env(name, value);
            }
        })
    }

    /// Sets the labels of the command line, as if LABEL came last in the stage.
    pub(super) fn end_with(&self, stage: &mut Stage, labels: &[(String, String)]) -> Result<(), StepError> {
        self.amend(stage, "LABEL", labels, |config| config.labels.extend(labels.iter().cloned()))
    }

    fn amend(
        &self,
        stage: &mut Stage,
        verb: &str,
        pairs: &[(String, String)],
        change: impl FnOnce(&mut oci::ContainerConfig),
    ) -> Result<(), StepError> {
        if pairs.is_empty() {
            return Ok(());
        }
        let before = stage.image.config.clone();
        change(&mut stage.image.config);
        let identity =
            Identity { before, created_by: format!("{verb} {}", join(pairs)), settings: Vec::new() };
        self.journal.begin(stage.index, (0, 0), &identity.created_by);
        let key = self.key(stage, &identity, None);
        self.once(stage, &key, &identity.created_by, |_, _| Ok(None)).map(drop)
    }
}

/// A config about to change. Each method carries out one instruction and returns its history entry: the
/// instruction after expansion, or as it was written where nothing in it is expanded.
struct Change<'a> {
    escape: char,
    global: &'a Global,
    stage: &'a mut Stage,
}

impl Change<'_> {
    fn make(&mut self, step: &Step) -> Result<String, StepError> {
        match &step.instruction {
            Instruction::Arg(args) => self.arg(args),
            Instruction::Env(pairs) => self.env(pairs),
            Instruction::Label(pairs) => self.label(pairs),
            Instruction::Expose(words) => self.expose(words),
            Instruction::Volume(paths) => self.volume(paths),
            Instruction::User(word) => self.user(word),
            Instruction::Stopsignal(word) => self.stop_signal(word),
            Instruction::Cmd(command) => Ok(self.cmd(command)),
            Instruction::Entrypoint(command) => Ok(self.entrypoint(command)),
            Instruction::Shell(args) => {
                self.stage.image.config.shell = Some(args.clone());
                Ok(step.text.clone())
            }
            Instruction::Healthcheck(check) => {
                self.stage.image.config.healthcheck = Some(healthcheck(check));
                Ok(step.text.clone())
            }
            Instruction::Onbuild(trigger) => {
                self.stage.image.config.on_build.push(trigger.clone());
                Ok(format!("ONBUILD {trigger}"))
            }
            Instruction::Maintainer(name) => {
                self.stage.image.author = Some(name.clone());
                Ok(format!("MAINTAINER {name}"))
            }
            Instruction::Run(_) | Instruction::Copy(_) | Instruction::Add(_) | Instruction::Workdir(_) => {
                unreachable!("Executor::step sends these elsewhere")
            }
        }
    }

    fn arg(&mut self, args: &[Arg]) -> Result<String, StepError> {
        let Stage { scope, image, .. } = &mut *self.stage;
        scope.declare(self.global, &image.config, args)?;
        let words = args.iter().map(|arg| match scope.value(&arg.name) {
            Some(value) => format!("{}={value}", arg.name),
            None => arg.name.clone(),
        });
        Ok(format!("ARG {}", words.collect::<Vec<_>>().join(" ")))
    }

    fn env(&mut self, pairs: &[(String, String)]) -> Result<String, StepError> {
        let pairs = self.expand_pairs(pairs)?;
        for (name, value) in &pairs {
            self.stage.image.config.set_env(name, value);
        }
        Ok(format!("ENV {}", join(&pairs)))
    }

    fn label(&mut self, pairs: &[(String, String)]) -> Result<String, StepError> {
        let pairs = self.expand_pairs(pairs)?;
        let text = format!("LABEL {}", join(&pairs));
        self.stage.image.config.labels.extend(pairs);
        Ok(text)
    }

    fn expose(&mut self, words: &[String]) -> Result<String, StepError> {
        let mut exposed = Vec::new();
        for word in words {
            for port in self.stage.scope.expand_words(word, self.escape, &self.stage.image.config)? {
                exposed.extend(ports(&port).map_err(|why| StepError::Invalid(why.to_string()))?);
            }
        }
        let text = format!("EXPOSE {}", exposed.join(" "));
        self.stage.image.config.exposed_ports.extend(exposed.into_iter().map(|port| (port, json!({}))));
        Ok(text)
    }

    fn volume(&mut self, paths: &[String]) -> Result<String, StepError> {
        let paths = paths.iter().map(|path| self.expand(path)).collect::<Result<Vec<_>, _>>()?;
        if paths.iter().any(|path| path.trim().is_empty()) {
            return Err(StepError::Invalid("VOLUME specified can not be an empty string".into()));
        }
        let text = format!("VOLUME {}", json!(paths));
        self.stage.image.config.volumes.extend(paths.into_iter().map(|path| (path, json!({}))));
        Ok(text)
    }

    fn user(&mut self, word: &str) -> Result<String, StepError> {
        let user = self.expand(word)?;
        if user.trim().is_empty() {
            return Err(StepError::Invalid(format!("USER {word} is blank after expansion")));
        }
        self.stage.image.config.user.clone_from(&user);
        Ok(format!("USER {user}"))
    }

    fn stop_signal(&mut self, word: &str) -> Result<String, StepError> {
        let signal = self.expand(word)?;
        check_signal(&signal).map_err(|why| StepError::Invalid(why.to_string()))?;
        let text = format!("STOPSIGNAL {signal}");
        self.stage.image.config.stop_signal = Some(signal);
        Ok(text)
    }

    fn cmd(&mut self, command: &Command) -> String {
        let args = command_line(self.stage, command);
        let text = format!("CMD {}", json!(args));
        self.stage.image.config.cmd = Some(args);
        self.stage.own_cmd = true;
        text
    }

    fn entrypoint(&mut self, command: &Command) -> String {
        let args = command_line(self.stage, command);
        let text = format!("ENTRYPOINT {}", json!(args));
        self.stage.image.config.entrypoint = Some(args);
        // The inherited CMD holds arguments for the inherited entry point.
        if !self.stage.own_cmd {
            self.stage.image.config.cmd = None;
        }
        text
    }

    fn expand(&self, word: &str) -> Result<String, StepError> {
        self.stage.scope.expand(word, self.escape, &self.stage.image.config)
    }

    fn expand_pairs(&self, pairs: &[(String, String)]) -> Result<Vec<(String, String)>, StepError> {
        pairs.iter().map(|(name, value)| Ok((self.expand(name)?, self.expand(value)?))).collect()
    }
}

/// A command as the config holds it: a shell form is given to SHELL.
pub(super) fn command_line(stage: &Stage, command: &Command) -> Vec<String> {
    match command {
        Command::Exec(args) => args.clone(),
        Command::Shell(text) => {
            let mut args = shell(stage);
            args.push(text.clone());
            args
        }
    }
}

/// The stage's SHELL.
pub(super) fn shell(stage: &Stage) -> Vec<String> {
    let default = || DEFAULT_SHELL.map(str::to_owned).to_vec();
    stage.image.config.shell.clone().unwrap_or_else(default)
}

fn healthcheck(check: &Healthcheck) -> oci::Healthcheck {
    match check {
        Healthcheck::None => oci::Healthcheck { test: vec!["NONE".into()], ..Default::default() },
        Healthcheck::Check { command, interval, timeout, start_period, start_interval, retries } => {
            oci::Healthcheck {
                test: health_test(command),
                interval: *interval,
                timeout: *timeout,
                start_period: *start_period,
                start_interval: *start_interval,
                retries: *retries,
            }
        }
    }
}

/// A check for the shell says only that: the runtime takes the image's `Shell`, where it has one.
fn health_test(command: &Command) -> Vec<String> {
    match command {
        Command::Shell(text) => vec!["CMD-SHELL".into(), text.clone()],
        Command::Exec(words) => std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect(),
    }
}

fn join(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}
