"""What building a commit would come to, told beforehand from the traces of what is built.

Which commits cannot matter, because nothing that the builds at hand read differs from their
parents; and how many seconds a commit's verdict will cost. A forecast: what is built in the end
decides for itself what it may skip. Knows nothing of searches or tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from labtasks.ground import globs
from labtasks.key.git import Commit, CommitId
from labtasks.key.git_objects import Change, TreeId
from labtasks.lab.lab import Lab
from labtasks.store import reuse, source
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store
from labtasks.trace.trace import Trace

_NAMED = 2
"""Builds that a reason names; the rest is counted."""


def clean_seconds(store: Store, *, worlds: bool) -> float:
    """Seconds of a clean build of a kernel, and of its world with `worlds`; 0 for what was never
    built clean here.
    """
    kinds = ("world", "kernel") if worlds else ("kernel",)
    return sum(_whole(store.all(kind)) for kind in kinds)


def _whole(held: Iterable[Manifest]) -> float:
    return max((m.seconds for m in held if m.rung == "clean"), default=0.0)


@dataclass(slots=True, kw_only=True)
class Outlook:
    """The artifacts of one kind that are built, with what their builds read.

    `whole` are the seconds of a clean build, 0 while none is known.
    """

    lab: Lab
    store: Store
    kind: str
    built: list[tuple[Manifest, Trace]] = field(default_factory=list)
    whole: float = 0.0
    rate: float = 0.0
    fixed: float = 0.0
    _seconds: dict[tuple[str, TreeId], float] = field(default_factory=dict)

    def learn(self, manifest: Manifest) -> None:
        """Take one more artifact into account; what it was derived from is read as its trace."""
        held = self.store.all(self.kind)
        self.rate, self.fixed = reuse.learned(held)
        self.whole = _whole(held) or self.whole
        if any(known.stack[0] == manifest.stack[0] for known, _ in self.built):
            return
        trace = self.store.trace(manifest)
        if trace and not trace.problems:
            self.built.append((manifest, trace))

    def cannot_matter(
        self, parents: Mapping[CommitId, tuple[CommitId, ...]], about: Mapping[CommitId, Commit]
    ) -> set[CommitId]:
        """Commits that differ from each of their parents in nothing that any of the builds read
        or looked for. Empty while nothing traced is built.
        """
        if not self.built:
            return set()
        repository = self.lab.repository
        pairs = {
            commit: [(about[parent].tree, about[commit].tree) for parent in above]
            for commit, above in parents.items()
        }
        diffs = repository.diffs(pair for some in pairs.values() for pair in some)
        return {
            commit
            for commit, some in pairs.items()
            if some
            and not any(self._seen(old, new, diffs.get((old, new), ())) for old, new in some)
        }

    def _seen(self, old: TreeId, new: TreeId, diff: tuple[Change, ...]) -> bool:
        return any(self._jobs(trace, old, new, diff) for _, trace in self.built)

    def _jobs(self, trace: Trace, old: TreeId, new: TreeId, diff: Iterable[Change]) -> list[str]:
        """The jobs that would see a difference between two trees."""
        vanished, appeared = source.directories(self.lab.repository, diff, old, new)
        changes = [(c.status, f"src/{c.path}") for c in diff]
        gone = frozenset(f"src/{p}" for p in vanished)
        new_ones = frozenset(f"src/{p}" for p in appeared)
        return list(trace.touched(changes, gone, new_ones))

    def seconds(self, tree: TreeId) -> float:
        """What building a tree will cost on the best base there is."""
        return min((self._on(m, trace, tree) for m, trace in self.built), default=self.whole)

    def _on(self, manifest: Manifest, trace: Trace, tree: TreeId) -> float:
        known = self._seconds.get((manifest.stack[0], tree))
        if known is None:
            old = TreeId(manifest.built_from)
            diff = self.lab.repository.diff(old, tree)
            jobs = len(self._jobs(trace, old, tree, diff))
            part = self.lab.recipe.parts[self.kind]
            harmless = globs.matcher(part.no_rules)
            anew = any(f"src/{c.path}" in trace.rules and not harmless(c.path) for c in diff)
            checks = part.checks_commands == "yes"
            known = self.fixed + self.rate * jobs if jobs else 0.0
            if anew and not checks:
                known = self.whole or known
            self._seconds[manifest.stack[0], tree] = known
        return known


class Forecast:
    """What is told beforehand of a whole commit: its kernel, its world where it gets one of its
    own, and its test.
    """

    def __init__(self, lab: Lab, store: Store) -> None:
        self._store = store
        self._kernels = Outlook(lab=lab, store=store, kind="kernel")
        self._worlds = Outlook(lab=lab, store=store, kind="world")
        roots = Outlook(lab=lab, store=store, kind="root") if "root" in lab.recipe.parts else None
        self._below = [self._worlds, *([roots] if roots else [])]
        self.test_seconds = 0.1  # of all runs that a verdict takes

    @property
    def knows(self) -> bool:
        """Whether a trace was learned that tells what matters."""
        return bool(self._kernels.built)

    @property
    def full_build(self) -> float:
        """Seconds of a clean build of world and kernel, as far as is known."""
        return self.clean_build(worlds=True)

    def clean_build(self, *, worlds: bool) -> float:
        """Seconds of a clean build of a kernel, and of its world with `worlds`."""
        return self._kernels.whole + (self._worlds.whole if worlds else 0.0)

    def learn(self, kernel: Manifest) -> None:
        """Take up what was built."""
        self._kernels.learn(kernel)
        for outlook in self._below:
            for held in self._store.all(outlook.kind):
                outlook.learn(held)

    def cannot_matter(
        self,
        parents: Mapping[CommitId, tuple[CommitId, ...]],
        about: Mapping[CommitId, Commit],
        *,
        worlds: bool,
    ) -> set[CommitId]:
        """Commits that change no kernel, and, with `worlds`, no world and no root either."""
        idle = self._kernels.cannot_matter(parents, about)
        for outlook in self._below if worlds else ():
            idle &= outlook.cannot_matter(parents, about)
        return idle

    def why_idle(self, *, worlds: bool) -> str:
        """Why commits cannot matter: whose builds read nothing of what they change."""
        kinds = [self._kernels, *(self._below if worlds else ())]
        read = [manifest.origin for outlook in kinds for manifest, _ in outlook.built]
        more = f" and {len(read) - _NAMED} more" if len(read) > _NAMED else ""
        return f"nothing that the builds of {', '.join(read[:_NAMED])}{more} read was changed"

    def seconds(self, tree: TreeId, *, world: bool) -> float:
        """What it will take to build and test a tree."""
        below = self._worlds.seconds(tree) if world else 0.0
        return below + self._kernels.seconds(tree) + self.test_seconds
