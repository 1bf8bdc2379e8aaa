"""`doit shell`: a build once more for a person's eyes, and nothing of it kept.

The trees, the environment and the paths are the build's own, whatever gives it its workspace; what
is written there goes when the person leaves. Knows nothing of why a build failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labtasks.build import artifact, failure, outset
from labtasks.build.artifact import Request
from labtasks.build.builder import Trees, Workspace
from labtasks.build.workspace import open_builder
from labtasks.ground.error import UserError, say
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
        if want.kind == "install" and lab.settings.install.through:
            raise UserError(
                f"{want.name} is made in a machine, of disks that are gone when it is done",
                hint=f"doit ssh {lab.settings.install.through}",
            )
        identity.check_tools(lab)
        trees = self._trees(made=not steps)
        log = store.log(f"shell-{want.kind}-{want.commit.short}")
        with open_builder(lab, store, f"shell-{want.kind}-{want.commit.short}", trees) as space:
            space.prepare(log)
            code = self._steps(space, log) if steps else 0
            if command:
                code = space.attended(_argv(command), "", terminal=terminal)
            elif terminal:
                say(f"{want.name}: in {space.places().src}; what you write is not kept")
                code = space.attended(_argv(command), f"{want.name}# ", terminal=terminal)
        return code

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

    def _steps(self, space: Workspace, log: Path) -> int:
        """Run the steps, their output on the terminal; the status of the first that fails."""
        want, steps = self.want, self.lab.recipe.parts[self.want.kind].steps
        for number, step in enumerate(steps, 1):
            say(f"+ {step.replace(JOBS, str(space.jobs)).strip()}")
            ended = space.run([step], log, tracer="none", echo=True)
            if ended.code:
                error = failure.first_error(log, self.lab.recipe.errors)
                told = f": {error}" if error else ""
                say(f"{want.name}: step {number} of {len(steps)}: status {ended.code}{told}")
                return ended.code
        say(f"{want.name}: all {len(steps)} steps went well")
        return 0


def _argv(command: Sequence[str]) -> list[str]:
    """What is run: a word alone is a shell's text, as ssh has it."""
    if len(command) > 1:
        return [*command]
    return ["sh", "-c", command[0] if command else _SHELL]
