"""How often a test fails: what runs say of it, and how many must pass until that is enough.

A commit has a failure rate nobody knows; runs of commits known to be bad, or good, say something
about it. As likely as not a failure happens every time, so that is believed after some runs in
which it did; and a good commit is taken never to fail until one does. Pure arithmetic: knows
nothing of what is run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

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


def passes_needed(rates: Rates, error: float) -> int:
    """How many runs in a row must pass before a commit is taken for good: the longest a series
    gets where good commits never fail.
    """
    return smallest(lambda n: probability(Series(passes=n), rates) <= error)


def smallest(enough: Callable[[int], bool]) -> int:
    """The smallest number from 1 that is enough; all greater ones are."""
    high = 1
    while not enough(high) and high < _ENDLESS:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
