"""One line at the bottom of a terminal that says what is going on, and nothing anywhere else.

What is done, for how long, of how long expected, and the last line of its log. Drawn only on a
terminal that can move its cursor back, by the process the person started; a log or a pipe gets the
calm lines of `say` alone. Knows nothing of builds.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_OFTEN = 0.2
"""Seconds between two drawings."""

_TAIL = 2048
"""Bytes of a log in which its last line is looked for."""


@dataclass(slots=True, kw_only=True)
class _Doing:
    label: str
    expected: float
    log: Path | None
    started: float
    drawn: float = 0.0


_now: list[_Doing] = []
_owner = os.getpid()


def shown() -> bool:
    """Whether this process draws: no pipe, no dumb terminal, no worker of `doit -n`."""
    return (
        sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" and os.getpid() == _owner
    )


@contextlib.contextmanager
def doing(label: str, expected: float = 0.0, log: Path | None = None) -> Iterator[None]:
    """Say what is done while it lasts; `expected` in seconds, 0 where nobody knows. `log` is the
    one to look at, where it is not that of the command which runs.
    """
    _now.append(_Doing(label=label, expected=expected, log=log, started=time.monotonic()))
    try:
        yield
    finally:
        clear()
        _now.pop()


def tick(log: Path) -> None:
    """Draw the line again, now and then, with the last line of what is going on."""
    if not _now or not shown():
        return
    one, now = _now[-1], time.monotonic()
    if now - one.drawn < _OFTEN:
        return
    one.drawn = now
    width = shutil.get_terminal_size().columns - 1
    text = line(one.label, now - one.started, one.expected, _last(one.log or log))
    os.write(1, f"\r\x1b[K{text[:width]}".encode())


def clear() -> None:
    """Take the line away, before something else is printed."""
    if _now and _now[-1].drawn and shown():
        _now[-1].drawn = 0.0
        os.write(1, b"\r\x1b[K")


def line(label: str, elapsed: float, expected: float, last: str) -> str:
    """The line, as wide as it comes."""
    left = f" of some {expected:.0f} s" if expected >= 1 else " s"
    return f"{label}: {elapsed:.0f}{left}  {last}".rstrip()


def _last(log: Path) -> str:
    """The last line of a log that says something, harmless."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [one for one in text.splitlines() if one.strip()]
    last = lines[-1] if lines else ""
    return "".join(char if char.isprintable() else " " for char in last).strip()
