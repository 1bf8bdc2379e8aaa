"""A commit tested as often as it takes: until a stated number of runs passed, or until chance is
ruled out.

Knows the arithmetic of flaky tests, and is given what runs a test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from labtasks import flaky
from labtasks.flaky import Rates, Series
from labtasks.graph import Graph
from labtasks.judge import Outcome
from labtasks.probe import Finding
from labtasks.progress import Told
from labtasks.search import Search, Terms, Verdict

_MOST = 200
"""Runs of one commit after which what was seen most decides."""


@dataclass(slots=True, kw_only=True)
class Decider:
    """`repeats` runs must pass, or, where it is 0, as many as the failure's rate asks for; `error`
    is the chance of a wrong verdict that a step may have then.
    """

    terms: Terms
    repeats: int = 1
    error: float = flaky.ERROR
    rates: Rates = field(default_factory=Rates)

    def decide(
        self, run: Callable[[int], Finding], *, bad_end: bool = False
    ) -> tuple[Finding, Verdict, Series]:
        """Run number 0, 1, ... until the verdict is clear. The bad end tells how often it fails."""
        series = Series()
        while True:
            found = run(series.runs)
            verdict = self.verdict(found)
            if verdict is Verdict.SKIP:
                return found, verdict, series
            series = series.then(failed=verdict is Verdict.BAD)
            bad = self._calibrated(series) if bad_end else self._decided(series)
            if bad is not None:
                return found, Verdict.BAD if bad else Verdict.GOOD, series

    def verdict(self, found: Finding) -> Verdict:
        """What one run says."""
        if found.outcome in (Outcome.GOOD, Outcome.BAD):
            return self.terms.judge(passed=found.outcome is Outcome.GOOD)
        return Verdict.SKIP

    def learn(self, bad_end: Series) -> None:
        """Take up what an earlier run saw of the bad end."""
        if not self.repeats:
            self.rates = Rates().learn(bad_end, bad=True)

    def probability(self, place: Graph, search: Search, told: Sequence[Told]) -> float:
        """How probable it is that the named culprits are right. `told` is without the bad end:
        its runs have told the rate already.
        """
        if self.repeats:
            return 1.0
        tested = {
            t.commit: Series(fails=t.fails, passes=t.passes)
            for t in told
            if t.commit in place.place and t.fails + t.passes
        }
        chances = flaky.posterior(place, tested, self.rates)
        return sum(chances.get(root, 0.0) for root in search.culprits())

    def _decided(self, series: Series) -> bool | None:
        """Whether a series shows its commit to be bad; None while it must go on."""
        if self.repeats:
            return True if series.fails else False if series.passes >= self.repeats else None
        if series.runs >= _MOST:
            return series.fails > 0
        return flaky.decided(series, self.rates, self.error)

    def _calibrated(self, series: Series) -> bool | None:
        if self.repeats:
            return self._decided(series)
        self.learn(series)
        return flaky.calibrated(self.rates, self.error)
