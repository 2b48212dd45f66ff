//! POSIX access control lists: the attributes `system.posix_acl_access` and `system.posix_acl_default`.
//!
//! Who may do what the kernel judges by itself: it reads the list. What is left to a file system is to keep mode bits and
//! list in step, and to give what is made in a directory that directory's default list. The form is the one in which
//! the kernel hands attributes to programs (`linux/posix_acl_xattr.h`), with ids of the mount's user namespace; a layer
//! has the same bytes as `SCHILY.xattr.system.posix_acl_*`, which is what unpacks everywhere.

use rustix::io::Errno;

use crate::layer::Xattrs;

pub const ACCESS: &[u8] = b"system.posix_acl_access";
pub const DEFAULT: &[u8] = b"system.posix_acl_default";

/// Whether the attribute `name` is a list.
pub fn is_list(name: &[u8]) -> bool {
    name == ACCESS || name == DEFAULT
}

/// `chmod`: the access list among `xattrs`, where there is one, says the same afterwards.
pub fn change_mode(xattrs: &mut Xattrs, mode: u32) {
    if let Some(value) = xattrs.get_mut(ACCESS)
        && let Ok(mut list) = Acl::parse(value)
    {
        list.set_mode(mode);
        *value = list.to_bytes();
    }
}

/// The one version of the form there is.
const VERSION: [u8; 4] = 2_u32.to_le_bytes();

/// Whom an entry is for. Named users and groups keep their id in the entry's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Owner,
    User,
    Group,
    NamedGroup,
    Mask,
    Other,
}

impl Tag {
    fn from_wire(tag: u16) -> Option<Self> {
        Some(match tag {
            0x01 => Self::Owner,
            0x02 => Self::User,
            0x04 => Self::Group,
            0x08 => Self::NamedGroup,
            0x10 => Self::Mask,
            0x20 => Self::Other,
            _ => return None,
        })
    }
}

/// A list. Each entry is eight bytes: tag, permissions, id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl(Vec<[u8; 8]>);

impl Acl {
    /// Errors with EINVAL where the bytes are no list, or not one with exactly the three entries that every list has.
    pub fn parse(bytes: &[u8]) -> Result<Self, Errno> {
        let entries = bytes.strip_prefix(&VERSION).ok_or(Errno::INVAL)?;
        let (entries, rest) = entries.as_chunks::<8>();
        let list = Self(entries.to_vec());
        let known = entries.iter().all(|&entry| tag(entry).is_some() && permissions(entry) <= 7);
        let once = |wanted| entries.iter().filter(|entry| tag(**entry) == Some(wanted)).count();
        let complete = [Tag::Owner, Tag::Group, Tag::Other].into_iter().all(|wanted| once(wanted) == 1);
        let named = once(Tag::User) + once(Tag::NamedGroup) > 0;
        let masked = once(Tag::Mask) == 1 || once(Tag::Mask) == 0 && !named;
        if rest.is_empty() && known && complete && masked { Ok(list) } else { Err(Errno::INVAL) }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        [&VERSION, self.0.as_flattened()].concat()
    }

    /// Whether the mode bits say all that the list says.
    pub fn is_minimal(&self) -> bool {
        self.0.len() == 3
    }

    /// Whether a user or group other than 0 is named.
    pub fn names_others_than_root(&self) -> bool {
        let is_named = |entry: &&[u8; 8]| matches!(tag(**entry), Some(Tag::User | Tag::NamedGroup));
        self.0.iter().filter(is_named).any(|entry| entry[4..] != [0; 4])
    }

    /// `mode` with the permissions that the list shows as: the group's are the mask where there is one.
    pub fn to_mode(&self, mode: u32) -> u32 {
        let bits = |wanted| self.0.iter().copied().find(|entry| tag(*entry) == Some(wanted)).map(permissions);
        let group = bits(Tag::Mask).or(bits(Tag::Group)).unwrap_or(0);
        mode & !0o777 | bits(Tag::Owner).unwrap_or(0) << 6 | group << 3 | bits(Tag::Other).unwrap_or(0)
    }

    /// What `chmod` to `mode` makes of it.
    pub fn set_mode(&mut self, mode: u32) {
        self.restrict(|_, wanted| wanted, mode);
    }

    /// The list of a file that is made with `mode` where this is the directory's default: it takes the place of the
    /// umask. Its mode is then [`Self::to_mode`].
    pub fn inherited(&self, mode: u32) -> Self {
        let mut list = self.clone();
        list.restrict(|has, wanted| has & wanted, mode);
        list
    }

