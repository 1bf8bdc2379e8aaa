"""What an incremental build left as it was and a clean one would not: looked for by what jobs read.

    a job that read what is another file now, source or object, and that make did not run again
    what such a job made, where it was removed and make knew of no reason to make it
    a file that a job made once, and that it did not make this time
    a file that several jobs write to, of which only some ran
    a file that was written on at its end, instead of anew

The first are made again: what such jobs wrote goes, and make runs once more. All that is left in
the end raises BuildError, which leads to a clean build. Knows nothing of how steps run.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from labtasks.build.builder import Workspace, same
from labtasks.ground.error import BuildError, printable
from labtasks.store import layer
from labtasks.store.candidate import Candidate, written
from labtasks.store.layer import Entry, LayerId, Listing
from labtasks.store.store import Store
from labtasks.trace.trace import CHECK, DRIVER, Change, Job, Trace

_CHUNK = 1 << 20

_MANY = 1000
"""Objects from which most of a build is not made once more: a clean one takes no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A job that would see a change, and what of its files is as it was; `ran`: it, or what took
    its place. `why` is a path that it saw.
    """

    name: str
    paths: tuple[str, ...]
    ran: bool
    why: str


def outdated(
    store: Store, space: Workspace, base: Candidate | None, seen: Trace | None, *, deep: bool
) -> tuple[str, ...]:
    """Objects to be removed before make runs once more, with all that their jobs wrote. `deep`:
    what this run made counts too, as far as it can be seen before it is harvested. Raises
    BuildError where most of the build would be made once more.
    """
    if base is None or base.trace is None or seen is None:
        return ()
    trace = base.trace
    before = _before(store, space, trace)
    if deep and space.near:
        made = (*seen.writes, *(f"{_root(trace)}{p}" for p in space.trees.remove_obj))
        changes = tuple(_changed_now(store, space, trace, seen, before, made))
        found = _left(base, seen, changes, lambda path: _now(space, path) is not None)
    else:
        found = _left(base, seen, (), lambda path: path.removeprefix(_root(trace)) in before)
    objects = written(trace, [one.name for one in found if not one.ran], in_tree=trace.in_tree)
    again = sum(path in before for path in objects)
    if again > max(_MANY, len(before) // 2):
        raise BuildError(f"{again} of {len(before)} objects would be made once more")
    return objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an incremental build came to: `removed` are objects that were, for make to make them;
    `new` are what was harvested. `wanted` tells outputs from what only counts where somebody reads
    it.
    """

    base: Candidate
    trace: Trace
    seen: Trace
    stack: tuple[LayerId, ...]
    before: Listing
    new: Mapping[str, Entry]
    removed: Sequence[str]
    wanted: Callable[[str], bool]

    def refuse_leftovers(self, store: Store, space: Workspace) -> None:
        """A file that a clean build would not leave so. Raises BuildError."""
        root, changes = _root(self.trace), self._changes()
        self._refuse_left(changes)
        for status, path in changes:
            if status != "D" and self._counts(path):
                self._refuse_partly(path)
            if status == "M" and path in self.seen.appends and self._counts(path):
                name = path.removeprefix(root)
                under = layer.find(store.layers, self.stack, name)
                if under and _continues(under, space.scratch / "layer" / "t" / name):
                    raise BuildError(f"what was in {printable(path)} was written on")

    def _refuse_left(self, changes: Sequence[Change]) -> None:
        root = _root(self.trace)
        gone = {path for status, path in changes if status == "D"}
        folders = (path for path, entry in self.new.items() if entry.type in "do")
        come = frozenset(f"{root}{path}" for path in folders if path not in self.before)
        for one in _left(self.base, self.seen, changes, lambda p: self._there(p, gone), come):
            said = "is not made any more by" if one.ran else "was not made again by"
            why = printable(one.why.partition("/")[2])
            raise BuildError(f"{printable(one.paths[0])} {said} what reads {why}")

    def refuse_unmade(self) -> None:
        """An object that was removed for make to make it, and that is needed. Raises BuildError."""
        gone = {path for status, path in self._changes() if status == "D"}
        were = (p for p in self.removed if p in self.before and self.before[p].type in "fl")
        for path in sorted(f"{_root(self.trace)}{path}" for path in were):
            unmade = not self._there(path, gone) and self._needed(path)
            if unmade and not _rightly_gone(self.base, self.trace, self.seen, path):
                raise BuildError(f"{printable(path)} was removed, and make did not make it")

    def _changes(self) -> list[Change]:
        root = _root(self.trace)
        return [(status, f"{root}{path}") for status, path in _changed(self.before, self.new)]

    def _refuse_partly(self, path: str) -> None:
        makers, ran = self.trace.makers(path), frozenset(self.seen.names)
        if len(makers) > 1 and makers & ran and makers - ran:
            raise BuildError(f"only some of what writes to {printable(path)} ran again")

    def _there(self, path: str, gone: Collection[str]) -> bool:
        name = path.removeprefix(_root(self.trace))
        entry = self.new.get(name) or self.before.get(name)
        return entry is not None and entry.type in "fl" and path not in gone

    def _counts(self, path: str) -> bool:
        return self.wanted(path.removeprefix(_root(self.trace))) or bool(self._readers(path))

    def _needed(self, path: str) -> bool:
        """Whether it is an output, or something that read it still does, or stands as it was."""
        jobs = self.seen.jobs
        still = (name not in jobs or path in jobs[name].reads for name in self._readers(path))
        return self.wanted(path.removeprefix(_root(self.trace))) or any(still)

    def _readers(self, path: str) -> Collection[str]:
        return self.trace.touched([("M", path)]).keys() - {DRIVER}


