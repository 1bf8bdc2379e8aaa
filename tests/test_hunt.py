"""A hunt's decisions, on a real history in git, with commits whose verdicts are made up.

Nothing is built here: the prober answers from a table. Whole bisects are in test_bisect.py.
"""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from conftest import environment

from labtasks.bisect import case, proof
from labtasks.bisect.forecast import Forecast
from labtasks.bisect.hunt import Hunt
from labtasks.bisect.journal import Journal
from labtasks.bisect.probe import Built, Finding
from labtasks.bisect.progress import Proof, Start, Told
from labtasks.bisect.search import Verdict
from labtasks.bisect.series import Decider
from labtasks.command import bisect_status, main, objection
from labtasks.ground import words
from labtasks.ground.error import InfraError, UserError
from labtasks.key.git import Commit
from labtasks.lab.lab import load
from labtasks.report import page, record, report, summary
from labtasks.report.report import Report
from labtasks.store.store import Store
from labtasks.test.judge import Outcome
from labtasks.test.rates import Series

COMMITS = 12


@dataclass(kw_only=True)
class Table:
    """Says of commit number n what `outcome(n, world)` says, and counts how often it was asked."""

    outcome: Any
    number: dict[str, int]
    world: Commit | None = None
    because: str = ""
    more: dict = field(default_factory=dict)
    aligned: dict = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def world_for(self, _commit: Commit) -> tuple[Commit | None, str]:
        return self.world, ""

    def known(self, _commit: Commit) -> bool:
        return False

    ready = known

    def probe(
        self, commit: Commit, *, again: int = 0, built: Built = lambda _kernel: None
    ) -> Finding:
        number = self.number[commit.id]
        self.asked.append(number)
        built(None)
        outcome = self.outcome(number, self.world)
        return Finding(
            commit=commit, outcome=outcome, reason=f"made up, run {again}", how="tested",
            **{"world": (self.world or commit).short} | self.more.get(number, {}),
        )  # fmt: skip


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A hunt through twelve commits in a row, c0 to c11, of which c0 is good and c11 is bad."""
    repo = tmp_path / "repo"

    def git(*words: str) -> str:
        argv = ["git", "-C", str(repo), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        env = environment()
        return subprocess.run(argv, check=True, capture_output=True, text=True, env=env).stdout

    subprocess.run(["git", "init", "-q", str(repo)], check=True, env=environment())
    for number in range(COMMITS):
        (repo / ("odd" if number % 2 else "even")).write_text(f"{number}\n")
        git("add", ".")
        git("commit", "-q", "-m", f"change {number}")
    ids = git("rev-list", "--reverse", "HEAD").split()
    assert main.main(["init", str(tmp_path / "lab"), "--repository", str(repo)]) == 0
    lab = load(tmp_path / "lab")
    opened = []

    def hunt(outcome: Any, *, pinned: bool = False, **settings: Any) -> tuple[Hunt, Table, list]:
        table = Table(outcome=outcome, number={one: n for n, one in enumerate(ids)})
        if pinned:
            table.world = lab.repository.commit(ids[0])
        monkeypatch.setattr(
            proof, "anew", lambda prober, commit: lambda n: prober.probe(commit, again=-1 - n)
        )
        journal = Journal(tmp_path / f"journal{len(opened)}")
        opened.append(journal)
        if not journal.events:
            fixed = settings.pop("fixed", False)
            options = settings.pop("options", {})
            options |= {"ends": "believed"} if settings.pop("believed", False) else {}
            paths = settings.pop("paths", ())
            journal.add(
                Start(
                    goods=(ids[0],), bad=ids[-1], vm="test", fixed=fixed, options=options,
                    paths=paths,
                )
            )  # fmt: skip
        decider = Decider(terms=journal.state.begun().terms, repeats=settings.pop("repeats", 1))
        found = Hunt(
            lab=lab, store=Store(lab.cache), journal=journal, prober=table, decider=decider,
            **settings,
        )  # fmt: skip
        return found, table, ids

    yield hunt
    for journal in opened:
        journal.__exit__(None, None, None)


def from_number(culprit: int):
    return lambda number, _world: Outcome.BAD if number >= culprit else Outcome.GOOD


@pytest.mark.parametrize("culprit", range(1, COMMITS))
def test_every_culprit_is_found_and_proved(make, culprit):
    hunt, table, ids = make(from_number(culprit))
    state = hunt.run()
    assert state.culprit.commits == (ids[culprit],)
    assert [p.agrees for p in state.proofs] == [True, True]
    assert len(table.asked) <= 2 + 4 + 2  # ends, halves, proof


def test_an_end_that_is_not_what_was_said_is_refused(make):
    hunt, _, _ = make(lambda _number, _world: Outcome.GOOD)
    with pytest.raises(UserError, match="is not bad"):
        hunt.run()
    hunt, _, _ = make(lambda _number, _world: Outcome.BAD)
    with pytest.raises(UserError, match="is not good"):
        hunt.run()


def test_a_refused_end_shows_in_the_status_and_another_search_may_begin(make, capsys):
    hunt, _, ids = make(lambda _number, _world: Outcome.GOOD)
    with pytest.raises(UserError, match="is not bad"):
        hunt.run()
    capsys.readouterr()
    assert bisect_status.status(hunt.lab, hunt.store, hunt.state) == 1
    said = capsys.readouterr().out
    assert f"{ids[-1][:12]} is not bad: the test must tell both ends apart" in said
    assert "left" not in said
    objection.to_another(hunt.state)


@pytest.mark.parametrize(("world", "asked"), [("pinned", 3), ("its own", 2), ("none", 2)])
def test_a_bad_end_that_is_not_bad_is_tried_on_another_world_if_there_is_one(make, world, asked):
    hunt, table, ids = make(lambda _number, _world: Outcome.GOOD, pinned=True)
    if world == "its own":  # the ABI rules asked for it
        table.more = {COMMITS - 1: {"world": ids[-1][:12]}}
    if world == "none":
        del hunt.lab.recipe.parts["world"]
    with pytest.raises(UserError, match="is not bad"):
        hunt.run()
    assert len(table.asked) == asked
    assert hunt.state.told[-1].passes == 1  # what ran on the other world counts alone


def test_an_end_that_does_not_build_is_refused_with_the_way_to_its_log(make):
    hunt, _, ids = make(lambda _number, _world: Outcome.UNTESTABLE)
    with pytest.raises(UserError, match="is not good") as refused:
        hunt.run()
    assert f"`doit kernel:{ids[0][:12]}` says more" in refused.value.hint


def test_ends_that_are_believed_are_not_tested_before_the_proof(make):
    hunt, table, ids = make(from_number(7), believed=True)
    state = hunt.run()
    assert state.culprit.commits == (ids[7],)
    assert [p.agrees for p in state.proofs] == [True, True]
    assert not {0, COMMITS - 1} & set(table.asked)


def test_the_proof_finds_out_that_an_end_was_not_to_be_believed(make):
    hunt, _, _ = make(lambda _number, _world: Outcome.BAD, believed=True)
    with pytest.raises(UserError, match="is not good"):
        hunt.run()
    hunt, _, _ = make(lambda _number, _world: Outcome.GOOD, believed=True)
    with pytest.raises(UserError, match="is not bad"):
        hunt.run()


def test_a_culprit_among_paths_is_proved_with_its_parent_in_git(make):
    hunt, _, ids = make(from_number(8), paths=("even",))
    state = hunt.run()
    assert state.culprit.commits == (ids[8],)
    assert [p.commit for p in state.proofs] == [ids[8], ids[7]]
    tests = [line for line in record._commands(hunt, (ids[8],)) if "test:" in line]
    assert tests == [f"doit test:{ids[n][:12]}:test" for n in (8, 7)]


@pytest.mark.parametrize(
    ("parent", "said"),
    [(Outcome.BAD, "not among these paths: .* is bad, too"), (Outcome.UNTESTABLE, "be tested")],
)
def test_a_culprit_outside_the_paths_is_not_named_among_them(make, parent, said):
    hunt, _, ids = make(
        lambda n, world: parent if n == 7 else from_number(8)(n, world), paths=("even",)
    )
    with pytest.raises(UserError, match=said) as refused:
        hunt.run()
    assert ids[7][:12] in str(refused.value)
    assert ids[7] not in {told.commit for told in hunt.state.told}


def test_a_culprit_in_the_world_is_found_without_the_pin(make):
    hunt, _, ids = make(
        lambda n, world: Outcome.BAD if n >= 7 and world is None else Outcome.GOOD, pinned=True
    )
    assert hunt.run().culprit.commits == (ids[7],)


def test_untestable_commits_leave_a_set(make):
    def outcome(number: int, _world: object) -> Outcome:
        if number in (5, 6):
            return Outcome.UNTESTABLE
        return from_number(7)(number, None)

    hunt, _, ids = make(outcome)
    state = hunt.run()
    assert set(state.culprit.commits) == set(ids[5:8])
    assert not state.proofs


def test_what_clean_builds_deny_is_thrown_out(make, monkeypatch):
    """Incremental kernels say 9, clean ones say 4: the proof finds out, and the search goes on."""
    hunt, table, ids = make(from_number(9))
    clean = Table(outcome=from_number(4), number=table.number)

    def anew(_prober: object, commit: Commit) -> Any:
        table.outcome = clean.outcome  # what was wrong is replaced in the store
        return lambda number: clean.probe(commit, again=-1 - number)

    monkeypatch.setattr(proof, "anew", anew)
    state = hunt.run()
    assert state.culprit.commits == (ids[4],)
    assert [p.agrees for p in state.proofs][-2:] == [True, True]
    assert not all(e.agrees for e in hunt.journal.events if isinstance(e, Proof))
    found = record.record(hunt)
    assert summary.verdict_of_proof(found).startswith("proved: ")
    assert found.refuted[0].startswith(f"{ids[9][:12]} was named before: built clean, its parent")
    assert all(refuted in summary.text(found) for refuted in found.refuted)


@pytest.mark.parametrize("seed", range(5))
def test_a_flaky_failure_is_found_with_a_stated_probability(make, seed):
    rng = random.Random(seed)  # noqa: S311 (no secret)
    hunt, table, ids = make(
        lambda n, _world: Outcome.BAD if n >= 6 and rng.random() < 0.5 else Outcome.GOOD,
        repeats=0, prove=False,
    )  # fmt: skip
    state = hunt.run()
    assert table.asked[0] == COMMITS - 1  # the bad end first: it tells the others how often to pass
    assert state.culprit.probability > 0.9
    assert state.culprit.commits == (ids[6],)
    assert max(told.passes + told.fails for told in state.told) > 3
    assert len(table.asked) < 150


def test_the_calibration_is_told(make, capsys):
    """How often the bad end failed, what that asked of the others, which series were decided early:
    on the screen, and in the reports that another process makes.
    """
    runs = iter(range(10_000))
    hunt, table, ids = make(
        lambda n, _world: Outcome.BAD if n >= 6 and next(runs) % 2 else Outcome.GOOD,
        repeats=0, options={"repeats": "auto"}, prove=False,
    )  # fmt: skip
    hunt.run()
    said = capsys.readouterr().out
    again = Hunt(
        lab=hunt.lab, store=hunt.store, journal=hunt.journal, prober=table,
        decider=Decider.of(hunt.begin),
    )  # fmt: skip
    found = record.record(again)
    seen = found.calibration
    assert seen
    (end,) = (step for step in found.steps if step.commit == ids[-1])
    assert (end.fails, end.fails + end.passes) == (seen.fails, seen.runs)
    assert 0.3 < seen.fails / seen.runs < 0.7
    decider = Decider.of(hunt.begin)
    decider.learn(Series(fails=end.fails, passes=end.passes))
    assert decider.needed == seen.needed > 3
    assert 0 < seen.early < seen.series == len(found.steps) - 1
    line = f"failed {seen.fails} of {seen.runs} runs: from here {seen.needed} passes in a row clear"
    assert line in said
    assert said.count("decided early") == seen.early
    told = f"end failed in {seen.fails} of {seen.runs} runs, so {seen.needed} passes in a row clear"
    for text in (" ".join(summary.text(found).split()), page.html(found)):
        assert told in text
        assert f"{seen.early} of {seen.series} series were decided early" in text
        assert f"in the end {words.percent(found.probability)} sure of the culprit" in text
        assert all(step.counted in text for step in found.steps)
    assert msgspec.json.decode(report.json(found), type=Report).calibration == seen


def test_fixed_is_not_deceived_by_one_lucky_pass(make):
    """Old commits fail three times of four: only who passes every time is mended."""
    calls = iter(range(1000))
    hunt, _, ids = make(
        lambda n, _world: Outcome.GOOD if n >= 8 or next(calls) % 4 == 3 else Outcome.BAD,
        fixed=True, repeats=3,
    )  # fmt: skip
    assert hunt.run().culprit.commits == (ids[8],)


def test_a_persons_word_counts_where_runs_are_counted(make):
    hunt, table, ids = make(from_number(6), repeats=0, prove=False)
    for number, verdict in ((5, Verdict.GOOD), (6, Verdict.BAD)):
        hunt.journal.add(Told(commit=ids[number], verdict=verdict, how="by hand"))
    assert hunt.run().culprit.commits == (ids[6],)
    assert set(table.asked) == {0, COMMITS - 1}


def test_a_bisect_without_worlds_goes_on_after_a_kill(make):
    hunt, table, ids = make(from_number(6))
    table.world = "image"
    for number, verdict in ((0, Verdict.GOOD), (11, Verdict.BAD)):
        facts = {"world": "image"}
        hunt.journal.add(Told(commit=ids[number], verdict=verdict, passes=1, facts=facts))
    table.probe = partial(_on_the_image, table)
    assert hunt.run().culprit.commits == (ids[6],)


def _on_the_image(table: Table, commit: Commit, *, again: int = 0, **_: Any) -> Finding:
    outcome = table.outcome(table.number[commit.id], None)
    return Finding(
        commit=commit, outcome=outcome, reason=f"run {again}", how="tested", world="image"
    )


def test_what_cannot_matter_and_does_is_folded_no_more(make):
    class Blind(Forecast):
        def cannot_matter(self, parents: Any, _about: Any, *, worlds: bool) -> set:
            return set(parents) if worlds else set()

    hunt, _, ids = make(from_number(4))
    hunt.forecast = Blind(hunt.lab, hunt.store)
    assert hunt.run().culprit.commits == (ids[4],)


class Reader(Forecast):
    """Has seen builds that read nothing of what every third commit changes."""

    idle: tuple = ()

    knows = True

    def cannot_matter(self, parents: Any, _about: Any, **_: Any) -> set:
        return set(parents) & set(self.idle)

    def seconds(self, *_: Any, **__: Any) -> float:
        return 2.0

    def why_idle(self, **_: Any) -> str:
        return "nothing that the builds of kernel:c0 read was changed"


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("culprit", [3, 4, 5])
def test_what_a_later_build_reads_is_folded_no_more(make, capsys, culprit, known):
    """A file that is there only between the ends: neither end's build read it. So it is, too, where
    all verdicts are at hand.
    """
    hunt, table, ids = make(from_number(culprit), prove=False)
    table.known = lambda _commit: known
    there = [SimpleNamespace(commit=one) for one in ids]
    hunt.store.all = lambda kind: there if known and kind == "install" else []

    class Learner(Reader):
        def cannot_matter(self, parents: Any, _about: Any, **_: Any) -> set:
            return set() if {2, 6} & {*table.asked} else set(parents) & {*ids[3:6]}

    hunt.forecast = Learner(hunt.lab, hunt.store)
    assert hunt.run().culprit.commits == (ids[culprit],)
    assert "read what 3 commits without a test changed" in capsys.readouterr().out


def test_what_was_built_can_be_tested_beside_what_could_not(make):
    hunt, _, ids = make(lambda _number, _world: Outcome.UNTESTABLE)
    hunt.journal.add(Told(commit=ids[5], verdict=Verdict.SKIP))
    hunt.store.all = lambda kind: [SimpleNamespace(commit=ids[6])] if kind == "kernel" else []
    assert hunt._sound() == {ids[6]}
    hunt.journal.add(Told(commit=ids[7], verdict=Verdict.SKIP, digest="ab"))  # it does not boot
    assert not hunt._sound()


def test_reasons_outlive_a_kill(make, capsys):
    """What a killed run said of its steps is in the report of the one that ends."""
    hunt, table, ids = make(from_number(7))
    hunt.forecast = Reader(hunt.lab, hunt.store)
    hunt.forecast.idle = ids[3::3]
    digest = "ab" * 32
    table.more = {
        4: {"fit": "aligned", "fit_why": "param.h states 1 for the world, 2 here"},
        5: {"fit": "reused", "fit_why": "the good end's; no ABI rule objects"},
        7: {
            "source": ids[8],
            "spared": f"what boots is what {ids[8][:12]} booted, kernel {digest}",
        },
    }
    table.probe = partial(_inherited, table)
    hunt.run()
    said = capsys.readouterr().out
    assert "11 commits in question, 3 of which cannot matter" in said
    assert "nothing that the builds of kernel:c0 read was changed" in said
    again = Hunt(
        lab=hunt.lab, store=hunt.store, journal=hunt.journal, prober=table, decider=hunt.decider
    )  # its forecast knows nothing: what it says is in the journal
    found = record.record(again)
    steps = {ids.index(step.commit): step for step in found.steps}
    assert (steps[7].how, steps[7].source) == ("inherited", ids[8])
    assert [node.commit for node in found.nodes if node.state == "folded"] == ids[9:2:-3]
    assert "3 commits not tested: nothing that the builds of kernel:c0 read was changed" in (
        found.savings
    )
    for text in (
        " ".join(summary.text(found).split()),
        page.html(found),
        report.json(found).decode(),
    ):
        for number, step in steps.items():
            assert step.why in text
            for reason in table.more.get(number, {}).values():
                assert reason[:12] in text
        assert "nothing that the builds of kernel:c0 read was changed" in text
        for node in found.nodes:
            if node.state == "folded":
                assert node.subject in text
    assert all(re.search(r"\d+ bits in 2.0 s|the \w+ end", step.why) for step in found.steps)


def _inherited(table: Table, commit: Commit, **how: Any) -> Finding:
    found = Table.probe(table, commit, **how)
    return replace(found, how="inherited") if found.source else found


def test_no_time_is_told_that_nobody_knows(make):
    hunt, _, _ = make(from_number(7), believed=True)
    hunt.run()
    told = [t.facts["why"] for t in hunt.state.told]
    assert told[0] == "splits 11 into 5 and 6; how long a build takes is not known yet"


def test_fixed_looks_for_what_mended_it(make):
    hunt, _, ids = make(lambda n, _world: Outcome.GOOD if n >= 3 else Outcome.BAD, fixed=True)
    assert hunt.run().culprit.commits == (ids[3],)


def test_a_host_that_fails_now_and_then_is_asked_again(make, monkeypatch):
    monkeypatch.setattr(case, "_RECOVERS", 0.0)
    failures = iter([True, False, False, True] + [False] * 20)

    def outcome(number: int, _world: object) -> Outcome:
        if next(failures):
            raise InfraError("qemu: a complaint that nobody knows")
        return Outcome.BAD if number >= 5 else Outcome.GOOD

    hunt, _, ids = make(outcome)
    assert hunt.run().culprit.commits == (ids[5],)


def test_a_host_that_fails_for_good_decides_nothing_and_the_bisect_goes_on_later(make, monkeypatch):
    monkeypatch.setattr(case, "_RECOVERS", 0.0)
    broken = []

    def outcome(number: int, _world: object) -> Outcome:
        if broken and 0 < number < COMMITS - 1:
            raise InfraError("qemu: a complaint that nobody knows")
        return Outcome.BAD if number >= 5 else Outcome.GOOD

    broken.append(True)
    hunt, table, ids = make(outcome)
    with pytest.raises(InfraError, match="nobody knows"):
        hunt.run()
    assert [t.commit for t in hunt.state.told] == [ids[0], ids[-1]]
    broken.clear()
    asked = len(table.asked)
    assert hunt.run().culprit.commits == (ids[5],)
    assert 0 not in table.asked[asked:]


def test_a_step_took_the_seconds_of_all_its_runs(make):
    hunt, _, _ = make(from_number(3), repeats=3)
    commit = hunt.lab.repository.commit(hunt.begin.goods[0])
    run = replace(hunt.prober.probe(commit), test_seconds=2.0)
    builds = iter((5.0, 0.0, 0.0))
    found, *_ = hunt.decider.decide(lambda _number: replace(run, build_seconds=next(builds)))
    assert (found.build_seconds, found.test_seconds) == (5.0, 6.0)


def test_a_good_commit_beside_clears_what_it_descends_from(make):
    hunt, _, ids = make(from_number(9))
    repository = hunt.lab.repository
    tree = repository.commit(ids[6])
    argv = ["git", "-C", str(repository.git_dir), "-c", "user.name=a", "-c", "user.email=a@b"]
    argv += ["commit-tree", "-p", ids[6], "-m", "aside", tree.tree]
    made = subprocess.run(argv, check=True, capture_output=True, text=True, env=environment())
    side = made.stdout.strip()
    hunt.journal.add(Told(commit=side, verdict=Verdict.GOOD, how="imported"))
    assert list(hunt.parents) == ids[:6:-1]
    assert hunt.run().culprit.commits == (ids[9],)


def test_the_commands_to_see_it_again_say_how_it_was_tested(make):
    hunt, _, ids = make(from_number(9))
    options = {"repeats": "3", "ends": "believed", "world": ids[0], "builder": "local"}
    hunt.journal.add(Start(goods=(ids[0],), bad=ids[-1], vm="a", test="t s.sh", options=options))
    commands = record._commands(hunt, (ids[9],))
    how = f"--test 't s.sh' --repeats 3 --trust-ends world={ids[0]} builder=local"
    assert commands[0] == f"doit bisect --good {ids[0][:12]} --bad {ids[-1][:12]} --vm a {how}"
    assert commands[1] == "# doit test: needs script = 't s.sh' in lab.toml's [test]"


@dataclass(kw_only=True)
class Foreseen:
    """A forecast by which all commits but the `idle` ones matter, and take `price` seconds; it
    knows so once `table` was asked for one. `folded` counts how often that was asked.
    """

    table: Table
    test_seconds: float = 0.1
    idle: Collection[str] = ()
    price: float = 10.0
    folded: int = 0

    @property
    def knows(self) -> bool:
        return bool(self.table.asked)

    def cannot_matter(self, parents: Collection[str], *_: Any, **__: Any) -> set:
        self.folded += 1
        return self.idle & parents.keys() if self.knows and self.idle else set()

    def why_idle(self, **_: Any) -> str:
        return "nobody reads them"

    def seconds(self, *_: Any, **__: Any) -> float:
        return self.price if self.knows else 0.0

    def clean_build(self, **_: Any) -> float:
        return 0.0


@dataclass(kw_only=True)
class Beside:
    """Writes down which commits are wanted ahead while another one is tested, and how many were
    when it was stopped.
    """

    wanted: list[str] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    prober: Any = None

    def prepare(self, commits: Iterable[Commit], **_: Any) -> None:
        self.wanted += [one.id for one in commits]

    def stop(self) -> None:
        self.stopped.append(len(self.wanted))


@pytest.mark.parametrize("believed", [True, False])
def test_what_is_tested_was_built_while_the_one_before_it_was(make, believed):
    hunt, table, ids = make(from_number(5), believed=believed, prove=False, ahead=Beside())
    hunt.forecast = Foreseen(table=table)
    assert hunt.run().culprit.commits == (ids[5],)
    first, *rest = [told.commit for told in hunt.state.told]
    assert first not in hunt.ahead.wanted
    assert set(rest) <= set(hunt.ahead.wanted)


def test_what_is_built_of_ends_that_are_believed_is_learned_from(make, monkeypatch):
    hunt, table, _ = make(from_number(5), believed=True, prove=False)
    monkeypatch.setattr(Store, "get", lambda _store, kind, _key: kind)
    learned: list[str] = []
    hunt.forecast = Foreseen(table=table)
    hunt.forecast.learn = learned.append
    hunt.run()
    assert learned == ["kernel", "kernel"]


@pytest.mark.parametrize("number", range(1, COMMITS - 1))
def test_what_cannot_matter_may_be_all_behind_the_first_one(make, number):
    hunt, table, ids = make(from_number(1), believed=True, prove=False, ahead=Beside())
    hunt.forecast = Foreseen(table=table, idle=frozenset(ids[number + 1 :]))
    assert hunt.run().culprit.commits == (ids[1],)


def test_a_series_asks_once_what_comes_next(make):
    hunt, table, ids = make(from_number(9), believed=True, prove=False, ahead=Beside(), repeats=6)
    hunt.forecast = Foreseen(table=table, price=0.5)  # which is not worth a doit
    assert hunt.run().culprit.commits == (ids[9],)
    assert hunt.forecast.folded <= 2 + len(hunt.state.told)


def test_a_fold_that_does_not_hold_is_told_of_once(make, capsys):
    """While the end boots whose verdict speaks against it, nothing is said of that yet."""
    hunt, table, ids = make(from_number(5), prove=False, ahead=Beside(), repeats=0)
    hunt.forecast = Foreseen(table=table, idle=frozenset(ids[1:]))
    assert hunt.run().culprit.commits == (ids[5],)
    assert capsys.readouterr().out.count("the verdicts do not go with") == 1


def test_what_is_built_ahead_on_a_pinned_world_goes_with_the_pin(make):
    hunt, table, ids = make(
        lambda n, world: Outcome.BAD if n >= 7 and world is None else Outcome.GOOD,
        pinned=True, prove=False, ahead=Beside(),
    )  # fmt: skip
    hunt.forecast = Foreseen(table=table)
    assert hunt.run().culprit.commits == (ids[7],)
    on_pinned = 2  # the bad end, and what would come behind it
    assert hunt.ahead.stopped[0] == on_pinned
    assert hunt.ahead.prober.world is None


@pytest.mark.parametrize(
    ("repeats", "bad_end", "runs"),
    [
        (1, Series(), 1),
        (6, Series(), 3.7),
        (0, Series(fails=9), 1),
        (0, Series(fails=3, passes=7), 12),
    ],
)
def test_a_test_costs_what_its_runs_cost(repeats, bad_end, runs):
    decider = Decider(terms=Start(goods=("a",), bad="b", vm="test").terms, repeats=repeats)
    decider.learn(bad_end)
    assert decider.expected_runs == pytest.approx(runs, abs=0.5)
