r"""The log of strace -> a trace: what each job of a build read, looked for, listed and wrote.

The log is one file with a pid before each line, as written by

    strace -f --seccomp-bpf -q -s 4096 -o LOG -e trace=<the file calls, fcntl, dup, clone, fork> ...

Descriptors are followed only as far as *at calls and fchdir need them, and closing is not in the
log; nor are the loader a program names, io_uring, directories opened without O_DIRECTORY, and
what a process does with a descriptor another one sent it. It knows nothing of makefiles: a job
is a child of a process that runs one of the `drivers`, with all its descendants.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path

from labtasks.trace import Trace
from labtasks.trace_jobs import Process, jobs_of
from labtasks.trace_trees import Trees

DRIVERS = frozenset({"make", "gmake", "bmake", "fmake", "pmake", "ninja", "samu"})

_STRING = rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
_FD = rb"((?:AT_FDCWD|\d+)(?:<[^>]*>)?)"  # with -y its path stands in angle brackets
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
_NO_DIGIT = re.compile(rb"\D")
_UNFINISHED = b" <unfinished ...>\n"
_GONE = (b"-1 ENOENT", b"-1 ENOTDIR")

_MOST_INTERPRETERS = 5  # as in the kernel
_OPEN = frozenset({b"open", b"openat", b"openat2", b"creat"})
_FORK = frozenset({b"clone", b"clone3", b"vfork", b"fork"})
_ENTER = frozenset({b"execve", b"execveat", b"chdir"})
_REMOVE = frozenset({b"unlink", b"unlinkat", b"rmdir"})
_CHANGE = frozenset(
    b"mkdir mkdirat mknod mknodat chmod fchmodat fchmodat2 chown lchown fchownat truncate utime"
    b" utimes futimesat utimensat setxattr lsetxattr removexattr lremovexattr".split()
)


def parse(
    log: str | os.PathLike[str] | Iterable[bytes],
    *,
    src: str,
    obj: str,
    cwd: str,
    drivers: Collection[str] = DRIVERS,
    links: Mapping[str, str] | None = None,
    interpreter: Callable[[str], str] = lambda _: "",
) -> Trace:
    """The trace of a build that began in `cwd` and saw its trees at `src` and `obj`.

    `links`: symbolic links that were there before ("obj/x/machine" -> "/mnt/src/sys/..."); those
    made or read during the build are in the log. `interpreter` tells what the first line of an
    executed file (a trace path) names, for no call shows it. Cost: 2 to 3 s of processor time per
    million lines. Raises OSError when `log` cannot be read.
    """
    reader = _Reader(Trees(src, obj, links), cwd, drivers, interpreter)
    with Path(log).open("rb") if isinstance(log, str | os.PathLike) else nullcontext(log) as lines:
        for line in lines:
            reader.read(line)
    return reader.trace()


class _Reader:
    """Follows the log line by line."""

    def __init__(
        self,
        trees: Trees,
        cwd: str,
        drivers: Collection[str],
        interpreter: Callable[[str], str],
    ) -> None:
        self.trees = trees
        self.interpreter = cache(interpreter)
        self.drivers = frozenset(name.encode() for name in drivers)
        self.cwd = os.fsencode(cwd) + b"/"
        self.line = 0
        self.processes: list[Process] = []
        self.live: dict[bytes, Process] = {}
        self.unfinished: dict[bytes, bytes] = {}  # pid -> the first half of its call
        self.unborn: dict[bytes, list[bytes]] = {}  # pid -> its lines before the fork returned
        self.links: dict[bytes, bytes] = {}  # those seen made or read
        self.doors = 0  # links made outside the trees that lead into one
        self.lost = 0  # calls relative to a descriptor nobody saw opened
        # The order matters: most lines are stat and open calls outside the trees, which the
        # look-ahead refuses at once. Directories opened out there can lead back in.
        outside = rb'/(?!(?:%s)["/]|[^"]*", [A-Z_|]*O_DIRECTORY)' % b"|".join(
            re.escape(os.fsencode(place).strip(b"/"))
            for place in (*(root for root, _ in trees.roots), *trees.doors)
        )
        call = _TREE_CALL % (_FD, _STRING.replace(b'"', b'"(?!' + outside + b")", 1))
        either = b"|".join((_OTHER_CALL, call, _RESUMED, _ENDED))
        self.match = re.compile(rb"(\d+) +(?:%s)" % either).match

    def read(self, line: bytes) -> None:
        """One line of the log."""
        self.line += 1
        match = self.match(line)
        if match is None:
            return
        pid = match[1]
        process = self.live.get(pid)
        if process is None:
            if self.processes:
                self.unborn.setdefault(pid, []).append(line)
                return
            process = self._born(pid, Process(None, [self.cwd], {}))
        kind = match.lastgroup
        if kind == "ended":  # a process ended; the pid can come again, as another process's
            self.live.pop(match[10] or pid, None)
            self.unfinished.pop(match[10] or pid, None)
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
        result = rest.rpartition(b" = ")[2]
        if result.startswith(b"-"):
            # Any other failure, as EEXIST, shows that something is there.
            (process.absent if result.startswith(_GONE) else process.reads).add(path)
            if call in _OPEN:
                process.rules.add(path)
        elif result.startswith(b"?"):
            return
        elif call in _OPEN:
            process.fds[result.partition(b"<")[0]] = path + b"/"
            self._opened(process, path, rest)
        elif call in _REMOVE:
            process.writes[path] = -self.line
        elif call in _CHANGE:
            process.writes.setdefault(path, 0)
        elif call == b"getcwd":
            process.cwd[0] = path + b"/"
        else:
            process.reads.add(path)
            target = _PATHS.search(rest) if call.startswith(b"readlink") else None
            if target is not None:
                self._link(path, _unescaped(target[2]))

    def _opened(self, process: Process, path: bytes, flags: bytes) -> None:
        if b"O_DIRECTORY" in flags:
            (process.reads if b"O_PATH" in flags else process.listed).add(path)
        elif b"O_PATH" in flags:
            process.reads.add(path)
        elif b"O_RDONLY" in flags and b"O_CREAT" not in flags:
            process.reads.add(path)
            process.rules.add(path)
        elif b"O_APPEND" in flags and b"O_TRUNC" not in flags:
            process.writes.setdefault(path, 0)  # a log that many jobs write to names none of them
        else:
            process.writes[path] = self.line
            if b"O_RDWR" in flags and b"O_TRUNC" not in flags and b"O_EXCL" not in flags:
                process.reads.add(path)

    def _other_call(self, process: Process, call: bytes, args: bytes) -> None:
        """Programs, moves, links, changes of directory, descriptors, forks."""
        result = args.rpartition(b" = ")[2]
        if call in _FORK:
            self._forked(process, args, result)
        elif call.startswith((b"rename", b"link", b"symlink")):
            self._moved(process, call, args, result)
        elif call in _ENTER:
            found = _PATHS.match(args)
            path = self._absolute(process, found[1], found[2]) if found else None
            if path is None:
                return
            (process.absent if result.startswith(_GONE) else process.reads).add(path)
            if result == b"0" and call == b"chdir":
                process.cwd[0] = os.fsencode(self.trees.directory(text_of(path))) + b"/"
            elif result == b"0":
                process.ran = True
                process.driver = path.rpartition(b"/")[2] in self.drivers
                process.began = self.line
                self._interpreted(process, path)
        elif not result.startswith((b"-", b"?")):
            self._held(process, call, args, result)

    def _interpreted(self, process: Process, path: bytes) -> None:
        """The kernel opens what a script's first line names, and what that one's names."""
        for _ in range(_MOST_INTERPRETERS):
            names = self.trees.names(text_of(path))
            path = os.fsencode(self.interpreter(names[-1])) if names else b""
            if not path:
                return
            path = path if path.startswith(b"/") else process.cwd[0] + path
            process.reads.add(path)

    def _held(self, process: Process, call: bytes, args: bytes, result: bytes) -> None:
        """Calls on a descriptor."""
        fd = _HELD.match(args)
        held = self._directory(process, fd[1]) if fd else None
        if call == b"fchdir":
            process.cwd[0] = held or process.cwd[0]
        elif call == b"getdents64":
            if held:
                process.listed.add(held.rstrip(b"/"))
                process.rules.discard(held.rstrip(b"/"))
        elif call != b"fcntl" or b" F_DUPFD" in args:
            # Without knowledge of the old one, what was known of the new one is wrong now.
            new = _NO_DIGIT.split(result, 1)[0]
            process.fds[new] = held
            if fd:
                process.redirect(fd[1].partition(b"<")[0], new)

    def _moved(self, process: Process, call: bytes, args: bytes, result: bytes) -> None:
        """rename, link and symlink, with their *at variants."""
        first, *others = ((match[1], match[2]) for match in _PATHS.finditer(args))
        symbolic = call.startswith(b"symlink")
        old = None if symbolic else self._absolute(process, *first)
        new = self._absolute(process, *others[0]) if others else None
        if old is not None and result.startswith(_GONE):
            process.absent.add(old)
        elif new is not None and result != b"0":
            process.reads.add(new)
        if new is None or result != b"0":
            return
        process.writes[new] = self.line
        if symbolic and self._leads_in(new, _unescaped(first[1])):
            self.doors += 1
        if old is not None:
            process.reads.add(old)
            if call.startswith(b"rename"):
                process.writes[old] = -self.line
        # `ln -sf` makes a link and then renames it.
        target = _unescaped(first[1]) if symbolic else self.links.get(old or b"")
        if target is not None:
            self._link(new, target)

    def _forked(self, process: Process, args: bytes, result: bytes) -> None:
        pid = _CHILD.match(result)
        if pid is None:
            return
        if b"CLONE_THREAD" in args:
            self._born(pid[2] or pid[1], process)
            return
        cwd = process.cwd if b"CLONE_FS" in args else list(process.cwd)
        fds = process.fds if b"CLONE_FILES" in args else dict(process.fds)
        self._born(pid[2] or pid[1], Process(process, cwd, fds, born=self.line))

    def _born(self, pid: bytes, process: Process) -> Process:
        """From here on the lines of `pid` are this process's, with those that came too early."""
        self.live[pid] = process
        self.processes.append(process)
        for line in self.unborn.pop(pid, ()):
            self.read(line)
        return process

    def _absolute(self, process: Process, fd: bytes | None, raw: bytes) -> bytes | None:
        path = _unescaped(raw) if b"\\" in raw else raw
        if path.startswith(b"/"):
            return path
        base = self._directory(process, fd)
        if base is None:
            self.lost += 1
            return None
        return base + path

    def _directory(self, process: Process, fd: bytes | None) -> bytes | None:
        if fd is None:
            return process.cwd[0]
        number, _, path = fd.partition(b"<")
        return _unescaped(path[:-1]) + b"/" if path else process.fds.get(number)

    def _leads_in(self, link: bytes, target: bytes) -> bool:
        """Whether a link outside the trees leads into one: uses of it would go unseen."""
        places = [os.fsencode(root) for root, _ in self.trees.roots]
        outside = not any(link.startswith(place + b"/") for place in places)
        return outside and any(target == p or target.startswith(p + b"/") for p in places)

    def _link(self, path: bytes, target: bytes) -> None:
        self.links[path] = target
        self.trees.add_link(text_of(path), text_of(target))

    def trace(self) -> Trace:
        """What the log said, once it has been read."""
        problems = [f"{self.lost} calls below a directory nobody saw opened"] if self.lost else []
        if self.doors:
            problems.append(f"{self.doors} links from outside into the trees")
        if self.unborn:
            problems.append(f"{len(self.unborn)} processes whose parent nobody saw")
        while self.unborn:
            self._born(next(iter(self.unborn)), Process(self.processes[0], [self.cwd], {}))
        own = "src/" if self.trees.in_tree else "obj/"
        names = cache(lambda path: self.trees.names(text_of(path)))
        made = jobs_of(self.processes, names, own)
        return Trace(made, in_tree=self.trees.in_tree, problems=problems)


def text_of(path: bytes) -> str:
    """A path as traces hold it, undecodable bytes kept."""
    return path.decode("utf-8", "surrogateescape")


def _unescaped(raw: bytes) -> bytes:
    """A string as strace writes it -> the bytes it stands for."""
    return _ESCAPE.sub(
        lambda m: bytes([int(m[1], 8)]) if m[1].isdigit() else _ESCAPED.get(m[1], m[1]), raw
    )
