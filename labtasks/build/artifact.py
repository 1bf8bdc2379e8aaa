"""The pipeline: what is wanted becomes a sealed artifact, by the least work that is safe.

    key -> in the store? done -> base -> layer -> sources -> steps -> trace -> sealed

`produce` is that line. Every step of it has a module of its own; here they only follow one another.
Knows nothing of doit.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from labtasks.build import failure, objfs
from labtasks.build.attempt import Attempt
from labtasks.care import quota
from labtasks.ground import digest, live
from labtasks.ground.digest import Digest
from labtasks.ground.error import BuildError, LostError, say
from labtasks.ground.words import about
from labtasks.key import key
from labtasks.key.key import Wanted
from labtasks.lab.lab import Lab
from labtasks.lab.recipe import INSTALLS
from labtasks.store import candidate, reuse, source
from labtasks.store.abi import check_pin, note_on_image
from labtasks.store.candidate import Below
from labtasks.store.manifest import Manifest
from labtasks.store.reuse import Decision
from labtasks.store.store import Store

NEARLY_FULL = 0.5
"""Share of the jobs from which a step is announced as nearly a full build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """How somebody wants it: `retry` builds what is known not to build, `force`
    overrides the ABI rules, `echo` shows the log on the terminal, `clean` takes nothing but a
    clean build for an answer (of what is asked for, not of what it is built on).
    """

    retry: bool = False
    force: bool = False
    echo: bool = False
    clean: bool = False

    def held(self, store: Store, want: Wanted) -> Manifest | None:
        """The artifact that exists, if it will do."""
        found = store.get(want.kind, want.key)
        return found if found and (not self.clean or found.rung == "clean") else None


def produce(lab: Lab, store: Store, want: Wanted, request: Request) -> Manifest:
    """The artifact, made if need be. Raises BuildError, UserError or InfraError."""
    found = request.held(store, want)
    if found:
        return found
    if want.kind == "src":
        return source.checkout(lab, store, want)
    if want.kind == "build":
        return _compose(lab, store, want, request)
    if want.kind == "objfs":
        return _export(lab, store, want, request)
    if want.kind == "install" and lab.settings.install.through:
        return _install_through(lab, store, want, request)
    return _build(lab, store, want, request)


def _export(lab: Lab, store: Store, want: Wanted, request: Request) -> Manifest:
    """An obj-fs as an image; who waited for another that makes the same one takes that."""
    build = produce(lab, store, want.on[0], request)
    with store.lock(want.kind, want.key, want.name):
        found = request.held(store, want)
        if found:
            return found
        return objfs.export(lab, store, want, build)


def to_install(
    lab: Lab, store: Store, want: Wanted, request: Request
) -> tuple[Wanted, Manifest, Path]:
    """What a machine installs, made if need be: the kernel, and the image of the obj fs; and what
    is wanted, whose inputs may have been found to be more. Raises as `produce`.
    """
    below = replace(request, clean=False)
    kernel = produce(lab, store, want.on[0], below)
    exported = key.wanted(lab, "objfs", want.commit, want.world)
    produce(lab, store, exported, below)
    want = key.wanted(lab, want.kind, want.commit, want.world)
    exported = key.wanted(lab, "objfs", want.commit, want.world)
    return want, kernel, store.home("objfs", exported.key) / "objfs.img"


def _install_through(lab: Lab, store: Store, want: Wanted, request: Request) -> Manifest:
    """A world and a kernel, installed by a machine onto a disk."""
    want, kernel, image = to_install(lab, store, want, request)
    with store.lock(want.kind, want.key, want.name):
        found = request.held(store, want)
        if found:
            return found
        _refuse_known(lab, store, want, request)
        from labtasks.vm.install import install  # noqa: PLC0415 (few labs install through a machine)

        return install(lab, store, want, kernel, image, echo=request.echo, clean=request.clean)


def _refuse_known(lab: Lab, store: Store, want: Wanted, request: Request) -> None:
    """Refuse what is known to fail. Raises BuildError."""
    known = None if request.retry else store.failure(want.kind, want.key)
    if known:
        raise BuildError(
            f"{want.name} is known not to build: {known.error}\n  log: {known.log}",
            hint=f"`doit retry=yes {failure.typed(lab, want)}` tries again",
        )


def _build(lab: Lab, store: Store, want: Wanted, request: Request) -> Manifest:
    """An artifact of the recipe's steps, on what it is built on."""
    notes: list[str] = []
    if want.kind == "kernel" and want.world == "image":
        notes = [note_on_image(lab, want.commit)]
    elif want.kind == "kernel" and want.base:
        notes = check_pin(lab, want.base.commit, want.commit, force=request.force)
    below = replace(request, clean=False)
    base = produce(lab, store, want.base, below) if want.base else None
    if base and want.base and base.key != want.base.key:  # its inputs were found to be more
        want = key.wanted(lab, want.kind, want.commit, want.world)
    with store.lock(want.kind, want.key, want.name):
        found = request.held(store, want)
        if found:
            return found
        _refuse_known(lab, store, want, request)
        for note in notes:
            say(f"{want.name}: note: {note}")
        quota.keep(lab, store, want.name)
        attempt = Attempt(
            lab=lab, store=store, want=want, below=base, echo=request.echo, notes=tuple(notes)
        )
        if request.clean:
            return _act(attempt, Decision(rung="clean", why="nothing else was asked for"))
        return _climb(attempt)


