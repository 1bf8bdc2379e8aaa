r"""The log of strace, line by line -> the calls of a build's processes.

The log is one file with a pid before each line, as written by

    strace -f --seccomp-bpf -q -s 4096 -o LOG -e trace=<the file calls, fcntl, dup, clone, fork> ...

Closing is not in the log; nor are the loader a program names, io_uring, directories opened
without O_DIRECTORY, and what a process does with a descriptor another one sent it. What the
calls come to is decided by trace_calls.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import nullcontext
from functools import cache
from pathlib import Path

from labtasks.trace.trace import Trace
from labtasks.trace.trace_calls import (
    APPEND,
    CREAT,
    DIRECTORY,
    EXCL,
    PATH,
    RDWR,
    TMPFILE,
    TRUNC,
    WRONLY,
    Calls,
)
from labtasks.trace.trace_jobs import Process

_STRING = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
_FD = rb"(AT_FDCWD|\d+)"
_TREE_CALL = rb'(\w+)\((?:AT_FDCWD, |%s, )?(?!"")%s(?P<tree>.*)'
# Moves, links and changes of directory matter wherever they are; so do programs and forks.
_OTHER_CALL = (
    rb"(execve|execveat|f?chdir|rename\w*|link|linkat|symlink\w*|clone3?|v?fork|fcntl|dup\d?|getdents64)"
    rb"\((?P<other>.*)"
)
_RESUMED = rb"<\.\.\. \w+ resumed>(?P<resumed>.*)"
_ENDED = rb"(?P<ended>--- SIGCHLD .*CLD_(?:EXITED|KILLED|DUMPED), si_pid=(\d+)|\+\+\+ )"

_PATHS = re.compile(rb"(?:AT_FDCWD, |%s, )?%s" % (_FD, _STRING))
_HELD = re.compile(_FD)
_CHILD = re.compile(rb"(\d+)(?: /\* (\d+) in strace's PID NS \*/)?$")
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}
_NUMBER = re.compile(rb"\d+")
_FLAGS = re.compile(rb"\bO_[A-Z_|]+")
_UNFINISHED = b" <unfinished ...>\n"

_BITS = {
    b"O_WRONLY": WRONLY, b"O_RDWR": RDWR, b"O_ACCMODE": WRONLY | RDWR, b"O_CREAT": CREAT,
    b"O_EXCL": EXCL, b"O_TRUNC": TRUNC, b"O_APPEND": APPEND, b"O_DIRECTORY": DIRECTORY,
    b"O_PATH": PATH, b"O_TMPFILE": TMPFILE,
}  # fmt: skip
_OPEN = frozenset({b"open", b"openat", b"openat2", b"creat"})
_FORK = frozenset({b"clone", b"clone3", b"vfork", b"fork"})
_REMOVE = frozenset({b"unlink", b"unlinkat", b"rmdir"})
_CHANGE = frozenset(
    b"mkdir mkdirat mknod mknodat chmod fchmodat fchmodat2 chown lchown fchownat truncate utime"
    b" utimes futimesat utimensat".split()
)


def parse(log: str | os.PathLike[str] | Iterable[bytes], calls: Calls) -> Trace:
    """The trace of a build of which `calls` knows how it began. Cost: 2 to 3 s of processor time
    per million lines. Raises OSError when `log` cannot be read.
    """
    reader = _Reader(calls)
    with Path(log).open("rb") if isinstance(log, str | os.PathLike) else nullcontext(log) as lines:
        for line in lines:
            reader.read(line)
    return reader.trace()


class _Reader:
    """Follows the log line by line."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self.unfinished: dict[bytes, bytes] = {}  # pid -> the first half of its call
        self.unborn: dict[bytes, list[bytes]] = {}  # pid -> its lines before the fork returned
        # The order matters: most lines are stat and open calls outside the trees, which the
        # look-ahead refuses at once.
        outside = rb'/(?!(?:%s)["/]|[^"]*", [A-Z_|]*O_DIRECTORY)' % b"|".join(
            re.escape(place.strip(b"/")) for place in calls.places()
        )
        call = _TREE_CALL % (_FD, _STRING.replace(b'"', b'"(?!' + outside + b")", 1))
        either = b"|".join((_OTHER_CALL, call, _RESUMED, _ENDED))
        self.match = re.compile(rb"(\d+) +(?:%s)" % either).match

    def read(self, line: bytes) -> None:
        """One line of the log."""
        calls = self.calls
        calls.number += 1
        match = self.match(line)
        if match is None:
            return
        pid = match[1]
        process = calls.live.get(int(pid))
        if process is None:
            if calls.processes:
                self.unborn.setdefault(pid, []).append(line)
                return
            process = calls.begun(int(pid))
        kind = match.lastgroup
        if kind == "ended":  # a process ended; the pid can come again, as another process's
            ended = match[10] or pid
            calls.live.pop(int(ended), None)
            self.unfinished.pop(ended, None)
        elif kind == "resumed":  # the second half of a call
            begun = self.unfinished.pop(pid, None)
            if begun is not None:
                self.read(begun + match["resumed"])
        elif line.endswith(_UNFINISHED):
            self.unfinished[pid] = line.removesuffix(_UNFINISHED)
        elif kind == "tree":
            call, fd, raw, rest = match.group(4, 5, 6, 7)
            path = self._absolute(process, fd, raw)
            if path is not None:
                self._tree_call(process, call, path, rest)
        else:
            self._other_call(process, match[2], match[3])

    def _tree_call(self, process: Process, call: bytes, path: bytes, rest: bytes) -> None:
        """A call with one path, in a tree or relative."""
        calls = self.calls
        result = _result(rest)
        if result is None:
            return
        if call in _OPEN:
            found = _FLAGS.search(rest)
            flags = _flags(found[0]) if found else WRONLY | CREAT | TRUNC
            calls.opened(process, path, flags, result)
        elif call in _REMOVE:
            calls.removed(process, path, result)
        elif call in _CHANGE:
            calls.changed(process, path, result)
        elif call.startswith(b"readlink"):
            target = _PATHS.search(rest)
            calls.link_read(process, path, _unescaped(target[2]) if target else b"", result)
        else:
            calls.used(process, path, result)

    def _other_call(self, process: Process, call: bytes, args: bytes) -> None:
        """Programs, moves, links, changes of directory, descriptors, forks."""
        calls = self.calls
        result = _result(args)
        if call in _FORK:
            self._forked(process, args)
        elif result is None:
            return
        elif call.startswith((b"rename", b"link", b"symlink")):
            self._moved(process, call, args, result)
        elif call in {b"chdir", b"execve", b"execveat"}:
            found = _PATHS.match(args)
            path = self._absolute(process, found[1], found[2]) if found else None
            if path is not None:
                (calls.went if call == b"chdir" else calls.executed)(process, path, result)
        elif result >= 0:
            self._held(process, call, args, result)

    def _held(self, process: Process, call: bytes, args: bytes, result: int) -> None:
        """Calls on a descriptor."""
        fd = _HELD.match(args)
        held = self._directory(process, fd[1]) if fd else None
        if call == b"fchdir":
            self.calls.went_to(process, held)
        elif call == b"getdents64":
            self.calls.listed(process, held)
        elif call != b"fcntl" or b" F_DUPFD" in args:
            number = fd[1] if fd else b""
            self.calls.copied(process, int(number) if number.isdigit() else -1, held, result)

    def _moved(self, process: Process, call: bytes, args: bytes, result: int) -> None:
        """rename, link and symlink, with their *at variants."""
        first, *others = ((match[1], match[2]) for match in _PATHS.finditer(args))
        symbolic = call.startswith(b"symlink")
        old = None if symbolic else self._absolute(process, *first)
        new = self._absolute(process, *others[0]) if others else None
        if symbolic:
            self.calls.pointed(process, _unescaped(first[1]), new, result)
        else:
            self.calls.linked(process, old, new, result, gone=call.startswith(b"rename"))

    def _forked(self, process: Process, args: bytes) -> None:
        pid = _CHILD.match(args.rpartition(b" = ")[2])
        if pid is None:
            return
        child = pid[2] or pid[1]
        self.calls.forked(
            process,
            int(child),
            thread=b"CLONE_THREAD" in args,
            fs=b"CLONE_FS" in args,
            files=b"CLONE_FILES" in args,
        )
        for line in self.unborn.pop(child, ()):  # those that came too early
            self.read(line)

    def _absolute(self, process: Process, fd: bytes | None, raw: bytes) -> bytes | None:
        path = _unescaped(raw) if b"\\" in raw else raw
        return self.calls.absolute(process, int(fd) if fd and fd.isdigit() else None, path)

    def _directory(self, process: Process, fd: bytes) -> bytes | None:
        return process.fds.get(int(fd)) if fd.isdigit() else None

    def trace(self) -> Trace:
        """What the log said, once it has been read."""
        if self.unborn:
            self.calls.problems.append(f"{len(self.unborn)} processes whose parent nobody saw")
        while self.unborn:
            pid = next(iter(self.unborn))
            self.calls.begun(int(pid))
            for line in self.unborn.pop(pid):
                self.read(line)
        return self.calls.trace()


def _result(rest: bytes) -> int | None:
    """What a call returned; None for one that did not return, or is told otherwise."""
    text = rest.rpartition(b" = ")[2]
    if text.startswith(b"-"):
        return -2 if text.startswith(b"-1 ENOENT") else -20 if b"ENOTDIR" in text else -1
    number = _NUMBER.match(text)
    return int(number[0]) if number else None


@cache
def _flags(names: bytes) -> int:
    """Flags of open as strace writes them -> the bits that matter here."""
    return sum(_BITS.get(name, 0) for name in names.split(b"|"))


def _unescaped(raw: bytes) -> bytes:
    """A string as strace writes it -> the bytes it stands for."""
    return _ESCAPE.sub(
        lambda m: bytes([int(m[1], 8)]) if m[1].isdigit() else _ESCAPED.get(m[1], m[1]), raw
    )
