"""Merges layer tars, bottom first, and prints one line an entry.

type mode uid:gid size-or-device path [-> target] [= hard link group] [xattr=hex ...] [#sha256 of the bytes]
"""
import hashlib
import sys
import tarfile

tree = {}  # path -> (info, layer, xattrs)


def drop(path):
    if path in tree:
        for old in [p for p in tree if p == path or p.startswith(path + "/")]:
            del tree[old]


for number, name in enumerate(sys.argv[1:]):
    layer = tarfile.open(name, errors="surrogateescape")
    fresh = set()
    for info in layer:
        path = info.name.strip("/")
        path = path[2:] if path.startswith("./") else path
        if path in ("", "."):
            continue
        directory, _, base = path.rpartition("/")
        if base == ".wh..wh..opq":
            for old in [p for p in tree if p.startswith(directory + "/") and p not in fresh]:
                del tree[old]
            continue
        if base.startswith(".wh."):
            hidden = (directory + "/" if directory else "") + base[4:]
            if hidden not in fresh:
                drop(hidden)
            continue
        if not (path in tree and tree[path][0].isdir() and info.isdir()):
            drop(path)
        tree[path] = (info, layer)
        fresh.add(path)

links = {}
for path, (info, layer) in sorted(tree.items()):
    source = info
    while source.islnk():
        source = layer.getmember(source.linkname) if source.linkname in layer.getnames() else layer.getmember("./" + source.linkname)
    kind = {tarfile.REGTYPE: "f", tarfile.AREGTYPE: "f", tarfile.DIRTYPE: "d", tarfile.SYMTYPE: "l", tarfile.CHRTYPE: "c",
            tarfile.BLKTYPE: "b", tarfile.FIFOTYPE: "p"}.get(source.type, "?")
    line = f"{kind} {source.mode & 0o7777:04o} {source.uid}:{source.gid}"
    if kind == "f":
        line += f" {source.size}"
    if kind in "cb":
        line += f" {source.devmajor},{source.devminor}"
    line += f" {path}"
    if kind == "l":
        line += f" -> {source.linkname}"
    if kind == "f":
        # The smallest path that shares the bytes names the group.
        first = links.setdefault((id(layer), source.offset), path)
        if first != path:
            line += f" = {first}"
        data = layer.extractfile(source)
        line += f" #{hashlib.sha256(data.read()).hexdigest()[:16]}"
    for key, value in sorted(source.pax_headers.items()):
        if key.startswith("SCHILY.xattr."):
            line += f" {key[13:]}={value.encode('utf-8', 'surrogateescape').hex()}"
    print(line)
