"""Tests that do not always fail: how often to run one, when to stop, and how sure the end is.

A commit has a failure rate nobody knows; runs of commits known to be bad, or good, say something
about it. As likely as not a failure happens every time, so that is believed after some runs in
which it did; and a good commit is taken never to fail until one does. The main error then is a bad
commit that passes a whole series. It shows in the culprit's probability, and is mended by running
the most doubtful commit again. Pure arithmetic: knows nothing of what is run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from labtasks.bisect.graph import Graph
from labtasks.bisect.search import Verdict
from labtasks.ground.error import UserError
from labtasks.key.git import CommitId

ERROR = 0.01
"""The chance of a wrong verdict that a step may have."""

_MOST = 60
"""Runs of the bad end after which its rate is taken as known, or the failure as not there."""

_NEAR = 1.5
"""A rate is known well enough when this many times the runs it asks for, at its mean, will do."""

_ENDLESS = 10_000
"""Runs in a series that nobody waits for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Runs of one test on one commit. Those that the machine spoiled are not in it."""

    fails: int = 0
    passes: int = 0

    @property
    def runs(self) -> int:
        """How many there were."""
        return self.fails + self.passes

    def then(self, *, failed: bool) -> Series:
        """The series with one more run."""
        return self + (Series(fails=1) if failed else Series(passes=1))

    def __add__(self, other: Series) -> Series:
        return Series(fails=self.fails + other.fails, passes=self.passes + other.passes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What is known of how often bad and good commits fail.

    `bad` and `good` are runs of commits known to be so. `steady` is the chance, before any run,
    that a bad commit fails every time, `clean` that a good one never does.
    """

    bad: Series = field(default_factory=Series)
    good: Series = field(default_factory=Series)
    steady: float = 0.5
    clean: float = 1.0

    def learn(self, series: Series, *, bad: bool) -> Rates:
        """The rates after a series on a commit that is now known to be bad, or good."""
        if bad:
            return replace(self, bad=self.bad + series)
        return replace(self, good=self.good + series)

    def if_bad(self, series: Series) -> float:
        """Natural logarithm of the probability of a series on a bad commit."""
        seen = self.bad
        return _chance(self.steady, seen.fails, seen.passes, series.fails, series.passes)

    def if_good(self, series: Series) -> float:
        """Natural logarithm of the probability of a series on a good commit."""
        seen = self.good
        return _chance(self.clean, seen.passes, seen.fails, series.passes, series.fails)


def _chance(always: float, usual: int, other: int, more_usual: int, more_other: int) -> float:
    """Logarithm of the chance of some outcomes in a given order, after others were seen.

    The usual outcome comes every time with prior chance `always`; else its rate may be any.
    """
    steady = always if other == 0 else 0.0
    any_rate = (1 - always) * _beta(usual, other)
    if not steady and not any_rate:  # what was said never to happen did
        any_rate, always = _beta(usual, other), 0.0
    after = always if other + more_other == 0 else 0.0
    joint = after + (1 - always) * _beta(usual + more_usual, other + more_other)
    return math.log(joint / (steady + any_rate)) if joint else -math.inf


def _beta(one: int, two: int) -> float:
    """Chance of so many outcomes of two kinds, in a given order, when any rate is as likely."""
    return math.exp(math.lgamma(1 + one) + math.lgamma(1 + two) - math.lgamma(2 + one + two))


def probability(series: Series, rates: Rates) -> float:
    """How probable it is that a commit with this series is bad, even chances before."""
    bad, good = math.exp(rates.if_bad(series)), math.exp(rates.if_good(series))
    return bad / (bad + good) if bad + good else 0.5


def decided(series: Series, rates: Rates, error: float = ERROR) -> bool | None:
    """Whether the commit is bad (True) or good (False); None while another run is needed."""
    chance = probability(series, rates)
    if not series.runs or error < chance < 1 - error:
        return None
    return chance >= 1 - error


def passes_needed(rates: Rates, error: float = ERROR) -> int:
    """How many runs in a row must pass before a commit is taken for good: the longest a series
    gets where good commits never fail.
    """
    return _first(lambda n: probability(Series(passes=n), rates) <= error)


def _passes_at(rate: float, error: float) -> int:
    """The same for a failure rate that is known."""
    odds = error / (1 - error)
    return _first(lambda n: (1 - rate) ** n <= odds)


def _first(enough: Callable[[int], bool]) -> int:
    """The smallest number from 1 that is enough; all greater ones are."""
    high = 1
    while not enough(high) and high < _ENDLESS:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


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
