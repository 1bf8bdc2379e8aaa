"""What a build read, job by job, and which jobs a set of changed files concerns.

A path in a trace is a string under one of two trees: "src/sys/kern/x.c" or "obj/tmp/usr/bin/cc".
Everything else (the system's own files) is left out. In a build whose objects lie among its
sources, every path is "src/...". A job is one command of the build, named by the file it made;
the job "" is the build driver (make, its shells) and all that could not be told apart from it. A
command that left nothing is a check, named by all it looked at.

Held and stored inverted, path -> numbers of the jobs: nearly every question asked is "who read
this file", and asking it of a stored trace then costs two dictionary look-ups per change.

It does not know how the trace was taken (trace_strace, trace_filemon, trace_depend), what a
change costs to build, nor anything about git beyond the letters of `diff --name-status`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from labtasks.ground import digest
from labtasks.trace import trace_pack
from labtasks.trace.trace_pack import Rows

Change = tuple[str, str]  # ("A", "M", "D" or "T"; "src/..." or "obj/...")
Kind = Literal["reads", "absent", "listed", "writes", "rules", "appends"]

KINDS: tuple[Kind, ...] = ("reads", "absent", "listed", "writes", "rules", "appends")
DRIVER = ""  # the name of the driver's job
CHECK = "check "  # how the names of checks begin
REASONS_KEPT = 3
_NONE: Sequence[int] = ()


def _nothing(_path: str) -> bool:
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one command of the build did to the two trees."""

    reads: frozenset[str] = frozenset()  # opened, executed or found by stat; directories too
    absent: frozenset[str] = frozenset()  # looked for and not there
    listed: frozenset[str] = frozenset()  # directories whose entries were asked for
    writes: frozenset[str] = frozenset()  # created, changed, renamed or linked to, removed
    rules: frozenset[str] = frozenset()  # the driver's only: opened, or looked for to be opened
    appends: frozenset[str] = frozenset()  # those of its writes that it opened at their end

    @property
    def looked_at(self) -> frozenset[str]:
        """All it read, looked for or listed."""
        return self.reads | self.absent | self.listed


def check_name(job: Job) -> str:
    """The name of a command that left nothing: the same for each that looks at the same."""
    text = "\n".join("\0".join(sorted(getattr(job, kind))) for kind in KINDS[:-1])
    return CHECK + digest.of_bytes(text.encode("utf-8", "surrogateescape"))[:20]


