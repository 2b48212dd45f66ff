//! Extended attributes and the access lists among them.

use super::Operation;

pub const XATTRS: &[Operation] = &[
    ("set an attribute", "setxattr d/a user.one 1; getxattr d/a user.one; setxattr d/a user.one 2"),
    ("set an attribute of a directory", "setxattr d/sub user.one 1; listxattr d/sub"),
    (
        "set an attribute only anew",
        "setxattr-new d/x user.mark 2; setxattr-new d/a user.one 1; setxattr-new d/a user.one 2",
    ),
    (
        "set an attribute only again",
        "setxattr-old d/x user.mark 2; setxattr-old d/a user.one 1; getxattr d/x user.mark",
    ),
    ("set an attribute by the other name", "setxattr d/f user.one 1; getxattr d/g user.one"),
    ("set an empty attribute", "setxattr d/a user.empty; getxattr d/a user.empty; listxattr d/a"),
    ("a long attribute", "setxattr d/a user.long =255; getxattr d/a user.long"),
    ("list attributes", "listxattr d/x; listxattr d/a; listxattr d/sub; listxattr d/s"),
    ("get attributes", "getxattr d/x user.mark; getxattr d/x user.none"),
    (
        "get an attribute of what has none",
        "getxattr d/a user.none; getxattr d/sub user.none; getxattr d/f security.capability",
    ),
    ("remove an attribute", "removexattr d/x user.mark; listxattr d/x"),
    ("remove a capability", "removexattr d/x security.capability; listxattr d/x"),
    ("remove an attribute that is not there", "removexattr d/a user.none; removexattr d/x user.none"),
    (
        "attributes of what takes none",
        "setxattr d/s user.one 1; setxattr d/p user.one 1; setxattr d/none user.one 1",
    ),
    (
        "attributes stay with the bytes",
        "append d/x _more; setxattr d/x user.more 1; chmod d/x 700; listxattr d/x",
    ),
    ("attributes move", "rename d/x d/n; getxattr d/n user.mark; setxattr d/n user.more 1"),
    ("a capability", "chown d/a 0:0; capability d/a; getxattr d/a security.capability"),
    ("refused attributes", "setxattr d/a trusted.one 1; getxattr d/a trusted.one"),
];

