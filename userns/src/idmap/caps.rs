//! Capability sets as numbers: what a process holds, and what a file would give it.

/// A set of capabilities, one bit each; `capabilities(7)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CapSet(pub u64);

/// One capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cap {
    Chown = 0,
    DacOverride = 1,
    Fowner = 3,
    Setgid = 6,
    Setuid = 7,
    SysAdmin = 21,
    Setfcap = 31,
}

impl Cap {
    pub fn name(self) -> &'static str {
        match self {
            Self::Chown => "CAP_CHOWN",
            Self::DacOverride => "CAP_DAC_OVERRIDE",
            Self::Fowner => "CAP_FOWNER",
            Self::Setgid => "CAP_SETGID",
            Self::Setuid => "CAP_SETUID",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Setfcap => "CAP_SETFCAP",
        }
    }
}

impl CapSet {
    pub fn has(self, cap: Cap) -> bool {
        self.0 & (1 << cap as u32) != 0
    }

    /// The names of those of `wanted` that are missing, or `None` if none is.
    pub fn missing(self, wanted: &[Cap]) -> Option<String> {
        let names: Vec<_> = wanted.iter().filter(|cap| !self.has(**cap)).map(|cap| cap.name()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// The effective file capabilities in the bytes of a `security.capability` attribute.
    ///
    /// `struct vfs_ns_cap_data` of `linux/capability.h`: a word of revision and flags, then the low
    /// halves of the permitted and inheritable sets, then the high halves. Without the effective flag the
    /// program starts with nothing switched on, and ours do not switch it on by themselves.
    pub fn of_file(attribute: &[u8]) -> Self {
        const EFFECTIVE: u32 = 1;
        let word = |index: usize| {
            let bytes = attribute.get(index * 4..index * 4 + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        match (word(0), word(1), word(3)) {
            (Some(magic), Some(low), Some(high)) if magic & EFFECTIVE != 0 => {
                Self(u64::from(high) << 32 | u64::from(low))
            }
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_capabilities_from_the_attribute() {
        let setcap_ep = [1, 0, 0, 2, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let mut not_effective = setcap_ep;
        not_effective[0] = 0;
        for (row, attribute, missing) in [
            ("cap_setgid,cap_setuid=ep", &setcap_ep[..], None),
            ("=p alone", &not_effective[..], Some("CAP_SETUID, CAP_SETGID")),
            ("truncated", &setcap_ep[..10], Some("CAP_SETUID, CAP_SETGID")),
            ("empty", &[][..], Some("CAP_SETUID, CAP_SETGID")),
        ] {
            let found = CapSet::of_file(attribute).missing(&[Cap::Setuid, Cap::Setgid]);
            assert_eq!(found.as_deref(), missing, "{row}");
        }
    }
}
