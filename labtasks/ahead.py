"""Builds made while a test runs: the next candidates of a search, by a doit of their own.

A process apart, so that it can be stopped at any moment; what it had sealed stays, and whoever
needs what it is building waits for its lock. Knows nothing of searches.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

from labtasks import process
from labtasks.git import Commit
from labtasks.probe import Prober


@dataclass(slots=True, kw_only=True)
class Ahead:
    """One such process at a time."""

    prober: Prober
    _child: process.Child | None = None
    _of: list[Commit] = field(default_factory=list)

    def prepare(self, commits: Iterable[Commit]) -> None:
        """Build and install these in order, while the caller does something else. What was under
        way and is not among them is dropped.
        """
        wanted = list(commits)
        if self._child and self._child.alive() and self._of == wanted:
            return
        self.stop()
        self._of = wanted
        if wanted:
            log = self.prober.store.log("ahead")
            self._child = process.Child(self._argv(wanted), log=log, cwd=self.prober.lab.directory)

    def _argv(self, commits: list[Commit]) -> list[str]:
        world, _ = self.prober.world_for(commits[0])
        word = world.id if isinstance(world, Commit) else world or "own"
        tasks = [f"install:{commit.id}:{self.prober.vm}" for commit in commits]
        return [sys.executable, "-m", "doit", "--continue", f"world={word}", "force=yes", *tasks]

    def stop(self) -> None:
        """Drop what is under way."""
        if self._child:
            self._child.stop()
            self._child = None
