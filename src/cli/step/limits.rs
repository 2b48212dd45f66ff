//! How much RUN may use.

use std::path::PathBuf;

use crate::cli::failure::Failure;
use crate::dockerfile::did_you_mean;
use crate::runtime::{Limits, RESOURCES, ResourceLimit, Shared};

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Limits of RUN")]
pub(super) struct Args {
    /// The size of /dev/shm, such as 64m; 0 sets no limit
    #[arg(long, value_name = "SIZE", default_value = "64m", value_parser = size)]
    shm_size: u64,
    /// A resource limit, such as nofile=1024:2048; host is what rbuild itself has; may be given several times
    #[arg(long = "ulimit", value_name = "TYPE=SOFT[:HARD]", value_parser = ulimit)]
    ulimits: Vec<Ulimit>,
    /// The memory of each RUN, such as 512m
    #[arg(short, long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// Memory and swap together; -1 sets no limit of swap [default: twice the memory]
    #[arg(long, value_name = "SIZE", value_parser = swap, allow_hyphen_values = true, requires = "memory")]
    memory_swap: Option<Swap>,
    /// The period of --cpu-quota, in microseconds, 1000 to 1000000 [default: 100000]
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    cpu_period: Option<u64>,
    /// How long the processes of RUN may run in each period, in microseconds on one processor, at least 1000
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u64).range(1000..))]
    cpu_quota: Option<u64>,
    /// The weight of RUN against others that want the processors, 2 to 262144; 1024 is usual
    #[arg(short, long, value_name = "SHARES", value_parser = clap::value_parser!(u64).range(2..=262_144))]
    cpu_shares: Option<u64>,
    /// The processors of RUN, such as 0-3,7
    #[arg(long, value_name = "LIST", value_parser = list)]
    cpuset_cpus: Option<String>,
    /// The memory nodes of RUN
    #[arg(long, value_name = "LIST", value_parser = list)]
    cpuset_mems: Option<String>,
    /// The control group to make RUN's in: absolute in cgroup v2, or beneath that of rbuild
    #[arg(long, value_name = "PATH", value_parser = group)]
    cgroup_parent: Option<PathBuf>,
}

/// Memory and swap together, in bytes; `None`: no limit.
type Swap = Option<u64>;

/// One `--ulimit`; `None` is `host`.
type Ulimit = Option<ResourceLimit>;

impl Args {
    pub(super) fn limits(&self) -> Result<Limits, Failure> {
        let shared = Shared {
            memory: self.memory,
            swap: self.memory.map(|memory| self.swap(memory)).transpose()?,
            cpu_quota: self.cpu_quota,
            cpu_period: self.cpu_period,
            cpu_shares: self.cpu_shares,
            cpus: self.cpuset_cpus.clone(),
            memory_nodes: self.cpuset_mems.clone(),
            parent: self.cgroup_parent.clone(),
        };
        let resources = self.ulimits.iter().flatten().cloned().collect();
        Ok(Limits { shared_memory: self.shm_size, resources, shared, ..Limits::default() })
    }

    /// The swap besides `memory`.
    fn swap(&self, memory: u64) -> Result<Option<u64>, Failure> {
        match self.memory_swap {
            None => Ok(Some(memory)),
            Some(None) => Ok(None),
            Some(Some(both)) => both.checked_sub(memory).map(Some).ok_or_else(|| {
                Failure::new(format!(
                    "--memory-swap is memory and swap together: {both} is less than --memory, {memory}"
                ))
            }),
        }
    }
}

fn swap(text: &str) -> Result<Swap, String> {
    if text == "-1" { Ok(None) } else { size(text).map(Some) }
}

/// Numbers and ranges, as `0-3,7`.
fn list(text: &str) -> Result<String, String> {
    let number = |text: &str| text.parse::<u16>().is_ok();
    let range =
        |part: &str| part.split_once('-').map_or(number(part), |(from, to)| number(from) && number(to));
    if text.split(',').all(range) {
        Ok(text.to_owned())
    } else {
        Err("expected numbers and ranges, as 0-3,7".to_owned())
    }
}

