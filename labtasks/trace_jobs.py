"""The processes of a build -> its jobs: who belongs to which, and what a job is called.

It does not know how the processes were watched.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from labtasks.trace import DRIVER, KINDS, Job, Kind

Names = Callable[[bytes], tuple[str, ...]]
"""A raw path -> the trace paths it concerns, the file itself last."""

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
    driver: bool = False  # whether the program it last executed is one
    reads: set[bytes] = field(default_factory=set)
    absent: set[bytes] = field(default_factory=set)
    listed: set[bytes] = field(default_factory=set)
    rules: set[bytes] = field(default_factory=set)  # opened, or looked for to be opened
    writes: dict[bytes, int] = field(default_factory=dict)  # -> line; negative when it removed it

    def root(self) -> Process | None:
        """The process whose job this is part of; None for the driver's own."""
        process = self
        while not process.driver and process.parent is not None:
            if process.parent.driver:
                return process
            process = process.parent
        return None


def jobs_of(processes: Sequence[Process], names: Names, own: str) -> dict[str, Job]:
    """The jobs of a build by name. `own` is the prefix of the object tree's paths."""
    jobs: dict[Process | None, list[Process]] = defaultdict(list)
    for process in dict.fromkeys(processes):  # a process is there once per thread
        jobs[process.root()].append(process)
    named: dict[str, list[Process]] = {DRIVER: jobs.pop(None, [])}
    for members in jobs.values():
        named.setdefault(_name(members, names, own), []).extend(members)

    def all_names(kind: str, members: list[Process]) -> frozenset[str]:
        sets: Iterable[Iterable[bytes]] = (getattr(process, kind) for process in members)
        paths: set[bytes] = set().union(*sets)
        return frozenset(name for path in paths for name in names(path))

    def kinds(name: str) -> tuple[Kind, ...]:
        return KINDS if name == DRIVER else tuple(k for k in KINDS if k != "rules")

    return {
        name: Job(**{kind: all_names(kind, named[name]) for kind in kinds(name)})
        for name in sorted(named)
    }


def _name(processes: list[Process], names: Names, own: str) -> str:
    """The best of the objects that these made and left, or made at all; else the driver's name.

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
        made = [n for path in paths for n in names(path)[-1:] if n.startswith(own)]
        if made:
            return min(made, key=_rank)
    return DRIVER


def _rank(name: str) -> tuple[bool, bool, str]:
    """Least for the path that is best as a job's name: neither temporary nor .depend.x.o."""
    last = name.rpartition("/")[2]
    return bool(_TEMPORARY.search(last)), bool(_BESIDE.search(last)), name
