"""`doit shell`: a build once more for a person's eyes, and nothing of it kept.

The trees, the environment and the paths are the build's own, whatever gives it its workspace; what
is written there goes when the person leaves. Knows nothing of why a build failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labtasks.build import artifact, failure, outset
from labtasks.build.artifact import Request
from labtasks.build.builder import Trees, Workspace
from labtasks.build.workspace import open_builder
from labtasks.ground.error import say
from labtasks.ground.supervisor import Ended
from labtasks.key import identity, key
from labtasks.key.key import Wanted
from labtasks.lab.binding import JOBS
from labtasks.lab.lab import Lab
from labtasks.store import source
from labtasks.store.store import Store

_SHELL = "command -v bash >/dev/null && exec bash --norc --noprofile -i; exec sh -i"
"""The one with line editing, where there is one; without anything of the person's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What somebody wants to look at: one artifact of the recipe's steps; `request` is how what it
    is built on is wanted, where that is not in the store.
    """

    lab: Lab
    store: Store
    want: Wanted
    request: Request

    def enter(self, command: Sequence[str], *, steps: bool, terminal: bool) -> int:
        """Open what a clean build begins with (without `steps`: the objects themselves, where they
        are in the store), run the steps until one fails, then the command, or a shell where there
        is a terminal. The status of the last of these. Raises LabError.
        """
        lab, store, want = self.lab, self.store, self.want
        log = store.log(f"shell-{want.kind}-{want.commit.short}")
        if want.kind == "install" and lab.settings.install.through:
            return self._through(command, log, steps=steps, terminal=terminal)
        identity.check_tools(lab)
        trees = self._trees(made=not steps)
        with open_builder(lab, store, f"shell-{want.kind}-{want.commit.short}", trees) as space:
            space.prepare(log)
            texts = [t.replace(JOBS, str(space.jobs)) for t in lab.recipe.parts[want.kind].steps]
            code = self._steps(texts, partial(_run, space, log), log) if steps else 0
            attend = partial(space.attended, terminal=terminal)
            return self._attended(attend, command, space.places().src, code, terminal=terminal)

    def _through(self, command: Sequence[str], log: Path, *, steps: bool, terminal: bool) -> int:
        """The same in the machine that installs: its disk is a clone, too, of the one that was
        installed, or with `steps` of what it would be installed onto now.
        """
        from labtasks.vm import install, installer  # noqa: PLC0415 (only where a machine installs)

        lab, store = self.lab, self.store
        want, kernel, objfs = artifact.to_install(lab, store, self.want, self.request)
        sealed = None if steps else store.get(want.kind, want.key)
        plan = install.plan(lab, store, want, kernel, clean=False)
        below = install.disk_of(store, sealed) if sealed else plan.below
        uses = sealed.stack if sealed else plan.root.stack if plan.root else ()
        with store.workspace("shell", tuple(uses)) as scratch, install.opened(
            lab, store, want, objfs, below=below, tree=scratch
        ) as guest:  # fmt: skip
            run = partial(guest.step, log=log, echo=True)
            code = self._steps(plan.steps, run, log) if steps else 0
            attend = partial(guest.attended, terminal=terminal)
            where = f"vm {guest.to.name}, the root in {installer.DEST}"
            return self._attended(attend, command, where, code, terminal=terminal)

    def _trees(self, *, made: bool) -> Trees:
        lab, store, want = self.lab, self.store, self.want
        src = source.checkout(lab, store, key.wanted(lab, "src", want.commit, None))
        below = artifact.produce(lab, store, want.base, self.request) if want.base else None
        if below:  # its inputs may have been found to be more
            want = key.wanted(lab, want.kind, want.commit, want.world)
        sealed = store.get(want.kind, want.key) if made else None
        if sealed is None:
            return outset.trees(lab, want, src, None, below)
        return Trees(
            src=tuple(src.stack), obj=tuple(sealed.stack), below=tuple(sealed.below),
            newest=sealed.newest, files=lab.recipe.files_of(want.kind),
        )  # fmt: skip

    def _steps(self, texts: Sequence[str], run: Callable[[str], Ended], log: Path) -> int:
        """Run the steps, their output on the terminal; the status of the first that fails."""
        name = self.want.name
        for number, step in enumerate(texts, 1):
            say(f"+ {step.strip()}")
            ended = run(step)
            if ended.code:
                error = failure.first_error(log, self.lab.recipe.errors)
                told = f": {error}" if error else ""
                say(f"{name}: step {number} of {len(texts)}: status {ended.code}{told}")
                return ended.code
        say(f"{name}: all {len(texts)} steps went well")
        return 0

    def _attended(
        self, attend: Callable[[Sequence[str], str], int], command: Sequence[str], where: str,
        code: int, *, terminal: bool,
    ) -> int:  # fmt: skip
        """The command, or a shell where there is a terminal; its status, or `code` of the steps."""
        if command:
            return attend(_argv(command), "")
        if not terminal:
            return code
        say(f"{self.want.name}: in {where}; what you write is not kept")
        return attend(_argv(command), f"{self.want.name}# ")


def _run(space: Workspace, log: Path, step: str) -> Ended:
    return space.run([step], log, tracer="none", echo=True)


def _argv(command: Sequence[str]) -> list[str]:
    """What is run: a word alone is a shell's text, as ssh has it."""
    if len(command) > 1:
        return [*command]
    return ["sh", "-c", command[0] if command else _SHELL]
