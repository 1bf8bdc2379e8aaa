"""A commit tested as often as it takes: until a stated number of runs passed, or until chance is
ruled out.

Knows the arithmetic of flaky tests, and is given what runs a test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from labtasks.bisect import flaky, search
from labtasks.bisect.graph import Graph
from labtasks.bisect.probe import Finding
from labtasks.bisect.progress import Start, State, Told
from labtasks.bisect.search import Search, Terms, Verdict
from labtasks.ground.error import UserError
from labtasks.ground.words import count
from labtasks.key.git import CommitId
from labtasks.test import rates
from labtasks.test.judge import Outcome
from labtasks.test.rates import Rates, Series

_NONE = Series()

_FEW = 5
"""A search has some steps: its culprit may be this many times less certain than one step."""

_MOST = 200
"""Runs of one commit after which what was seen most decides."""

_CERTAIN = 10_000
"""Passes that a person's word is worth."""


@dataclass(slots=True, kw_only=True)
class Decider:
    """`repeats` runs must pass, or, where it is 0, as many as the failure's rate asks for; `error`
    is the chance of a wrong verdict that a step may have then.
    """

    terms: Terms
    repeats: int = 1
    error: float = flaky.ERROR
    rates: Rates = field(default_factory=Rates)

    @classmethod
    def of(cls, begin: Start) -> Decider:
        """What a bisect's start asks for. Raises UserError when that cannot be."""
        error = float(begin.options.get("error", flaky.ERROR))
        return cls(terms=begin.terms, repeats=_repeats(begin), error=error)

    def decide(
        self, run: Callable[[int], Finding], *, bad_end: bool = False, begun: Series = _NONE
    ) -> tuple[Finding, Verdict, Series]:
        """Run number 0, 1, ... until the verdict is clear. The bad end tells how often it fails. A
        series that has begun is gone on with: at least one run more. The last run's finding is
        returned, with the seconds of all.
        """
        series, built, tested = begun, 0.0, 0.0
        while True:
            found = run(series.runs)
            built, tested = built + found.build_seconds, tested + found.test_seconds
            found = replace(found, build_seconds=built, test_seconds=tested)
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

    @property
    def needed(self) -> int:
        """Runs in a row that must pass before a commit is taken for good."""
        return self.repeats or rates.passes_needed(self.rates, self.error)

    @property
    def expected_runs(self) -> float:
        """Runs until a commit is decided, if it is as likely good as bad: all that are needed, or
        up to the first that fails.
        """
        needed, fails = self.needed, math.exp(self.rates.if_bad(Series(fails=1)))
        up_to_one = (1 - (1 - fails) ** needed) / fails
        return (needed + up_to_one) / 2

    def told(self, series: Series, *, bad_end: bool) -> str:
        """What a series came to, for a person; nothing where one run decides."""
        if self.repeats == 1 or not series.runs:
            return ""
        runs = f"failed {series.fails} of {count(series.runs, 'run')}"
        if self.repeats:
            return runs
        if bad_end:
            passes = count(self.needed, "pass")
            chance = f"for a chance of {self.error * 100:g}% that a step is wrong"
            return f"{runs}: from here {passes} in a row clear a commit, {chance}"
        early = f", decided early: up to {self.needed} were to come"
        return runs + early * (series.runs < self.needed)

    def learn(self, bad_end: Series) -> None:
        """Take up what an earlier run saw of the bad end."""
        if not self.repeats:
            self.rates = Rates().learn(bad_end, bad=True)

    def search(self, state: State, place: Graph) -> Search:
        """The search at this point. Series are judged together: a commit that passed is not good
        when one it descends from has failed since.
        """
        if self.repeats:
            return state.search(place)
        begin = state.begun()
        found = search.start(place, begin.bad, self.terms)
        for told in state.told:
            if told.verdict is Verdict.SKIP and told.commit in place.place:
                found = found.tell(told.commit, Verdict.SKIP)
        tested = _tested(state, place)
        for commit, verdict in flaky.verdicts(place, tested, self.rates, self.error).items():
            found = found.tell(commit, verdict)
        return found

    def certainty(
        self, state: State, place: Graph, culprits: Sequence[CommitId]
    ) -> tuple[float, CommitId | None]:
        """How probable it is that the named culprits are right; and, where that is not enough, the
        tested commit to run again, whose verdict is the least certain.
        """
        if self.repeats:
            return 1.0, None
        tested = _tested(state, place)
        chances = flaky.posterior(place, tested, self.rates)
        sure = sum(chances.get(root, 0.0) for root in culprits)
        doubtful = flaky.doubtful(place, tested, chances, self.error / _FEW)
        return sure, None if sure >= 1 - _FEW * self.error else doubtful

    def _decided(self, series: Series) -> bool | None:
        """Whether a series shows its commit to be bad; None while it must go on."""
        if self.repeats and self.terms.fixed:  # here a "fail" is a test that passed: once is luck
            return False if series.passes else True if series.fails >= self.repeats else None
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


def _repeats(begin: Start) -> int:
    """How many runs must be good, 0 for auto. Raises UserError."""
    text = begin.options.get("repeats") or "1"
    if text == "auto" and begin.options.get("ends") == "believed":
        raise UserError(
            "--repeats auto and --trust-ends: how often it fails is learned from the bad end",
            hint="say how many runs must pass, or leave --trust-ends out",
        )
    if text == "auto" and begin.fixed:
        raise UserError(
            "--repeats auto and --fixed: what mends a rare failure shows in passes alone",
            hint="say how many runs must pass: --repeats 10",
        )
    if text == "auto":
        return 0
    if not text.isdecimal() or not int(text):
        raise UserError(f"--repeats {text}", hint="a number of runs, or auto")
    return int(text)


def _tested(state: State, place: Graph) -> dict[CommitId, Series]:
    """The series so far, without the bad end: its runs have told the rate already."""
    return {
        told.commit: _series(told)
        for told in state.told
        if told.commit in place.place
        and (told.fails + told.passes or told.verdict is not Verdict.SKIP)
        and told.commit != state.begun().bad
    }


def _series(told: Told) -> Series:
    """A commit's runs. What a person said, or git, counts like runs that leave no doubt."""
    if told.fails + told.passes:
        return Series(fails=told.fails, passes=told.passes)
    return Series(fails=1) if told.verdict is Verdict.BAD else Series(passes=_CERTAIN)