/// POSIX access control lists.
pub const LISTS: &[Operation] = &[
    (
        "get lists",
        "getxattr d/q system.posix_acl_access; getxattr d/r system.posix_acl_default; listxattr d/q",
    ),
    (
        "lists of what has none",
        "getxattr d/a system.posix_acl_access; getxattr d/sub system.posix_acl_default; getxattr d/a system.posix_acl_default",
    ),
    ("a mask and root", "chmod d/q 600; read d/q; getxattr d/q system.posix_acl_access"),
    ("chmod and a list", "chmod d/q 4640; getxattr d/q system.posix_acl_access; chmod d/q 606"),
    ("a list shows as mode bits", "access-list d/a u::rwx,u:0:r--,g::---,m::r-x,o::--x; mode d/a"),
    ("a list that the mode says", "access-list d/q u::rw-,g::r--,o::r--; listxattr d/q; mode d/q"),
    ("a list replaced", "access-list d/q u::rw-,g::r--,g:0:r--,m::r--,o::---; mode d/q"),
    ("a list removed", "removexattr d/q system.posix_acl_access; listxattr d/q; mode d/q"),
    (
        "no list to remove",
        "removexattr d/a system.posix_acl_access; removexattr d/sub system.posix_acl_default",
    ),
    (
        "a list stays with the bytes",
        "append d/q _more; write d/q anew; truncate d/q 2; getxattr d/q system.posix_acl_access",
    ),
    ("a list moves", "rename d/q d/n; rename d/r d/m; getxattr d/n system.posix_acl_access; link d/n d/l"),
    ("a list goes with its file", "create d/n text; rename d/n d/q; getxattr d/q system.posix_acl_access"),
    (
        "handed down",
        "create d/r/n text; create-mode d/r/m 600 text; mkdir d/r/sub 755; mkdir d/r/sub/sub 700; mkfifo d/r/p 666; \
         symlink n d/r/l; mksocket d/r/k 666; nameless-linked d/r d/r/t text",
    ),
    ("handed down no more", "removexattr d/r system.posix_acl_default; create d/r/n text; mkdir d/r/sub 755"),
    (
        "not handed to what moves in",
        "rename d/a d/r/a; link d/f d/r/f; getxattr d/r/a system.posix_acl_access",
    ),
    (
        "handed down anew",
        "default-list d/sub u::rwx,g::r-x,g:0:rwx,m::rwx,o::---; create d/sub/n text; mkdir d/sub/m 777; \
         append d/sub/x _more; create d/sub/deep/n text",
    ),
    (
        "handed down without names",
        "default-list d/sub u::rw-,g::r--,o::---; create d/sub/n text; mkdir d/sub/m 777",
    ),
    (
        "what is no list",
        "setxattr d/a system.posix_acl_access text; access-list d/a u::rw-; \
         access-list d/a u::rw-,u:0:r--,g::r--,o::r--; default-list d/a u::rwx,g::r-x,o::---; \
         access-list d/s u::rwx,g::r-x,o::---; access-list d/none u::rw-,g::r--,o::---",
    ),
    ("chown and a list", "chown d/q 7:8; getxattr d/q system.posix_acl_access; chown d/r 5:6"),
    (
        "a list by one of two names",
        "access-list d/f u::rw-,u:0:rw-,g::r--,m::rw-,o::r--; getxattr d/g system.posix_acl_access",
    ),
    (
        "the tree hands down",
        "default-list d u::rwx,u:0:r-x,g::r-x,m::r-x,o::---; create d/n text; mkdir d/m 755; make-in d/m",
    ),
];

/// Lists that name others than root, and whom they keep away. Where owners are records the kernel takes no such list
/// (EINVAL: those it names are not in the user namespace) and keeps nobody away.
pub const LISTS_OF_OTHERS: &[Operation] = &[
    ("a layer's list says who may", "chmod d 755; as 8:9 read d/q; as 8:9 append d/q _more; as 8:8 read d/q"),
    (
        "a new list says who may",
        "chmod d 755; access-list d/f u::rw-,u:9:---,g::r--,g:8:rw-,m::rw-,o::r--; as 9:9 read d/f; \
         as 7:8 append d/f _more; as 7:7 append d/f _more; as 7:7 read d/f; read d/g",
    ),
    (
        "a mask says who may not",
        "chmod d 755; access-list d/q u::rw-,u:7:rw-,g::r--,m::rw-,o::---; chmod d/q 600; as 7:8 read d/q; \
         chmod d/q 640; as 7:8 read d/q; as 7:8 append d/q _more",
    ),
    (
        "a list is the owner's to set",
        "chmod d 755; as 7:8 access-list d/a u::rwx,u:9:r--,g::r--,m::r--,o::---; \
         as 9:8 access-list d/a u::rwx,g::r--,o::---; as 9:8 removexattr d/q system.posix_acl_access",
    ),
    (
        "a list takes setgid away",
        "chmod d 755; chmod d/a 2777; as 7:9 access-list d/a u::rwx,u:9:r--,g::rwx,m::rwx,o::---; mode d/a",
    ),
    (
        "lists of others handed down",
        "default-list d/r u::rwx,u:7:rwx,g::r-x,g:70:--x,m::rwx,o::---; create d/r/n text; mkdir d/r/sub 750; \
         mkfifo d/r/p 666; chown d/r/n 7:70",
    ),
    (
        "lists of others stay",
        "access-list d/a u::rw-,u:65535:rw-,g::r--,m::rw-,o::r--; append d/a _more; chmod d/a 604; rename d/a d/n",
    ),
];
