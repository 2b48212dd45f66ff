//! The rows: every operation in every place.
//!
//! A place is a way in which the tree at `d` (and `other` beside it) comes about: from layers, made by the step, moved,
//! made anew over what was removed. An operation is a few words, one after the other, each of which may fail; `perform`
//! says what they mean.

use super::tree::{Made, dir, file, opaque, other, tree, whiteout};

pub struct Place {
    pub name: &'static str,
    pub share: Share,
    /// Bottom first.
    pub layers: fn() -> Vec<Vec<Made>>,
    pub setup: &'static str,
}

/// How many of the operations a place gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    All,
    /// Every third, of each place another third: it differs little from a place that gets all.
    Third,
}

pub const PLACES: &[Place] = &[
    Place {
        name: "lower only",
        share: Share::All,
        layers: || vec![[tree("d"), other()].concat()],
        setup: "",
    },
    Place { name: "upper only", share: Share::All, layers: || vec![other()], setup: "make d" },
    Place {
        name: "both",
        share: Share::All,
        layers: || vec![[tree("d"), other()].concat()],
        setup: "append d/f _and_more; create d/sub/new new; chmod d/empty 700; write d/sub/x again; \
                chown d/p 3:4; utimes d/s 5.000000007; setxattr d/x user.more 1; chmod d 750; chown d/c 5:6",
    },
    Place {
        name: "whited out",
        share: Share::All,
        layers: || vec![[tree("d"), other()].concat()],
        setup: "unlink d/f; unlink d/g; unlink d/a; unlink d/x; unlink d/u; unlink d/s; unlink d/t; unlink d/p; \
                unlink d/c; unlink d/b; rmtree d/sub; rmdir d/empty",
    },
    Place {
        name: "whited out and made anew",
        share: Share::Third,
        layers: || vec![[tree("d"), other()].concat()],
        setup: "unlink d/f; unlink d/g; unlink d/a; unlink d/x; unlink d/u; unlink d/s; unlink d/t; unlink d/p; \
                unlink d/c; unlink d/b; rmtree d/sub; rmdir d/empty; make-in d",
    },
    Place {
        name: "opaque and empty",
        share: Share::Third,
        layers: || vec![[tree("d"), other()].concat()],
        setup: "rmtree d; mkdir d 755",
    },
    Place {
        name: "opaque",
        share: Share::All,
        layers: || vec![[tree("d"), other()].concat()],
        setup: "rmtree d; make d",
    },
    Place {
        name: "opaque in a layer",
        share: Share::Third,
        layers: || vec![[tree("d"), other()].concat(), [vec![dir("d"), opaque("d")], tree("d")].concat()],
        setup: "",
    },
    Place {
        name: "in two layers",
        share: Share::Third,
        layers: || {
            let second = vec![
                file("d/a", "second a").owner(9, 10),
                file("d/sub/x", "second x"),
                whiteout("d/s"),
                whiteout("d/empty"),
                dir("d/empty").mode(0o711),
                dir("d/sub/deep"),
                opaque("d/sub/deep"),
                file("d/sub/deep/z", "z"),
            ];
            vec![[tree("d"), other()].concat(), second]
        },
        setup: "",
    },
    Place {
        name: "below a renamed parent",
        share: Share::All,
        layers: || vec![[tree("e"), other()].concat()],
        setup: "mv e d",
    },
    Place {
        name: "below a parent renamed over an empty one",
        share: Share::Third,
        layers: || vec![[tree("e"), other()].concat(), vec![dir("d").mode(0o700)]],
        setup: "rmdir d; mv e d",
    },
    Place {
        name: "below a replaced parent",
        share: Share::All,
        layers: || vec![[tree("d"), tree("e"), other()].concat()],
        setup: "rmtree d; mv e d",
    },
    Place {
        name: "below a parent that replaced a file",
        share: Share::Third,
        layers: || vec![[tree("e"), other(), vec![file("d", "a file")]].concat()],
        setup: "unlink d; mv e d",
    },
    Place {
        name: "moved there and back",
        share: Share::Third,
        layers: || vec![[tree("d"), other()].concat()],
        setup: "mv d other/d; mv other/d d",
    },
];

