"""How processes end: the ladder of signals, what a signal does to this program, and what ties a
child to the life of its parent.

Knows nothing of what the processes do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

GRACE = 1.5
"""Seconds each signal of the ladder is given before the next one."""


def default() -> None:
    """Runs in the child: a job of a non-interactive shell inherits SIGINT ignored, a build must
    not (bmake's bootstrap refuses), and sh itself ignores SIGHUP in background children.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o022)


def stop(leader: int) -> None:
    """End a whole session: INT, TERM, KILL, each with some seconds of grace."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(leader, number)
        except (ProcessLookupError, PermissionError):
            return
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            try:
                os.killpg(leader, 0)
            except (ProcessLookupError, PermissionError):
                return
            if _is_zombie(leader):  # it has ended; what it left behind is not asked
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(leader, signal.SIGKILL)
                return
            time.sleep(0.02)


def _is_zombie(leader: int) -> bool:
    """Whether the leader has ended and only waits to be reaped (by sh's own thread)."""
    try:
        state = Path(f"/proc/{leader}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state == "Z"


def terminate_on_sigterm() -> None:
    """Make SIGTERM end this program as Ctrl-C does, so that what it started is stopped too."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def children_die_with_us() -> None:
    """Let whatever this program forks end when it is killed: workers of `doit -n` would wait for
    work for ever, and a build would go on for nobody. Linux only.
    """
    if sys.platform == "linux":
        bond = _Bond()
        os.register_at_fork(before=bond.before, after_in_child=bond.in_child)


class _Bond:
    """What ties a child to the life of the process that forks it."""

    _SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2), which the standard library lacks

    def before(self) -> None:
        """In the parent: all that takes time, and who it is."""
        import ctypes  # noqa: PLC0415 (5 ms that an up-to-date run does not pay)

        self._prctl = ctypes.CDLL(None).prctl
        self._parent = os.getpid()

    def in_child(self) -> None:
        """The parent may have been killed since the fork: then no signal would come any more."""
        self._prctl(self._SET_DEATH_SIGNAL, int(signal.SIGKILL))
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGKILL)
