"""A few lines at the bottom of a terminal that say what is going on, and nothing anywhere else.

What is done, for how long, of how long expected, and the last line of its log; above it, where
somebody has put up a board, the whole of which that is a part. Drawn only on a terminal that can
move its cursor, by the process the person started; a log or a pipe gets the calm lines of `say`
alone, which on a terminal scroll past above.

The cursor rests at the beginning of the first line drawn: so whatever the terminal makes of these
lines when it is resized, all below the cursor is ours, and is taken away in one go. Knows nothing
of builds or bisects.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labtasks.ground.words import cut, cut_inside, plain

_OFTEN = 0.2
"""Seconds between two drawings."""

_TAIL = 2048
"""Bytes of a log in which its last line is looked for."""

_BOLD, _NORMAL = "\x1b[1m", "\x1b[m"
_CLEAR = "\r\x1b[J"

Board = Callable[[], list[str]]
"""What gives the lines above the last one, the title first."""


@dataclass(slots=True, kw_only=True)
class _Doing:
    label: str
    expected: float
    log: Path | None
    started: float


@dataclass(slots=True, kw_only=True)
class _Screen:
    """What is drawn now, when it was, and of what."""

    doing: list[_Doing] = field(default_factory=list)
    boards: list[Board] = field(default_factory=list)
    drawn: float = 0.0
    log: Path | None = None


_screen = _Screen()
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
    one = _Doing(label=label, expected=expected, log=log, started=time.monotonic())
    _screen.doing.append(one)
    try:
        yield
    finally:
        clear()
        _screen.doing.pop()


@contextlib.contextmanager
def board(rows: Board) -> Iterator[None]:
    """Show these lines, too, while it lasts; they are asked for again whenever they are drawn."""
    _screen.boards.append(rows)
    try:
        with _told_of_resizes():
            yield
    finally:
        clear()
        _screen.boards.pop()


@contextlib.contextmanager
def _told_of_resizes() -> Iterator[None]:
    """Draw anew when the terminal is resized."""
    if not shown() or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGWINCH, lambda _number, _frame: again())
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)


def tick(log: Path) -> None:
    """Draw again, now and then, with the last line of what is going on."""
    _screen.log = log
    there = _screen.doing or _screen.boards
    if there and shown() and time.monotonic() - _screen.drawn >= _OFTEN:
        _draw()


def again() -> None:
    """Draw a board again at once: something else was printed above it, or the terminal resized."""
    if _screen.boards and shown():
        _draw()


def clear() -> None:
    """Take it away, before something else is printed."""
    if _screen.drawn and shown():
        _screen.drawn = 0.0
        os.write(1, _CLEAR.encode())


def _draw() -> None:
    _screen.drawn = now = time.monotonic()
    rows = _screen.boards[-1]() if _screen.boards else []
    titled = bool(rows)
    columns, lines = _size()
    if _screen.doing:
        one = _screen.doing[-1]
        log = one.log or _screen.log
        last = _last(log) if log else ""
        indent = "  " if titled else ""
        rows.append(indent + line(one.label, now - one.started, one.expected, last, columns - 3))
    title = titled and not os.environ.get("NO_COLOR")
    os.write(1, picture(rows, columns, lines, title=title).encode())


def _size() -> tuple[int, int]:
    """Columns and lines of the terminal; COLUMNS of the environment would not follow a resize."""
    try:
        columns, lines = os.get_terminal_size(1)
    except OSError:
        columns = lines = 0
    return columns or 80, lines or 24


def picture(rows: list[str], columns: int, lines: int, *, title: bool) -> str:
    """What draws some rows over those drawn before, and leaves the cursor where they begin. Rows
    for which the terminal is too low are left out, the last one never.
    """
    room = max(1, lines - 1)
    shown = rows if len(rows) <= room else [*rows[: room - 1], rows[-1]]
    cuts = [cut(row, columns - 1) for row in shown]
    if title and cuts and len(shown) > 1:
        cuts[0] = f"{_BOLD}{cuts[0]}{_NORMAL}"
    up = f"\x1b[{len(cuts) - 1}A" if len(cuts) > 1 else ""
    return "\r" + "\x1b[K\r\n".join(cuts) + f"\x1b[J{up}\r"


def line(label: str, elapsed: float, expected: float, last: str, columns: int) -> str:
    """The line of what is done, with as much of its log's last line as there is room for."""
    left = f" of some {expected:.0f} s" if expected >= 1 else " s"
    told = f"{label}: {elapsed:.0f}{left}"
    return f"{told}  {cut_inside(last, max(0, columns - len(told) - 2))}".rstrip()


def _last(log: Path) -> str:
    """The last line of a log that says something, harmless."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    lines = [one for one in text.splitlines() if one.strip()]
    return plain(lines[-1].expandtabs()).strip() if lines else ""
