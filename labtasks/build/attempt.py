"""One build of one artifact: trees put in place, steps run, reads collected, files sealed.

`built` runs the steps and gives what they made, in a scratch folder; `seal` turns that into an
artifact of the store. Knows nothing of ladders: the decision is given.
"""

from __future__ import annotations

import contextlib
import platform
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from labtasks.build import doubt, failure, leftover, outset, processor
from labtasks.build.builder import Trees, Workspace
from labtasks.build.workspace import open_builder
from labtasks.ground import globs
from labtasks.ground.error import BuildError, printable, say
from labtasks.ground.words import count
from labtasks.key import guest_tools, identity, key, widened
from labtasks.key.key import Wanted
from labtasks.lab.lab import Lab
from labtasks.lab.recipe import Part
from labtasks.store import layer, source
from labtasks.store.candidate import Candidate
from labtasks.store.layer import Entry
from labtasks.store.manifest import Failure, Manifest
from labtasks.store.reuse import Decision
from labtasks.store.store import Store
from labtasks.trace import tracing
from labtasks.trace.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What the steps made, not yet sealed. `seen` is this run's trace, `trace` joined with its
    base's; `entries` are the new layer's, `files` what the object tree shows in all.
    """

    space: Workspace
    log: Path
    seconds: float
    tracer: str
    seen: Trace | None
    trace: Trace | None
    entries: list[Entry]
    files: dict[str, Entry]
    strays: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One artifact to be built on a base. `below` is its world or toolchain, `echo` shows the
    log, `notes` go into the manifest.
    """

    lab: Lab
    store: Store
    want: Wanted
    below: Manifest | None = None
    echo: bool = False
    notes: tuple[str, ...] = ()

    @property
    def part(self) -> Part:
        """The recipe's part that is built."""
        return self.lab.recipe.parts[self.want.kind]

    @contextlib.contextmanager
    def built(self, decision: Decision) -> Iterator[Built]:
        """Run the steps. Raises BuildError when one fails, or the commit has none of its inputs,
        InfraError when the machine failed, UserError for a missing tool or a sealed file that was
        changed by hand.
        """
        lab, store, want = self.lab, self.store, self.want
        key.refuse_nowhere(lab, want)
        identity.check_tools(lab)
        src = source.checkout(lab, store, key.wanted(lab, "src", want.commit, None))
        trees = outset.trees(lab, want, src, decision.base, self.below)
        base = decision.base
        checked = base.trace.reads if base and base.trace else None
        with open_builder(lab, store, f"{want.kind}-{want.commit.short}", trees) as space:
            if want.kind != "install":
                self._refuse_altered(trees, checked)
            yield self._run(space, decision, src, checked)

    @contextlib.contextmanager
    def _looked_over(self, trees: Trees) -> Iterator[None]:
        """An install is over as soon as looking its files over: both at once, then. What it made of
        altered ones is thrown away, and its failure says nothing of the commit. Raises UserError.
        """
        with ThreadPoolExecutor(1) as beside:
            looked = beside.submit(self._refuse_altered, trees, None)
            yield
            looked.result()

    def _refuse_altered(self, trees: Trees, reads: frozenset[str] | None) -> None:
        within: tuple[str, ...] = ()
        if self.want.kind == "install":  # nobody watches it, so what it declares must do
            within = tuple(path for label, _ in self.want.inputs if (path := key.path_of(label)))
        doubt.refuse_altered(
            self.store, trees, reads, in_tree=self.lab.recipe.in_tree, within=within
        )

    def _run(
        self, space: Workspace, decision: Decision, src: Manifest, checked: frozenset[str] | None
    ) -> Built:
        want, lab = self.want, self.lab
        part = lab.recipe.parts[want.kind]
        log = self.store.log(f"{want.kind}-{want.commit.short}")
        there = guest_tools.tracer(lab)
        tracer = tracing.choose(lab.settings.tracer, part, lab.recipe.tool_path, there)
        if want.kind == "install":
            tracer = "none"  # what it installs is in its key: the kernel, by content
        started = time.monotonic()
        space.prepare(log)
        seen = self._steps(space, decision, log, tracer, src)
        removed = [*space.trees.remove_obj]
        while again := self._outdated(space, decision.base, seen, removed):
            removed += again
            space.remove(again, log)
            seen = self._steps(space, decision, log, tracer, src)
        seconds = time.monotonic() - started
        if seen and checked is not None:
            self._refuse_altered(space.trees, seen.reads - checked)
        strays = space.strays()
        entries = space.harvest()
        if decision.base is None and seen and seen.count <= 1:
            seen = None  # no job left a record: what was read is not known
        trace = _joined(decision.base, seen)
        if decision.base and trace and seen:
            built = (seen, trace, entries, removed)
            self._refuse_doubtful(space, decision.base, *built, watched=tracing.watches(tracer))
        return Built(
            space=space,
            log=log,
            seconds=seconds,
            tracer=tracer,
            seen=seen,
            trace=trace,
            entries=entries,
            files=layer.merged(self.store.layers, space.trees.obj, entries),
            strays=strays,
        )

    def _outdated(
        self,
        space: Workspace,
        base: Candidate | None,
        seen: Trace | None,
        removed: Collection[str],
    ) -> list[str]:
        """Objects to be removed before make runs once more; none for a second time."""
        deep = self.part.checks_commands == "no"
        found = leftover.outdated(self.store, space, base, seen, deep=deep)
        again = [path for path in found if path not in removed]
        if again:
            many = count(len(again), "object")
            say(f"{self.want.name}: note: {many} that make did not see as outdated: once more")
        return again

    def _refuse_doubtful(
        self,
        space: Workspace,
        base: Candidate,
        seen: Trace,
        trace: Trace,
        entries: list[Entry],
        removed: list[str],
        *,
        watched: bool,
    ) -> None:
        """What an incremental build left, by all that is known of it. Raises BuildError."""
        store, part = self.store, self.part
        wanted = globs.matcher(part.outputs, part.volatile)
        came = leftover.outcome(store, space, base, seen, entries, removed, wanted)
        if part.checks_commands == "no":
            doubt.refuse_new_rules(store, space, trace, part, entries)
            doubt.refuse_unused(base, seen)
            doubt.refuse_unchecked(store, space, base, seen, entries)
            if came:
                came.refuse_leftovers(store, space)
        elif watched:
            doubt.refuse_unnamed(store, space, base, seen, part, entries)
        if came:
            came.refuse_unmade()

    def _steps(
        self, space: Workspace, decision: Decision, log: Path, tracer: str, src: Manifest
    ) -> Trace | None:
        """Run the steps; what they have read so far."""
        part = self.part
        alone = decision.rung == "incremental" and processor.pays(decision.work)
        install = self.want.kind == "install"
        with self._looked_over(space.trees) if install else contextlib.nullcontext():
            ended = space.run(part.steps, log, tracer=tracer, echo=self.echo, alone=alone)
        seen = self._seen(space, tracer, src)
        if seen and decision.base and decision.base.trace:
            seen = seen.named_as(decision.base.trace)
        if ended.code:
            self._failed(space, decision, log, ended.code, seen)
        return seen

    def _seen(self, space: Workspace, tracer: str, src: Manifest) -> Trace | None:
        """What the steps have read so far."""
        if tracer == "none":
            return None
        lab, part = self.lab, self.part
        under = layer.merged(self.store.layers, space.trees.objects)
        links = {f"src/{path}": to for path, to in source.links_of(src).items()}
        objects = "src" if lab.recipe.in_tree else "obj"
        links |= {f"{objects}/{path}": e.digest for path, e in under.items() if e.type == "l"}
        tree = self.want.commit.tree
        return tracing.collect(tracer, space, part, links, lambda: lab.repository.files(tree))

    def _failed(
        self, space: Workspace, decision: Decision, log: Path, code: int, seen: Trace | None
    ) -> NoReturn:
        want = self.want
        away = self.lab.settings.builder if self.lab.abroad else ""
        failure.refuse_the_hosts(want.name, log, code, self.lab.cache, away=away)
        error = failure.first_error(log, self.lab.recipe.errors) or f"exit status {code}"
        step = space.steps[-1].text
        if seen and self._widened(seen):
            want = key.wanted(self.lab, want.kind, want.commit, want.world)
        if decision.rung == "clean":
            found = Failure(
                commit=want.commit.id, error=error, log=str(log), step=step, finished=time.time()
            )
            self.store.remember(want.kind, want.key, found)
        again = failure.again(self.lab, want)
        raise BuildError(
            f"{want.name} does not build: {error}\n  log: {log}\n  again: {again}",
            hint=f"`doit retry=yes {failure.typed(self.lab, want)}` builds it again",
        )

    def seal(self, built: Built, decision: Decision) -> Manifest:
        """Publish what was built. What it read outside its declared inputs joins its key. Raises
        BuildError where it left none of its outputs.
        """
        want, lab = self.want, self.lab
        part = lab.recipe.parts[want.kind]
        _refuse_nothing(want, built, part)
        new = self._widened(built.seen) if built.seen else []
        if new:
            want = key.wanted(lab, want.kind, want.commit, want.world)
        notes = [*self.notes, *_notes(built, new)]
        for note in notes[len(self.notes) :]:
            say(f"{want.name}: note: {note}")
        jobs = built.seen.count if built.seen else 0
        trees = built.space.trees
        manifest = Manifest.of(
            want,
            digest=layer.content_digest(built.files, globs.matcher(part.outputs, part.volatile)),
            built_as=want.name,
            stack=[layer.new_id(want.kind), *trees.obj],
            below=list(trees.below),
            below_digest=self.below.digest if self.below else "",
            rung=decision.rung,
            base=decision.base.manifest.origin if decision.base else "",
            why=decision.why,
            steps=list(built.space.steps),
            seconds=round(built.seconds, 3),
            jobs=jobs,
            jobs_total=built.trace.count if built.trace else 0,
            newest=_newest(built.entries, trees.newest),
            bytes=sum(e.size for e in built.entries),
            tracer=built.tracer,
            warnings=notes,
            log=str(built.log),
            host=platform.node(),
        )
        built.space.sealed_as(manifest.stack)
        self.store.publish(manifest, trace=built.trace, tree=built.space.scratch / "layer")
        ran = f"{count(jobs, 'job')}, " if jobs else ""
        say(f"{want.name}: built: {ran}{built.seconds:.1f} s, digest {manifest.digest[:12]}")
        return manifest

    def _widened(self, seen: Trace) -> list[str]:
        """Inputs that this run showed and nobody declared, now remembered."""

        def sources(paths: frozenset[str]) -> list[str]:
            return [p.removeprefix("src/") for p in paths if p.startswith("src/")]

        looked_for = [*sources(seen.absent), *(f"{p}/*" for p in sources(seen.listed))]
        return widened.widen(
            self.lab, self.want.kind, self.want.commit, sources(seen.reads), looked_for
        )


