//! What RUN may do.

mod options;

use rbuild_userns::caps::Capabilities;

use crate::cli::failure::Failure;
use crate::container::CapabilityChange;
use crate::dockerfile::did_you_mean;
use crate::runtime::{DEFAULT_CAPABILITIES, Security};

#[derive(clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Security of RUN")]
pub(super) struct Args {
    /// A capability more than the usual ones, or all; may be given several times
    #[arg(long, value_name = "CAP", value_delimiter = ',', value_parser = Capability::parse)]
    cap_add: Vec<Capability>,
    /// A capability less, or all; wins over --cap-add; may be given several times
    #[arg(long, value_name = "CAP", value_delimiter = ',', value_parser = Capability::parse)]
    cap_drop: Vec<Capability>,
    /// Security options: seccomp=FILE|unconfined, no-new-privileges, mask=PATH[:PATH], unmask=PATH[:PATH]|ALL,
    /// apparmor=PROFILE|unconfined, label=disable|user:U|role:R|type:T|level:L; may be given several times
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = options::parse)]
    security_opt: Vec<options::Opt>,
}

impl Args {
    /// What is added to and dropped from a set that is known elsewhere.
    pub(super) fn capability_change(&self) -> Result<CapabilityChange, Failure> {
        let named = |words: &[Capability]| {
            let one = |word: &Capability| match word {
                Capability::All => None,
                Capability::One(name) => Some(name.clone()),
            };
            words.iter().filter_map(one).collect::<Vec<_>>()
        };
        let is_all = |words: &[Capability]| words.iter().any(|word| matches!(word, Capability::All));
        let (mut added, mut dropped) = (named(&self.cap_add), named(&self.cap_drop));
        // Dropping all leaves what is added by name.
        match (is_all(&self.cap_add), is_all(&self.cap_drop)) {
            (true, true) => {
                return Err(Failure::new("--cap-add all and --cap-drop all contradict each other"));
            }
            (true, false) => added = capabilities(&[Capability::All], &[])?,
            (false, true) => {
                dropped.extend(Capabilities::names().into_iter().filter(|name| !added.contains(name)));
            }
            (false, false) => {}
        }
        Ok(CapabilityChange { added, dropped })
    }

    pub(super) fn security(&self) -> Result<Security, Failure> {
        let capabilities = capabilities(&self.cap_add, &self.cap_drop)?;
        options::apply(&self.security_opt, Security { capabilities, ..Security::default() })
    }
}

/// Every capability that there is to give, no filter, and nothing of `/proc` and `/sys` hidden.
pub(super) fn insecure() -> Result<Security, Failure> {
    let capabilities = capabilities(&[Capability::All], &[])?;
    let lifted = ["seccomp=unconfined", "unmask=ALL"].map(|word| options::parse(word).map_err(Failure::new));
    let lifted = lifted.into_iter().collect::<Result<Vec<_>, _>>()?;
    options::apply(&lifted, Security { capabilities, ..Security::default() })
}

/// What one word of `--cap-add` or `--cap-drop` names.
#[derive(Clone)]
enum Capability {
    All,
    One(String),
}

impl Capability {
    /// Reads a name in any case, with or without `CAP_`.
    fn parse(word: &str) -> Result<Self, String> {
        let upper = word.to_ascii_uppercase();
        if upper == "ALL" {
            return Ok(Self::All);
        }
        let name = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
        let known = Capabilities::names();
        if known.contains(&name) {
            return Ok(Self::One(name));
        }
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        Err(format!("no capability of capabilities(7), nor all{}", did_you_mean(&name, &known)))
    }
}

/// The default set with what is added and without what is dropped. Dropping all leaves what is added by name.
fn capabilities(add: &[Capability], drop: &[Capability]) -> Result<Vec<String>, Failure> {
    let is_all = |words: &[Capability]| words.iter().any(|word| matches!(word, Capability::All));
    let has = |words: &[Capability], name: &str| {
        words.iter().any(|word| matches!(word, Capability::One(one) if one == name))
    };
    let (add_all, drop_all) = (is_all(add), is_all(drop));
    if add_all && drop_all {
        return Err(Failure::new("--cap-add all and --cap-drop all contradict each other"));
    }
    let all = Capabilities::obtainable().map_err(|why| Failure::new(format!("--cap-add: {why}")))?;
    let base = |name: &str| {
        if add_all {
            all.iter().any(|one| one == name)
        } else {
            !drop_all && DEFAULT_CAPABILITIES.contains(&name)
        }
    };
    let kept = |name: &String| (base(name) || has(add, name)) && !has(drop, name);
    Ok(Capabilities::names().into_iter().filter(kept).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Capability> {
        text.split_whitespace().map(|word| Capability::parse(word).unwrap()).collect()
    }

    #[test]
    fn capabilities_are_added_and_dropped() {
        let usual = DEFAULT_CAPABILITIES.join(" ");
        let all = Capabilities::obtainable().unwrap().join(" ");
        let without = |set: &str, name: &str| set.replace(&format!("{name} "), "");
        for (add, drop, want) in [
            ("", "", usual.clone()),
            ("chown", "", usual.clone()),
            ("CAP_AUDIT_CONTROL", "", format!("CAP_AUDIT_CONTROL {usual}")),
            ("audit_control", "all", "CAP_AUDIT_CONTROL".to_owned()),
            ("", "Cap_Kill", without(&usual, "CAP_KILL")),
            ("kill", "kill", without(&usual, "CAP_KILL")),
            ("", "ALL", String::new()),
            ("all", "", all.clone()),
            ("all", "sys_admin", without(&all, "CAP_SYS_ADMIN")),
        ] {
            let got = capabilities(&words(add), &words(drop)).unwrap();
            assert_eq!(got.join(" "), want, "add {add:?}, drop {drop:?}");
        }
        assert!(capabilities(&words("all"), &words("all")).is_err());
    }

    #[test]
    fn unknown_capabilities_are_refused() {
        for (word, hint) in [
            ("sys_admim", " (did you mean CAP_SYS_ADMIN?)"),
            ("CAP_CHWON", " (did you mean CAP_CHOWN?)"),
            ("nonsense", ""),
            ("", ""),
        ] {
            let want = format!("no capability of capabilities(7), nor all{hint}");
            assert_eq!(Capability::parse(word).err(), Some(want), "{word:?}");
        }
    }
}