def outcome(
    store: Store,
    space: Workspace,
    base: Candidate,
    seen: Trace,
    entries: Iterable[Entry],
    removed: Sequence[str],
    wanted: Callable[[str], bool],
) -> Outcome | None:
    """What a build that was harvested came to; None without its base's trace."""
    trace = base.trace
    if trace is None:
        return None
    return Outcome(
        base=base, trace=trace, seen=seen, stack=_stack(space, trace),
        before=_before(store, space, trace), new={e.path: e for e in entries},
        removed=removed, wanted=wanted,
    )  # fmt: skip


def _left(
    base: Candidate,
    seen: Trace,
    changes: Collection[Change],
    there: Callable[[str], bool],
    come: Collection[str] = (),
) -> Iterator[Left]:
    """Jobs of the base that would see a change of the sources, of what lies below or of what this
    run made (`changes`, with the folders that it made: `come`), and left something as it was.
    """
    trace = base.trace
    if trace is None:
        return
    affected = {**trace.touched(changes, (), come), **(base.touched or {})}
    jobs = _through_temporaries(trace, seen, affected, there)
    differ = frozenset(
        (*(f"src/{p}" for p in base.changed_src), *(f"obj/{p}" for p in base.changed_obj))
    )
    for name, job in jobs.items():
        old = [p for p in sorted(job.writes - seen.writes) if _is_object(trace, p) and there(p)]
        if not old:
            continue
        runs = list(_runs(base, trace, seen, name, job))
        left = [p for p in old if not any(_keeps(run, job, differ, p) for run in runs)]
        if left:
            yield Left(name=name, paths=tuple(left), ran=bool(runs), why=affected[name][0])


def _through_temporaries(
    trace: Trace, seen: Trace, affected: dict[str, tuple[str, ...]], there: Callable[[str], bool]
) -> dict[str, Job]:
    """The jobs of these names, and of those (they join them) that read what such a job made when it
    ran and what is not there any more: each line of a recipe is a job of its own.
    """
    jobs: dict[str, Job] = {}
    fresh = {*affected}
    while fresh:
        some = {n: trace.jobs[n] for n in fresh if n != DRIVER and not n.startswith(CHECK)}
        jobs |= some
        idle = (job for name, job in some.items() if name not in seen.names)
        gone = {p for job in idle for p in job.writes - seen.writes if _is_object(trace, p)}
        more = trace.touched(("M", path) for path in gone if not there(path))
        fresh = more.keys() - affected.keys()
        affected |= {name: more[name] for name in fresh}
    return jobs


