//! The tree that every row starts from, and its parts in words that a layer, a plain directory and a step can all make.

/// One entry: as a layer's, as a directory's, or made by a step.
#[derive(Clone)]
pub struct Made {
    pub path: String,
    pub what: What,
    pub mode: u32,
    pub owner: (u32, u32),
    pub xattrs: &'static [(&'static str, &'static [u8])],
}

#[derive(Clone)]
pub enum What {
    Dir,
    File(&'static str),
    /// Another name of this path.
    Link(String),
    Symlink(&'static str),
    Fifo,
    Char(u32, u32),
    Block(u32, u32),
    /// Only in layers: what is below is not there.
    Whiteout,
    /// Only in layers: nothing of what is below is in this directory.
    Opaque,
}

/// The time of everything in a layer.
pub const TIME: (i64, u32) = (1_000_000_000, 123_456_789);

/// `VFS_CAP_REVISION_2` with `cap_net_raw=ep` (linux/capability.h).
pub const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// `user::rw-,user:0:rw-,group::r--,mask::rw-,other::---` (`linux/posix_acl_xattr.h`).
pub const LIST: &[u8] = &[
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 0, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16,
    0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

/// The same that a directory hands down: `user::rwx,user:0:rwx,group::r-x,mask::rwx,other::---`.
pub const DEFAULT_LIST: &[u8] = &[
    2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 0, 0, 0, 0, 4, 0, 5, 0, 255, 255, 255, 255, 16,
    0, 7, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

impl Made {
    fn new(path: impl Into<String>, what: What, mode: u32) -> Self {
        Self { path: path.into(), what, mode, owner: (0, 0), xattrs: &[] }
    }

    pub fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }

    pub fn owner(self, uid: u32, gid: u32) -> Self {
        Self { owner: (uid, gid), ..self }
    }

    fn xattrs(self, xattrs: &'static [(&'static str, &'static [u8])]) -> Self {
        Self { xattrs, ..self }
    }
}

pub fn dir(path: impl Into<String>) -> Made {
    Made::new(path, What::Dir, 0o755)
}

pub fn file(path: impl Into<String>, text: &'static str) -> Made {
    Made::new(path, What::File(text), 0o644)
}

pub fn whiteout(path: impl Into<String>) -> Made {
    Made::new(path, What::Whiteout, 0)
}

pub fn opaque(path: impl Into<String>) -> Made {
    Made::new(path, What::Opaque, 0)
}

/// The tree at `at`: every kind of thing that a layer can hold.
pub fn tree(at: &str) -> Vec<Made> {
    let in_it = |name: &str| format!("{at}/{name}");
    let special = |name, what, mode| Made::new(in_it(name), what, mode);
    vec![
        dir(at),
        file(in_it("a"), "text of a").mode(0o640).owner(7, 8),
        special("b", What::Block(7, 0), 0o660),
        special("c", What::Char(1, 3), 0o666),
        dir(in_it("empty")),
        file(in_it("f"), "lower text of f"),
        special("g", What::Link(in_it("f")), 0o644),
        special("p", What::Fifo, 0o600),
        file(in_it("q"), "text of q").mode(0o660).owner(0, 9).xattrs(&[("system.posix_acl_access", LIST)]),
        dir(in_it("r")).xattrs(&[("system.posix_acl_default", DEFAULT_LIST)]),
        special("s", What::Symlink("f"), 0o777),
        dir(in_it("sub")),
        dir(in_it("sub/deep")),
        file(in_it("sub/deep/y"), "text of y"),
        file(in_it("sub/x"), "text of x"),
        special("t", What::Symlink("sub"), 0o777),
        file(in_it("u"), "text of u").mode(0o4755).owner(3, 4),
        file(in_it("x"), "text of x")
            .mode(0o755)
            .xattrs(&[("security.capability", CAPABILITY), ("user.mark", b"kept")]),
    ]
}

/// What stands beside the tree.
pub fn other() -> Vec<Made> {
    vec![dir("other"), file("other/o", "text of o")]
}
