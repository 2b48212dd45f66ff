//! The rows: every operation in every place.
//!
//! A place is a way in which the tree at `d` (and `other` beside it) comes about: from layers, made by the step, moved,
//! made anew over what was removed. An operation is a few words, one after the other, each of which may fail; `perform`
//! says what they mean.

mod files;
mod names;
mod xattrs;

use super::Ownership;
use super::tree::{Made, dir, file, opaque, other, tree, whiteout};
use files::{ATTRIBUTES, CONTENTS, LOOKING, OPEN, PRIVILEGES};
use names::{LINKS, NAMES, RENAMES, REPLACED, SPECIAL};
use xattrs::{LISTS, LISTS_OF_OTHERS, XATTRS};

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
                unlink d/c; unlink d/b; unlink d/q; rmdir d/r; rmtree d/sub; rmdir d/empty",
    },
    Place {
        name: "whited out and made anew",
        share: Share::Third,
        layers: || vec![[tree("d"), other()].concat()],
        setup: "unlink d/f; unlink d/g; unlink d/a; unlink d/x; unlink d/u; unlink d/s; unlink d/t; unlink d/p; \
                unlink d/c; unlink d/b; unlink d/q; rmdir d/r; rmtree d/sub; rmdir d/empty; make-in d",
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

pub fn operations(ownership: Ownership) -> Vec<Operation> {
    let of_others = if ownership == Ownership::Mapped { LISTS_OF_OTHERS } else { &[] };
    [
        LOOKING, CONTENTS, ATTRIBUTES, PRIVILEGES, NAMES, LINKS, RENAMES, REPLACED, XATTRS, LISTS, of_others,
        SPECIAL, OPEN,
    ]
    .concat()
}
