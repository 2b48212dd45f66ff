"""Merges layer tars, bottom first, and prints one line an entry.

type mode uid:gid size-or-device path [-> target] [= hard link group] [@seconds+nanoseconds] [#sha256 of the bytes]
[xattr=hex ...]. Times only where the first argument is --times. With --batch each line of stdin is a JSON list of tars,
and a line --- ends each answer.
"""
import collections
import hashlib
import json
import sys
import tarfile


def time(info):
    """Exactly: tarfile makes a float of it."""
    seconds, _, fraction = info.pax_headers.get("mtime", str(int(info.mtime))).partition(".")
    nanoseconds = int(fraction.ljust(9, "0"))
    if seconds.startswith("-") and nanoseconds:
        return f"{int(seconds) - 1}+{10**9 - nanoseconds}"
    return f"{seconds}+{nanoseconds}"


def merge(layers):
    """The tree: path -> (info, layer, the layer's names)."""
    tree = {}
    held = collections.defaultdict(set)  # directory -> paths in it

    def below(path):
        for child in list(held[path]):
            yield from below(child)
            yield child

    def drop(paths):
        for path in list(paths):
            tree.pop(path, None)
            held[path.rpartition("/")[0]].discard(path)

    for name in layers:
        layer = tarfile.open(name, errors="surrogateescape")
        names = {}
        fresh = set()
        for info in layer:
            path = info.name.strip("/")
            path = path[2:] if path.startswith("./") else path
            names[path] = info
            if path in ("", "."):
                continue
            directory, _, base = path.rpartition("/")
            if base == ".wh..wh..opq":
                drop(p for p in below(directory) if p not in fresh)
                continue
            if base.startswith(".wh."):
                hidden = (directory + "/" if directory else "") + base[4:]
                if hidden not in fresh:
                    drop([*below(hidden), hidden])
                continue
            if not info.isdir() or (path in tree and not tree[path][0].isdir()):
                drop([*below(path), path])
            tree[path] = (info, layer, names)
            held[directory].add(path)
            fresh.add(path)
    return tree


def show(tree, with_times=False):
    links = {}
    for path, (info, layer, names) in sorted(tree.items()):
        source = info
        while source.islnk():
            source = names[source.linkname.removeprefix("./")]
        kind = {tarfile.REGTYPE: "f", tarfile.AREGTYPE: "f", tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l",
                tarfile.CHRTYPE: "c", tarfile.BLKTYPE: "b", tarfile.FIFOTYPE: "p"}.get(source.type, "?")
        line = f"{kind} {source.mode & 0o7777:04o} {source.uid}:{source.gid}"
        if kind == "f":
            line += f" {source.size}"
        if kind in "cb":
            line += f" {source.devmajor},{source.devminor}"
        line += f" {path}"
        if kind == "l":
            line += f" -> {source.linkname}"
        if with_times:
            line += f" @{time(source)}"
        # The smallest path that shares the bytes names the group.
        first = links.setdefault((id(layer), source.offset), path)
        if first != path:
            line += f" = {first}"
        if kind == "f":
            data = layer.extractfile(source)
            line += f" #{hashlib.sha256(data.read()).hexdigest()[:16]}"
        for key, value in sorted(source.pax_headers.items()):
            if key.startswith("SCHILY.xattr."):
                line += f" {key[13:]}={value.encode('utf-8', 'surrogateescape').hex()}"
        print(line)


arguments = sys.argv[1:]
if arguments == ["--batch"]:
    for request in sys.stdin:
        show(merge(json.loads(request)))
        print("---")
else:
    with_times = arguments[:1] == ["--times"]
    show(merge(arguments[with_times:]), with_times)
