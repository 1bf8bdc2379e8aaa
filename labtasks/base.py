"""The image of a root file system that is installed onto, and what it contains.

It is never written. Its content is hashed once, not at every start. Knows nothing of installing.
"""

from __future__ import annotations

from pathlib import Path

from labtasks import digest, memory
from labtasks.digest import Digest
from labtasks.error import UserError
from labtasks.lab import Lab


def path_of(lab: Lab) -> Path:
    """The base image. Raises UserError when it is not there."""
    base = (lab.directory / Path(lab.settings.install.base).expanduser()).absolute()
    if not base.is_file():
        raise UserError(
            f"[install] base: {base} is no file",
            hint="the image of a root file system, its path relative to the lab",
        )
    return base


def content_of(lab: Lab) -> Digest:
    """The base image's BLAKE3, remembered for as long as its size and time stay the same."""
    path = path_of(lab)
    about = [str(path), *memory.stamp(path)]
    size = path.stat().st_size
    return memory.once(lab.cache / "base.json", about, lambda: digest.of_file(path, size))