def _runs(base: Candidate, trace: Trace, seen: Trace, name: str, job: Job) -> Iterator[Job]:
    """The job as it ran again, or those that may be it under another name, which a command has that
    leaves other files this time, or none: they have its sources or, if it reads none, its objects.
    """
    if name in seen.jobs:
        yield seen.jobs[name]
        return
    reads = _sources(job) - base.removed_src or job.reads - job.writes
    for other in {*seen.names} - {*trace.names} if reads else ():
        if reads <= seen.jobs[other].reads:
            yield seen.jobs[other]


def _rightly_gone(base: Candidate, trace: Trace, seen: Trace, path: str) -> bool:
    """Whether an object that was removed is none any more: its job ran, and did not make it; or it
    is called after a source that is gone.
    """
    for name in trace.makers(path):
        job = trace.jobs[name]
        stems = (re.escape(PurePath(p).stem) for p in job.reads & base.removed_src)
        called = re.compile(rf"(?<![^\W_])({'|'.join(stems) or '$.'})(?![^\W_])")
        if not called.search(PurePath(path).name) and not any(_runs(base, trace, seen, name, job)):
            return False
    return True


def _keeps(run: Job, job: Job, differ: frozenset[str], path: str) -> bool:
    """Whether a job that ran again has found a file to be what it would make of it. So it is if it
    has looked at all that differs of its sources, and at the file, as it did before it made that at
    first (`cmp -s new old || cp new old`, `install -C`).
    """
    looked = run.looked_at | run.writes
    return path in run.looked_at and path in job.absent and (job.reads & differ) <= looked


def _sources(job: Job) -> frozenset[str]:
    return frozenset(path for path in job.reads if path.startswith("src/"))


def _root(trace: Trace) -> str:
    return "src/" if trace.in_tree else "obj/"


def _is_object(trace: Trace, path: str) -> bool:
    return path.startswith(_root(trace))


def _stack(space: Workspace, trace: Trace) -> tuple[LayerId, ...]:
    trees = space.trees
    return (*trees.objects, *(trees.src if trace.in_tree else ()))


def _before(store: Store, space: Workspace, trace: Trace) -> Listing:
    return layer.shown(store.layers, _stack(space, trace))


def _now(space: Workspace, path: str) -> Path | None:
    """Where a file or link lies that the steps show now."""
    full = space.shown(path)
    try:
        mode = full.lstat().st_mode if full else 0
    except OSError:
        return None
    return full if stat.S_ISREG(mode) or stat.S_ISLNK(mode) else None


def _changed_now(
    store: Store,
    space: Workspace,
    trace: Trace,
    seen: Trace,
    before: Listing,
    made: Iterable[str],
) -> Iterator[Change]:
    """What this run changed, of the objects that a job has looked at which did not run."""
    stack, ran = _stack(space, trace), {*seen.names, DRIVER}
    for path in made:
        if not _is_object(trace, path):
            continue
        if {*trace.touched([("A", path)]), *trace.touched([("D", path)])} <= ran:
            continue
        name = path.removeprefix(_root(trace))
        entry, now = before.get(name), _now(space, path)
        old = layer.find(store.layers, stack, name) if entry and entry.type in "fl" else None
        if now and old:
            if not same(old, now):
                yield "M", path
        elif now or old:
            yield ("A" if now else "D"), path


def _changed(before: Listing, new: Mapping[str, Entry]) -> Iterator[Change]:
    """The same, of all that was harvested; what is `new` lies over what was before."""
    for path, entry in new.items():
        old = before.get(path)
        was = old is not None and old.type in "fl"
        if entry.type in "fl":
            if old is None or not was:
                yield "A", path
            elif (old.type, old.mode, old.digest) != (entry.type, entry.mode, entry.digest):
                yield "M", path
        elif was:
            yield "D", path
        if old is not None and old.type == "d" and entry.type != "d":  # "o" hides what is in it
            below = (p for p in before if p.startswith(f"{path}/") and before[p].type in "fl")
            yield from (("D", p) for p in below if p not in new)


def _continues(old: Path, new: Path) -> bool:
    """Whether a file is the old one and something more."""
    size = old.lstat().st_size
    if old.is_symlink() or new.is_symlink() or not 0 < size < new.lstat().st_size:
        return False
    with old.open("rb") as before, new.open("rb") as now:
        while chunk := before.read(_CHUNK):
            if now.read(len(chunk)) != chunk:
                return False
    return True