fn group(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.split('/').any(|part| part == "..") {
        return Err("expected a path without '..'".to_owned());
    }
    Ok(text.into())
}

fn ulimit(text: &str) -> Result<Ulimit, String> {
    if text == "host" {
        return Ok(None);
    }
    let (name, values) = text.split_once('=').ok_or("expected TYPE=SOFT[:HARD], or host")?;
    let name = name.to_ascii_lowercase();
    let Some((_, resource)) = RESOURCES.iter().find(|(known, _)| *known == name) else {
        let known = RESOURCES.map(|(known, _)| known);
        return Err(format!(
            "there is no limit {name:?}{}; they are {}",
            did_you_mean(&name, &known),
            known.join(", ")
        ));
    };
    let value = |text: &str| match text {
        "-1" | "unlimited" => Ok(None),
        number => number.parse().map(Some).map_err(|_| format!("{number:?} is no number, -1 or unlimited")),
    };
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let limit = ResourceLimit { resource: name, soft: value(soft)?, hard: value(hard)? };
    let above = |one: Option<u64>, other: Option<u64>| one.unwrap_or(u64::MAX) > other.unwrap_or(u64::MAX);
    if above(limit.soft, limit.hard) {
        return Err(format!("the soft limit {soft} is above the hard limit {hard}"));
    }
    let own = rustix::process::getrlimit(*resource).maximum;
    if above(limit.hard, own) && !rustix::process::geteuid().is_root() {
        let own = own.map_or("unlimited".to_owned(), |own| own.to_string());
        return Err(format!(
            "the hard limit {hard} is above that of rbuild itself, {own}, and only root may raise one"
        ));
    }
    Ok(Some(limit))
}

/// A number of bytes, with a unit of 1024 or a power of it: `b`, `k`, `m`, `g`, or the same with `b` or `ib` behind.
fn size(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit: u64 = match &*unit.to_ascii_lowercase() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err("expected a number of bytes, or one with b, k, m or g".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number of bytes, or one with b, k, m or g")?;
    number.checked_mul(unit).ok_or_else(|| format!("more than {} bytes", u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_a_name_and_one_or_two_values() {
        let limit = |resource: &str, soft, hard| {
            Some(Some(ResourceLimit { resource: resource.to_owned(), soft, hard }))
        };
        for (text, want) in [
            ("host", Some(None)),
            ("nofile=5", limit("nofile", Some(5), Some(5))),
            ("NOFILE=5:7", limit("nofile", Some(5), Some(7))),
            ("core=0:0", limit("core", Some(0), Some(0))),
            ("nofile=7:5", None),
            ("nofile=-1:5", None),
            ("nofile", None),
            ("nofile=", None),
            ("nofile=x", None),
            ("files=5", None),
        ] {
            assert_eq!(ulimit(text).ok(), want, "{text}");
        }
        assert!(ulimit("nofiles=5").unwrap_err().contains("did you mean nofile?"));
    }

    #[test]
    fn lists_are_numbers_and_ranges() {
        for (text, want) in
            [("0", true), ("0-3,7", true), ("", false), ("0-", false), ("a", false), ("0,,1", false)]
        {
            assert_eq!(list(text).is_ok(), want, "{text}");
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, want) in [
            ("0", Some(0)),
            ("1000", Some(1000)),
            ("1b", Some(1)),
            ("2k", Some(2048)),
            ("64m", Some(64 << 20)),
            ("1G", Some(1 << 30)),
            ("1GiB", Some(1 << 30)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1.5g", None),
            ("1x", None),
            ("99999999999999g", None),
        ] {
            assert_eq!(size(text).ok(), want, "{text:?}");
        }
    }
}
