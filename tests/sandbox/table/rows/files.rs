//! Operations on what is there: bytes, attributes, privileges.

use super::Operation;

pub const LOOKING: &[Operation] = &[
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

pub const CONTENTS: &[Operation] = &[
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

pub const ATTRIBUTES: &[Operation] = &[
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
pub const PRIVILEGES: &[Operation] = &[
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
    // the kernel asks nobody when a page is dirtied; the time is set because tmpfs does not notice
    (
        "a shared mapping takes nothing away",
        "chmod d/u 6755; map-write d/u; mode d/u; utimes d/u 5.000000005; map-write d/x; mode d/x; utimes d/x 6.000000006; \
         mode d/u; mode d/x",
    ),
    (
        "another user's shared mapping takes nothing away",
        "chmod d 755; chmod d/u 6777; as 7:8 map-write d/u; mode d/u; utimes d/u 5.000000005; mode d/u",
    ),
    ("a capability set after a write stays", "append d/x _more; capability d/x; mode d/x"),
    (
        "a capability of an open file",
        "hold d/x; held-write 0 TEXT; capability d/x; held-write 0 text; mode d/x",
    ),
];

pub const OPEN: &[Operation] = &[
    ("open a directory for writing", "open d/sub rw; open d/empty w; open d/sub w+trunc"),
    ("open as a directory", "open d/f r+directory; open d/sub r+directory; open d/t r+directory"),
    ("open without following", "open d/s r+nofollow; open d/t r+nofollow; open d/f r+nofollow"),
    ("open exclusively", "open d/f w+create+excl; open d/s w+create+excl; open d/sub r+create"),
    ("open a fifo", "open d/p r+nonblock; open d/p w+nonblock"),
    ("open devices", "open d/c r; open d/b r"),
    ("open a socket", "mksocket d/k 640; open d/k r"),
    ("open with a slash at the end", "read d/f/; create d/n/ text; mkdir d/n/ 755; list d/sub/; unlink d/f/"),
];
