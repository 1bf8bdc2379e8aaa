"""The file calls of a build's processes, one by one -> a trace.

Whoever watches (trace_strace, trace_bpf) says which process made which call, in the order in
which they ended; this keeps where each process is and what it holds open, and what it did.

Descriptors are followed only as far as *at calls and fchdir need them; nobody tells that one was
closed. It knows nothing of makefiles: a job is a child of a process that runs one of the
_DRIVERS, with all its descendants.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import cache

from labtasks.trace.trace import Trace
from labtasks.trace.trace_jobs import Process, jobs_of
from labtasks.trace.trace_trees import Trees

_DRIVERS = re.compile(rb"(nb)?[bdfgps]?make|ninja|samu")
"""Programs that run the commands of a build, by name; nb is what a tree calls a make of its own."""

GONE = frozenset({-2, -20})
"""Results that say that nothing is there: ENOENT, ENOTDIR."""

WRONLY, RDWR, CREAT, EXCL, TRUNC, APPEND = 0o1, 0o2, 0o100, 0o200, 0o1000, 0o2000
DIRECTORY, PATH, TMPFILE = 0o200000, 0o10000000, 0o20000000
"""Flags of open(2), as x86-64 has them (the standard library knows only the host's)."""

_MOST_INTERPRETERS = 5  # as in the kernel


class Calls:
    """Follows a build's processes call by call.

    A path is absolute, as `absolute` makes it; a result is what the call returned, below zero
    the error's number. The owner counts `number` up, so that one call's is larger than an
    earlier one's.
    """

    def __init__(
        self,
        *,
        src: str,
        obj: str,
        cwd: str,
        links: Mapping[str, str] | None = None,
        interpreter: Callable[[str], str] = lambda _: "",
    ) -> None:
        """Of a build that begins in `cwd` and sees its trees at `src` and `obj`.

        `links`: symbolic links that were there before ("obj/x/machine" -> "/mnt/src/sys/...");
        those made or read during the build are among the calls. `interpreter` tells what the first
        line of an executed file (a trace path) names, for no call shows it.
        """
        self.trees = Trees(src, obj, links)
        self.number = 0
        self.processes: list[Process] = []
        self.live: dict[int, Process] = {}
        self.problems: list[str] = []
        self._interpreter = cache(interpreter)
        self._cwd = os.fsencode(cwd) + b"/"
        self._links: dict[bytes, bytes] = {}  # those seen made or read
        self._doors = 0  # links made outside the trees that lead into one
        self._lost = 0  # calls relative to a descriptor nobody saw opened

    def places(self) -> list[bytes]:
        """Where the trees are, and the links outside that lead into them. All other paths say
        nothing, but for a directory opened there: names relative to it can lead back in.
        """
        roots = (root for root, _ in self.trees.roots)
        return [os.fsencode(place) for place in (*roots, *self.trees.doors)]

    def begun(self, pid: int) -> Process:
        """The first process, or one whose parent is not known."""
        first = self.processes[0] if self.processes else None
        return self.born(pid, Process(first, [self._cwd], {}))

    def born(self, pid: int, process: Process) -> Process:
        """From here on the calls of `pid` are this process's."""
        self.live[pid] = process
        self.processes.append(process)
        return process

    def forked(self, parent: Process, pid: int, *, thread: bool, fs: bool, files: bool) -> None:
        """`pid` was made; `fs`: it shares its parent's directory, `files`: its descriptors."""
        if thread:
            self.born(pid, parent)
            return
        cwd = parent.cwd if fs else list(parent.cwd)
        held = parent.fds if files else dict(parent.fds)
        self.born(pid, Process(parent, cwd, held, born=self.number))

    def absolute(self, process: Process, fd: int | None, path: bytes) -> bytes | None:
        """A path a call named, made absolute; None when that cannot be done, which is counted."""
        if path.startswith(b"/"):
            return path
        base = process.cwd[0] if fd is None else process.fds.get(fd)
        if base is None:
            self._lost += 1
            return None
        return base + path

    def used(self, process: Process, path: bytes, result: int) -> None:
        """stat, access, and whatever else only wants to know."""
        (process.absent if result in GONE else process.reads).add(path)

    def opened(self, process: Process, path: bytes, flags: int, result: int) -> None:
        """open, openat, creat."""
        if result < 0:
            # Any other failure, as EEXIST, shows that something is there.
            self.used(process, path, result)
            process.rules.add(path)
            return
        process.fds[result] = path + b"/"
        if flags & DIRECTORY and not flags & TMPFILE:
            (process.reads if flags & PATH else process.listed).add(path)
        elif flags & PATH:
            process.reads.add(path)
        elif not flags & (WRONLY | RDWR | CREAT):
            process.reads.add(path)
            process.rules.add(path)
        elif flags & APPEND and not flags & TRUNC:
            process.appends.add(path)
            process.writes.setdefault(path, 0)  # a log that many jobs write to names none of them
        else:
            process.writes[path] = self.number
            if flags & RDWR and not flags & (TRUNC | EXCL):
                process.reads.add(path)

    def removed(self, process: Process, path: bytes, result: int) -> None:
        """unlink, rmdir."""
        if result < 0:
            self.used(process, path, result)
        else:
            process.writes[path] = -self.number

    def changed(self, process: Process, path: bytes, result: int) -> None:
        """mkdir, chmod, truncate, utime and their kin."""
        if result < 0:
            self.used(process, path, result)
        else:
            process.writes.setdefault(path, 0)

    def link_read(self, process: Process, path: bytes, target: bytes, result: int) -> None:
        """readlink; `target` is empty when it failed."""
        self.used(process, path, result)
        if result >= 0 and target:
            self._link(path, target)

    def went(self, process: Process, path: bytes, result: int) -> None:
        """A chdir."""
        self.used(process, path, result)
        if result == 0:
            process.cwd[0] = os.fsencode(self.trees.directory(text_of(path))) + b"/"

    def executed(self, process: Process, path: bytes, result: int) -> None:
        """execve, execveat."""
        self.used(process, path, result)
        if result == 0:
            process.ran = True
            process.began = self.number
            process.driver = bool(_DRIVERS.fullmatch(path.rpartition(b"/")[2]))
            self._interpreted(process, path)

    def _interpreted(self, process: Process, path: bytes) -> None:
        """The kernel opens what a script's first line names, and what that one's names."""
        for _ in range(_MOST_INTERPRETERS):
            names = self.trees.names(text_of(path))
            path = os.fsencode(self._interpreter(names[-1])) if names else b""
            if not path:
                return
            path = path if path.startswith(b"/") else process.cwd[0] + path
            process.reads.add(path)

    def went_to(self, process: Process, held: bytes | None) -> None:
        """An fchdir that worked; `held` is what the descriptor was opened on, with a slash."""
        process.cwd[0] = held or process.cwd[0]

    def copied(self, process: Process, fd: int, held: bytes | None, new: int) -> None:
        """A dup, or an fcntl that was one: `new` is what `fd` is, opened on `held`.

        Without knowledge of the old one, what was known of the new one is wrong now.
        """
        process.fds[new] = held
        process.redirect(fd, new)

    def listed(self, process: Process, held: bytes | None) -> None:
        """A getdents that worked."""
        if held:
            process.listed.add(held.rstrip(b"/"))
            process.rules.discard(held.rstrip(b"/"))

    def _appeared(
        self, process: Process, old: bytes | None, new: bytes | None, result: int
    ) -> bool:
        """The new name of rename, link or symlink (the latter without an old one); whether it
        is there now.
        """
        if old is not None and result in GONE:
            process.absent.add(old)
        elif new is not None and result != 0:
            process.reads.add(new)
        if new is None or result != 0:
            return False
        process.writes[new] = self.number
        return True

    def linked(
        self, process: Process, old: bytes | None, new: bytes | None, result: int, *, gone: bool
    ) -> None:
        """link, or rename where the old name is `gone`."""
        if not self._appeared(process, old, new, result) or old is None or new is None:
            return
        process.reads.add(old)
        if gone:
            process.writes[old] = -self.number
        target = self._links.get(old)  # `ln -sf` makes a link and then renames it
        if target is not None:
            self._link(new, target)

    def pointed(self, process: Process, target: bytes, new: bytes | None, result: int) -> None:
        """A symlink."""
        if self._appeared(process, None, new, result) and new is not None:
            if self._leads_in(new, target):
                self._doors += 1
            self._link(new, target)

    def _leads_in(self, link: bytes, target: bytes) -> bool:
        """Whether a link outside the trees leads into one: uses of it would go unseen."""
        places = [os.fsencode(root) for root, _ in self.trees.roots]
        outside = not any(link.startswith(place + b"/") for place in places)
        return outside and any(target == p or target.startswith(p + b"/") for p in places)

    def _link(self, path: bytes, target: bytes) -> None:
        self._links[path] = target
        self.trees.add_link(text_of(path), text_of(target))

    def trace(self) -> Trace:
        """What all the calls come to."""
        problems = list(self.problems)
        if self._lost:
            problems.insert(0, f"{self._lost} calls below a directory nobody saw opened")
        if self._doors:
            problems.append(f"{self._doors} links from outside into the trees")
        own = "src/" if self.trees.in_tree else "obj/"

        @cache
        def names(path: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
            text = text_of(path)
            return self.trees.way(text), self.trees.own(text)

        made = jobs_of(self.processes, names, own)
        return Trace(made, in_tree=self.trees.in_tree, problems=problems)


def text_of(path: bytes) -> str:
    """A path as traces hold it, undecodable bytes kept."""
    return path.decode("utf-8", "surrogateescape")
