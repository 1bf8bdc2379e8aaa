"""How much work a build may skip: the ladder below "same key", and the cheapest base.

    cutoff       same declared inputs, and a world of the same content: the same artifact
    trace        no file its build read differs: the same artifact
    incremental  clone the objects of the base that will cost least
    clean        an empty object tree

Pure but for reading git and the store: it decides, and others act. Knows nothing of builders.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labtasks import git, layer, source
from labtasks.digest import Digest
from labtasks.error import UserError, printable
from labtasks.git import TreeId
from labtasks.key import Wanted
from labtasks.lab import Lab
from labtasks.layer import LayerId
from labtasks.store import Manifest, Store
from labtasks.trace import DRIVER, Change, Job, Trace

_CANDIDATES = 8
"""How many artifacts are weighed; the nearest in time and those made last come first."""

_TRIED = 24
"""How many are looked at to find so many of which git still has the tree."""

_UNKNOWN_RATE = 0.1
"""Seconds per job before anything was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """The world or toolchain a kernel is built on."""

    digest: Digest
    stack: tuple[LayerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Near:
    """An artifact, and the files in which its commit differs from the wanted one."""

    manifest: Manifest
    diff: tuple[git.Change, ...]
    same_trees: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An artifact of the same family, and what stands between it and what is wanted.

    `touched` are the jobs that would see the changes, each with reasons; None without a trace.
    `stale` are objects to remove first: made by jobs that saw a file appear or go, or a link
    change, which make by itself does not notice. `commands` are changed files that only make
    reads: its rules, which plain make does not compare; so it is no base.
    """

    manifest: Manifest
    trace: Trace | None
    changed_paths: frozenset[str]
    changed_src: tuple[str, ...]
    changed_obj: tuple[str, ...]
    removed_src: frozenset[str]
    added_to_listed: frozenset[str]
    same_inputs: bool
    stale: tuple[str, ...]
    commands: tuple[str, ...]
    touched: dict[str, tuple[str, ...]] | None

    @property
    def proved(self) -> bool:
        """Whether nothing its build read has changed. A trace with problems proves nothing."""
        return self.touched == {} and self.trace is not None and not self.trace.problems

    @property
    def read_objects(self) -> tuple[str, ...]:
        """Objects of a changed world that its build read: make must see them as new."""
        if self.trace is None or self.manifest.tracer == "depend":
            return self.changed_obj
        return tuple(p for p in self.changed_obj if f"obj/{p}" in self.trace.reads)

    @property
    def cost(self) -> int:
        """Jobs that will run again, those that use what others make included; without a trace,
        the changed files stand for them.
        """
        if self.trace is None or self.touched is None:
            return len(self.changed_src) + 1
        return len(self.trace.downstream(self.touched)) + (DRIVER in self.touched)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The rung that holds, from which artifact, why, and the seconds it is expected to take,
    `work` of them in jobs.
    """

    rung: str
    why: str
    base: Candidate | None = None
    jobs: int = 0
    jobs_total: int = 0
    seconds: float = 0.0
    work: float = 0.0


def candidates(lab: Lab, store: Store, want: Wanted, below: Below | None) -> list[Candidate]:
    """What the store holds of the family, the likeliest bases first; one that proves to be the
    wanted artifact ends the list.
    """
    weighed: list[Candidate] = []
    for near in sorted(_near(lab, store, want), key=lambda n: (not n.same_trees, len(n.diff))):
        if not near.same_trees and any(_covers(one, near) for one in weighed):
            continue
        one = _weigh(lab, store, want, near, below)
        if one:
            weighed.append(one)
        if one and (one.same_inputs or one.proved):
            break
    return weighed


def _near(lab: Lab, store: Store, want: Wanted) -> Iterator[_Near]:
    """The artifacts nearest in time, and those made last, as far as git still has their trees."""
    family = [m for m in store.all(want.kind) if m.family == want.family]
    by_date = sorted(family, key=lambda m: abs(m.date - want.commit.date))
    chosen = dict.fromkeys(m.key for pair in zip(by_date, family, strict=True) for m in pair)
    by_key = {m.key: m for m in family}
    layers = set()
    found = tried = 0
    for key in chosen:
        manifest = by_key[key]
        same = _same_trees(lab, want, manifest)
        if not same and (manifest.stack[0] in layers or found == _CANDIDATES or tried == _TRIED):
            continue  # aliases lead to one and the same tree
        layers.add(manifest.stack[0])
        tried += 1
        with contextlib.suppress(UserError):  # history was rewritten, git has thrown it away
            diff = lab.repository.diff(TreeId(manifest.built_from), want.commit.tree)
            found += 1
            yield _Near(manifest=manifest, diff=diff, same_trees=same)


def _covers(one: Candidate, near: _Near) -> bool:
    """Whether an artifact that was weighed differs in no file in which this one does not: then
    this one's trace need not be read, it will hardly cost less.
    """
    sound = one.trace and not one.trace.problems and not one.commands
    if not sound or one.manifest.below != near.manifest.below:
        return False
    return one.changed_paths <= {c.path for c in near.diff}


def _same_trees(lab: Lab, want: Wanted, manifest: Manifest) -> bool:
    """Whether every input is the same that keys the artifact or what is wanted: either may know
    of inputs that were found since the other was made.
    """
    held = dict(pair for pair in manifest.inputs if pair[0].startswith("tree "))
    now = dict(pair for pair in want.inputs if pair[0].startswith("tree "))
    if any(now[label] != held[label] for label in now.keys() & held.keys()):
        return False

    def holds(tree: TreeId, labels: dict[str, str]) -> bool:
        paths = {label.split(" ")[1]: value for label, value in labels.items()}
        return not paths or lab.repository.ids(tree, tuple(paths)) == paths

    try:
        return holds(want.commit.tree, {k: v for k, v in held.items() if k not in now}) and holds(
            TreeId(manifest.tree), {k: v for k, v in now.items() if k not in held}
        )
    except UserError:  # git has thrown the old tree away
        return False


def _weigh(
    lab: Lab,
    store: Store,
    want: Wanted,
    near: _Near,
    below: Below | None,
) -> Candidate | None:
    """What stands between an artifact and what is wanted; None where it cannot be built on."""
    part = lab.recipe.parts[want.kind]
    manifest, diff = near.manifest, near.diff
    old_tree, new_tree = TreeId(manifest.built_from), want.commit.tree
    if source.rules_changed(diff):
        return None
    changes: list[Change] = [(c.status, f"src/{c.path}") for c in diff]
    vanished, appeared = source.directories(lab.repository, diff, old_tree, new_tree)
    trace = store.trace(manifest)
    obj = _below_changes(store, manifest, below)
    hidden = [path.removeprefix("obj/") for _, path in obj]
    if lab.recipe.in_tree:
        hidden += [c.path for c in diff]
    if hidden and _hides(store, manifest, hidden):
        return None
    touched = None
    below_seen = bool(obj)
    stale: tuple[str, ...] = ()
    commands: tuple[str, ...] = () if part.checks_commands == "yes" else ("(there is no trace)",)
    if trace:
        gone = frozenset(f"src/{p}" for p in vanished)
        new = frozenset(f"src/{p}" for p in appeared)
        touched = trace.touched([*changes, *obj], gone, new)
        below_seen = bool(trace.touched(obj, gone, new)) or (
            bool(obj) and (manifest.tracer == "depend" or bool(trace.problems))
        )
        if obj and manifest.tracer == "depend":  # compilers do not tell which objects were used
            touched.setdefault(DRIVER, ("obj/ of the world",))
        links = {f"src/{c.path}" for c in diff if c.status == "T" or c.mode == "120000"}
        unseen = [c for c in (*changes, *obj) if c[0] in "AD" or c[1] in links]
        moved = trace.touched(unseen, gone, new)
        stale = written(trace, trace.downstream(moved), in_tree=lab.recipe.in_tree)
        if part.checks_commands == "no":
            commands = tuple(_rules(trace, [*changes, *obj]))
    return Candidate(
        manifest=manifest,
        trace=trace,
        changed_paths=frozenset(c.path for c in diff),
        changed_src=tuple(c.path for c in diff if c.status != "D"),
        changed_obj=tuple(p.removeprefix("obj/") for status, p in obj if status != "D"),
        added_to_listed=frozenset(_listed_by_make(trace, changes)) if trace else frozenset(),
        removed_src=frozenset(path for status, path in changes if status == "D"),
        same_inputs=near.same_trees and not below_seen,
        stale=stale,
        commands=commands,
        touched=touched,
    )


def written(trace: Trace, jobs: Iterable[str], *, in_tree: bool) -> tuple[str, ...]:
    """The objects that some jobs made, the driver's apart, as paths in the object tree."""
    tree = "src/" if in_tree else "obj/"
    names = [name for name in jobs if name != DRIVER]
    paths = {p for name in names for p in trace.jobs[name].writes if p.startswith(tree)}
    return tuple(sorted(p.removeprefix(tree) for p in paths))


def _only_make(trace: Trace, status: str, path: str) -> bool:
    return trace.touched([(status, path)]).keys() == {DRIVER}


def _listed_by_make(trace: Trace, changes: Iterable[Change]) -> Iterator[str]:
    """Added files whose folder make itself listed."""
    for status, path in changes:
        listed = status == "A" and path.rpartition("/")[0] in trace.listed
        if listed and DRIVER in trace.touched([(status, path)]):
            yield path


def _rules(trace: Trace, changes: Iterable[Change]) -> Iterator[str]:
    """Changed files that make's rules come from: those it opened or looked for to open, whoever
    else read them, and those whose coming or going only make noticed (`$(wildcard file)`).
    """
    for status, path in changes:
        own = path.startswith("obj/") and path in trace.writes
        noticed = status in "AD" and (path in trace.absent or path in trace.reads)
        if (path in trace.rules and not own) or (noticed and _only_make(trace, status, path)):
            yield path.partition("/")[2]


def _below_changes(store: Store, manifest: Manifest, below: Below | None) -> list[Change]:
    """What differs between the world a kernel was built on and the one it is wanted on."""
    new_stack = below.stack if below else ()
    if tuple(manifest.below) == new_stack:
        return []
    old = layer.merged(store.layers, manifest.below)
    new = layer.merged(store.layers, new_stack)
    changes: list[Change] = [("D", f"obj/{path}") for path in old.keys() - new.keys()]
    changes += [("A", f"obj/{path}") for path in new.keys() - old.keys()]
    changes += [
        ("M", f"obj/{path}")
        for path in old.keys() & new.keys()
        if (old[path].digest, old[path].mode) != (new[path].digest, new[path].mode)
    ]
    return changes


def _hides(store: Store, manifest: Manifest, changed: list[str]) -> bool:
    """Whether an artifact's own layers hold some file of what lies below that has changed since:
    they would lie over the new one.
    """
    own = {e.path for name in manifest.stack for e in layer.entries(store.layers, name)}
    return not own.isdisjoint(changed)


def decide(found: Iterable[Candidate], rate: float, fixed: float) -> Decision:
    """The cheapest rung. `rate`: seconds per job, `fixed`: of a build that does nothing."""
    usable = list(found)
    for one in usable:
        if one.same_inputs:
            name = one.manifest.origin
            why = f"declared inputs as of {name}, and nothing it used below differs"
            return Decision(rung="cutoff", why=why, base=one)
    for one in usable:
        if one.proved:
            changed = f"{len(one.changed_src)} changed files"
            if one.changed_obj:
                changed += f" and {len(one.changed_obj)} objects below it"
            why = f"{changed} since {one.manifest.origin}, none of which its build read"
            return Decision(rung="trace", why=why, base=one)
    now = time.time()
    bases = [one for one in usable if one.manifest.newest < now + 2]  # a clock went back: not these
    if not bases:
        reason = "every base has objects from the future" if usable else "no base of its family"
        return Decision(rung="clean", why=reason)
    sound = [one for one in bases if not one.commands and not (one.trace and one.trace.problems)]
    if not sound:
        nearest = bases[0]
        rule = printable(nearest.commands[0] if nearest.commands else "(its trace has gaps)")
        why = f"make's own rules differ from those of {nearest.manifest.origin}: {rule}"
        return Decision(rung="clean", why=why, jobs_total=nearest.manifest.jobs_total)
    bases = sound
    best = min(bases, key=lambda one: one.cost)
    total = best.manifest.jobs_total
    work = rate * (min(best.cost, total) if total else best.cost)
    return Decision(
        rung="incremental",
        why=_why(best),
        base=best,
        jobs=best.cost,
        jobs_total=total,
        seconds=fixed + work,
        work=work,
    )


def _why(best: Candidate) -> str:
    name = best.manifest.origin
    if best.touched is None:
        return f"{len(best.changed_src)} files differ from {name}, which has no trace"
    seen = sorted({r for reasons in best.touched.values() for r in reasons})
    files = [r.partition("/")[2] for r in seen if "/" in r]
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"of what {name} read, these differ: {printable(', '.join(files[:3]))}{more}"


def missed(base: Candidate | None, seen: Trace | None, *, in_tree: bool) -> tuple[str, ...]:
    """Objects of jobs that read a changed file and yet did not run again: their makefile does not
    say that they depend on it. The trace knows better.
    """
    if base is None or base.trace is None or seen is None:
        return ()
    ran, known = set(seen.names), set(base.trace.names)
    left = [name for name in base.touched or {} if name not in ran]
    if not left:
        return ()
    # a command that leaves an unchanged product alone ran under another name
    renamed = [_sources(seen.jobs[name]) for name in ran - known]
    left = [
        name
        for name in left
        if not any(_sources(base.trace.jobs[name]) - base.removed_src <= reads for reads in renamed)
    ]
    return written(base.trace, left, in_tree=in_tree)


def _sources(job: Job) -> frozenset[str]:
    return frozenset(path for path in job.reads if path.startswith("src/"))


def learned(manifests: Iterable[Manifest]) -> tuple[float, float]:
    """Seconds per job, and of a build that does nothing, from what was built before."""
    built = [m for m in manifests if m.rung in ("clean", "incremental") and m.jobs]
    whole = [m.seconds / m.jobs for m in built if m.rung == "clean"]
    rate = sum(whole) / len(whole) if whole else _UNKNOWN_RATE
    steps = [m.seconds - rate * m.jobs for m in built if m.rung == "incremental"]
    return rate, max(0.0, min(steps, default=0.0))
