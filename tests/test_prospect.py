"""How long a bisect will go on, from what its journal holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtasks.bisect import prospect, search
from labtasks.bisect.progress import Culprit, Proof, Start, Told, state
from labtasks.bisect.search import Verdict
from labtasks.ground.words import about
from labtasks.key.git import CommitId

GOOD, BAD, ONE, TWO = (CommitId(letter * 40) for letter in "abcd")
BEGIN = Start(goods=(GOOD,), bad=BAD)


def told(commit: CommitId, build: float, test: float, **more: object) -> Told:
    runs = {name: more.pop(name) for name in ("fails", "passes", "how") if name in more}
    facts = {"build_seconds": str(build), "test_seconds": str(test), "rung": "incremental"}
    return Told(commit=commit, verdict=Verdict.GOOD, facts={**facts, **more}, **runs)


FIRST = told(GOOD, 100, 5, rung="clean", remaining="16", world="a" * 12)
SECOND = told(BAD, 15, 5, remaining="16", world="a" * 12)


@pytest.mark.parametrize(
    ("events", "seconds"),
    [
        ((), 0),
        ((FIRST,), 0),  # no step was taken yet: nobody knows what one takes
        ((FIRST, SECOND), 4 * 20 + 2 * 105),
        ((FIRST, SECOND, told(ONE, 35, 5, remaining="8")), 3 * 30 + 2 * 105),
        ((FIRST, SECOND, told(ONE, 0, 0, how="known", remaining="8")), 3 * 20 + 2 * 105),
        ((FIRST, SECOND, told(ONE, 0, 0, how="inherited", remaining="1")), 2 * 105),
        ((FIRST, SECOND, Culprit(commits=(BAD,))), 2 * 105),
        (
            (
                FIRST, SECOND, Culprit(commits=(BAD,)),
                Proof(commit=BAD, verdict=Verdict.BAD, agrees=True),
            ),
            105,
        ),
        ((FIRST, SECOND, Culprit(commits=(ONE, BAD))), 0),  # no proof of several
    ],
)  # fmt: skip
def test_seconds_are_steps_and_the_proof(events, seconds):
    assert prospect.seconds(state((BEGIN, *events)), clean=100, prove=True) == seconds


def test_without_a_proof_there_are_only_steps():
    now = state((BEGIN, FIRST, SECOND))
    assert prospect.seconds(now, clean=100, prove=False) == 80
    assert prospect.seconds(now, clean=100, steps=2.5, prove=False) == 50


def test_a_clean_build_that_the_store_has_lost_is_in_the_journal():
    now = state((BEGIN, FIRST, SECOND, Culprit(commits=(BAD,))))
    assert prospect.seconds(now, clean=0, prove=True) == 2 * 105


def test_a_forecast_serves_where_no_step_was_taken():
    assert prospect.seconds(state((BEGIN, FIRST)), clean=0, next_one=10, prove=False) == 40


def test_every_run_of_a_series_counts():
    now = state((BEGIN, FIRST, told(BAD, 10, 40, fails=8, remaining="2")))
    assert prospect.seconds(now, clean=100, prove=False) == 1 * (10 + 40)


def test_worlds_of_their_own():
    own = state((BEGIN, FIRST, told(BAD, 1, 1, world="b" * 12)))
    assert prospect.own_worlds(own)
    assert not prospect.own_worlds(state((BEGIN, FIRST, SECOND)))
    assert not prospect.own_worlds(state((BEGIN, FIRST)))


@given(st.integers(1, 100_000))
def test_expected_tests_lie_between_whole_numbers_of_halvings(count):
    steps = search.expected(count)
    assert count.bit_length() - 1 <= steps < count.bit_length()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.2, "1 s"), (7.4, "7 s"), (44, "40 s"), (58, "1 min"), (200, "3 min"), (3599, "1 h 00 min"),
     (7900, "2 h 10 min"), (float("inf"), "?")],
)  # fmt: skip
def test_forecasts_are_no_more_exact_than_they_are(seconds, said):
    assert about(seconds) == said


def test_words():
    assert prospect.text(1.2, 0) == "about 1 test to come"
    assert prospect.text(3.4, 190) == "about 3 tests and 3 min to come"
    assert prospect.text(0, 30) == "about 30 s to come"
    assert prospect.text(0, 0) == "no test to come"