class Trace:
    """The jobs of a build. Immutable; `joined` makes a new one."""

    def __init__(
        self,
        jobs: Mapping[str, Job],
        *,
        in_tree: bool = False,
        problems: Iterable[str] = (),
    ) -> None:
        """`in_tree`: objects lie among the sources. `problems`: what the tracer could not see."""
        rows: dict[Kind, dict[str, list[int]]] = {kind: defaultdict(list) for kind in KINDS}
        for number, job in enumerate(jobs.values()):
            for kind in KINDS:
                kind_rows = rows[kind]
                for path in getattr(job, kind):
                    kind_rows[path].append(number)
        self._names = list(jobs)
        self._rows: Mapping[Kind, Rows] = {kind: dict(rows[kind]) for kind in KINDS}
        self.in_tree = in_tree
        self.problems = tuple(problems)
        self._trusted: Callable[[str], bool] = _nothing

    @classmethod
    def _of_rows(
        cls,
        names: list[str],
        rows: Mapping[Kind, Rows],
        in_tree: bool,
        problems: Iterable[str],
        trusted: Callable[[str], bool] = _nothing,
    ) -> Trace:
        trace = cls({}, in_tree=in_tree, problems=problems)
        trace._names, trace._rows, trace._trusted = names, rows, trusted
        return trace

    @property
    def names(self) -> Sequence[str]:
        """The jobs' names, cheaply (`jobs` builds every set)."""
        return self._names

    @cached_property
    def count(self) -> int:
        """How many jobs there are, checks apart."""
        return sum(not name.startswith(CHECK) for name in self._names)

    @cached_property
    def jobs(self) -> Mapping[str, Job]:
        """Every job with its sets. Built when first asked for: 0.5 s for a world."""
        columns: dict[Kind, list[list[str]]] = {}
        for kind in KINDS:
            column: list[list[str]] = [[] for _ in self._names]
            for path, row in self._rows[kind].items():
                for number in row:
                    column[number].append(path)
            columns[kind] = column
        return {
            name: Job(**{kind: frozenset(columns[kind][number]) for kind in KINDS})
            for number, name in enumerate(self._names)
        }

    def makers(self, path: str) -> frozenset[str]:
        """The jobs that wrote to a file, the driver and checks apart."""
        names = (self._names[number] for number in self._rows["writes"].get(path, _NONE))
        return frozenset(n for n in names if n != DRIVER and not n.startswith(CHECK))

    @cached_property
    def reads(self) -> frozenset[str]:
        """What the build as a whole read from outside: not what it made itself."""
        return self._from_outside("reads")

    @cached_property
    def absent(self) -> frozenset[str]:
        """What it looked for and did not find, nor made itself."""
        return self._from_outside("absent")

    @cached_property
    def listed(self) -> frozenset[str]:
        """The directories it listed, apart from those it made."""
        return self._from_outside("listed")

    @cached_property
    def writes(self) -> frozenset[str]:
        """All it wrote, with what jobs since replaced (see `joined`) had written."""
        return frozenset(self._rows["writes"])

    @cached_property
    def appends(self) -> frozenset[str]:
        """What it wrote on at its end."""
        return frozenset(self._rows["appends"])

    @cached_property
    def rules(self) -> frozenset[str]:
        """What makes opened or tried to, or a command whose output they read: makefiles, and what
        they take variables from.
        """
        return frozenset(self._rows["rules"])

    def trusting(self, programs: Callable[[str], bool]) -> Trace:
        """The same trace, for which some objects are the same whatever is in them now: programs of
        which every version makes the same.
        """
        tree = "src/" if self.in_tree else "obj/"

        def trusted(path: str) -> bool:
            return path.startswith(tree) and programs(path.removeprefix(tree))

        return Trace._of_rows(self._names, self._rows, self.in_tree, self.problems, trusted)

    def downstream(self, names: Iterable[str]) -> frozenset[str]:
        """These jobs and all that used what they made, and so on; the driver and checks apart."""
        number_of = {name: number for number, name in enumerate(self._names)}
        apart = {n for name, n in number_of.items() if name == DRIVER or name.startswith(CHECK)}
        found = {number_of[name] for name in names} - apart
        if not found:
            return frozenset()
        made: defaultdict[int, list[str]] = defaultdict(list)
        writes = self._rows["writes"]
        folders = {_parent(path) for path in writes}
        for path, row in writes.items():
            if path not in folders:
                for number in row:
                    made[number].append(path)
        reads = self._rows["reads"]
        fresh = set(found)
        while fresh:
            paths = {path for number in fresh for path in made[number]}
            paths = {path for path in paths if not self._trusted(path)}
            fresh = {n for path in paths for n in reads.get(path, _NONE)} - found - apart
            found |= fresh
        return frozenset(self._names[number] for number in found)

    def _from_outside(self, kind: Kind) -> frozenset[str]:
        # A source file that a build out of tree wrote to stays an input: git knows it, and the
        # next checkout brings it back.
        own = "" if self.in_tree else "obj/"
        writes = self._rows["writes"]
        return frozenset(p for p in self._rows[kind] if not (p in writes and p.startswith(own)))

    def named_as(self, older: Trace) -> Trace:
        """The same, with the names that commands had in an older trace: one that finds some of what
        it makes to be as it should leaves less than it did, and would be called after that.
        """
        names, known = list(self._names), {*older._names}
        for number, name in enumerate(self._names):
            if name in known or name == DRIVER or name.startswith(CHECK):
                continue
            job = self.jobs[name]
            makers = {maker for path in job.writes for maker in older.makers(path)}
            for was in sorted(makers.difference(names)):
                before = older.jobs[was]
                sources = {path for path in before.reads if path.startswith("src/")}
                if job.writes <= before.writes and sources <= job.looked_at:
                    names[number] = was
                    break
        return Trace._of_rows(names, self._rows, self.in_tree, self.problems)

    def joined(self, newer: Trace) -> Trace:
        """The trace brought up to date by that of an incremental build on top of it.

        A job of the newer trace replaces the one of its name; the driver's jobs are united, for
        a make that had little to do read less, and checks stay for that reason, but those that
        ran as part of a larger one. What a replaced job had written stays known as written, as a
        path no job owns, so that reads of it still count as the build's own. What a job that ran
        again looked at and left alone stays its own.
        """
        larger = [job.looked_at for name, job in newer.jobs.items() if name.startswith(CHECK)]
        within = {
            name
            for name in self._names
            if name.startswith(CHECK) and any(self.jobs[name].looked_at <= each for each in larger)
        }
        kept = self._kept(newer)
        return self._merged(newer, replaced={*newer._names, *within} - {DRIVER}, kept=kept)

    def _kept(self, newer: Trace) -> dict[Kind, dict[str, list[int]]]:
        """Of jobs that a newer trace has, too: what they had written and have looked at since, and
        that they had found to be absent before, by their numbers there.
        """
        number_of = {name: n for n, name in enumerate(newer._names) if name != DRIVER}
        again = {n: number_of[name] for n, name in enumerate(self._names) if name in number_of}
        found: dict[Kind, dict[str, list[int]]] = {"writes": {}, "absent": {}}
        absent = self._rows["absent"]
        for path, looked in newer._rows["reads"].items():
            for number in self._rows["writes"].get(path, _NONE):
                if number in again and again[number] in looked:
                    found["writes"].setdefault(path, []).append(again[number])
                    if number in absent.get(path, _NONE):
                        found["absent"].setdefault(path, []).append(again[number])
        return found

    def united(self, other: Trace) -> Trace:
        """The trace of a build of which these two are parts: jobs of one name become one."""
        return self._merged(other, replaced=set(), kept={})

    def _merged(
        self, newer: Trace, replaced: set[str], kept: Mapping[Kind, Mapping[str, Sequence[int]]]
    ) -> Trace:
        stay = [name for name in self._names if name not in replaced]
        names = list(dict.fromkeys((*stay, *newer._names)))
        number_of = {name: number for number, name in enumerate(names)}
        older = {n: number_of[name] for n, name in enumerate(self._names) if name not in replaced}
        moved = [number_of[name] for name in newer._names]
        rows: dict[Kind, Rows] = {}
        for kind in KINDS:
            merged: dict[str, Sequence[int]] = {}
            for path, row in self._rows[kind].items():
                stays = [older[number] for number in row if number in older]
                if stays or kind == "writes":
                    merged[path] = stays
            for path, row in (*newer._rows[kind].items(), *kept.get(kind, {}).items()):
                merged[path] = sorted({*merged.get(path, _NONE), *(moved[n] for n in row)})
            rows[kind] = merged
        problems = dict.fromkeys((*self.problems, *newer.problems))
        return Trace._of_rows(names, rows, self.in_tree or newer.in_tree, problems)

    def touched(
        self,
        changes: Iterable[Change],
        vanished: Container[str] = frozenset(),
        appeared: Container[str] = frozenset(),
    ) -> dict[str, tuple[str, ...]]:
        """The jobs that would see these changes, each with up to three of the changed paths.

        A fourth string, "and N more", ends the reasons when there are more. `vanished` and
        `appeared`: the directories that the changes as a whole remove and create. A job sees

            M, T  of what it read;
            A     of what it did not find, or below a directory it did not find, or in a
                  directory it listed (also when the new thing there is a directory);
            D     of what it read, in a directory it listed, or below a directory it found and
                  that is gone.

        Cost: 2 ms for 100 changes against a kernel (1,000 jobs), about 70 ns per (change, job).
        Raises ValueError for another status: copies and renames must come as A and D.
        """
        reasons: defaultdict[int, list[str]] = defaultdict(list)
        for status, path in changes:
            if status == "M" and self._trusted(path):
                continue
            for number in self._seeing(status, path, vanished, appeared):
                reasons[number].append(path)
        names = self._names
        return {names[n]: _shortened(reasons[n]) for n in sorted(reasons, key=names.__getitem__)}

    def _seeing(
        self, status: str, path: str, vanished: Container[str], appeared: Container[str]
    ) -> set[int]:
        reads, absent, listed = (self._rows[kind] for kind in KINDS[:3])
        # Also for A: a file can have been there without git's knowledge (an object in tree).
        seeing = set(reads.get(path, _NONE))
        if status in ("M", "T"):
            return seeing
        if status not in ("A", "D"):
            raise ValueError(f"unknown change {status!r} of {path}")
        seeing.update(listed.get(_parent(path), _NONE))
        if status == "A":
            seeing.update(absent.get(path, _NONE))
        above = _parent(path)
        while above:
            if status == "A":
                seeing.update(absent.get(above, _NONE))
            elif above in vanished:
                seeing.update(reads.get(above, _NONE), listed.get(above, _NONE))
            if above in (appeared if status == "A" else vanished):
                seeing.update(listed.get(_parent(above), _NONE))
            above = _parent(above)
        return seeing

    def encode(self) -> bytes:
        """The trace as bytes, for `decode`."""
        flag = "in tree" if self.in_tree else "out of tree"
        texts = [[flag], self.problems, self._names]
        return trace_pack.pack(texts, [self._rows[kind] for kind in KINDS])

    @classmethod
    def decode(cls, data: bytes) -> Trace:
        """The trace that `encode` made these bytes of. ValueError when they are anything else."""
        ((flag,), problems, names), found = trace_pack.unpack(data, texts=3)
        rows: dict[Kind, Rows] = dict(zip(KINDS, found, strict=True))
        return cls._of_rows(names, rows, flag == "in tree", problems)


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _shortened(reasons: list[str]) -> tuple[str, ...]:
    more = len(reasons) - REASONS_KEPT
    return (*reasons[:REASONS_KEPT], *([f"and {more} more"] if more > 0 else ()))
