"""Builds made while a test runs: the next candidates of a search, by a doit of their own.

A process apart, so that it can be stopped at any moment; what it had sealed stays, and whoever
needs what it is building waits for its lock. Knows nothing of searches.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from labtasks.bisect.probe import Prober
from labtasks.ground import live, supervisor
from labtasks.ground.error import say
from labtasks.key.git import Commit
from labtasks.notice import notify

_PAUSES = (0.05, 0.2)
"""Seconds between two looks at whether something is built: the first, and the longest."""


@dataclass(slots=True, kw_only=True)
class Ahead:
    """One such process at a time."""

    prober: Prober
    _child: supervisor.Child | None = None
    _of: list[Commit] = field(default_factory=list)
    _log: Path = Path(os.devnull)

    def prepare(self, commits: Iterable[Commit], *, now: Commit | None = None) -> None:
        """Build and install these in order, while the caller does something else. What was under
        way and is not among them is dropped, but not the build of what the caller needs `now`:
        that is waited for.
        """
        wanted = list(commits)
        if self._child and self._of == wanted:  # a test that is repeated asks again
            return
        if now:
            self._finish(now)
        self.stop()
        self._of = wanted
        if wanted:
            self._log = self.prober.store.log("ahead")
            self._child = supervisor.Child(
                self._argv(wanted), log=self._log, cwd=self.prober.lab.directory,
                env={**os.environ, notify.QUIET: "yes"},
            )  # fmt: skip

    def _finish(self, now: Commit) -> None:
        """Let it end a build that it has begun. What comes before that in its list is moot."""
        prober, told, pause = self.prober, False, _PAUSES[0]
        while self._child and self._child.alive() and self._at(now):
            if prober.ready(now) or prober.known(now):
                return
            if not told:
                say(f"{now.short} is being built already")
            told = True
            live.tick(self._log)
            time.sleep(pause)
            pause = min(2 * pause, _PAUSES[1])

    def _at(self, commit: Commit) -> bool:
        """Whether the turn of a commit has come: it is the first one that is not there yet."""
        left = (
            one for one in self._of if not self.prober.ready(one) and not self.prober.known(one)
        )
        return next(left, None) == commit

    def _argv(self, commits: list[Commit]) -> list[str]:
        world, _ = self.prober.world_for(commits[0])
        word = world.id if isinstance(world, Commit) else world or "own"
        tasks = [f"install:{commit.id}:{self.prober.vm}" for commit in commits]
        return [
            sys.executable, "-m", "doit", "--continue", f"world={word}", "force=yes",
            f"builder={self.prober.lab.builder_name}", *tasks,
        ]  # fmt: skip

    def stop(self) -> None:
        """Drop what is under way."""
        if self._child:
            self._child.stop()
            self._child = None
