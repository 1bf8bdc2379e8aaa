"""The image of a root file system that is installed onto, and what it contains.

It is never written. Its content is hashed once, not at every start. Knows nothing of installing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from labtasks import digest
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


def content_of(lab: Lab) -> str:
    """The base image's BLAKE3, remembered for as long as its size and time stay the same."""
    path = path_of(lab)
    info = path.stat()
    about = [str(path), info.st_size, info.st_mtime_ns]
    memory = lab.cache / "base.json"
    try:
        known = json.loads(memory.read_text())
    except (OSError, ValueError):
        known = {}
    if known.get("about") != about:
        known = {"about": about, "digest": digest.of_file(path, info.st_size)}
        scratch = memory.with_suffix(f".{os.getpid()}")
        scratch.write_text(json.dumps(known))
        scratch.replace(memory)
    return str(known["digest"])