/// A name, and what is done.
pub type Operation = (&'static str, &'static str);

pub fn operations() -> Vec<Operation> {
    [LOOKING, CONTENTS, ATTRIBUTES, PRIVILEGES, NAMES, LINKS, RENAMES, REPLACED, XATTRS, SPECIAL, OPEN]
        .concat()
}

const LOOKING: &[Operation] = &[
    ("nothing", ""),
    ("read files", "read d/f; read d/g; read d/a; read d/sub/deep/y"),
    ("read through a symlink", "read d/s"),
    ("read below a symlink", "read d/t/x; list d/t"),
    ("read a directory", "read d/sub"),
    ("read what is not there", "read d/none; read d/none/x; read d/f/x"),
    ("list", "list d; list d/sub; list d/empty"),
    ("list what is none", "list d/f; list d/s; list d/none"),
    ("read links", "readlink d/s; readlink d/t; readlink d/f; readlink d/none"),
    ("go up", "read d/sub/../f; read d/sub/deep/../../a; list d/sub/.."),
    ("the inode number stays", "number d/a; append d/a _more; chmod d/a 600; same-number d/a"),
    ("the inode number stays over a rename", "number d/a; rename d/a other/a; same-number other/a"),
    ("a directory's number stays", "number d/sub; chmod d/sub 700; create d/sub/n n; same-number d/sub"),
];

const CONTENTS: &[Operation] = &[
    ("create", "create d/n new; read d/n"),
    ("create below", "create d/sub/deep/n new; create d/empty/n new"),
    ("create an empty file", "create d/n"),
    ("create what is there", "create d/f new; create d/sub new; create d/s new"),
    ("create below a file", "create d/f/n new; create d/none/n new"),
    ("create through a dangling symlink", "symlink made d/l; write d/l text; read d/made"),
    ("create and write without the right to", "create-mode d/n 444 text; read d/n"),
    ("write anew", "write d/f anew; read d/f; read d/g"),
    ("write anew by the other name", "write d/g anew; read d/f"),
    ("write through a symlink", "write d/s anew; read d/f"),
    ("overwrite the middle", "overwrite d/f 6 TEXT; read d/f; read d/g"),
    ("overwrite a file with one name", "overwrite d/a 0 TEXT; read d/a"),
    ("write past the end", "overwrite d/a 100 far; read d/a"),
    ("append", "append d/f _one; append d/f _two; read d/f; read d/g"),
    ("append by both names", "append d/f _one; append d/g _two; read d/f; read d/g"),
    ("append to a file that has a capability", "append d/x _more; getxattr d/x security.capability"),
    ("append to a setuid file", "append d/u _more"),
    ("truncate to nothing", "truncate d/f 0; read d/g"),
    ("truncate shorter", "truncate d/a 3; read d/a"),
    ("truncate longer", "truncate d/sub/x 200000"),
    ("truncate to what it is", "truncate d/a 9; read d/a"),
    ("truncate a directory", "truncate d/sub 0"),
    ("write much", "fill d/sub/x 300000; read d/sub/x"),
    ("write much to a new file", "fill d/n 300000; overwrite d/n 4097 middle"),
    ("a file with a hole", "create d/n; overwrite d/n 1048576 end; read d/n"),
    ("write nothing", "append d/a"),
    ("rewrite and put the time back", "overwrite d/a 0 TEXT; utimes d/a 1000000000.123456789; read d/a"),
    ("allocate", "allocate d/f keep 0 10000; allocate d/a grow 0 10000; read d/a"),
    ("punch a hole", "allocate d/f punch 2 4; read d/f; read d/g"),
    ("copy a range", "create d/n; copy-range d/f d/n 2 100; read d/n"),
    ("copy a range onto a file", "copy-range d/sub/x d/a 0 4; read d/a"),
    ("written while open for reading", "reader d/a; append d/a _more; reader-read"),
    ("truncated while open for reading", "reader d/a; truncate d/a 2; reader-read"),
    (
        "removed while open for reading",
        "reader d/a; unlink d/a; reader-read; create d/a new; reader-read; read d/a",
    ),
    ("removed while open", "hold d/a; unlink d/a; held-write 0 still; held-read; held-names"),
    (
        "removed while open, by one of two names",
        "hold d/f; unlink d/f; held-write 0 STILL; held-read; read d/g",
    ),
    ("replaced while open", "hold d/a; rename d/sub/x d/a; held-write 0 OLD; held-read; read d/a"),
    ("renamed while open", "hold d/a; rename d/a other/n; held-write 0 MOVED; read other/n"),
    (
        "renamed with its directory while open",
        "hold d/sub/x; mv d/sub other/sub; held-write 0 MOVED; held-read",
    ),
    ("attributes of an open file", "hold d/a; held-chmod 600; held-chown 11:12; held-truncate 4; held-read"),
    (
        "attributes of a removed file",
        "hold d/a; unlink d/a; held-chmod 600; held-truncate 4; held-read; held-names",
    ),
    (
        "two descriptors of two names",
        "hold d/f; append d/g _more; held-read; held-write 0 BOTH; read d/f; read d/g",
    ),
    ("opened for writing and left", "hold d/a; hold d/f; hold d/sub/x"),
    ("a file without a name", "nameless d text"),
    ("a file without a name gets one", "nameless-linked d d/n text; read d/n"),
];