    fn restrict(&mut self, to: impl Fn(u32, u32) -> u32, mode: u32) {
        let masked = self.0.iter().any(|entry| tag(*entry) == Some(Tag::Mask));
        for entry in &mut self.0 {
            let wanted = match tag(*entry) {
                Some(Tag::Owner) => mode >> 6,
                Some(Tag::Mask) => mode >> 3,
                Some(Tag::Group) if !masked => mode >> 3,
                Some(Tag::Other) => mode,
                _ => continue,
            };
            let bits = to(permissions(*entry), wanted & 7);
            entry[2] = u8::try_from(bits).unwrap_or(7);
        }
    }
}

fn tag(entry: [u8; 8]) -> Option<Tag> {
    Tag::from_wire(u16::from_le_bytes([entry[0], entry[1]]))
}

fn permissions(entry: [u8; 8]) -> u32 {
    u32::from(u16::from_le_bytes([entry[2], entry[3]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list from words like `u::rw-`, `u:7:r--`, `m::r--`.
    fn list(text: &str) -> Vec<u8> {
        let entries = text.split_whitespace().flat_map(|word| {
            let mut parts = word.split(':');
            let mut part = || parts.next().unwrap();
            let (who, id, bits) = (part(), part(), part());
            let tag: u16 = match (who, id) {
                ("u", "") => 1,
                ("u", _) => 2,
                ("g", "") => 4,
                ("g", _) => 8,
                ("m", _) => 16,
                _ => 32,
            };
            let bits = bits.bytes().fold(0_u16, |bits, byte| bits << 1 | u16::from(byte != b'-'));
            let id: u32 = if id.is_empty() { u32::MAX } else { id.parse().unwrap() };
            [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &id.to_le_bytes()].concat()
        });
        VERSION.into_iter().chain(entries).collect()
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let good = list("u::rw- u:7:rwx g::r-x m::rwx o::r--");
        assert_eq!(Acl::parse(&good).unwrap().to_bytes(), good);
        for (bytes, why) in [
            (Vec::new(), "nothing"),
            (VERSION.to_vec(), "no entries"),
            ([&[1, 0, 0, 0], &good[4..]].concat(), "another version"),
            (good[..good.len() - 1].to_vec(), "cut short"),
            (list("u::rw- g::r--"), "nothing for others"),
            (list("u::rw- u::rw- g::r-- o::r--"), "two owners"),
            (list("u::rw- u:7:rw- g::r-- o::r--"), "a named user without a mask"),
            (list("u::rw- g::r-- m::rw- m::rw- o::r--"), "two masks"),
        ] {
            assert_eq!(Acl::parse(&bytes), Err(Errno::INVAL), "{why}");
        }
    }

    #[test]
    fn whom_a_list_names_is_known() {
        for (row, want) in [
            ("u::rwx g::r-x o::---", false),
            ("u::rwx u:0:rwx g::r-x g:0:r-x m::rwx o::---", false),
            ("u::rwx u:0:rwx u:7:rwx g::r-x m::rwx o::---", true),
            ("u::rwx g::r-x g:65536:r-x m::rwx o::---", true),
        ] {
            assert_eq!(Acl::parse(&list(row)).unwrap().names_others_than_root(), want, "{row}");
        }
    }

    #[test]
    fn list_and_mode_are_kept_in_step() {
        for (row, mode, changed, inherited) in [
            ("u::rwx g::r-x o::---", 0o750, "u::rw- g::r-- o::---", "u::rw- g::r-- o::---"),
            (
                "u::rwx u:7:rwx g::rwx m::rwx o::rwx",
                0o777,
                "u::rw- u:7:rwx g::rwx m::r-- o::---",
                "u::rw- u:7:rwx g::rwx m::r-- o::---",
            ),
            (
                "u::r-x u:7:rwx g::rwx g:8:--x m::-wx o::r--",
                0o534,
                "u::rw- u:7:rwx g::rwx g:8:--x m::r-- o::---",
                "u::r-- u:7:rwx g::rwx g:8:--x m::--- o::---",
            ),
        ] {
            let acl = Acl::parse(&list(row)).unwrap();
            assert_eq!(acl.to_mode(0o4000), 0o4000 | mode, "{row}: shown as");
            assert_eq!(acl.is_minimal(), acl.0.len() == 3, "{row}");
            let mut after = acl.clone();
            after.set_mode(0o640);
            assert_eq!(after.to_bytes(), list(changed), "{row}: chmod 640");
            assert_eq!(acl.inherited(0o640).to_bytes(), list(inherited), "{row}: made with 640");
        }
    }
}
