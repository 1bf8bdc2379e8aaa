"""How often a test is run, and how sure one may be in the end."""

from __future__ import annotations

import math
import random

import pytest
from histories import name
from hypothesis import given
from hypothesis import strategies as st

from labtasks.bisect import flaky
from labtasks.bisect.choice import choose
from labtasks.bisect.flaky import calibrated, decided, doubtful, posterior, verdicts
from labtasks.bisect.graph import Graph, graph
from labtasks.bisect.search import Verdict, start
from labtasks.ground.error import UserError
from labtasks.key.git import CommitId
from labtasks.test.rates import Rates, Series, passes_needed, probability

SURE = Rates(bad=Series(fails=8))
counts = st.integers(0, 40)
series = st.builds(Series, fails=counts, passes=counts)


def line(length: int) -> Graph:
    return graph({name(n): (name(n - 1),) for n in range(length, 0, -1)})


def test_a_failure_that_always_happens_takes_one_run_per_step():
    assert calibrated(Rates(bad=Series(fails=7))) is None
    assert calibrated(Rates(bad=Series(fails=2), steady=0.9)) is True
    assert calibrated(SURE) is True
    assert passes_needed(SURE, flaky.ERROR) == 1
    assert decided(Series(passes=1), SURE) is False
    assert decided(Series(fails=1), SURE) is True
    assert decided(Series(), SURE) is None


def test_a_rare_failure_takes_more_runs_and_one_fail_decides():
    rates = Rates(bad=Series(fails=6, passes=14))
    needed = passes_needed(rates, flaky.ERROR)
    assert 13 < needed < 30  # 13 would do for a rate known to be 0.3
    assert decided(Series(passes=needed - 1), rates) is None
    assert decided(Series(passes=needed), rates) is False
    assert decided(Series(passes=5, fails=1), rates) is True


def test_calibration_ends():
    assert calibrated(Rates(bad=Series(passes=59))) is None
    assert calibrated(Rates(bad=Series(passes=60))) is False
    assert calibrated(Rates(bad=Series(passes=59, fails=1))) is True
    assert calibrated(Rates(bad=Series(passes=3, fails=1))) is None
    assert calibrated(Rates(bad=Series(passes=20, fails=20))) is True


def test_good_commits_that_fail_now_and_then():
    """Then one failure decides nothing, and the ratio of both rates does."""
    rates = Rates(bad=Series(fails=18, passes=2), good=Series(fails=2, passes=38))
    assert decided(Series(fails=1), rates) is None
    assert decided(Series(fails=3), rates) is True
    assert decided(Series(passes=1), rates) is None
    assert decided(Series(passes=4), rates) is False
    assert decided(Series(passes=4, fails=1), rates) is None
    assert decided(Series(passes=6, fails=1), rates) is False


def test_learning():
    rates = SURE.learn(Series(fails=1, passes=3), bad=True).learn(Series(passes=4), bad=False)
    assert rates.bad == Series(fails=9, passes=3)
    assert rates.good == Series(passes=4)


@given(series, series, series)
def test_runs_one_by_one_or_all_at_once(seen, first, second):
    """The chance of a whole is the product of its parts, each after those before it."""
    rates = Rates(bad=seen)
    parts = rates.if_bad(first) + rates.learn(first, bad=True).if_bad(second)
    assert parts == pytest.approx(rates.if_bad(first + second), rel=1e-6, abs=1e-6)


@given(series)
def test_chances_of_the_next_run_add_up(seen):
    for rates in (Rates(bad=seen, good=seen), Rates(bad=seen, good=seen, clean=0.5)):
        for chance in (rates.if_bad, rates.if_good):
            both = math.exp(chance(Series(fails=1))) + math.exp(chance(Series(passes=1)))
            assert both == pytest.approx(1)


@given(series, st.floats(0.001, 0.2))
def test_passes_needed_is_the_smallest_that_decides(seen, error):
    rates = Rates(bad=seen + Series(fails=1))
    needed = passes_needed(rates, error)
    assert probability(Series(passes=needed), rates) <= error
    assert needed == 1 or probability(Series(passes=needed - 1), rates) > error


def test_the_culprit_s_probability():
    tested = {name(8): Series(fails=1), name(4): Series(passes=3), name(5): Series(fails=1)}
    rates = Rates(bad=Series(fails=5, passes=5))
    chances = posterior(line(8), tested, rates)
    assert sum(chances.values()) == pytest.approx(1)
    assert chances[name(7)] == 0  # 5 failed, and good commits never do
    assert chances[name(5)] > 5 * chances[name(4)]
    assert chances[name(1)] == pytest.approx(chances[name(4)])
    assert doubtful(line(8), tested, chances) == name(4)
    more = tested | {name(4): Series(passes=60)}
    chances = posterior(line(8), more, rates)
    assert chances[name(5)] > 0.999
    assert doubtful(line(8), more, chances) is None


def test_a_lucky_commit_is_not_good():
    tested = {name(5): Series(passes=1), name(3): Series(fails=1), name(2): Series(passes=1)}
    expected = {name(3): Verdict.BAD, name(2): Verdict.GOOD}
    assert verdicts(line(8), tested, SURE) == expected
    unsure = SURE.learn(Series(passes=3), bad=True)
    assert verdicts(line(8), tested, unsure) == {name(3): Verdict.BAD}


def test_two_culprits():
    fork = {name(3): (name(1), name(2)), name(2): (name(0),), name(1): (name(0),)}
    tested = {name(1): Series(fails=1), name(2): Series(fails=1)}
    with pytest.raises(UserError, match="no single commit"):
        posterior(graph(fork), tested, SURE)


def one_search(rng: random.Random, rate: float, error: float) -> tuple[bool, float, int]:
    """A whole search among 64 commits: right or not, the probability reported, runs it took.

    As a driver does it: series until decided, what was learned counts, and in the end the most
    doubtful commit is run again until the culprit is probable enough.
    """
    whole, culprit = line(64), rng.randint(1, 64)

    def run(commit: CommitId, told: Series) -> Series:
        return told.then(failed=int(commit, 16) >= culprit and rng.random() < rate)

    rates = Rates()
    while calibrated(rates, error) is None:
        rates = Rates(bad=run(name(64), rates.bad))
    assert rates.bad.fails
    tested = dict[CommitId, Series]()
    while True:
        known = sum((told for told in tested.values() if told.fails), Series())
        learned = rates.learn(known, bad=True)
        search = start(whole, name(64))
        for commit, verdict in verdicts(whole, tested, learned, error).items():
            search = search.tell(commit, verdict)
        if (choice := choose(search)) is not None:
            told = run(choice.commit, tested.get(choice.commit, Series()))
            while decided(told, learned, error) is None:
                told = run(choice.commit, told)
            tested[choice.commit] = told
            continue
        (named,) = search.culprits()
        chances = posterior(whole, tested, rates)
        if chances[named] >= 1 - error or (doubt := doubtful(whole, tested, chances, 0)) is None:
            runs = rates.bad.runs + sum(told.runs for told in tested.values())
            return named == name(culprit), chances[named], runs
        tested[doubt] = run(doubt, tested[doubt])


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9, 0.97, 1.0])
def test_the_reported_probability_is_true(rate):
    """Of many searches the part that are right is near what they said, whatever the rate."""
    rng = random.Random(9)  # noqa: S311 (which searches they are must not change)
    ends = [one_search(rng, rate, 0.02) for _ in range(120)]
    right = sum(ok for ok, _, _ in ends) / len(ends)
    said = sum(chance for _, chance, _ in ends) / len(ends)
    assert said >= 0.98
    assert right >= 0.94
