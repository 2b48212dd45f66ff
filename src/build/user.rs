//! Who a step runs as and who owns what is copied: names of the image, resolved to numbers.
//!
//! The image's own `/etc/passwd` and `/etc/group` decide, never the host's. They are read in process,
//! through the stack; nothing of the image runs for it.

use super::StepError;
use crate::rootfs::Stack;

/// The longest account file that is read, in bytes.
const LIMIT: u64 = 16 << 20;

/// The account files of an image.
#[derive(Default)]
pub(super) struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
}

struct User {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// A process's identity.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, the group itself first: a program that changes its group must not lose it.
    pub groups: Vec<u32>,
    pub home: String,
}

impl Accounts {
    /// The accounts of the image whose root is `stack`; an absent file has no rows.
    pub(super) fn of(stack: &Stack) -> Result<Self, StepError> {
        let read = |path: &[u8]| stack.read(path, LIMIT).map(Option::unwrap_or_default);
        Ok(Self::parse(&read(b"etc/passwd")?, &read(b"etc/group")?))
    }

    /// Rows that are not rows are passed over, as libc does.
    fn parse(passwd: &[u8], group: &[u8]) -> Self {
        let text = String::from_utf8_lossy(passwd);
        let users = rows(&text).filter_map(|row| {
            let [name, _, uid, gid, _, home, ..] = row[..] else { return None };
            Some(User {
                name: name.into(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home: home.into(),
            })
        });
        let users = users.collect();
        let text = String::from_utf8_lossy(group);
        let groups = rows(&text).filter_map(|row| {
            let [name, _, gid, members, ..] = row[..] else { return None };
            let members = members.split(',').map(str::to_owned).collect();
            Some(Group { name: name.into(), gid: gid.parse().ok()?, members })
        });
        Self { users, groups: groups.collect() }
    }

    /// USER: `user[:group]`, each a name or a number; empty is root. A number needs no row; a user without
    /// a row has group 0. Further groups of the image apply only where no group is given.
    pub(super) fn identity(&self, spec: &str) -> Result<Identity, StepError> {
        let (user, group) = split(spec);
        let (uid, row) = self.user(if user.is_empty() { "0" } else { user })?;
        let home = row.map_or("/", |row| &row.home).to_owned();
        if let Some(group) = group {
            let gid = self.group(group)?;
            return Ok(Identity { uid, gid, groups: vec![gid], home });
        }
        let gid = row.map_or(0, |row| row.gid);
        let member =
            |group: &&Group| row.is_some_and(|row| group.gid != gid && group.members.contains(&row.name));
        let further = self.groups.iter().filter(member).map(|group| group.gid);
        let groups = std::iter::once(gid).chain(further).collect();
        Ok(Identity { uid, gid, groups, home })
    }

    /// `--chown`: `user[:group]`. A number alone is its own group; a name alone brings its primary group; a
    /// group alone leaves the user root.
    pub(super) fn owner(&self, spec: &str) -> Result<(u32, u32), StepError> {
        let (user, group) = split(spec);
        let (uid, row) = self.user(if user.is_empty() && group.is_some() { "0" } else { user })?;
        let gid = match group {
            Some(group) => self.group(group)?,
            None if user.parse::<u32>().is_ok() => uid,
            None => row.map_or(uid, |row| row.gid),
        };
        Ok((uid, gid))
    }

    fn user(&self, user: &str) -> Result<(u32, Option<&User>), StepError> {
        if let Some(row) = self.users.iter().find(|row| row.name == user) {
            return Ok((row.uid, Some(row)));
        }
        let missing = || StepError::NoSuchId { kind: "user", name: user.to_owned(), file: "/etc/passwd" };
        let uid = user.parse().map_err(|_| missing())?;
        Ok((uid, self.users.iter().find(|row| row.uid == uid)))
    }

    /// A group by name or number; a number needs no row.
    pub(super) fn group(&self, group: &str) -> Result<u32, StepError> {
        let missing = || StepError::NoSuchId { kind: "group", name: group.to_owned(), file: "/etc/group" };
        match self.groups.iter().find(|row| row.name == group) {
            Some(row) => Ok(row.gid),
            None => group.parse().map_err(|_| missing()),
        }
    }
}

fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.starts_with('#')).map(|line| line.trim().split(':').collect())
}

/// `user:group`; an empty group counts as none.
fn split(spec: &str) -> (&str, Option<&str>) {
    match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (spec, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts::parse(
            b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:50:App:/home/app:/bin/sh\n# no row\nbroken\nbad:x:y:z::/:\n",
            b"root:x:0:\nstaff:x:50:\nextra:x:70:app,other\n1234:x:99:\n",
        )
    }

    #[test]
    fn users_are_resolved_in_the_image() {
        let rows = [
            ("", Some((0, 0, vec![0], "/root"))),
            ("app", Some((1000, 50, vec![50, 70], "/home/app"))),
            ("1000", Some((1000, 50, vec![50, 70], "/home/app"))),
            ("app:root", Some((1000, 0, vec![0], "/home/app"))),
            ("app:", Some((1000, 50, vec![50, 70], "/home/app"))),
            ("1234", Some((1234, 0, vec![0], "/"))),
            ("1234:1234", Some((1234, 99, vec![99], "/"))),
            ("nobody", None),
            ("app:nobody", None),
            ("-1", None),
            ("4294967296", None),
        ];
        for (spec, want) in rows {
            let want = want.map(|(uid, gid, groups, home)| Identity { uid, gid, groups, home: home.into() });
            assert_eq!(accounts().identity(spec).ok(), want, "{spec:?}");
        }
    }

    #[test]
    fn owners_are_resolved_in_the_image() {
        for (spec, want) in [
            ("app", Some((1000, 50))),
            ("1000", Some((1000, 1000))),
            ("7:8", Some((7, 8))),
            ("app:staff", Some((1000, 50))),
            ("0:extra", Some((0, 70))),
            (":extra", Some((0, 70))),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(accounts().owner(spec).ok(), want, "{spec:?}");
        }
    }
}
