//! How much RUN may use.

use crate::runtime::Limits;

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Limits of RUN")]
pub(super) struct Args {
    /// The size of /dev/shm, such as 64m; 0 sets no limit
    #[arg(long, value_name = "SIZE", default_value = "64m", value_parser = size)]
    shm_size: u64,
}

impl Args {
    pub(super) fn limits(&self) -> Limits {
        Limits { shared_memory: self.shm_size }
    }
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
