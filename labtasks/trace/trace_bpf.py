"""The records of the BPF program -> the calls of a build's processes.

The records are those of trace_bpf.c, as the kernel's ring buffer holds them: each behind eight
bytes that begin with its length, and padded to eight. The last one says what the program could
not see; a file without it was cut short. What the calls come to is decided by trace_calls.

It does not know how records get from the kernel into the file (recorder).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from struct import Struct

from labtasks.trace.trace import Trace
from labtasks.trace.trace_calls import CREAT, DIRECTORY, TRUNC, WRONLY, Calls
from labtasks.trace.trace_jobs import Process

RECORD = Struct("<IIiiiI")
"""Process, call, two descriptors, what it returned, and what else it was given; then strings."""

FRAME = Struct("<II")
"""What the kernel puts before each record."""

_HEAD = Struct("<IIIIiiiI")  # both

FORK, EXEC, BEGIN, END = 1000, 1001, 1002, 1003
"""Records that are no calls: a process was made, ran a program, is the first; nothing follows."""

UNSEEN = (
    "bpf: {} calls were lost",
    "bpf: {} strings could not be read",
    "bpf: {} calls of 32-bit programs",
    "bpf: {} processes could not be followed",
    "bpf: {} calls met on one processor",
)
"""What the program counts because it cannot tell it; END carries the numbers."""

UNTRUE = "bpf: "
"""How a problem begins that another tracer would not have had."""

_NUMBERS = Struct(f"<{len(UNSEEN)}Q")

BUSY, DISCARDED = 1 << 31, 1 << 30

_CWD = -100
"""AT_FDCWD: relative to where the process is."""

_DEV_FD = re.compile(rb"/dev/fd/(\d+)(?:/(.+))?", re.DOTALL)
"""What the kernel calls a program that was named by a descriptor."""

_OPEN = frozenset({2, 257, 437})
_CREAT = 85
_USED = frozenset({4, 6, 21, 262, 269, 332, 439})
_REMOVE = frozenset({84, 87, 263})
_CHANGE = frozenset({76, 83, 90, 92, 94, 132, 133, 235, 258, 259, 260, 261, 268, 280, 452})
_READLINK = frozenset({89, 267})
_CHDIR, _FCHDIR, _LISTED = 80, 81, frozenset({78, 217})
_RENAME, _LINK, _SYMLINK = frozenset({82, 264, 316}), frozenset({86, 265}), frozenset({88, 266})
_DUP = frozenset({32, 33, 72, 292})
_ONE_PATH = frozenset({*_OPEN, _CREAT, *_USED, *_REMOVE, *_CHANGE, *_READLINK})
_TWO_PATHS = _RENAME | _LINK | _SYMLINK

_THREAD, _FS, _FILES = 1, 2, 4  # what a new process shares with its parent


def parse(log: str | os.PathLike[str] | bytes, calls: Calls) -> Trace:
    """The trace of a build of which `calls` knows how it began. What the program could not see is
    in its `problems`. Cost: about 1 s of processor time per million records. Raises OSError when
    `log` cannot be read.
    """
    _Reader(calls).read(log if isinstance(log, bytes) else Path(log).read_bytes())
    return calls.trace()


def last(unseen: Sequence[int]) -> bytes:
    """The record that ends a file: how often each of UNSEEN was met."""
    text = _NUMBERS.pack(*unseen)
    return FRAME.pack(RECORD.size + len(text), 0) + RECORD.pack(0, END, 0, 0, 0, 0) + text


class _Reader:
    """Follows the records one by one."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.starting = False  # the first process does not run the build's own program yet
        self.complete = False
        self.strangers = 0  # calls of processes nobody saw made
        self.inside = tuple(p + end for p in calls.places() for end in (b"/", b"\0"))

    def read(self, data: bytes) -> None:
        """All the records."""
        calls, at, end = self.calls, 0, len(data)
        while at + _HEAD.size <= end and not self.complete:
            length, _, pid, call, fd, fd2, result, extra = _HEAD.unpack_from(data, at)
            text = at + _HEAD.size
            at += FRAME.size + (length & ~(BUSY | DISCARDED))
            if length & BUSY or at > end:
                break
            calls.number += 1
            # Most are calls with a path outside the trees: refused at once.
            outside = data.startswith(b"/", text) and not data.startswith(self.inside, text)
            if outside and call in _ONE_PATH and not (call in _OPEN and extra & DIRECTORY):
                pass
            elif not length & DISCARDED:
                self._record(pid, call, (fd, fd2), result, extra, data[text:at])
            at = at + 7 & ~7
        if not self.complete:
            calls.problems.append("bpf: the record of calls is cut short")
        if self.strangers:
            calls.problems.append(f"bpf: {self.strangers} calls of processes nobody saw made")

    def _record(
        self, pid: int, call: int, fds: tuple[int, int], result: int, extra: int, text: bytes
    ) -> None:
        calls = self.calls
        if call == BEGIN:
            calls.begun(pid)
            self.starting = True
            return
        if call == END:
            self._ended(text)
            return
        if self.starting and call != EXEC:
            return
        self.starting = False
        process = calls.live.get(result if call == EXEC else pid)
        if process is None:
            self.strangers += 1
        elif call in _ONE_PATH:
            path, _, target = text.partition(b"\0")
            full = calls.absolute(process, _held(fds[0]), path)
            if full is not None:
                self._one_path(process, call, full, target, result, extra)
        elif call in _TWO_PATHS:
            self._two_paths(process, call, fds, result, text)
        elif call < FORK:
            self._held_call(process, call, fds[0], result, text)
        elif call == FORK:
            thread, fs, files = (bool(extra & bit) for bit in (_THREAD, _FS, _FILES))
            calls.forked(process, result, thread=thread, fs=fs, files=files)
        else:
            self._executed(process, pid, result, text)

    def _one_path(
        self, process: Process, call: int, path: bytes, target: bytes, result: int, extra: int
    ) -> None:
        calls = self.calls
        if call in _USED:
            calls.used(process, path, result)
        elif call in _OPEN:
            calls.opened(process, path, extra, result)
        elif call in _READLINK:
            calls.link_read(process, path, target, result)
        elif call in _REMOVE:
            calls.removed(process, path, result)
        elif call in _CHANGE:
            calls.changed(process, path, result)
        else:
            calls.opened(process, path, WRONLY | CREAT | TRUNC, result)

    def _executed(self, process: Process, pid: int, old: int, text: bytes) -> None:
        """A program began; a thread that runs one becomes its process."""
        if old != pid:
            self.calls.live[pid] = self.calls.live.pop(old)
        name = text.removesuffix(b"\0")
        held = _DEV_FD.fullmatch(name)
        if held is None:
            path = self.calls.absolute(process, None, name)
        elif held[2]:
            path = self.calls.absolute(process, int(held[1]), held[2])
        else:
            path = (process.fds.get(int(held[1])) or b"").rstrip(b"/")
        if path:
            self.calls.executed(process, path, 0)

    def _two_paths(
        self, process: Process, call: int, fds: tuple[int, int], result: int, text: bytes
    ) -> None:
        first, second, _ = text.split(b"\0", 2)
        new = self.calls.absolute(process, _held(fds[1]), second)
        if call in _SYMLINK:
            self.calls.pointed(process, first, new, result)
        else:
            old = self.calls.absolute(process, _held(fds[0]), first)
            self.calls.linked(process, old, new, result, gone=call in _RENAME)

    def _held_call(self, process: Process, call: int, fd: int, result: int, text: bytes) -> None:
        """A call on a descriptor, or chdir, or a program that could not be run."""
        calls = self.calls
        held = process.fds.get(fd)
        if call in _DUP:
            calls.copied(process, fd, held, result)
        elif call in _LISTED:
            calls.listed(process, held)
        elif call == _FCHDIR:
            calls.went_to(process, held)
        else:
            path = calls.absolute(process, _held(fd), text.removesuffix(b"\0"))
            if path is not None:
                (calls.went if call == _CHDIR else calls.executed)(process, path, result)

    def _ended(self, text: bytes) -> None:
        self.complete = True
        found = zip(UNSEEN, _NUMBERS.unpack(text), strict=True)
        self.calls.problems += [words.format(number) for words, number in found if number]


def _held(fd: int) -> int | None:
    return None if fd == _CWD else fd
