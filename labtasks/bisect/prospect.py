"""How long a bisect will still go on: tests to come, times what they took so far, and the proof.

Pure arithmetic on what a journal holds. Where nothing has been learned nothing is said: 0. Knows
nothing of builds, nor of which commit is next.
"""

from __future__ import annotations

from labtasks.bisect import search
from labtasks.bisect.progress import State, Told
from labtasks.ground.words import about, short
from labtasks.key.git import CommitId

_PROVED = 2
"""Commits that are built clean in the end: the culprit, and its parent."""


def left(state: State) -> int:
    """Commits in question after the last verdict; 0 where no verdict says so."""
    told = [t for t in state.told if "remaining" in t.facts]
    return int(told[-1].facts["remaining"]) if told else 0


def seconds(
    state: State, *, clean: float, steps: float | None = None, next_one: float = 0.0, prove: bool
) -> float:
    """Seconds to the end, 0 where nothing is known. `clean` are those of a clean build of what the
    proof builds, `steps` the tests to come where somebody knows better than the journal,
    `next_one` a forecast for the next test. In a series every run counts.
    """
    if state.culprit and len(state.culprit.commits) > 1:
        return 0.0
    boot = _boot(state)
    step = _step(state) or next_one
    clean = clean or max((_fact(t, "build_seconds") for t in state.told), default=0.0)
    to_come = search.expected(left(state)) if steps is None else steps
    if state.culprit:
        to_come = 0.0
    if (to_come and not step) or not boot:
        return 0.0
    proved = sum(1 for proof in state.proofs if proof.agrees)
    proof = (clean + boot) * max(0, _PROVED - proved) if prove else 0.0
    return to_come * step + proof


def own_worlds(state: State) -> bool:
    """Whether each commit is tried on a world of its own, so that a proof builds worlds too."""
    ends: set[CommitId] = {*state.start.goods} if state.start else set()
    told = [t for t in state.told if t.commit not in ends and "world" in t.facts]
    return bool(told) and all(t.facts["world"] == short(t.commit) for t in told)


def text(steps: float, time: float) -> str:
    """Both for a person: `about 3 tests and 4 min to come`; no time where it is 0."""
    if round(steps) == 0:
        return f"about {about(time)} to come" if time else "no test to come"
    tests = f"about {steps:.0f} test{'' if round(steps) == 1 else 's'}"
    return f"{tests} and {about(time)} to come" if time else f"{tests} to come"


def _boot(state: State) -> float:
    """Seconds of the last test that was run, all its runs together."""
    some = (_fact(t, "test_seconds") for t in reversed(state.told))
    return next((one for one in some if one), 0.0)


def _step(state: State) -> float:
    """What one test took on average, its build included: of those that were no clean builds, and
    no known verdicts, which the search takes first.
    """
    took = [
        _fact(t, "build_seconds") + _fact(t, "test_seconds")
        for t in state.told
        if t.how == "tested" and t.facts.get("rung") != "clean"
    ]
    return sum(took) / len(took) if took else 0.0


def _fact(told: Told, name: str) -> float:
    try:
        return float(told.facts.get(name, 0))
    except ValueError:
        return 0.0
