"""What a bisect shows of itself while it goes on: where it is, what for, and how long still.

A few lines to be drawn again and again; whoever drives the bisect says what has changed. Knows
nothing of terminals, nor of how a bisect comes to its decisions.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from labtasks.ground.words import about, count, plain
from labtasks.key.git import Commit


@dataclass(slots=True, kw_only=True)
class View:
    """`title` is what is bisected, `phase` where it is, `left` how many commits are in question (0:
    not told), `why` the reason for testing `commit`, `ahead` what is built meanwhile.
    """

    title: str = "bisect"
    phase: str = ""
    left: int = 0
    commit: Commit | None = None
    why: str = ""
    ahead: tuple[str, ...] = ()
    _ends: float = 0.0

    def expect(self, seconds: float) -> None:
        """How long it will go on from now; 0 where that is not known."""
        self._ends = time.monotonic() + seconds if seconds else 0.0

    def turn(self, commit: Commit, phase: str, why: str) -> None:
        """Another commit's turn."""
        self.commit, self.phase, self.why = commit, phase, why

    def step(self, commit: Commit, number: int, steps: float, why: str) -> None:
        """Another step of the search; `steps` with this one are to come."""
        self.turn(commit, f"step {number} of about {max(number, number - 1 + round(steps))}", why)

    def build_ahead(self, commits: Sequence[Commit]) -> None:
        """What is built beside."""
        self.ahead = tuple(commit.short for commit in commits)

    def rows(self) -> list[str]:
        """The lines, the most telling words first: a narrow terminal cuts the rest."""
        parts = [
            self.phase,
            f"{count(self.left, 'commit')} left" if self.left else "",
            self._time(),
        ]
        told = ", ".join(part for part in parts if part)
        found = [self.title, *([f"  {told}"] if told else [])]
        if self.commit:
            found.append(f"  {self.commit.short} {plain(self.commit.subject)}")
        if self.why:
            found.append(f"  why: {plain(self.why)}")
        if self.ahead:
            found.append(f"  ahead: {', then '.join(self.ahead)}")
        return found

    def _time(self) -> str:
        rest = self._ends - time.monotonic()
        if not self._ends:
            return ""
        return f"about {about(rest)} to the end" if rest > 1 else "soon at the end"
