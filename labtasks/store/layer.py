"""File trees in layers: what is in one, and how several merge.

A layer is a folder `layers/<id>` with the tree itself in `t` and a list of its entries in
`files`. It holds only what differs from the layers under it; what it removes is an entry of type
`w`, which on Linux is also a whiteout on disk, so that overlayfs can stack the folders as they
are. Knows nothing of commits, recipes or keys.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NewType

import msgspec

from labtasks.ground import atomic, digest
from labtasks.ground.digest import Digest

LayerId = NewType("LayerId", str)

OPAQUE = "user.overlay.opaque"

GIT = "git:"
"""Before the digest of a source file: git's own id of its content, no BLAKE3."""


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One path of a layer. `size` in bytes; `mtime` and `ctime` in ns tell cheaply if it changed.

    Types: f file, l symbolic link (`digest` is its target), d directory, o directory that
    hides the ones below, w whiteout, s something else (a socket, a fifo).
    """

    path: str
    type: Literal["f", "l", "d", "o", "w", "s"]
    mode: int
    size: int
    digest: str
    mtime: int
    ctime: int


Listing = Mapping[str, Entry]


def new_id(kind: str) -> LayerId:
    """A name that no layer has; it begins as the kind does."""
    return LayerId(f"{kind[0]}{os.urandom(8).hex()[:15]}")


def tree_of(layers: Path, layer: LayerId) -> Path:
    """The folder that holds a layer's tree."""
    return layers / layer / "t"


def find(layers: Path, stack: Iterable[LayerId], path: str) -> Path | None:
    """Where the file lies that a stack shows at `path`; None where no layer has it."""
    there = (tree_of(layers, layer) / path for layer in stack)
    return next((full for full in there if os.path.lexists(full)), None)


@lru_cache(maxsize=128)
def entries(layers: Path, layer: LayerId) -> tuple[Entry, ...]:
    """A sealed layer's entries, read once. Raises FileNotFoundError when the layer is gone."""
    data = (layers / layer / "files").read_bytes()
    try:
        return msgspec.json.decode(data, type=tuple[Entry, ...])
    except msgspec.DecodeError:  # names that are not UTF-8
        return tuple(Entry(*fields) for fields in json.loads(data))


def write_entries(layer: Path, found: Sequence[Entry]) -> None:
    """The last step of making a layer."""
    (layer / "files").write_bytes(_encoded(found))


def correct_entries(layers: Path, layer: LayerId, found: Sequence[Entry]) -> None:
    """Write the entries of a sealed layer anew, whoever reads them meanwhile. Raises OSError."""
    atomic.write(layers / layer / "files", _encoded(found))
    entries.cache_clear()
    _stacked.cache_clear()


def _encoded(found: Sequence[Entry]) -> bytes:
    try:
        return msgspec.json.encode(found)
    except UnicodeEncodeError:
        return json.dumps([msgspec.structs.astuple(entry) for entry in found]).encode()


def merged(layers: Path, stack: Iterable[LayerId], top: Iterable[Entry] = ()) -> dict[str, Entry]:
    """The files that a stack of layers (newest first) shows, with `top` as one layer more."""
    seen = dict(_stacked(layers, tuple(stack)))
    _lay_over(seen, top)
    return {path: entry for path, entry in seen.items() if entry.type in "fls"}


def shown(layers: Path, stack: Iterable[LayerId]) -> Mapping[str, Entry]:
    """Everything that a stack of layers (newest first) shows, folders included."""
    return _stacked(layers, tuple(stack))


@lru_cache(maxsize=32)
def _stacked(layers: Path, stack: tuple[LayerId, ...]) -> Mapping[str, Entry]:
    seen: dict[str, Entry] = {}
    for layer in reversed(stack):
        _lay_over(seen, entries(layers, layer))
    return seen


def _lay_over(seen: dict[str, Entry], found: Iterable[Entry]) -> None:
    for entry in found:
        before = seen.get(entry.path)
        hides = entry.type in "wo" or (before and before.type == "d" and entry.type != "d")
        if before and hides:
            for below in [p for p in seen if p.startswith(f"{entry.path}/")]:
                del seen[below]
        if entry.type == "w":
            seen.pop(entry.path, None)
        else:
            kept = msgspec.structs.replace(entry, type="d") if entry.type == "o" else entry
            seen[entry.path] = kept


