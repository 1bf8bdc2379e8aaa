"""What spared work is told with how often, and why: each reason once, the commonest first."""

from __future__ import annotations

from typing import Any

from labtasks.report import savings
from labtasks.report.report import Step


def step(number: int, **more: Any) -> Step:
    commit = f"{number:x}" * 40
    usual = {"world": commit[:12], "how": "tested"}
    return Step(
        commit=commit, subject="s", verdict="good", outcome="good", reason="good", **(usual | more)
    )


def test_nothing_spared_is_nothing_said():
    assert list(savings.told([step(1)], 0, "")) == []


def test_each_reason_once():
    rule = "param.h states 1 for the world, 2 here"
    steps = [
        step(0, fit="own", fit_why="the good end's"),
        *(step(n, world="pinned", fit="reused", fit_why="no rule objects") for n in (1, 2)),
        step(3, fit="aligned", fit_why=rule),
        step(4, world="3" * 12, fit="aligned", fit_why=rule),
        step(5, how="inherited", spared="what boots is what 1 booted", rung="trace"),
        step(6, how="known", spared="it was tested before", rung="incremental"),
    ]
    assert list(savings.told(steps, 2, "nothing read was changed")) == [
        "2 commits not tested: nothing read was changed",
        "2 steps on the pinned world: no rule objects",
        f"1 step on another commit's world that fits: {rule}",
        f"1 step on a world of its own, aligned: {rule}",
        "1 step on a world of its own: the good end's",
        "1 kernel built on the objects of another, where make ran what the changed files reach",
        "1 kernel not built: nothing that another one's build read differs (trace)",
        "1 verdict inherited: what boots is what 1 booted",
        "1 verdict known, and taken for nothing: it was tested before",
    ]


def test_of_many_reasons_the_commonest_are_told():
    steps = [step(n, fit="aligned", fit_why=f"rule {max(n, 3)}") for n in range(8)]
    told = list(savings.told(steps, 0, ""))
    assert told[0] == "4 steps on a world of its own, aligned: rule 3"
    assert told[-1] == "2 steps on a world of its own, aligned, each for another reason"
    assert len(told) == 4
