"""What a build's log says: its first error, whether it was killed, whether a disk was full.

Knows nothing of how builds are run.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from labtasks.binding import Places

_ERRORS = (
    r"(?i)\b(?:fatal )?error\b\s*:",
    r"undefined reference to",
    r"don't know how to make",
    r"No rule to make target",
    r"\*\*\*.*(?:Error|Stop)",
    r"(?i)^\S+: not found",
)
"""What the first error of a build log looks like, from the most to the least telling."""


def first_error(log: Path, patterns: Sequence[str]) -> str:
    """The line of a build log that says what went wrong first; "" when none looks so."""
    return first_of(log.read_text(encoding="utf-8", errors="replace").splitlines(), patterns)


def first_of(lines: Sequence[str], patterns: Sequence[str] = ()) -> str:
    """The first of some lines that says what went wrong; "" when none looks so."""
    for pattern in (*patterns, *_ERRORS):
        search = re.compile(pattern).search
        for line in lines:
            if not line.startswith("+ ") and search(line):
                return line.strip()[:500]
    return ""


def shell_line(step: str, environment: Mapping[str, str], places: Places) -> str:
    """How a person runs a step by hand, in the sources' root."""
    env = " ".join(f"{k}={shlex.quote(v)}" for k, v in sorted(environment.items()))
    return f"cd {places.src} && env {env} sh -e -c {shlex.quote(step)}"


def killed(log: Path) -> bool:
    """Whether the log's end says that a command was killed: the machine failed, not the commit."""
    return re.search(r"(?m)(\] Killed$|Killed signal terminated|signal 9\b)", _end(log)) is not None


def full(log: Path) -> str:
    """The line of a log's end that says that a disk is full; "" if none does."""
    lines = (line.strip() for line in _end(log).splitlines() if not line.startswith("+ "))
    return next((line[:500] for line in lines if "No space left on device" in line), "")


def _end(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-20_000:]
