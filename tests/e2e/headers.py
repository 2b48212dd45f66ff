"""Prints one line for every header of layer tars, layer by layer: all that a header says but the time, and what the bytes are."""
import hashlib
import sys
import tarfile

for number, name in enumerate(sys.argv[1:]):
    layer = tarfile.open(name, errors="surrogateescape")
    for info in layer:
        data = hashlib.sha256(layer.extractfile(info).read()).hexdigest()[:16] if info.isreg() else ""
        xattrs = sorted((key, value.encode("utf-8", "surrogateescape").hex()) for key, value in info.pax_headers.items() if key.startswith("SCHILY.xattr."))
        print(number, info.name, info.type.decode(), oct(info.mode), f"{info.uid}:{info.gid}", f"{info.uname}:{info.gname}", info.size,
              f"{info.devmajor},{info.devminor}", info.linkname, xattrs, data, sep="\t")
