"""Long commands: started, watched, and stopped with all that they started.

Through `sh`: own session, default signals, closed stdin, the log written by the child itself, and a
ladder of signals when the work is interrupted. Knows nothing of recipes, layers or what the
commands are for.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labtasks.ground import live, signals
from labtasks.ground.error import UserError
from labtasks.ground.process import which


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a long command ended. `code` is its exit status, negative for a signal."""

    code: int
    seconds: float
    timed_out: bool = False
    stopped: bool = False
    """Whether `until` ended it."""


def run(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout: float | None = None,
    until: Callable[[], bool] | None = None,
    echo: bool = False,
) -> Ended:
    """Run a long command, its output appended to `log`, and wait.

    `timeout` in seconds ends it, and so does `until`, asked several times a second. With `echo`
    the log is also copied to standard output. On any exception here (Ctrl-C, TERM) the whole
    session is stopped: INT, then TERM, then KILL.
    Raises UserError when the command is missing or cannot be started.
    """
    started = time.monotonic()
    with log.open("ab") as out:
        position = out.tell()
        child = _launched(argv, out, env, cwd, None)
        try:
            why = _wait(child, log, position, until, started, timeout, echo=echo)
        except BaseException:
            _end(child)
            raise
        child.wait()
    seconds = time.monotonic() - started
    return Ended(
        code=child.exit_code, seconds=seconds, timed_out=why == "time", stopped=why == "until"
    )


def _launched(
    argv: Sequence[str], out: Any, env: Mapping[str, str], cwd: Path | None, data: Path | None
) -> Any:
    """A child of `sh`: own session, default signals, output to a file, input from one or none.
    Raises UserError when it cannot be started.
    """
    import sh  # noqa: PLC0415 (60 ms that an up-to-date run does not pay)

    command = argv[0] if "/" in argv[0] else which(argv[0])
    with (data or Path(os.devnull)).open("rb") as source:
        try:
            return sh.Command(command)(
                *argv[1:],
                _in=source,
                _out=out,
                _err_to_out=True,
                _env=dict(env),
                _cwd=str(cwd) if cwd else None,
                _bg=True,
                _bg_exc=False,
                _new_session=True,
                _tty_out=False,
                _ok_code=list(range(-64, 256)),
                _preexec_fn=signals.default,
            )
        except (sh.CommandNotFound, sh.ForkException) as error:  # or the child's traceback
            found = re.search(r"\[Errno \d+\] ([^:\n]+)", str(error))
            raise UserError(
                f"{argv[0]} cannot be started: {found[1] if found else 'no file that may be run'}",
                hint="is what its first line names installed, and may files run there?",
            ) from None


class Child:
    """A command that runs beside its caller."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        data: Path | None = None,
    ) -> None:
        with log.open("ab") as out:
            self._child = _launched(argv, out, os.environ if env is None else env, cwd, data)

    def alive(self) -> bool:
        """Whether it runs still."""
        return bool(self._child.is_alive())

    def code(self) -> int:
        """Its exit status, negative for a signal; waits for it."""
        self._child.wait()
        return int(self._child.exit_code)

    def stop(self) -> None:
        """End it and what it started."""
        _end(self._child)


def _wait(
    child: Any,
    log: Path,
    position: int,
    until: Callable[[], bool] | None,
    started: float,
    timeout: float | None,
    *,
    echo: bool,
) -> str:
    """Wait for the child, copying the log's growth when asked. What made us end it: "time",
    "until", or "" when it ended by itself.
    """
    pause, why = 0.005, ""
    while child.is_alive():
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
        if echo:
            position = _copy(log, position)
        else:
            live.tick(log)
        if until and until():
            why = "until"
        elif timeout is not None and time.monotonic() - started > timeout and child.is_alive():
            why = "time"
        if why:
            signals.stop(child.pid)
            break
    if echo:
        _copy(log, position)
    return why


def _copy(log: Path, position: int) -> int:
    with log.open("rb") as text:
        text.seek(position)
        data = text.read()
    os.write(1, data)
    return position + len(data)


def _end(child: Any) -> None:
    """Stop a child of `sh` and all it started, and see them gone: who was killed dies a moment
    later.
    """
    signals.stop(child.pid)
    child.wait()
    deadline = time.monotonic() + signals.GRACE
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.killpg(child.pid, 0)
            time.sleep(0.005)
