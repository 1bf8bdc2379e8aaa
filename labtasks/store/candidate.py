"""What the store holds of a family, and what stands between each artifact and the wanted one.

Reads git, manifests and traces: which files differ, which jobs would see it, which objects make
would leave stale, whose rules changed. Knows nothing of what is decided from it, nor of builders.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from labtasks.ground import globs
from labtasks.ground.digest import Digest
from labtasks.ground.error import UserError, printable
from labtasks.key import git_objects
from labtasks.key.git_objects import TreeId
from labtasks.key.key import Wanted, path_of
from labtasks.lab.lab import Lab
from labtasks.store import layer, source
from labtasks.store.layer import LayerId
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store
from labtasks.trace.trace import CHECK, DRIVER, Change, Trace

_CANDIDATES = 8
"""How many artifacts are weighed; the nearest in time and those made last come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """The world or toolchain a kernel is built on."""

    digest: Digest
    stack: tuple[LayerId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Near:
    """An artifact, and the files in which its commit differs from the wanted one."""

    manifest: Manifest
    diff: tuple[git_objects.Change, ...]
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


def candidates(
    lab: Lab, store: Store, want: Wanted, below: Below | None
) -> tuple[list[Candidate], str]:
    """What the store holds of the family, the likeliest bases first; one that proves to be the
    wanted artifact ends the list. And why the likeliest of what nothing can be built on is no
    base, "" if there is none.
    """
    weighed: list[Candidate] = []
    unfit = ""
    for near in sorted(
        _near(lab, store, want, below), key=lambda n: (not n.same_trees, len(n.diff))
    ):
        if not near.same_trees and any(_covers(one, near) for one in weighed):
            continue
        one = _weigh(lab, store, want, near, below)
        if isinstance(one, str):
            unfit = unfit or one
            continue
        weighed.append(one)
        if one.same_inputs or one.proved:
            break
    return weighed, unfit


def _near(lab: Lab, store: Store, want: Wanted, below: Below | None) -> Iterator[_Near]:
    """The artifacts nearest in time, and those made last, as far as git still has their trees."""
    family = [m for m in store.all(want.kind) if m.family == want.family]
    if want.kind == "install":  # nobody watched it: it is the same for the same kernel, or unknown
        family = [m for m in family if below and m.below_digest == below.digest]
    known = lab.repository.existing(TreeId(m.built_from) for m in family) if family else ()
    family = [m for m in family if m.built_from in known]  # of the others git forgot the commit
    by_date = sorted(family, key=lambda m: abs(m.date - want.commit.date))
    chosen = dict.fromkeys(m.key for pair in zip(by_date, family, strict=True) for m in pair)
    by_key = {m.key: m for m in family}
    layers = set()
    found = 0
    for key in chosen:
        manifest = by_key[key]
        same = _same_trees(lab, want, manifest)
        if not same and (manifest.stack[0] in layers or found == _CANDIDATES):
            continue  # aliases lead to one and the same tree
        layers.add(manifest.stack[0])
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
        paths = {path_of(label): value for label, value in labels.items()}
        return not paths or lab.repository.ids(tree, tuple(paths)) == paths

    try:
        return holds(want.commit.tree, {k: v for k, v in held.items() if k not in now}) and holds(
            TreeId(manifest.tree), {k: v for k, v in now.items() if k not in held}
        )
    except UserError:  # git has thrown the old tree away
        return False


def _weigh(
    lab: Lab, store: Store, want: Wanted, near: _Near, below: Below | None
) -> Candidate | str:
    """What stands between an artifact and what is wanted; why it cannot be built on, if so."""
    manifest, diff = near.manifest, near.diff
    built_from = TreeId(manifest.built_from)
    if source.rules_changed(lab.repository, built_from, want.commit.tree, diff):
        return f"git may write files by other rules than those of {manifest.name}: .gitattributes"
    changes: list[Change] = [(c.status, f"src/{c.path}") for c in diff]
    obj = [] if want.kind == "install" else _below_changes(store, manifest, below)
    hidden = [path.removeprefix("obj/") for _, path in obj]
    if lab.recipe.in_tree:
        hidden += [c.path for c in diff]
    if over := _hidden(store, manifest, hidden):
        return f"{manifest.name} has files of its own over what differs: {printable(over)}"
    trace = store.trace(manifest)
    if trace and lab.recipe.parts[want.kind].trusted_tools:
        trace = trace.trusting(globs.matcher(lab.recipe.parts[want.kind].trusted_tools))
    seen = _seen(lab, want, near, trace, changes, obj)
    return Candidate(
        manifest=manifest,
        trace=trace,
        changed_paths=frozenset(c.path for c in diff),
        changed_src=tuple(c.path for c in diff if c.status != "D"),
        changed_obj=tuple(p.removeprefix("obj/") for status, p in obj if status != "D"),
        added_to_listed=frozenset(_listed_by_make(trace, changes)) if trace else frozenset(),
        removed_src=frozenset(path for status, path in changes if status == "D"),
        same_inputs=near.same_trees and not seen.below,
        stale=seen.stale,
        commands=seen.commands,
        touched=seen.touched,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What of the changes a build saw; `below`: some in what it was built on. See Candidate."""

    below: bool
    touched: dict[str, tuple[str, ...]] | None = None
    stale: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


def _seen(
    lab: Lab,
    want: Wanted,
    near: _Near,
    trace: Trace | None,
    changes: list[Change],
    obj: list[Change],
) -> _Seen:
    """By its trace: `changes` of sources, `obj` of what lies below. Without one, all may have been
    seen.
    """
    part, manifest = lab.recipe.parts[want.kind], near.manifest
    plain = part.checks_commands == "no"  # make does not compare commands
    if trace is None:
        return _Seen(below=bool(obj), commands=("(there is no trace)",) if plain else ())
    vanished, appeared = source.directories(
        lab.repository, near.diff, TreeId(manifest.built_from), want.commit.tree
    )
    gone = frozenset(f"src/{p}" for p in vanished)
    new = frozenset(f"src/{p}" for p in appeared)
    touched = trace.touched([*changes, *obj], gone, new)
    unsure = manifest.tracer == "depend" or bool(trace.problems)
    below = bool(trace.touched(obj, gone, new)) or (bool(obj) and unsure)
    if obj and manifest.tracer == "depend":  # compilers do not tell which objects were used
        touched.setdefault(DRIVER, ("obj/ of the world",))
    links = {f"src/{c.path}" for c in near.diff if c.status == "T" or c.mode == "120000"}
    unnoticed = [c for c in (*changes, *obj) if c[0] in "AD" or c[1] in links]
    moved = trace.touched(unnoticed, gone, new)
    harmless = globs.matcher(part.no_rules)
    rules = (c for c in (*changes, *obj) if plain and not harmless(c[1].removeprefix("src/")))
    return _Seen(
        below=below,
        touched=touched,
        stale=written(trace, trace.downstream(moved), in_tree=lab.recipe.in_tree),
        commands=tuple(_rules(trace, rules)),
    )


def written(trace: Trace, jobs: Iterable[str], *, in_tree: bool) -> tuple[str, ...]:
    """The objects that some jobs made, the driver's apart, as paths in the object tree."""
    tree = "src/" if in_tree else "obj/"
    names = [name for name in jobs if name != DRIVER]
    paths = {p for name in names for p in trace.jobs[name].writes if p.startswith(tree)}
    return tuple(sorted(p.removeprefix(tree) for p in paths))


def _only_make(trace: Trace, status: str, path: str) -> bool:
    touched = trace.touched([(status, path)])
    return {name for name in touched if not name.startswith(CHECK)} == {DRIVER}


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


def _hidden(store: Store, manifest: Manifest, changed: list[str]) -> str:
    """A file of what lies below that has changed, where an artifact's own layers hold it: theirs
    would lie over the new one. "" if there is none.
    """
    if not changed:
        return ""
    own = {e.path for name in manifest.stack for e in layer.entries(store.layers, name)}
    return min(own.intersection(changed), default="")