def _notes(built: Built, new: list[str]) -> Iterator[str]:
    """What a build did that it need not; `new` are the inputs that it was the first to read."""
    if built.strays:
        yield f"the build wrote into its sources: {printable(', '.join(built.strays[:3]))}"
    if new:
        yield f"reads outside its declared inputs join its key: {printable(' '.join(new))}"


def _refuse_nothing(want: Wanted, built: Built, part: Part) -> None:
    """Declared outputs that match no file have one digest, whatever was built: one commit would
    get another's installation, and its verdict. A part that declares none may leave nothing.
    Raises BuildError, for a bisect to go past such a commit.
    """
    wanted = globs.matcher(part.outputs, part.volatile)
    if part.outputs != Part(steps=()).outputs and not any(map(wanted, built.files)):
        raise BuildError(
            f"{want.name}: no file is an output: {' '.join(part.outputs)}",
            hint=f"outputs in [{want.kind}] of the recipe are globs below {{obj}}; the log is "
            f"{built.log}",
        )


def _joined(base: Candidate | None, seen: Trace | None) -> Trace | None:
    """An incremental build's trace with its base's; half of one would prove nothing."""
    if base is None or seen is None:
        return seen
    return base.trace.joined(seen) if base.trace else None


def _newest(entries: list[Entry], before: float) -> float:
    return max([before, *(e.mtime / 1e9 for e in entries if e.type == "f")])
