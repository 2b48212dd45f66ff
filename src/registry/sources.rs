//! Which registries may be spoken to, as an environment prescribes it for all that is built in it.

use serde::Deserialize;

use super::error::Error;

/// Registries by their addresses, `HOST[:PORT]`: the value of `BUILD_REGISTRY_SOURCES`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Sources {
    /// Those whose certificates go unchecked, and which may speak plain HTTP.
    pub insecure_registries: Vec<String>,
    /// Those that must not be spoken to.
    pub blocked_registries: Vec<String>,
    /// The only ones that may be spoken to; all, if there are none.
    pub allowed_registries: Vec<String>,
}

impl Sources {
    /// Whether `registry` may go without TLS. Errors with [`Error::Blocked`] if it must not be spoken to.
    pub(super) fn is_insecure(&self, subject: &str, registry: &str) -> Result<bool, Error> {
        let has = |list: &[String]| list.iter().any(|one| one == registry);
        let why = if has(&self.blocked_registries) {
            "is among those that are blocked"
        } else if !self.allowed_registries.is_empty() && !has(&self.allowed_registries) {
            "is not among those that are allowed"
        } else {
            return Ok(has(&self.insecure_registries));
        };
        Err(Error::Blocked { subject: subject.to_owned(), registry: registry.to_owned(), why })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_blocked_is_blocked_and_what_is_allowed_shuts_out_the_rest() {
        let sources: Sources = serde_json::from_str(
            r#"{"insecureRegistries": ["old"], "blockedRegistries": ["bad"], "allowedRegistries": ["old", "bad", "good"]}"#,
        )
        .unwrap();
        for (registry, want) in [("good", Some(false)), ("old", Some(true)), ("bad", None), ("other", None)] {
            assert_eq!(sources.is_insecure("it", registry).ok(), want, "{registry}");
        }
        assert!(!Sources::default().is_insecure("it", "other").unwrap());
        assert!(serde_json::from_str::<Sources>(r#"{"blocked": []}"#).is_err(), "a list by another name");
    }
}