def scan(tree: Path) -> list[Entry]:
    """Every entry below `tree`, hashed, sorted by path."""
    found = []
    for path, info in walk(tree):
        full = tree / path
        kind: Literal["f", "l", "d", "o", "w", "s"]
        content = ""
        if stat.S_ISREG(info.st_mode):
            kind = "f"
            content = digest.of_file(full, info.st_size)
        elif stat.S_ISLNK(info.st_mode):
            kind, content = "l", os.readlink(full)
        elif stat.S_ISDIR(info.st_mode):
            kind = "o" if _opaque(full) else "d"
        elif stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
            kind = "w"
        else:
            kind = "s"
        mode, size = stat.S_IMODE(info.st_mode), info.st_size
        found.append(Entry(path, kind, mode, size, content, info.st_mtime_ns, info.st_ctime_ns))
    return found


def walk(tree: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Path below `tree` and its lstat, parents before children, in order of names."""
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(tree / below) as listing:
            items = sorted(listing, key=lambda item: item.name)
        directories = []
        for item in items:
            path = f"{below}/{item.name}" if below else item.name
            yield path, item.stat(follow_symlinks=False)
            if item.is_dir(follow_symlinks=False):
                directories.append(path)
        pending.extend(reversed(directories))


def _opaque(directory: Path) -> bool:
    if sys.platform != "linux":
        return False  # nobody else has overlayfs
    try:
        return os.getxattr(directory, OPAQUE, follow_symlinks=False) == b"y"
    except OSError:
        return False


def whiteout(path: Path) -> None:
    """Mark `path` as removed, where the system lets us; its entry says so everywhere."""
    if sys.platform == "linux":  # only overlayfs reads the mark; others let only root make it
        os.mknod(path, stat.S_IFCHR | 0o000, os.makedev(0, 0))


def whiteouts(tree: Path, paths: Iterable[str]) -> list[Entry]:
    """Mark paths of a layer's tree as removed; their entries."""
    found = []
    for path in paths:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        whiteout(tree / path)
        found.append(Entry(path, "w", 0, 0, "", 0, 0))
    return found


def content_digest(listing: Listing, wanted: Callable[[str], bool]) -> Digest:
    """The digest of what the wanted files of a listing contain: paths, types, modes, contents."""
    lines = [
        f"{path}\0{entry.type}\0{entry.mode:o}\0{entry.digest}"
        for path, entry in sorted(listing.items())
        if wanted(path)
    ]
    return digest.of_bytes("\n".join(lines).encode(errors="surrogateescape"))


def copy_out(
    layers: Path, stack: Sequence[LayerId], into: Path, *, whiteouts: bool = False
) -> None:
    """Write what a stack shows below `into`, times kept: for systems without overlays, and to
    make one layer of many. `whiteouts` keeps those that hide something under the stack.
    """
    into.mkdir(parents=True, exist_ok=True)
    for layer in reversed(tuple(stack)):
        for entry in entries(layers, layer):
            target = into / entry.path
            if entry.type in "wo" or (os.path.lexists(target) and not _both_folders(entry, target)):
                remove(target)
            if entry.type == "w" and whiteouts:
                target.parent.mkdir(parents=True, exist_ok=True)
                whiteout(target)
            elif entry.type in "do":
                target.mkdir(exist_ok=True)
                target.chmod(entry.mode | 0o700)
                if entry.type == "o" and whiteouts and sys.platform == "linux":
                    os.setxattr(target, OPAQUE, b"y")
            elif entry.type in "fl":
                target.parent.mkdir(parents=True, exist_ok=True)
                source = tree_of(layers, layer) / entry.path
                shutil.copy2(source, target, follow_symlinks=False)


def _both_folders(entry: Entry, target: Path) -> bool:
    return entry.type == "d" and target.is_dir() and not target.is_symlink()


def remove(path: Path) -> None:
    """Remove a file or a whole tree, permissions or not."""
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(FileNotFoundError):
        path.chmod(0o700)  # overlayfs leaves a folder nobody may enter
        with os.scandir(path) as listing:
            items = [(Path(item.path), item.is_dir(follow_symlinks=False)) for item in listing]
        for item, is_directory in items:
            if is_directory:
                remove(item)
            else:
                item.unlink(missing_ok=True)
        path.rmdir()