const ATTRIBUTES: &[Operation] = &[
    ("chmod", "chmod d/f 4750; chmod d/a 0"),
    ("chmod a directory", "chmod d/sub 1777; chmod d/empty 2700"),
    ("chmod to what it is", "chmod d/f 644; chmod d/sub 755; chmod d/a 640"),
    ("chmod and back", "chmod d/a 600; chmod d/a 640; chmod d/sub 700; chmod d/sub 755"),
    ("chmod through a symlink", "chmod d/s 600; chmod d/t 700"),
    ("chmod what is not there", "chmod d/none 600"),
    ("chmod a fifo", "chmod d/p 622"),
    ("chmod devices", "chmod d/c 600; chmod d/b 640"),
    ("chown", "chown d/f 7:8; chown d/a 0:0"),
    ("chown a directory", "chown d/sub 7:8; chown d/empty 65534:65534"),
    ("chown symlinks", "chown d/s 7:8; chown d/t 7:8"),
    ("chown a fifo", "chown d/p 7:8"),
    ("chown devices", "chown d/c 7:8; chown d/b 7:8"),
    ("chown to what it is", "chown d/f 0:0; chown d/a 7:8; chown d/sub 0:0"),
    ("chown the owner alone", "chown d/a 21:-; chown d/f -:22"),
    ("chown takes setuid away", "chown d/u 7:8; chmod d/u 6755; chown d/u 7:8"),
    ("chown takes capabilities away", "chown d/x 7:8; getxattr d/x security.capability"),
    ("chown and back", "chown d/a 1:1; chown d/a 7:8"),
    ("chown what is not there", "chown d/none 1:1"),
    ("set times", "utimes d/f -3.000000007; utimes d/sub 1234567890.987654321; utimes d/p 4.000000001"),
    ("set a symlink's times", "utimes d/s 12.000000034"),
    ("set times to what they are", "utimes d/a 1000000000.123456789; utimes d/sub 1000000000.123456789"),
    ("touch", "touch d/a; touch d/sub; touch d/none"),
    ("set far times", "utimes d/a 4294967296.000000000; utimes d/sub 2147483648.000000001"),
];

