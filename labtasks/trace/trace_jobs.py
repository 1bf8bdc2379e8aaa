"""The processes of a build -> its jobs: who belongs to which, and what a job is called.

Make's rules come from what makes open themselves, from commands whose output a make reads
(`!=`, $(shell)), and from what ran in a recipe's shell before it started a make. Any other
command is a recipe's: a job named by what it left, or a check where it left nothing.

It does not know how the processes were watched.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from labtasks.trace.trace import DRIVER, KINDS, Job, Kind, check_name

Names = Callable[[bytes], tuple[tuple[str, ...], tuple[str, ...]]]
"""A raw path -> the links that lead to its folder, and what it is itself (see Trees)."""
_BESIDE = re.compile(r"^\.|\.(d|dep|cmd|log|map)$")  # what a command leaves beside its product
_TEMPORARY = re.compile(r"(^|[._-])te?mp([._-]|$)|~$|^cc[A-Za-z0-9]{6}\.")


@dataclass(slots=True, eq=False)
class Process:
    """One process: where it is, what it holds open, and what it has done so far.

    Paths are kept as the log has them, made absolute: they are looked at once per process and
    path in the end, when all symbolic links are known.
    """

    parent: Process | None
    cwd: list[bytes]  # one item, so that processes can share it (CLONE_FS); ends in a slash
    fds: dict[int, bytes | None]  # what each descriptor was opened on; ends in a slash
    born: int = 0  # the line of the log
    driver: bool = False  # whether the program it last executed is one
    began: int = 0  # the line at which it became one
    ran: bool = False  # whether it executed anything; before that it is its parent's program
    streams: dict[int, int] = field(default_factory=dict)  # what it then made 1 and 2 from
    reads: set[bytes] = field(default_factory=set)
    absent: set[bytes] = field(default_factory=set)
    listed: set[bytes] = field(default_factory=set)
    rules: set[bytes] = field(default_factory=set)  # opened, or looked for to be opened
    appends: set[bytes] = field(default_factory=set)  # opened to be written on at their end
    writes: dict[bytes, int] = field(default_factory=dict)  # -> line; negative when it removed it

    def root(self) -> Process | None:
        """The process whose job this is part of; None for the driver's own."""
        process = self
        while not process.driver and process.parent is not None:
            if process.parent.driver:
                return process
            process = process.parent
        return None

    def redirect(self, old: int, new: int) -> None:
        """Descriptor `new` was made what `old` is; its parent's doing until it runs something."""
        if not self.ran:
            self.streams[new] = self.streams.get(old, old)

    @property
    def heard(self) -> bool:
        """Whether who started it reads its output. A make that runs several jobs at once takes
        both streams of a recipe's command, to print them; of what it asks, errors go elsewhere.
        """
        output = self.streams.get(1)
        both = output == self.streams.get(2)
        return output is not None and not (both and self.parent and self.parent.driver)

    @property
    def above(self) -> Iterator[Process]:
        """The process that started it, the one that started that, and so on."""
        process = self.parent
        while process is not None:
            yield process
            process = process.parent


@dataclass(slots=True)
class _Makes:
    """What a job has to do with makes that it started."""

    shells: set[Process] = field(default_factory=set)  # that led to one
    last: int = 0  # the line at which the last one began


def jobs_of(processes: Sequence[Process], names: Names, own: str) -> dict[str, Job]:
    """The jobs of a build by name. `own` is the prefix of the object tree's paths."""
    driver: list[Process] = []
    groups: dict[Process, list[Process]] = defaultdict(list)
    for process in dict.fromkeys(processes):  # a process is there once per thread
        root = process.root()
        (driver if root is None else groups[root]).append(process)
    makes = _makes(driver)
    ruling = list(driver)
    jobs: dict[str, list[Process]] = defaultdict(list)
    checks: list[Job] = []
    for root, group in groups.items():
        name = _name(group, names, own)
        found = _ruling(root, group, makes[root], named=name != DRIVER)
        if name == DRIVER and any(names(path)[1] for p in group for path in p.writes):
            found = group  # it wrote into the sources
        ruling += found
        if name != DRIVER:
            jobs[name] += group
        else:
            driver += found
            checks.append(_job([p for p in group if p not in {*found}], names))
    made = {name: _job(group, names) for name, group in jobs.items()}
    made[DRIVER] = replace(_job(driver, names), rules=_paths("rules", ruling, names))
    made |= {check_name(job): job for job in checks if job != Job()}
    return {name: made[name] for name in sorted(made)}


def _makes(driver: Iterable[Process]) -> dict[Process, _Makes]:
    """The jobs that started a make."""
    found: dict[Process, _Makes] = defaultdict(_Makes)
    for process in driver:
        root = process.parent.root() if process.driver and process.parent else None
        if root is not None:
            makes = found[root]
            makes.last = max(makes.last, process.began)
            for shell in process.above:
                makes.shells.add(shell)
                if shell is root:
                    break
    return found


def _ruling(root: Process, group: list[Process], makes: _Makes, *, named: bool) -> list[Process]:
    """The processes of a job whose output or end a make goes by."""
    if root.heard or (not named and any(process.heard for process in root.above)):
        return group
    before = [process for process in group if process.born < makes.last]
    if not named:  # its end may decide: `grep -q x file && make`
        return before
    return [p for p in before if p in makes.shells or _heard_in(root, p)]


def _heard_in(root: Process, process: Process) -> bool:
    """Whether a shell of the job took a process's output, as of `$(cat file)`."""
    while process is not root and process.parent is not None:
        if process.heard:
            return True
        process = process.parent
    return False


def _job(group: Collection[Process], names: Names) -> Job:
    sets = {kind: _paths(kind, group, names) for kind in KINDS if kind != "rules"}
    sets["reads"] |= {link for p in group for path in p.writes for link in names(path)[0]}
    return Job(**sets)


def _paths(kind: Kind, group: Iterable[Process], names: Names) -> frozenset[str]:
    sets: Iterable[Iterable[bytes]] = (getattr(process, kind) for process in group)
    paths: set[bytes] = set().union(*sets)
    written = kind in ("writes", "appends")
    return frozenset(
        name for path in paths for some in names(path)[1 if written else 0 :] for name in some
    )


def _name(processes: list[Process], names: Names, own: str) -> str:
    """The best of the objects that these made and left, or made at all; DRIVER if there is none.

    A command that leaves an unchanged product alone made at least something to compare it with.
    """
    last: dict[bytes, int] = {}
    for process in processes:
        for path, line in process.writes.items():
            last[path] = max(last.get(path, 0), line, key=abs)
    # Files also go with their directory, however `rm -r` named them.
    left = [
        path
        for path, line in last.items()
        if line > 0 and last.get(path.rpartition(b"/")[0], 0) > -line
    ]
    for paths in (left, last):
        made = [n for path in paths for n in names(path)[1][-1:] if n.startswith(own)]
        if made:
            return min(made, key=_rank)
    return DRIVER


def _rank(name: str) -> tuple[bool, bool, str]:
    """Least for the path that is best as a job's name: neither temporary nor .depend.x.o."""
    last = name.rpartition("/")[2]
    return bool(_TEMPORARY.search(last)), bool(_BESIDE.search(last)), name
