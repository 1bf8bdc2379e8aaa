"""A person's terminal on a serial port: what is typed goes in, what the port says comes out.

Ctrl-] ends it and the machine goes on. Knows a socket and a terminal, and nothing of machines.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from labtasks.ground.error import InfraError

DETACH = b"\x1d"
"""Ctrl-], as telnet and others have it."""

_BEFORE = 2000
"""Bytes of the log that are shown first: a prompt without its context is a riddle."""


def attach(port: Path, log: Path, *, name: str) -> int:
    """Connect the terminal to a port until Ctrl-], or until the port is closed.

    0 after Ctrl-] or the end of what was piped in, 1 when the machine ended. Raises InfraError
    when nobody is at the port.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            line.connect(str(port))
        except OSError as error:
            raise InfraError(
                f"no console at {port}: {error.strerror}",
                hint=f"it is starting or ending: `doit up:{name}`, then try again",
            ) from None
        sys.stderr.write(f"[{name}: console; Ctrl-] leaves it]\n")
        sys.stderr.flush()
        os.write(1, _last(log))
        with _raw():
            ended = _pump(line)
    sys.stderr.write(f"\n[{name}: {'the machine has ended' if ended else 'detached'}]\n")
    return int(ended)


def _pump(line: socket.socket) -> bool:
    """Copy both ways. True when the port was closed."""
    inputs: list[int] = [0, line.fileno()]
    while True:
        ready, _, _ = select.select(inputs, [], [])
        if line.fileno() in ready:
            data = _received(line)
            if not data:
                return True
            _write(data)
        if 0 in ready:
            typed = os.read(0, 4096)
            before, leave, _ = typed.partition(DETACH)
            if before:
                with contextlib.suppress(BrokenPipeError):
                    line.sendall(before)
            if leave:
                return False
            if not typed:  # a pipe's end: what the answer to it is, is still to come
                return _drain(line)


def _drain(line: socket.socket) -> bool:
    """What the port still says, until it has been quiet for a second."""
    while select.select([line], [], [], 1.0)[0]:
        data = _received(line)
        if not data:
            return True
        _write(data)
    return False


def _received(line: socket.socket) -> bytes:
    try:
        return line.recv(65536)
    except ConnectionError:
        return b""


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def _last(log: Path) -> bytes:
    try:
        with log.open("rb") as text:
            size = text.seek(0, os.SEEK_END)
            text.seek(max(0, size - _BEFORE))
            return text.read()
    except OSError:
        return b""


@contextlib.contextmanager
def _raw() -> Iterator[None]:
    """Every key to the machine, Ctrl-C too; the terminal as it was afterwards."""
    if not os.isatty(0):
        yield
        return
    import termios  # noqa: PLC0415 (only for people)
    import tty  # noqa: PLC0415

    before = termios.tcgetattr(0)
    try:
        tty.setraw(0)
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