/// Whoever changes a file takes setuid, setgid and capabilities away, and sees at once that they are gone.
const PRIVILEGES: &[Operation] = &[
    (
        "a write takes setuid away",
        "chmod d/u 6755; overwrite d/u 0 TEXT; mode d/u; chmod d/u 6755; append d/u _more; mode d/u",
    ),
    (
        "a truncation takes setuid away",
        "chmod d/u 6755; truncate d/u 3; mode d/u; chmod d/u 6755; open d/u w+trunc; mode d/u",
    ),
    (
        "an allocation takes setuid away",
        "chmod d/u 6755; allocate d/u keep 0 100; mode d/u; chmod d/u 6755; allocate d/u grow 0 9000; mode d/u",
    ),
    ("a copied range takes setuid away", "create d/n text; chmod d/u 6755; copy-range d/n d/u 0 4; mode d/u"),
    (
        "a chown to what it is takes setuid away",
        "chmod d/u 6755; chown d/u 3:4; mode d/u; chmod d/u 6755; chown d/u -:-; mode d/u",
    ),
    (
        "setgid without execution stays",
        "chmod d/u 2644; append d/u _more; truncate d/u 2; chown d/u 5:6; mode d/u",
    ),
    ("setuid goes and setgid stays", "chmod d/u 6644; append d/u _more; mode d/u"),
    (
        "another user's write takes setuid away",
        "chmod d 755; chmod d/u 6777; as 7:8 overwrite d/u 0 TEXT; mode d/u; chmod d/u 6777; as 7:8 append d/u _more; mode d/u",
    ),
    (
        "another user's truncation takes setuid away",
        "chmod d 755; chmod d/u 6777; as 7:8 truncate d/u 3; mode d/u; chmod d/u 6777; as 7:8 open d/u w+trunc; mode d/u",
    ),
    (
        "another user's allocation takes setuid away",
        "chmod d 755; chmod d/u 6777; as 7:8 allocate d/u keep 0 100; mode d/u; as 7:8 allocate d/u punch 0 4; mode d/u",
    ),
    (
        "another user's copied range takes setuid away",
        "chmod d 755; create d/n text; chmod d/u 6777; as 7:8 copy-range d/n d/u 0 4; mode d/u",
    ),
    (
        "the owner's own changes take setuid away",
        "chmod d 755; chmod d/u 6755; as 3:4 append d/u _more; mode d/u; chmod d/u 6755; as 3:4 truncate d/u 2; mode d/u; \
         chmod d/u 6755; as 3:4 chown d/u 3:4; mode d/u; chmod d/u 6755; as 3:4 chown d/u -:-; mode d/u",
    ),
    (
        "setgid without execution stays with the group",
        "chmod d 755; chmod d/u 2666; as 7:4 append d/u _more; mode d/u",
    ),
    (
        "a write takes a capability away",
        "overwrite d/x 0 TEXT; mode d/x; capability d/x; mode d/x; append d/x _more; mode d/x",
    ),
    (
        "a truncation takes a capability away",
        "truncate d/x 3; mode d/x; capability d/x; open d/x w+trunc; mode d/x",
    ),
    (
        "an allocation takes a capability away",
        "allocate d/x keep 0 100; mode d/x; capability d/x; allocate d/x grow 0 9000; mode d/x",
    ),
    ("a copied range takes a capability away", "create d/n text; copy-range d/n d/x 0 4; mode d/x"),
    (
        "a chown to what it is takes a capability away",
        "chown d/x 0:0; mode d/x; capability d/x; chown d/x -:-; mode d/x",
    ),
    (
        "another user's write takes a capability away",
        "chmod d 755; chmod d/x 777; as 7:8 overwrite d/x 0 TEXT; mode d/x; capability d/x; as 7:8 truncate d/x 2; mode d/x",
    ),
    ("a capability set after a write stays", "append d/x _more; capability d/x; mode d/x"),
    (
        "a capability of an open file",
        "hold d/x; held-write 0 TEXT; capability d/x; held-write 0 text; mode d/x",
    ),
];

