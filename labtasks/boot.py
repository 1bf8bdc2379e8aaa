"""Start what was built, as the recipe says, and read its console for the line that means success.

Runs in a throw-away layer over the obj-fs: nothing a boot writes is kept but the console's log.
Knows nothing of verdicts: it says whether the line came.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from labtasks import failure, objfs
from labtasks.error import InfraError, UserError
from labtasks.key import Wanted
from labtasks.lab import Lab
from labtasks.store import Manifest, Store
from labtasks.workspace import open_workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """How a boot went: the console's decisive line, its log, and seconds until it was seen."""

    success: bool
    line: str
    console: Path
    seconds: float


def boot(lab: Lab, store: Store, want: Wanted, build: Manifest, *, echo: bool) -> Booted:
    """Boot a composed build. Raises UserError when the recipe has no [boot], InfraError when its
    preparation fails.
    """
    how = lab.recipe.boot
    if how is None:
        raise UserError(f"recipe {lab.recipe.name} has no [boot]", hint="docs/recipes.md: booting")
    console = store.log(f"console-{want.commit.short}")
    log = store.log(f"boot-{want.commit.short}")
    with open_workspace(lab, store, "boot", objfs.trees_of(build)) as space:
        space.prepare(log)
        ended = space.run(how.steps, log, tracer="none", echo=False)
        if ended.code:
            error = failure.first_error(log, ()) or f"exit status {ended.code}"
            raise InfraError(f"{want.name}: not booted: {error}", hint=f"the log is {log}")
        console.touch()
        ends = [p for p in (how.success, how.failure) if p]
        started = time.monotonic()
        ended = space.launch(
            ["sh", "-e", "-c", f"exec {how.command}"], console, timeout=how.timeout,
            until=lambda: any(_line(console, pattern) for pattern in ends), echo=echo,
        )  # fmt: skip
        seconds = time.monotonic() - started
    good, bad = _line(console, how.success), _line(console, how.failure) if how.failure else ""
    last = f"nothing decisive in {how.timeout:.0f} s" if ended.timed_out else "it ended silently"
    return Booted(
        success=bool(good) and not bad, line=bad or good or last, console=console, seconds=seconds
    )


def _lines(console: Path) -> list[str]:
    text = console.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    return [line for line in text.split("\n") if line.strip()]


def _line(console: Path, pattern: str) -> str:
    """The first line of a console that matches, the unfinished last one included."""
    search = re.compile(pattern).search
    return next((line.strip() for line in _lines(console) if search(line)), "")
