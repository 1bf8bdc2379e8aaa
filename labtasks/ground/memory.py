"""What was learned once, in small files: of this host in the user's own cache folder, of a lab's
work in its cache.

Losing one costs a proof made again, nothing else: a damaged file is an empty one. Knows nothing of
what the files are for.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from labtasks.ground import atomic

T = TypeVar("T")


def read(path: Path) -> dict[str, Any]:
    """What a file holds; empty if it holds nothing."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def write(path: Path, known: Mapping[str, object]) -> None:
    """Write it down whole, in place of what was known before. Raises OSError."""
    atomic.write(path, json.dumps(known, indent=1).encode())


def once(path: Path, about: object, find: Callable[[], T]) -> T:
    """What a file holds about something; found out and written down where it holds nothing about
    just that. Both are such as JSON has. Raises OSError, and what `find` raises.
    """
    about = json.loads(json.dumps(about))
    known = read(path)
    if known.get("about") != about or "found" not in known:
        known = {"about": about, "found": find()}
        write(path, known)
    found: T = known["found"]
    return found


def stamp(path: Path) -> list[int]:
    """Size in bytes and time in nanoseconds of a file: as long as they stay, so does what was
    learned of it. Empty where there is none.
    """
    try:
        info = path.stat()
    except OSError:
        return []
    return [info.st_size, info.st_mtime_ns]


def folder() -> Path:
    """Where lies what is known of this host; it may not exist yet."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "labtasks"


def recall(name: str) -> dict[str, Any]:
    """What is known of this host under a name; empty if nothing is."""
    return read(folder() / name)


def remember(name: str, known: Mapping[str, object]) -> None:
    """Know it of this host; where nothing can be written nothing is remembered."""
    with contextlib.suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        write(folder() / name, known)
