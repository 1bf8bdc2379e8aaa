"""Move bytes from one descriptor to another and remember the last of them.

From a pipe to a pipe Linux does that without copying: `tee` lets the reader have the same pages,
and `splice` moves them to a third pipe, which holds the end. Knows nothing of commands.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

KEPT = 64 << 10
"""Bytes of the end that are kept."""

LARGEST = 1 << 20
"""Bytes that a pipe is asked to hold: few turns for much output."""

_COPIED = 128 << 10
"""Bytes that are copied at once: they stay in a processor's cache."""

_PAGE = 4000
"""Bytes below which a read has taken all there was: terminals give 4095, pipes whole pages."""

GONE = -1
"""Nobody takes it any more."""


class Relay(Protocol):
    """One way of moving bytes. `tail` is their end, complete after `finish`."""

    tail: bytearray

    def move(self) -> int:
        """Move some of what is there: how much, 0 at the end, GONE when nobody takes it."""

    def finish(self) -> None:
        """Nothing more will be moved."""


def relay(source: int, target: int) -> Relay:
    """The best way there is between two descriptors."""
    if hasattr(os, "splice") and _is_pipe(source) and (_is_pipe(target) or _is_null(target)):
        with contextlib.suppress(OSError, AttributeError):
            return _Shared(source, target)
    return _Copied(source, target)


def roomy(pipe: int) -> None:
    """Let a pipe hold much; where it may not, it works as well."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, LARGEST)


def _is_pipe(fd: int) -> bool:
    return stat.S_ISFIFO(os.fstat(fd).st_mode)


def _is_null(fd: int) -> bool:
    return os.path.samestat(os.fstat(fd), Path(os.devnull).stat())


class _Copied:
    """By reading and writing. A terminal gives at most 4 KB at once: what more there is already is
    read before any of it is written.
    """

    def __init__(self, source: int, target: int) -> None:
        self.tail = bytearray()
        self._source, self._target = source, target
        self._buffer = memoryview(bytearray(_COPIED))
        os.set_blocking(source, False)  # nobody else has this end

    def _read(self) -> int:
        """Fill the buffer with what is there; how far. 0 at the end."""
        size = 0
        while size < _COPIED:
            try:
                more = os.readv(self._source, [self._buffer[size:]])
            except BlockingIOError:
                if size:
                    break
                select.select([self._source], [], [])  # 0 would be the end
                continue
            except OSError as error:
                if error.errno == errno.EIO:  # a terminal whose other side is closed
                    break
                raise
            size += more
            if more < _PAGE:  # nor is there more
                break
        return size

    def move(self) -> int:
        size = self._read()
        data = self._buffer[:size]
        self.tail += data[-KEPT:]
        if len(self.tail) > 4 * KEPT:
            del self.tail[:-KEPT]
        while data:
            try:
                data = data[os.write(self._target, data) :]
            except BlockingIOError:  # whoever shares it with us has made it so
                select.select([], [self._target], [])
            except OSError:
                return GONE
        return size

    def finish(self) -> None:
        del self.tail[:-KEPT]


class _Shared:
    """By tee and splice. Raises OSError or AttributeError where they are missing."""

    def __init__(self, source: int, target: int) -> None:
        import ctypes  # noqa: PLC0415 (the standard library has splice, and lacks tee)

        self.tail = bytearray()
        self._source, self._target = source, target
        self._discards = _is_null(target)
        self._splice: Callable[[int, int, int], int] = getattr(os, "splice")  # noqa: B009 (Linux only)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.tee.restype = ctypes.c_ssize_t
        self._libc.tee.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)
        self._error = ctypes.get_errno
        self._out, self._held = os.pipe()
        self._null = os.open(os.devnull, os.O_WRONLY)
        roomy(self._held)
        os.set_blocking(self._held, False)

    def move(self) -> int:
        size = LARGEST
        if not self._discards:
            size = self._libc.tee(self._source, self._target, LARGEST, 0)
            if size < 0:
                if self._error() in (errno.EAGAIN, errno.EINTR):
                    select.select([], [self._target], [])
                    return 1
                return GONE
        left = size
        while left:
            try:
                moved = self._splice(self._source, self._held, left)
            except BlockingIOError:
                self._forget()
                continue
            if moved == 0:  # the end
                return 0
            left -= moved
            if self._discards:
                break
        return size

    def _forget(self) -> None:
        """Let go of the older half of what is held."""
        waiting = bytearray(4)
        fcntl.ioctl(self._out, 0x541B, waiting)  # FIONREAD, which the fcntl module does not name
        half = max(1, int.from_bytes(waiting, sys.byteorder) // 2)
        self._splice(self._out, self._null, half)

    def finish(self) -> None:
        os.close(self._held)
        while data := os.read(self._out, LARGEST):
            self.tail += data
        del self.tail[:-KEPT]
        os.close(self._out)
        os.close(self._null)
