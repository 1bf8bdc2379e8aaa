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
from typing import Literal

from labtasks.build.artifact import Request
from labtasks.ground.error import BuildError, UserError, say
from labtasks.ground.words import short
from labtasks.key import key
from labtasks.key.git import Commit, CommitId
from labtasks.key.key import Wanted, World
from labtasks.lab.lab import Lab
from labtasks.store import abi
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store
from labtasks.test import trial, verdict
from labtasks.test.judge import Outcome
from labtasks.test.verdict import Verdict

Fit = Literal["reused", "aligned", "own", "image", ""]
"""How a kernel came to its world: the pinned one, another one because the rules or a failure asked,
its own as every commit, the VM's. "" where none was chosen.
"""

Built = Callable[[Manifest | None], None]

_DIGITS = 12
"""Digits of a digest that are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of a commit, and at what cost. `verdict` and `kernel` are None when it does
    not build; `world` is the commit whose world it ran on, `fit` how that was chosen and `fit_why`
    for what reason. `source` is the commit that a verdict is inherited from, `spared` says why
    nothing was booted. Seconds are wall time.
    """

    commit: Commit
    outcome: Outcome
    reason: str
    how: str
    world: str = ""
    fit: Fit = ""
    fit_why: str = ""
    source: str = ""
    spared: str = ""
    kernel: Manifest | None = None
    verdict: Verdict | None = None
    build_seconds: float = 0.0
    test_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """Builds and tests commits in one VM. `world` is pinned, or each commit's own where None;
    `because` says why it is that one, for a person.
    """

    lab: Lab
    store: Store
    vm: str
    request: Request
    world: World = None
    because: str = ""
    aligned: dict[CommitId, Commit] = field(default_factory=dict)
    _fits: dict[tuple[CommitId, CommitId], str] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

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
                known = "; ".join(notes[:-1])  # the last one says what to do about it
            except UserError:
                known = self._parted(world)
            self._fits[world.id, commit.id] = known
        return known

    def probe(
        self, commit: Commit, *, again: int = 0, built: Built = lambda _kernel: None
    ) -> Finding:
        """Build, boot and judge a commit. `again` counts further runs of the same contents; `built`
        is called with its kernel once all is built, and the builder has nothing to do.

        Raises UserError for what concerns the lab and not the commit, InfraError when the host
        failed.
        """
        world, why = self.world_for(commit)
        fit, fit_why = self._fit(commit, world, why)
        if fit_why:
            other = "its own world"  # which a pinned one is, too, where no rule asked
            if isinstance(world, Commit) and not (why and world.id == commit.id):
                other = f"the world of {world.short}"
            place = {"own": other, "image": "the image's world"}.get(fit, f"{other}, {fit}")
            self._say_once(f"  {place}: {fit_why}", commit if why else None)
        found = replace(self._on(commit, world, again, built), fit=fit, fit_why=fit_why)
        if why and found.kernel and found.kernel.below and world is None:
            self.aligned[commit.id] = commit
        if isinstance(world, Commit) and world.id != commit.id and self._suspect(world, found):
            say(f"  {found.reason}: once more on its own world")
            own = self._on(commit, None, again, built)
            return replace(
                own,
                fit="aligned",
                fit_why=f"on the world of {world.short} it failed as kernels on a world that does "
                f"not fit: {found.reason}",
                build_seconds=found.build_seconds + own.build_seconds,
                test_seconds=found.test_seconds + own.test_seconds,
            )
        return found

    def _fit(self, commit: Commit, world: World, why: str) -> tuple[Fit, str]:
        """How a commit came to the world that it is tried on first, and why."""
        if why:
            return "aligned", why
        if world is None:
            return "own", self.because
        if not isinstance(world, Commit):
            return "image", self.because
        if world.id == commit.id:
            return "own", f"{self.because}, pinned from here" if self.because else "pinned"
        rules = self._misfits(world, commit)
        spared = f"{rules}, but newer kernels run older worlds" if rules else "no ABI rule objects"
        return "reused", f"{self.because}; {spared}" if self.because else spared

    def _say_once(self, text: str, commit: Commit | None) -> None:
        """Say how worlds are chosen when that begins, and what one commit asks for at its test."""
        said = f"{commit.id} {text}" if commit else text
        if said not in self._said and "world" in self.lab.recipe.parts:
            self._said.add(said)
            say(text)

    def _suspect(self, world: Commit, found: Finding) -> bool:
        """Whether it failed as kernels and worlds fail that do not fit: it says so, or it fails
        otherwise than described where the ABI rules have something to say.
        """
        if found.verdict is None:
            return any(re.search(p, found.reason) for p in self.lab.recipe.abi.errors)
        if found.outcome in (Outcome.GOOD, Outcome.BAD):
            return found.verdict.mismatch and found.outcome is Outcome.BAD
        return found.verdict.mismatch or bool(self._misfits(world, found.commit))

    def _on(self, commit: Commit, world: World, again: int, built: Built) -> Finding:
        started = time.monotonic()
        want = key.wanted(self.lab, "install", commit, world)
        name = world.short if isinstance(world, Commit) else world or commit.short
        known, failed = self._held(want)[0] is not None, self._failed(want)
        request = replace(self.request, force=True)
        try:
            trial.installed(self.lab, self.store, want, request)
        except BuildError as error:
            return Finding(
                commit=commit,
                outcome=Outcome.UNTESTABLE,
                reason=error.message.splitlines()[0],
                how="known" if failed else "tested",
                world=name,
                spared="it did not build before, which is remembered" if failed else "",
                build_seconds=0.0 if failed else time.monotonic() - started,
            )
        build_seconds = 0.0 if known else time.monotonic() - started
        want = key.wanted(self.lab, "install", commit, world)  # inputs may have been found
        kernel = self.store.get("kernel", want.on[0].key)
        built(kernel)
        told = trial.verdict_on(self.lab, self.store, want, self.vm, request, again=again)
        new = told.finished > time.time() - (time.monotonic() - started)
        inherited = not new and told.commit != commit.id
        return Finding(
            commit=commit,
            outcome=told.outcome,
            reason=told.reason,
            how="tested" if new else "inherited" if inherited else "known",
            world=name,
            source=told.commit if inherited else "",
            spared="" if new else _spared(told, kernel, inherited=inherited),
            kernel=kernel,
            verdict=told,
            build_seconds=build_seconds,
            test_seconds=told.seconds if new else 0.0,
        )

    def _failed(self, want: Wanted) -> bool:
        """Whether anything that it takes is known not to build."""
        kernel, root = want.on[0], key.root_under(self.lab, want)
        some = (want, kernel, kernel.base, root)
        return any(self.store.failure(one.kind, one.key) for one in some if one)

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


def _spared(told: Verdict, kernel: Manifest | None, *, inherited: bool) -> str:
    """Why a verdict that was given before is this commit's, too."""
    if not inherited:
        return "it was tested before, and its verdict kept"
    digest = f", kernel {kernel.digest[:_DIGITS]}" if kernel else ""
    return f"what boots is what {short(told.commit)} booted{digest}"
