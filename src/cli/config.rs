//! `rbuild config`.

use super::container::Workplace;
use super::failure::Failure;
use super::{Context, environment, registry};
use crate::container::{self, Change, HealthDuration, Text};

/// Set what an image of a working container will say of itself
#[derive(clap::Args)]
pub(super) struct Args {
    /// An annotation, NAME- to take one out, - for all
    #[arg(short, long = "annotation", value_name = "NAME[=VALUE]")]
    annotations: Vec<String>,
    /// An annotation to take out
    #[arg(long = "unsetannotation", value_name = "NAME")]
    unset_annotations: Vec<String>,
    /// The architecture
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,
    /// Who made the image
    #[arg(long, value_name = "TEXT")]
    author: Option<String>,
    /// The default command: words, or a JSON array
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true)]
    cmd: Option<String>,
    /// Free text of the image
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// How the container's layer came to be, for the history
    #[arg(long, value_name = "TEXT")]
    created_by: Option<String>,
    /// The domain of a container's machine
    #[arg(long, value_name = "NAME")]
    domainname: Option<String>,
    /// The entry point: a command for /bin/sh -c, or a JSON array
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true)]
    entrypoint: Option<String>,
    /// A variable, NAME- to take one out, - for all
    #[arg(short, long = "env", value_name = "NAME=VALUE", allow_hyphen_values = true)]
    env: Vec<String>,
    /// A health check: CMD …, CMD-SHELL … or NONE
    #[arg(long, value_name = "CHECK")]
    healthcheck: Option<String>,
    /// Between two checks
    #[arg(long, value_name = "DURATION")]
    healthcheck_interval: Option<String>,
    /// How many failures in a row count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    healthcheck_retries: Option<i64>,
    /// How long failures do not count
    #[arg(long, value_name = "DURATION")]
    healthcheck_start_period: Option<String>,
    /// Between two checks within that time
    #[arg(long, value_name = "DURATION")]
    healthcheck_start_interval: Option<String>,
    /// How long a check may take
    #[arg(long, value_name = "DURATION")]
    healthcheck_timeout: Option<String>,
    /// Free text for the history
    #[arg(long, value_name = "TEXT")]
    history_comment: Option<String>,
    /// The name of a container's machine
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// A label, NAME- to take one out, - for all
    #[arg(short, long = "label", value_name = "NAME[=VALUE]", allow_hyphen_values = true)]
    labels: Vec<String>,
    /// A label to take out
    #[arg(long = "unsetlabel", value_name = "NAME")]
    unset_labels: Vec<String>,
    /// An instruction for images built on this one, - to take all out
    #[arg(long = "onbuild", value_name = "INSTRUCTION", allow_hyphen_values = true)]
    on_build: Vec<String>,
    /// The operating system
    #[arg(long, value_name = "OS")]
    os: Option<String>,
    /// A feature of the operating system, FEATURE- to take one out, - for all
    #[arg(long = "os-feature", value_name = "FEATURE", allow_hyphen_values = true)]
    os_features: Vec<String>,
    /// The version of the operating system
    #[arg(long, value_name = "VERSION")]
    os_version: Option<String>,
    /// A port, the same with - to take one out, - for all
    #[arg(short, long = "port", value_name = "PORT[/PROTOCOL]", allow_hyphen_values = true)]
    ports: Vec<String>,
    /// What shell forms are given to, in words
    #[arg(long, value_name = "WORDS")]
    shell: Option<String>,
    /// The signal that ends a container
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Who commands run as
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// The variant of the architecture
    #[arg(long, value_name = "VARIANT")]
    variant: Option<String>,
    /// A path that a runtime keeps apart, PATH- to take one out, - for all
    #[arg(short, long = "volume", value_name = "PATH", allow_hyphen_values = true)]
    volumes: Vec<String>,
    /// Where commands start
    #[arg(long = "workingdir", value_name = "DIR")]
    workingdir: Option<String>,
    /// Have the history of an image tell of it [default: `$BUILDAH_HISTORY`, else false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    add_history: Option<bool>,
    /// The container: a name or an id
    container: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let workplace = Workplace::open(context, &registry::Args::default())?;
    let (changes, record) = (args.changes(), environment::record(args.add_history)?);
    workplace.with(context, true, |means| {
        container::configure(&mut means.hold_record(&args.container)?, &changes, record)
    })
}

/// What makes a change of a word.
type Setting = fn(String) -> Change;

impl Args {
    /// The settings, what is taken out before what is put in.
    fn changes(&self) -> Vec<Change> {
        let texts = [
            (Text::Author, &self.author),
            (Text::CreatedBy, &self.created_by),
            (Text::HistoryComment, &self.history_comment),
            (Text::Comment, &self.comment),
            (Text::User, &self.user),
            (Text::WorkingDir, &self.workingdir),
            (Text::Hostname, &self.hostname),
            (Text::Domainname, &self.domainname),
            (Text::StopSignal, &self.stop_signal),
            (Text::Os, &self.os),
            (Text::OsVersion, &self.os_version),
            (Text::Architecture, &self.arch),
            (Text::Variant, &self.variant),
        ];
        let texts = texts.into_iter().filter_map(|(text, value)| Some(Change::Text(text, value.clone()?)));
        let single: [(Setting, &Option<String>); 4] = [
            (Change::Shell, &self.shell),
            (Change::Entrypoint, &self.entrypoint),
            (Change::Cmd, &self.cmd),
            (Change::Healthcheck, &self.healthcheck),
        ];
        let single = single.into_iter().filter_map(|(change, value)| Some(change(value.clone()?)));
        let durations = [
            (HealthDuration::Interval, &self.healthcheck_interval),
            (HealthDuration::Timeout, &self.healthcheck_timeout),
            (HealthDuration::StartPeriod, &self.healthcheck_start_period),
            (HealthDuration::StartInterval, &self.healthcheck_start_interval),
        ];
        let durations = durations
            .into_iter()
            .filter_map(|(which, value)| Some(Change::HealthDuration(which, value.clone()?)));
        let gone = |names: &[String], change: Setting| -> Vec<Change> {
            names.iter().map(|name| change(format!("{name}-"))).collect()
        };
        let several: [(Setting, &[String]); 7] = [
            (Change::Env, &self.env),
            (Change::Label, &self.labels),
            (Change::Annotation, &self.annotations),
            (Change::Port, &self.ports),
            (Change::Volume, &self.volumes),
            (Change::OnBuild, &self.on_build),
            (Change::OsFeature, &self.os_features),
        ];
        let several = several
            .into_iter()
            .flat_map(|(change, values)| values.iter().map(move |value| change(value.clone())));
        texts
            .chain(single)
            .chain(durations)
            .chain(self.healthcheck_retries.map(Change::HealthRetries))
            .chain(gone(&self.unset_labels, Change::Label))
            .chain(gone(&self.unset_annotations, Change::Annotation))
            .chain(several)
            .collect()
    }
}
