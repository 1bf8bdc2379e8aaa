"""Tests that do not always fail: how often to run one, when to stop, and how sure the end is.

The main error is a bad commit that passes a whole series. It shows in the culprit's probability,
and is mended by running the most doubtful commit again. Pure arithmetic: knows nothing of what is
run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from labtasks.bisect.graph import Graph
from labtasks.bisect.search import Verdict
from labtasks.ground.error import UserError
from labtasks.key.git import CommitId
from labtasks.test.rates import Rates, Series, passes_needed, probability, smallest

ERROR = 0.01
"""The chance of a wrong verdict that a step may have."""

_MOST = 60
"""Runs of the bad end after which its rate is taken as known, or the failure as not there."""

_NEAR = 1.5
"""A rate is known well enough when this many times the runs it asks for, at its mean, will do."""


def decided(series: Series, rates: Rates, error: float = ERROR) -> bool | None:
    """Whether the commit is bad (True) or good (False); None while another run is needed."""
    chance = probability(series, rates)
    if not series.runs or error < chance < 1 - error:
        return None
    return chance >= 1 - error


def _passes_at(rate: float, error: float) -> int:
    """The same for a failure rate that is known."""
    odds = error / (1 - error)
    return smallest(lambda n: (1 - rate) ** n <= odds)


def calibrated(rates: Rates, error: float = ERROR, most: int = _MOST) -> bool | None:
    """Whether the bad end has been run often enough to choose the length of a series; None while
    it has not. False when it never failed in `most` runs: there is nothing to look for.
    """
    seen = rates.bad
    if seen.runs >= most:
        return seen.fails > 0
    if not seen.fails:
        return None
    needed = passes_needed(rates, error)
    if not seen.passes:
        return True if needed == 1 else None
    return True if needed <= _NEAR * _passes_at(seen.fails / seen.runs, error) else None


def posterior(
    graph: Graph,
    tested: Mapping[CommitId, Series],
    rates: Rates,
) -> dict[CommitId, float]:
    """How probable it is of each root of `graph` that it is the culprit, after every run.

    One culprit, whose descendants are bad and nobody else; all bad commits fail at one rate.
    `rates` must not have learned from the `tested` series. Raises UserError when no single
    culprit can have failed them all.
    """
    below = _descends(graph, tested)
    found: dict[CommitId, float] = {}
    for root in graph.parents:
        bad = sum((s for c, s in tested.items() if root in below[c]), Series())
        good = sum((s for c, s in tested.items() if root not in below[c]), Series())
        found[root] = rates.if_bad(bad) + rates.if_good(good)
    most = max(found.values(), default=-math.inf)
    if most == -math.inf:
        raise UserError(
            "no single commit can have caused every failure that was seen",
            hint="there may be two culprits, or good commits that fail: test the good end again",
        )
    weights = {root: math.exp(chance - most) for root, chance in found.items()}
    total = sum(weights.values())
    return {root: weight / total for root, weight in weights.items()}


def verdicts(
    graph: Graph, tested: Mapping[CommitId, Series], rates: Rates, error: float = ERROR
) -> dict[CommitId, Verdict]:
    """What all series say together, to be told to a search: those decided by what is known now.

    A commit that passed is not good when one it descends from has failed since: then it only was
    lucky. Series that new knowledge left undecided are missing, and go on when chosen again.
    """
    series = {commit: decided(told, rates, error) for commit, told in tested.items()}
    below = _descends(graph, tested)
    failed = {graph.place.get(commit) for commit, bad in series.items() if bad}
    found = {}
    for commit, bad in series.items():
        if bad:
            found[commit] = Verdict.BAD
        elif bad is False and not below[commit] & failed:
            found[commit] = Verdict.GOOD
    return found


def _descends(graph: Graph, tested: Mapping[CommitId, Series]) -> dict[CommitId, set[CommitId]]:
    """Of each tested commit, the roots it descends from."""
    places = {commit: graph.place.get(commit) for commit in tested}
    return {c: graph.closure({root} if root else ()) for c, root in places.items()}


def doubtful(
    graph: Graph,
    tested: Mapping[CommitId, Series],
    chances: Mapping[CommitId, float],
    error: float = ERROR,
) -> CommitId | None:
    """The tested commit whose verdict is least certain now: the one to run again if the culprit's
    probability in `chances` (of `posterior`) is not enough. None when all are certain.
    """
    below = _descends(graph, tested)
    bad = {c: sum(chances[root] for root in roots) for c, roots in below.items()}
    worst = max(bad, key=lambda c: (min(bad[c], 1 - bad[c]), c), default=None)
    if worst is None or min(bad[worst], 1 - bad[worst]) <= error:
        return None
    return worst