const NAMES: &[Operation] = &[
    ("unlink", "unlink d/f; unlink d/a"),
    ("unlink both names", "unlink d/f; unlink d/g"),
    ("unlink symlinks", "unlink d/s; unlink d/t"),
    ("unlink a fifo", "unlink d/p"),
    ("unlink devices", "unlink d/c; unlink d/b"),
    ("unlink a directory", "unlink d/sub"),
    ("unlink what is not there", "unlink d/none; unlink d/f/x; unlink d/none/x"),
    ("unlink twice", "unlink d/a; unlink d/a; read d/a"),
    ("unlink in a directory below", "unlink d/sub/x; unlink d/sub/deep/y; list d/sub"),
    ("unlink all in a directory", "unlink d/sub/x; rmtree d/sub/deep; list d/sub; rmdir d/sub"),
    ("rmdir", "rmdir d/empty"),
    ("rmdir with something in it", "rmdir d/sub; rmdir d"),
    ("rmdir a file", "rmdir d/f; rmdir d/s; rmdir d/t"),
    ("rmdir what is not there", "rmdir d/none"),
    ("rmdir the parent", "rmdir d/empty/.; rmdir d/empty/.."),
    ("remove all", "rmtree d"),
    ("mkdir", "mkdir d/n 755; mkdir d/n/m 700; create d/n/m/f text"),
    ("mkdir over a name", "mkdir d/f 755; mkdir d/sub 755; mkdir d/s 755"),
    ("mkdir where nothing is", "mkdir d/none/n 755; mkdir d/f/n 755"),
    ("mkdir below", "mkdir d/sub/deep/n 755; mkdir d/empty/n 755"),
    ("setgid is inherited", "chown d/sub 0:9; chmod d/sub 2755; mkdir d/sub/n 755; create d/sub/m text"),
    ("make and remove", "create d/n text; mkdir d/m 755; create d/m/n text; rmtree d/m; unlink d/n"),
    ("long names", "create d/=255 text; create d/=256 text; mkdir d/sub/=255 755; unlink d/=255; list d/sub"),
    ("names with odd bytes", "create d/é text; create d/\\ text; create d/* text; create d/.wh text; list d"),
    ("many names", "many d/sub 300; list d/sub; fewer d/sub 300"),
    ("names removed while listed", "many d/sub 100; remove-listed d/sub; list d/sub; rmdir d/sub"),
    ("deep directories", "deep d/empty 40"),
];

const LINKS: &[Operation] = &[
    ("symlink", "symlink target d/n; symlink /absolute d/sub/n; readlink d/n"),
    ("symlink over a name", "symlink target d/f; symlink target d/sub; symlink target d/s"),
    ("a long symlink", "symlink =255/=255/=255 d/n; readlink d/n"),
    ("symlink loop", "symlink n d/n; read d/n; write d/n text; chmod d/n 600"),
    ("link", "link d/a d/n; append d/n _more; read d/a"),
    ("link a file with two names", "link d/f d/n; append d/n _more; read d/f; read d/g"),
    ("link into another directory", "link d/f d/sub/n; overwrite d/sub/n 0 LINKED; read d/f"),
    ("link and remove the first", "link d/a d/n; unlink d/a; append d/n _more"),
    ("link out of the tree", "link d/a other/n; unlink d/a; chmod other/n 600"),
    ("link over a name", "link d/f d/sub/x; link d/f d/g; link d/f d/sub"),
    ("link a directory", "link d/sub d/n"),
    ("link a symlink", "link d/s d/n; readlink d/n"),
    ("link a fifo", "link d/p d/n; chmod d/n 622"),
    ("link devices", "link d/c d/n; link d/b d/m; chmod d/n 600"),
    ("link what is not there", "link d/none d/n; link d/f d/none/n"),
    ("three names, one goes", "link d/a d/n; link d/a d/m; unlink d/n; append d/m _more"),
    (
        "a new file's names",
        "create d/n text; link d/n d/sub/n; link d/n other/n; unlink d/n; append other/n _more",
    ),
    ("attributes by one of two names", "chmod d/g 600; chown d/f 5:6; utimes d/g 9.000000009"),
];

