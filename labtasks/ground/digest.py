"""Every hash of the project: BLAKE3, behind one door.

Knows nothing of what is hashed. Keys and digests are types of their own, so that neither is ever
taken for a path, a commit or the other one.
"""

from __future__ import annotations

from pathlib import Path
from typing import NewType

from blake3 import blake3

Key = NewType("Key", str)
"""64 hex digits: everything that decides an artifact."""

Digest = NewType("Digest", str)
"""64 hex digits: what an artifact, or one file, contains."""

_WHOLE = 1 << 20
"""Bytes up to which a file is read at once; larger ones are mapped."""


def of_bytes(data: bytes) -> Digest:
    """BLAKE3 of some bytes."""
    return Digest(blake3(data).hexdigest())


def of_file(path: Path, size: int) -> Digest:
    """BLAKE3 of a file's content; `size` in bytes decides how it is read. Raises OSError."""
    hasher = blake3()
    if size > _WHOLE:
        hasher.update_mmap(str(path))
    else:
        hasher.update(path.read_bytes())
    return Digest(hasher.hexdigest())


def key_of(pairs: list[tuple[str, str]]) -> Key:
    """The key of labelled values. Lengths are hashed too, so no two lists collide by joining."""
    hasher = blake3()
    for label, value in pairs:
        for text in (label.encode(), value.encode()):
            hasher.update(len(text).to_bytes(8, "little"))
            hasher.update(text)
    return Key(hasher.hexdigest())
