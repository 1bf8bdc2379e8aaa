"""Signals of a command that runs in our own process group: it gets each of them, and once.

Knows nothing of what the command says.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
import time
from collections.abc import Sequence

_PASSED_ON = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
"""Signals that the command gets when muninn alone was sent them."""

_HERE = b"\0"
"""A question to the witness, and its answer; no signal has this number."""

_SOON, _PATIENCE = 0.1, 5.0
"""Seconds within which a signal to a whole group reaches all, and the witness has its turn."""


def resize(fd: int, to: int) -> bool:
    """Give a terminal the size of another; whether it had a different one."""
    sizes = []
    for one in (fd, to):
        try:
            sizes.append(fcntl.ioctl(one, termios.TIOCGWINSZ, bytes(struct.calcsize("HHHH"))))
        except OSError:
            return False
    if sizes[0] == sizes[1]:
        return False
    fcntl.ioctl(to, termios.TIOCSWINSZ, sizes[0])
    return True


class Signals:
    """Who is sent a signal: the command always, and once.

    A terminal's signals, and those sent to the whole process group, reach the command without our
    help; those sent to us alone do not. A witness in the group tells the two apart: a process that
    only writes down which signals it got.
    """

    def __init__(self) -> None:
        self._screens: Sequence[tuple[int, int]] = ()
        self._pid = 0
        self._early: list[int] = []
        caught = [n for n in _PASSED_ON if signal.getsignal(n) != signal.SIG_IGN]
        self._alive, self._heard = self._witness(caught)
        for number in caught:
            signal.signal(number, self._pass_on)

    @staticmethod
    def _witness(caught: list[signal.Signals]) -> tuple[int, int]:
        """Start it. What keeps it alive as long as it is open, and where its notes come out."""
        alive, keep = os.pipe()
        heard, note = os.pipe()
        os.set_blocking(note, False)
        if os.fork() == 0:
            for fd in (0, 1, 2, keep, heard):
                with contextlib.suppress(OSError):
                    os.close(fd)
            for number in caught:
                signal.signal(number, lambda *_: None)
            signal.set_wakeup_fd(note, warn_on_full_buffer=False)
            try:
                while os.read(alive, 1):
                    os.write(note, _HERE)  # behind the signals it has been sent by now
            finally:
                os._exit(0)
        os.close(alive)
        os.close(note)
        os.set_blocking(heard, False)
        return keep, heard

    def start(self, pid: int, screens: Sequence[tuple[int, int]]) -> None:
        """The command runs; it gets what came before it did. `screens` are pairs of terminals, of
        which the second keeps the size of the first.
        """
        self._pid, self._screens = pid, screens
        if screens:
            signal.signal(signal.SIGWINCH, self._resized)
            self._resized(signal.SIGWINCH, None)  # it may have been, before we listened
        for number in self._early:
            os.kill(pid, number)

    def end(self) -> None:
        """The command has ended, and its number may be somebody else's soon."""
        self._pid = 0
        os.close(self._alive)
        os.close(self._heard)

    def _pass_on(self, number: int, _frame: object) -> None:
        if not self._pid:
            self._early.append(number)
        elif not self._reached_all(number):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

    def _reached_all(self, number: int) -> bool:
        """Whether the witness got it too. It may be a while until it has its turn."""
        started, asked = time.monotonic(), False
        while (
            left := started + (_PATIENCE if asked else _SOON) - time.monotonic()
        ) > 0 or not asked:
            ready, _, _ = select.select([self._heard], [], [], max(0.0, left))
            if ready:
                notes = os.read(self._heard, 64)
                if number in notes:
                    return True
                if not notes or _HERE in notes:
                    return False  # it has ended, or has had no such signal
            elif not asked:
                asked = True
                with contextlib.suppress(BrokenPipeError):
                    os.write(self._alive, _HERE)
        return False

    def _resized(self, _number: int, _frame: object) -> None:
        changed = [resize(ours, theirs) for ours, theirs in self._screens]
        if any(changed):
            os.killpg(0, signal.SIGWINCH)  # who has asked already must ask again
