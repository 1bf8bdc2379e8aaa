"""What stands against a bisect's beginning, or against a verdict that somebody gives by hand.

All of it is said before anything is in the journal. Knows nothing of command lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from labtasks.bisect import graph
from labtasks.bisect.progress import AnyEvent, Start, State, Told, state
from labtasks.bisect.search import Verdict
from labtasks.bisect.series import Decider
from labtasks.ground.error import UserError
from labtasks.ground.words import short
from labtasks.key import key
from labtasks.key.key import World
from labtasks.lab.lab import Lab
from labtasks.test import trial


def to_another(under_way: State) -> None:
    """Nobody loses a search that can go on without saying so. Raises UserError."""
    if under_way.start and not (under_way.end or under_way.culprit or under_way.refused):
        ends = f"{short(under_way.start.goods[0])}..{short(under_way.start.bad)}"
        raise UserError(
            f"a bisect of {ends} is under way", hint="`doit bisect` goes on, --reset gives it up"
        )


def to_ends(lab: Lab, start: Start, *, said: str) -> None:
    """There must be commits between the ends; `said` is the bad one's name. Raises UserError."""
    if start.bad in start.goods:
        raise UserError("good and bad are one commit", hint="name two")
    if not lab.repository.between(start.bad, start.goods, first_parent=start.first_parent):
        raise UserError(
            f"{said!r}, the bad end, is an ancestor of a good commit: nothing is between them",
            hint="are good and bad the right way round? --fixed looks for what mended a failure",
        )
    if not start.between(lab.repository):
        raise UserError(
            f"no commit between them touches {' '.join(start.paths)}",
            hint="paths are relative to the top of the repository",
        )


def to_testing(lab: Lab, start: Start, world: World) -> None:
    """Whether any commit could be tested so, with kernels on `world`. Raises UserError."""
    Decider.of(start)
    lab = lab.tested_by(start.test)
    bad = lab.repository.commit(start.bad)
    trial.bootable(lab, key.wanted(lab, "install", bad, world), start.vm)


def to_verdict(lab: Lab, events: Sequence[AnyEvent], told: Told) -> None:
    """A verdict must go with those that stand. Raises UserError."""
    begin, repository = state(events).begun(), lab.repository
    parents = begin.between(repository)
    cleared = any(repository.is_ancestor(told.commit, good) for good in begin.goods)
    if told.commit not in parents and not (cleared and told.verdict is not Verdict.BAD):
        touching = f" that touch {' '.join(begin.paths)}" if begin.paths else ""
        raise UserError(
            f"{short(told.commit)} is not among the commits of this search",
            hint=f"those of {short(begin.goods[0])}..{short(begin.bad)}{touching} are",
        )
    decider = Decider.of(begin)
    decider.search(state([*events, told]), graph.graph(parents))
