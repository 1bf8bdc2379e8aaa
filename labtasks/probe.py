"""One commit, built as cheaply as is safe, booted and judged: what a bisect asks again and again.

A kernel is tried on the pinned world first. Where the ABI rules say that the two may not fit, or
the run fails in the way that a mismatched world fails, the commit's own world is built and it is
tried again. Knows nothing of searches: it says what it found.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from labtasks import abi, key, trial, verdict
from labtasks.artifact import Request
from labtasks.error import BuildError, UserError, say
from labtasks.git import Commit, CommitId
from labtasks.judge import Outcome
from labtasks.key import Wanted, World
from labtasks.lab import Lab
from labtasks.manifest import Manifest
from labtasks.store import Store
from labtasks.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of a commit, and at what cost. `verdict` and `kernel` are None when it does
    not build; `world` is the commit whose world it ran on. Seconds are wall time.
    """

    commit: Commit
    outcome: Outcome
    reason: str
    how: str
    world: str = ""
    kernel: Manifest | None = None
    verdict: Verdict | None = None
    build_seconds: float = 0.0
    test_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """Builds and tests commits in one VM. `world` is pinned, or each commit's own where None."""

    lab: Lab
    store: Store
    vm: str
    request: Request
    world: World = None
    aligned: dict[CommitId, Commit] = field(default_factory=dict)
    _fits: dict[tuple[CommitId, CommitId], str] = field(default_factory=dict)

    def world_for(self, commit: Commit) -> tuple[World, str]:
        """The world a commit's kernel is tried on first, and why if it is not the pinned one: then
        it is an older commit's that was built since and fits, or its own.
        """
        if not isinstance(self.world, Commit):
            return self.world, ""
        why = self._misfits(self.world, commit)
        supported = self.lab.recipe.abi.compatible and why != self._parted(self.world)
        if not why or supported:
            return self.world, ""
        fitting = (w for w in self.aligned.values() if not self._misfits(w, commit))
        return next(fitting, None), why

    @staticmethod
    def _parted(world: Commit) -> str:
        return f"it does not descend from {world.short}"

    def _misfits(self, world: Commit, commit: Commit) -> str:
        """Why the ABI rules do not want a kernel on this world, "" if they do."""
        known = self._fits.get((world.id, commit.id))
        if known is None:
            try:
                notes = abi.check_pin(self.lab, world, commit, force=False)
                known = notes[0] if notes else ""
            except UserError:
                known = self._parted(world)
            self._fits[world.id, commit.id] = known
        return known

    def probe(
        self, commit: Commit, *, again: int = 0, built: Callable[[], None] = lambda: None
    ) -> Finding:
        """Build, boot and judge a commit. `again` counts further runs of the same contents; `built`
        is called once it is built, and the builder has nothing to do.

        Raises UserError for what concerns the lab and not the commit, InfraError when the host
        failed.
        """
        world, why = self.world_for(commit)
        if why:
            other = f"the world of {world.short}" if isinstance(world, Commit) else "its own world"
            say(f"  {other}: {why}")
        found = self._on(commit, world, again, built)
        if why and found.kernel and found.kernel.below and world is None:
            self.aligned[commit.id] = commit
        if isinstance(world, Commit) and world.id != commit.id and self._suspect(world, found):
            say(f"  {found.reason}: once more on its own world")
            own = self._on(commit, None, again, built)
            return replace(
                own,
                build_seconds=found.build_seconds + own.build_seconds,
                test_seconds=found.test_seconds + own.test_seconds,
            )
        return found

    def _suspect(self, world: Commit, found: Finding) -> bool:
        """Whether it failed as kernels and worlds fail that do not fit: it says so, or it fails
        otherwise than described where the ABI rules have something to say.
        """
        if found.verdict is None:
            return any(re.search(p, found.reason) for p in self.lab.recipe.abi.errors)
        if found.outcome in (Outcome.GOOD, Outcome.BAD):
            return found.verdict.mismatch and found.outcome is Outcome.BAD
        return found.verdict.mismatch or bool(self._misfits(world, found.commit))

    def _on(self, commit: Commit, world: World, again: int, built: Callable[[], None]) -> Finding:
        started = time.monotonic()
        want = key.wanted(self.lab, "install", commit, world)
        name = world.short if isinstance(world, Commit) else world or commit.short
        known = self._held(want)[0] is not None
        request = replace(self.request, force=True)
        try:
            trial.installed(self.lab, self.store, want, request)
        except BuildError as error:
            return Finding(
                commit=commit,
                outcome=Outcome.UNTESTABLE,
                reason=error.message.splitlines()[0],
                how="tested",
                world=name,
                build_seconds=time.monotonic() - started,
            )
        build_seconds = 0.0 if known else time.monotonic() - started
        built()
        want = key.wanted(self.lab, "install", commit, world)  # inputs may have been found
        told = trial.verdict_on(self.lab, self.store, want, self.vm, request, again=again)
        new = told.finished > time.time() - (time.monotonic() - started)
        return Finding(
            commit=commit,
            outcome=told.outcome,
            reason=told.reason,
            how="tested" if new else "known" if told.commit == commit.id else "inherited",
            world=name,
            kernel=self.store.get("kernel", want.on[0].key),
            verdict=told,
            build_seconds=build_seconds,
            test_seconds=told.seconds if new else 0.0,
        )

    def known(self, commit: Commit) -> bool:
        """Whether a verdict is at hand already, without building or booting anything."""
        world, _ = self.world_for(commit)
        want = key.wanted(self.lab, "install", commit, world)
        if self.store.failure("kernel", want.on[0].key):
            return True
        install, root = self._held(want)
        if install is None:
            return False
        inputs = verdict.inputs_of(self.lab, self.vm, root, install)
        return verdict.get(self.store, verdict.key_of(inputs)) is not None

    def ready(self, commit: Commit) -> bool:
        """Whether all that a test boots is built."""
        want = key.wanted(self.lab, "install", commit, self.world_for(commit)[0])
        return self._held(want)[0] is not None

    def _held(self, want: Wanted) -> tuple[Manifest | None, Manifest | None]:
        """What the store has of an installed kernel and its root: all of it, or nothing."""
        below = key.root_under(self.lab, want)
        root = self.store.get("root", below.key) if below else None
        install = self.store.get("install", want.key)
        return (None, None) if below and root is None else (install, root)