def _climb(attempt: Attempt) -> Manifest:
    """Down the ladder until a rung holds.

    Only one clean build of a family runs at a time: whoever waited for it has a base, and most
    often nothing left to build. Not so an installation, which no other is based on.
    """
    lab, store, want, below = attempt.lab, attempt.store, attempt.want, attempt.below
    decision = decide(lab, store, want, below)
    if decision.rung == "clean" and want.kind != "install":
        with store.lock("family", want.family, want.name):
            return _act(attempt, decide(lab, store, want, below))
    return _act(attempt, decision)


def decide(lab: Lab, store: Store, want: Wanted, base: Manifest | None) -> Decision:
    """The rung that holds now, on the given world or toolchain."""
    below = Below(digest=base.digest, stack=tuple(base.whole)) if base else None
    found, unfit = candidate.candidates(lab, store, want, below)
    decision = reuse.decide(found, unfit, *reuse.learned(store.all(want.kind)))
    if want.kind in INSTALLS and decision.rung not in ("cutoff", "trace"):
        weighed = decision.base or decision.weighed
        return Decision(rung="clean", why="installations are always made anew", weighed=weighed)
    return decision


def _act(attempt: Attempt, decision: Decision) -> Manifest:
    """Do what was decided. A failed incremental build is tried once more clean."""
    want = attempt.want
    if decision.rung in ("cutoff", "trace") and decision.base:
        return _alias(attempt, decision, decision.base.manifest)
    _announce(want, decision)
    try:
        return _built(attempt, decision)
    except BuildError as error:
        if decision.rung == "clean":
            raise
        say(f"{want.name}: the incremental build is not taken ({error.message.splitlines()[0]})")
        clean = Decision(rung="clean", why="an incremental build was not taken")
        _announce(want, clean)
        return _built(attempt, clean)


def _built(attempt: Attempt, decision: Decision) -> Manifest:
    """Build and seal. When the machine that builds is lost, that is no fact about the commit: it is
    tried once more.
    """
    try:
        return _once(attempt, decision)
    except LostError as error:
        say(f"{attempt.want.name}: {error.message}; it is tried once more")
        return _once(attempt, decision)


def _once(attempt: Attempt, decision: Decision) -> Manifest:
    with _shown(attempt, decision), attempt.built(decision) as built:
        return attempt.seal(built, decision)


def _shown(attempt: Attempt, decision: Decision) -> contextlib.AbstractContextManager[None]:
    """Say on a terminal what is built, and how long that is expected to take."""
    want, expected = attempt.want, decision.seconds
    if decision.rung == "clean":
        held = attempt.store.all(want.kind)
        took = [m.seconds for m in held if m.family == want.family and m.rung == "clean"]
        expected = took[0] if took else 0.0
    return live.doing(want.name, expected)


def _announce(want: Wanted, decision: Decision) -> None:
    base = f" on {decision.base.manifest.origin}" if decision.base else ""
    say(f"{want.name}: {decision.rung}{base}: {decision.why}")
    if decision.rung == "incremental" and decision.jobs_total:
        share = decision.jobs / decision.jobs_total
        size = "nearly a full build: " if share > NEARLY_FULL else ""
        say(
            f"{want.name}: {size}about {min(decision.jobs, decision.jobs_total)} of "
            f"{decision.jobs_total} jobs to run again, some {about(decision.seconds)}"
        )


def _alias(attempt: Attempt, decision: Decision, origin: Manifest) -> Manifest:
    """The wanted artifact is one that exists: record that, and why."""
    want, base = attempt.want, attempt.below
    manifest = msgspec.structs.replace(
        origin,
        key=want.key,
        commit=want.commit.id,
        tree=want.commit.tree,
        date=want.commit.date,
        subject=want.commit.subject,
        inputs=list(want.inputs),
        below=list(base.whole) if base else [],
        below_digest=base.digest if base else "",
        rung=decision.rung,
        base=origin.origin,
        why=decision.why,
        steps=[],
        seconds=0.0,
        jobs=0,
        warnings=list(attempt.notes),
        finished=time.time(),
    )
    attempt.store.publish(manifest, alias_of=origin)
    say(f"{want.name}: is {origin.origin} ({decision.rung}): {decision.why}")
    return manifest


def _compose(lab: Lab, store: Store, want: Wanted, request: Request) -> Manifest:
    """The obj-fs of a commit: sources, world and kernel objects in one stack, nothing copied."""
    kernel_want, src_want = want.on
    kernel = produce(lab, store, kernel_want, request)
    src = produce(lab, store, src_want, request)
    parts = [("src", src.digest), ("world", kernel.below_digest), ("kernel", kernel.digest)]
    manifest = Manifest.of(
        want,
        digest=Digest(digest.key_of(parts)),
        stack=kernel.whole,
        below=list(src.stack),
        below_digest=src.digest,
        rung="composed",
        why=f"kernel by {kernel.rung}, sources by {src.rung}",
    )
    store.publish(manifest)
    return manifest
