"""Whether the files of sealed layers are what they were sealed as.

Size and times are compared first, the content only where they leave doubt: copying a store, or
linking its files, gives them other times and no other content. What was found to be as it was is
written down with its new times, so that it is read once. Knows nothing of what the files are for.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from labtasks.ground import digest
from labtasks.store import layer
from labtasks.store.layer import GIT, Entry, LayerId

_SHA1 = 40
"""Digits of a SHA-1."""


def altered(layers: Path, stack: Iterable[LayerId], paths: Iterable[str] | None) -> list[str]:
    """Files of sealed layers (`paths`, or all) that are no longer what they were sealed as, each
    named relative to the layers' folder.
    """
    wanted = None if paths is None else set(paths)
    hidden: set[str] = set()
    bad = []
    for name in stack:
        root = f"{layer.tree_of(layers, name)}/"
        moved: dict[str, Entry] = {}
        for entry in layer.entries(layers, name):
            path = entry.path
            if path in hidden or (wanted is not None and path not in wanted):
                continue
            if entry.type in "flw":
                hidden.add(path)
            if entry.type in "fl":
                now = _intact(root + path, entry)
                if now is None:
                    bad.append(f"{name}/t/{path}")
                elif now is not entry:
                    moved[path] = now
        if moved:
            _write_down(layers, name, moved)
    return bad


def _intact(path: str, entry: Entry) -> Entry | None:
    """The entry as it is now, None where it is not as sealed, its time included: make compares
    times.
    """
    try:
        info = os.lstat(path)
        if (info.st_size, stat.S_IMODE(info.st_mode), info.st_mtime_ns) != (
            entry.size, entry.mode, entry.mtime,
        ):  # fmt: skip
            return None
        if info.st_ctime_ns == entry.ctime:
            return entry
        same = _content(path, entry) == entry.digest
    except OSError:
        return None
    return msgspec.structs.replace(entry, ctime=info.st_ctime_ns) if same else None


def content_of(path: str, size: int, expected: str) -> str:
    """The digest of a file of `size` bytes: `expected`, if that is git's id of what is in it."""
    if expected == GIT + _blob(Path(path).read_bytes(), len(expected) - len(GIT)):
        return expected
    return digest.of_file(Path(path), size)


def _content(path: str, entry: Entry) -> str:
    """What the entry's digest would be of what is there."""
    if entry.type == "l":
        return os.readlink(path)
    if entry.digest.startswith(GIT):
        return GIT + _blob(Path(path).read_bytes(), len(entry.digest) - len(GIT))
    return digest.of_file(Path(path), entry.size)


def _blob(data: bytes, digits: int) -> str:
    """The id git gives some content; 40 digits are SHA-1, 64 SHA-256."""
    hasher = hashlib.sha256 if digits > _SHA1 else hashlib.sha1
    return hasher(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _write_down(layers: Path, name: LayerId, moved: dict[str, Entry]) -> None:
    """A store that cannot be written to is only slower."""
    found = [moved.get(entry.path, entry) for entry in layer.entries(layers, name)]
    with contextlib.suppress(OSError):
        layer.correct_entries(layers, name, found)
