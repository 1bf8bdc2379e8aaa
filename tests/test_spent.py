"""What a bisect built and booted, counted where it was sealed."""

from __future__ import annotations

from pathlib import Path

import pytest

from labtasks.bisect.progress import Proof, Start, Told
from labtasks.bisect.search import Verdict
from labtasks.ground.digest import Digest, Key
from labtasks.key.git import CommitId
from labtasks.report import spent
from labtasks.report.spent import Spent
from labtasks.store.manifest import Failure, Manifest
from labtasks.store.store import Store
from labtasks.test import verdict
from labtasks.test.judge import Outcome

ONE, TWO = CommitId("a" * 40), CommitId("b" * 40)
BEGIN = Start(goods=(ONE,), bad=TWO, time=100.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def made(store: Store, name: str, finished: float, **more: object) -> None:
    fields = {
        "kind": "kernel", "key": Key(name), "family": Key("f"), "digest": Digest("d"),
        "commit": ONE, "tree": "", "built_from": "", "date": 0, "subject": "", "inputs": [],
        "stack": [], "rung": "incremental", "seconds": 3.0, "finished": finished, **more,
    }  # fmt: skip
    store.publish(Manifest(**fields))


def judged(store: Store, name: str, finished: float, runs: int = 1) -> None:
    run = verdict.Run(outcome=Outcome.GOOD, reason="", seconds=1.0, console="")
    found = verdict.Verdict(
        key=Key(name), outcome=Outcome.GOOD, reason="", commit=ONE, subject="", vm="test",
        inputs=[], runs=[run] * runs, command=[], reproduce="", seconds=float(runs),
        finished=finished,
    )  # fmt: skip
    verdict.home(store, found.key)
    verdict.publish(store, found)


def test_what_was_sealed_meanwhile_counts_asked_for_or_ahead(store):
    made(store, "before", 99.0)
    made(store, "asked", 110.0)
    made(store, "ahead", 111.0, kind="world", rung="clean", seconds=5.0)
    made(store, "proved", 112.0, rung="trace")
    made(store, "installed", 113.0, kind="install")
    made(store, "after", 300.0)
    store.remember(
        "kernel", Key("broken"), Failure(commit=TWO, error="", log="", step="", finished=114.0)
    )
    judged(store, "old", 99.0)
    judged(store, "series", 120.0, runs=3)
    judged(store, "again", 121.0)
    events = [BEGIN, Told(commit=TWO, verdict=Verdict.BAD, time=200.0)]
    assert spent.of(store, events) == Spent(builds=3, boots=4, seconds=8.0)


def test_known_verdicts_take_no_boot(store):
    judged(store, "old", 99.0)
    facts = {"rung": "incremental", "finished": "90.000", "compiled": "3.000"}
    events = [BEGIN, Told(commit=TWO, verdict=Verdict.BAD, time=200.0, facts=facts, how="known")]
    assert spent.of(store, events) == Spent(builds=0, boots=0, seconds=0.0)


def test_a_build_that_the_proof_replaced_was_one(store):
    facts = {"rung": "incremental", "finished": "110.000", "compiled": "3.000"}
    told = Told(commit=TWO, verdict=Verdict.BAD, time=120.0, facts=facts)
    proof = Proof(commit=TWO, verdict=Verdict.BAD, agrees=True, time=200.0)
    made(store, "bad", 150.0, rung="clean", seconds=9.0)
    assert spent.of(store, [BEGIN, told, proof]) == Spent(builds=2, boots=0, seconds=12.0)


def test_what_was_sealed_and_is_also_in_the_journal_counts_once(store):
    facts = {"rung": "incremental", "finished": "110.000", "compiled": "3.000"}
    made(store, "bad", 110.0004)
    told = Told(commit=TWO, verdict=Verdict.BAD, time=120.0, facts=facts)
    assert spent.of(store, [BEGIN, told]) == Spent(builds=1, boots=0, seconds=3.0)
