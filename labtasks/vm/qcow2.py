"""New qcow2 images over an image below them: a disk that costs nothing until it is written to.

The format's version 3, as QEMU documents it in docs/interop/qcow2.txt: a header, and tables that
say "look below" for every cluster. Knows nothing of machines, nor of what lies on the disks.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path
from typing import Literal

from labtasks.ground import process
from labtasks.ground.error import UserError

Format = Literal["raw", "qcow2"]

_MAGIC = b"QFI\xfb"
_SMALL, _LARGE = 12, 16
_SMALL_TO = 1 << 40
"""Up to this size a cluster is a file system's block: nothing besides a block that is written is
taken along. What lies before the first table of a larger disk would not fit into such clusters.
"""

_HEADER = 104
_BACKING_FORMAT = 0xE2792ACA
_LONGEST = 1023
"""Bytes that a backing file's name may have."""


def format_of(image: Path) -> Format:
    """What an image says by its name: a guest could write qcow2's magic on a raw disk."""
    return "qcow2" if image.suffix == ".qcow2" else "raw"


def size_of(image: Path, form: Format) -> int:
    """The disk's size in bytes. Raises UserError when the file is no such image."""
    if form == "raw":
        return image.stat().st_size
    with image.open("rb") as file:
        head = file.read(32)
    if len(head) < 32 or not head.startswith(_MAGIC):
        raise UserError(f"{image} is no qcow2 image", hint="a raw image is called .img or .raw")
    (size,) = struct.unpack(">Q", head[24:32])
    return int(size)


def create(path: Path, *, below: Path | None = None, size: int = 0) -> None:
    """Write a new image: over `below`, as large as that, or empty with `size` bytes.

    In place or not at all. Raises UserError when `below` is no image, OSError.
    """
    form: Format = "raw"
    name = b""
    if below is not None:
        form = format_of(below)
        size = size_of(below, form)
        name = os.fsencode(below.absolute())
    if len(name) > _LONGEST:
        raise UserError(f"{below}: the path is too long for qcow2", hint="move the image")
    bits = _SMALL if size <= _SMALL_TO else _LARGE
    scratch = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with scratch.open("wb") as file:
            file.write(_metadata(size, name, form, bits))
            file.truncate((3 + _l1_clusters(size, 1 << bits)) << bits)
        scratch.replace(path)
    except BaseException:  # Ctrl-C, too
        scratch.unlink(missing_ok=True)
        raise


def pack(image: Path, *, below: Path) -> None:
    """Compress what an image holds over `below`; where there is no qemu-img, or no room for both,
    it stays as it is. zlib, which every QEMU reads. Raises OSError for a full disk.
    """
    if shutil.which("qemu-img") is None:
        return
    scratch = image.with_name(f"{image.name}.{os.getpid()}.new")
    options = f"cluster_size={1 << _SMALL}"
    over = ["-B", str(below.absolute()), "-F", format_of(below)]
    argv = ["qemu-img", "convert", "-c", "-W", "-O", "qcow2", "-o", options, *over]
    try:
        if process.query([*argv, str(image), str(scratch)]).code == 0:
            _copy(scratch, image)
    finally:
        scratch.unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> None:
    """Zeros take no room in the copy: the first table is full of them."""
    with source.open("rb") as file, target.open("wb") as out:
        while block := file.read(1 << _SMALL):
            if any(block):
                out.write(block)
            else:
                out.seek(len(block), os.SEEK_CUR)
        out.truncate()


def _l1_clusters(size: int, cluster: int) -> int:
    """Clusters of the first table; an entry stands for a whole cluster of entries."""
    entries = -(-size // (cluster * (cluster // 8)))
    return max(1, -(-entries * 8 // cluster))


def _metadata(size: int, name: bytes, form: Format, bits: int) -> bytes:
    """The clusters before the first table, which is all zeros: header, where the reference
    counts are, and the counts.
    """
    extension = b""
    if name:
        text = form.encode()
        extension = struct.pack(">II", _BACKING_FORMAT, len(text)) + text.ljust(
            -(-len(text) // 8) * 8, b"\0"
        )
    extension += bytes(8)
    at, cluster = _HEADER + len(extension), 1 << bits
    entries = -(-size // (cluster * (cluster // 8)))
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        _MAGIC, 3, at if name else 0, len(name), bits, size,
        0, entries, 3 * cluster,  # no encryption; the first table
        cluster, 1, 0, 0,  # the reference counts' table; no snapshots
        0, 0, 0, 4, _HEADER,  # no features; 16-bit counts
    )  # fmt: skip
    used = 3 + _l1_clusters(size, cluster)
    clusters = (header + extension + name, struct.pack(">Q", 2 * cluster), b"\0\1" * used)
    return b"".join(part.ljust(cluster, b"\0") for part in clusters)