const RENAMES: &[Operation] = &[
    ("rename a file", "rename d/a d/n; read d/n; read d/a"),
    ("rename a file with two names", "rename d/f d/n; read d/g; append d/n _more; read d/g"),
    ("rename a file out", "rename d/a other/n; rename d/sub/x other/m"),
    ("rename a file in", "rename other/o d/n; rename other/n d/a"),
    ("rename a file over another", "rename d/a d/sub/x; read d/sub/x"),
    ("rename a file over one with two names", "rename d/a d/f; read d/f; read d/g"),
    ("rename a file over its other name", "rename d/f d/g; read d/g; list d"),
    ("rename a file over itself", "rename d/f d/f; rename d/a d/a"),
    ("rename a file over a directory", "rename d/f d/sub; rename d/f d/empty"),
    ("rename a file over a symlink", "rename d/a d/s; read d/s"),
    ("rename a file and back", "rename d/a other/a; rename other/a d/a"),
    ("rename what is not there", "rename d/none d/n; rename d/f d/none/n; rename d/f/x d/n"),
    ("rename symlinks", "rename d/s d/n; rename d/t other/t; readlink d/n"),
    ("rename a fifo", "rename d/p d/n"),
    ("rename devices", "rename d/c d/n; rename d/b other/b"),
    ("rename a fifo over a file", "rename d/p d/f"),
    ("rename a file over a device", "rename d/a d/c; read d/c"),
    ("rename a directory", "rename d/sub d/n; list d"),
    ("mv a directory", "mv d/sub d/n; list d/n; read d/n/deep/y"),
    (
        "mv a directory out and change it",
        "mv d/sub other/n; write other/n/deep/y after; unlink other/n/x; list other/n",
    ),
    ("mv a directory in", "mv other d/n; create d/n/m text; list d/n"),
    ("mv a directory over an empty one", "mv d/sub d/empty; list d/empty"),
    ("mv a directory and back", "mv d/sub other/sub; mv other/sub d/sub"),
    ("mv a directory, make another there", "mv d/sub d/n; mkdir d/sub 755; create d/sub/new new; list d/sub"),
    ("mv an empty directory", "mv d/empty other/n"),
    (
        "mv a new directory over a removed one",
        "mkdir d/n 755; create d/n/m text; rmtree d/sub; rename d/n d/sub; list d/sub",
    ),
    ("rename a new directory", "mkdir d/n 755; create d/n/m text; rename d/n d/sub/n; list d/sub"),
    (
        "rename a new directory over an empty one",
        "mkdir d/n 755; create d/n/m text; rename d/n d/empty; list d/empty",
    ),
    ("rename a directory over a full one", "rename d/empty d/sub; mkdir d/n 755; rename d/n d/sub"),
    ("rename a directory over a file", "rename d/sub d/f; mkdir d/n 755; rename d/n d/f"),
    ("rename a directory into itself", "rename d/sub d/sub/deep/n; rename d d/n"),
    ("rename a directory over its parent", "rename d/sub/deep d/sub"),
    ("rename the tree", "mv d n; list n; mv n d"),
    ("rename the tree away for good", "mv d other/d; append other/d/a _more; list other"),
    ("rename if free", "rename-free d/f d/sub/x; rename-free d/a d/n; rename-free d/sub d/empty"),
    ("exchange files", "exchange d/a d/sub/x; read d/a; read d/sub/x"),
    ("exchange files with two names", "exchange d/f d/a; read d/g"),
    ("exchange a file and a symlink", "exchange d/a d/s; readlink d/a; read d/s"),
    ("exchange a file and a directory", "exchange d/a d/sub; list d/a"),
    ("exchange directories", "exchange d/sub other; list d/sub; list other"),
    (
        "exchange a file and a new directory",
        "mkdir d/n 755; create d/n/m text; exchange d/a d/n; list d/a; read d/n",
    ),
    (
        "exchange new directories",
        "mkdir d/n 755; mkdir d/m 700; create d/n/f text; exchange d/n d/m; list d/m",
    ),
    ("exchange with nothing", "exchange d/a d/none; exchange d/none d/a"),
    ("exchange with itself", "exchange d/a d/a; exchange d/sub d/sub/deep"),
];

