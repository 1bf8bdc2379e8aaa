"""A terminal of some size, as a program sees it and as a person does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyte


class Screen:
    """What a command shows on a terminal of `columns` and `lines`. The command leads a session of
    its own, whose terminal this is: what is typed here reaches it as from a keyboard.
    """

    def __init__(
        self,
        argv: Sequence[str],
        cwd: Path,
        env: dict[str, str],
        columns: int = 80,
        lines: int = 24,
    ) -> None:
        self._screen = pyte.HistoryScreen(columns, lines, history=10_000, ratio=0.001)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.ours, theirs = pty.openpty()
        self._size(columns, lines)
        leader = f"import fcntl, os, sys; fcntl.ioctl(0, {termios.TIOCSCTTY}, 0); "
        leader += "os.execvp(sys.argv[1], sys.argv[1:])"
        self.run = subprocess.Popen(
            [sys.executable, "-c", leader, *argv], cwd=cwd, env=env, stdin=theirs, stdout=theirs,
            stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)

    def _size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, columns: int, lines: int) -> None:
        """As when somebody pulls at the window's corner: the kernel sends SIGWINCH."""
        self._screen.resize(lines, columns)
        self._size(columns, lines)

    def press(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def look(self, seconds: float = 0.1) -> list[str]:
        """The lines to be seen after so long, without what is blank at their ends."""
        ends = time.monotonic() + seconds
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
            while select.select([self.ours], [], [], max(0, ends - time.monotonic()))[0]:
                data = os.read(self.ours, 65536)
                self.raw += data
                self._stream.feed(data)
                if not data:
                    break
        return [line.rstrip() for line in self._screen.display]

    def until(self, seen: Callable[[list[str]], object], *, seconds: float = 120) -> list[str]:
        """The lines when they first please; an error says what was there in the end."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            lines = self.look()
            if seen(lines):
                return lines
            if self.run.poll() is not None:
                break
        lines = self.look()
        assert seen(lines), "\n".join(lines)
        return lines

    @property
    def cursor(self) -> tuple[int, int]:
        """Column and line, from 0."""
        return self._screen.cursor.x, self._screen.cursor.y

    @property
    def past(self) -> list[str]:
        """What has scrolled away, the oldest first."""
        rows = self._screen.history.top
        return ["".join(row[x].data for x in range(self._screen.columns)).rstrip() for row in rows]


@contextlib.contextmanager
def screen(
    argv: Sequence[str], cwd: Path, env: dict[str, str], columns: int = 80, lines: int = 24
) -> Iterator[Screen]:
    """A command on a terminal, ended afterwards with all that it started."""
    made = Screen(argv, cwd, env, columns, lines)
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(made.run.pid, signal.SIGKILL)
        made.run.wait(120)
        os.close(made.ours)
