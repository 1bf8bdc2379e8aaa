"""What was learned of this host once, in small files in the user's own cache folder.

Losing one costs a proof made again, nothing else: a damaged file is an empty one, and where
nothing can be written nothing is remembered. Knows nothing of what the files are for.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path


def folder() -> Path:
    """Where it all lies; it may not exist yet."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "labtasks"


def recall(name: str) -> dict[str, object]:
    """What was remembered under a name; empty if nothing was."""
    try:
        known = json.loads((folder() / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def remember(name: str, known: Mapping[str, object]) -> None:
    """Write it down whole, in place of what was known before."""
    path = folder() / name
    scratch = path.with_name(f"{name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(known, indent=1), encoding="utf-8")
        scratch.replace(path)