const REPLACED: &[Operation] = &[
    ("unlink and create", "unlink d/a; create d/a again; read d/a"),
    ("unlink and create one of two names", "unlink d/f; create d/f again; read d/g"),
    ("a directory for a file", "unlink d/a; mkdir d/a 755; create d/a/n text"),
    ("a file for a directory", "rmtree d/sub; create d/sub text; read d/sub"),
    ("a symlink for a directory", "rmtree d/sub; symlink empty d/sub; list d/sub; create d/sub/n text"),
    ("a directory for a symlink", "unlink d/t; mkdir d/t 755; create d/t/n text; list d/t"),
    ("a file for a device", "unlink d/c; create d/c text; read d/c"),
    ("a file for a fifo", "unlink d/p; create d/p text; read d/p"),
    ("a fifo for a file", "unlink d/a; mkfifo d/a 600"),
    ("a symlink for a file", "unlink d/a; symlink f d/a; read d/a"),
    ("an empty directory anew", "rmdir d/empty; mkdir d/empty 755"),
    ("a directory anew", "rmtree d/sub; mkdir d/sub 755; list d/sub"),
    ("a directory anew, with an old name", "rmtree d/sub; mkdir d/sub 755; create d/sub/x new; list d/sub"),
    ("a directory anew, and gone again", "rmtree d/sub; mkdir d/sub 755; rmdir d/sub; list d"),
    (
        "a directory anew, twice",
        "rmtree d/sub; mkdir d/sub 755; create d/sub/n text; rmtree d/sub; mkdir d/sub 700",
    ),
    ("all anew", "rmtree d; mkdir d 755; create d/f anew; list d"),
    ("all anew and the same", "rmtree d; make d; read d/f"),
];

const XATTRS: &[Operation] = &[
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

const SPECIAL: &[Operation] = &[
    ("fifo", "mkfifo d/n 640; mkfifo d/sub/n 600"),
    ("fifo over a name", "mkfifo d/f 640; mkfifo d/sub 640"),
    // the time is set afterwards: what a pipe does to it, the kernel keeps to itself on a FUSE or overlay mount
    ("talk through a fifo", "talk-fifo d/p; utimes d/p 8.000000008; mkfifo d/n 600; talk-fifo d/n"),
    ("socket", "mksocket d/k 640"),
    ("socket and its attributes", "mksocket d/k 640; chmod d/k 600; chown d/k 7:8; utimes d/k 3.000000003"),
    ("socket over a name", "mksocket d/f 640; mksocket d/sub 640"),
    (
        "socket renamed, linked, removed",
        "mksocket d/k 640; link d/k d/l; rename d/k d/sub/k; unlink d/l; list d/sub",
    ),
    ("socket for a file", "unlink d/a; mksocket d/a 640; list d"),
    ("a socket over a file", "mksocket d/k 640; rename d/k d/a; list d"),
    ("a file over a socket", "mksocket d/k 640; rename d/a d/k; read d/k"),
    ("talk through a socket", "talk-socket d/k; talk-socket d/sub/k; unlink d/k"),
    ("character device", "mkchar d/n 640 1:5; chmod d/n 600; rename d/n d/m"),
    ("block device", "mkblock d/n 640 7:3; chown d/n 7:8; link d/n d/m"),
    ("a large device number", "mkchar d/n 600 259:70000"),
    ("device over a name", "mkchar d/f 640 1:5; mkblock d/sub 640 7:3"),
    ("device for a file", "unlink d/a; mkchar d/a 640 1:5"),
];

const OPEN: &[Operation] = &[
    ("open a directory for writing", "open d/sub rw; open d/empty w; open d/sub w+trunc"),
    ("open as a directory", "open d/f r+directory; open d/sub r+directory; open d/t r+directory"),
    ("open without following", "open d/s r+nofollow; open d/t r+nofollow; open d/f r+nofollow"),
    ("open exclusively", "open d/f w+create+excl; open d/s w+create+excl; open d/sub r+create"),
    ("open a fifo", "open d/p r+nonblock; open d/p w+nonblock"),
    ("open devices", "open d/c r; open d/b r"),
    ("open a socket", "mksocket d/k 640; open d/k r"),
    ("open with a slash at the end", "read d/f/; create d/n/ text; mkdir d/n/ 755; list d/sub/; unlink d/f/"),
];
