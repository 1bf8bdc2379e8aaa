"""The search gives git's own answers, and a next commit that is worth its time."""

from __future__ import annotations

import math
import random
import re

import pytest
from histories import Case, History, git, imported, name, number, random_case

from labtasks.bisect.choice import PRICED, SHARE, Choice, after, choose, prepared
from labtasks.bisect.graph import graph
from labtasks.bisect.search import Search, Terms, Verdict, start
from labtasks.ground.error import UserError
from labtasks.key.git import CommitId, Repository

GOOD, BAD, SKIP = Verdict.GOOD, Verdict.BAD, Verdict.SKIP
DAGS, WITHOUT = 1000, 300
"""Random histories with commits that cannot be tested, and without."""


def line(length: int, irrelevant: tuple[int, ...] = ()) -> Search:
    """A search over commits 1 to `length`, each on the one before; 0 is good."""
    parents = {name(n): (name(n - 1),) for n in range(length, 0, -1)}
    return start(graph(parents, {name(n) for n in irrelevant}), name(length))


def numbers(commits: tuple[CommitId, ...]) -> list[int]:
    return [number(c) for c in commits]


def judged(case: Case, commit: int) -> Verdict:
    if commit in case.untestable:
        return SKIP
    return BAD if case.is_bad(commit) else GOOD


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    rng = random.Random(4)  # noqa: S311 (which histories they are must not change)
    return [random_case(rng, skips=n < DAGS) for n in range(DAGS + WITHOUT)]


@pytest.fixture(scope="module")
def in_git(cases, tmp_path_factory):
    """The first hundred histories in one repository, and the ids of their commits."""
    path = tmp_path_factory.mktemp("histories") / "repository"
    rng = random.Random(5)  # noqa: S311
    return path, imported(path, [case.history for case in cases[:100]], rng)


def test_git_s_rules_on_a_thousand_histories(cases):
    """After every verdict exactly those are in question that the rules leave; in the end only
    the bad commit and untestable ones, the culprit among them.
    """
    rng = random.Random(6)  # noqa: S311
    for case in cases:
        search = start(graph(case.history.mapping(case.possible())), name(case.bad))
        bad, goods, skipped = case.bad, list(case.goods), set[int]()
        while (choice := choose(search)) is not None:
            commit = number(choice.commit)
            if rng.random() < 0.3:  # somebody tests what they like
                commit = rng.choice(sorted(case.possible() - skipped))
            verdict = judged(case, commit)
            search = search.tell(name(commit), verdict)
            if verdict is GOOD:
                goods.append(commit)
            elif verdict is SKIP:
                skipped.add(commit)
            elif bad not in case.history.ancestors[commit]:
                bad = commit
            assert set(numbers(search.open)) == case.history.question(bad, goods)
        question = case.history.question(bad, goods)
        assert set(numbers(search.culprits())) == question
        assert question - skipped <= {bad}
        assert case.culprit in question
        assert number(search.culprits()[-1]) == bad
        if not skipped:
            assert question == {case.culprit}


def test_weights_are_those_of_git(cases, in_git):
    path, ids = in_git
    for case, commits in zip(cases[:100], ids, strict=True):
        bad, goods = commits[case.bad], [commits[g] for g in case.goods]
        for option in ([], ["--first-parent"]):
            argv = ["rev-list", "--bisect-all", *option, bad, "--not", *goods]
            expected = re.findall(r"(?m)^(\w{40}) \(.*dist=(\d+)\)$", git(path, *argv))
            found = Repository(path).between(bad, goods, first_parent=bool(option))
            candidates = start(graph(found), bad).candidates()
            assert [(c.commit, str(c.weight)) for c in candidates] == expected


def test_weights_are_those_of_git_when_paths_are_given(cases, in_git):
    path, ids = in_git
    for case, commits in zip(cases[:30], ids, strict=False):
        bad, goods = commits[case.bad], [commits[g] for g in case.goods]
        argv = ["rev-list", "--bisect-all", bad, "--not", *goods, "--", "0"]
        expected = re.findall(r"(?m)^(\w{40}) \(.*dist=(\d+)\)$", git(path, *argv))
        found = Repository(path).between(bad, goods, paths=("0",))
        if found:
            candidates = start(graph(found), bad).candidates()
            assert [(c.commit, str(c.weight)) for c in candidates] == expected
        else:
            assert expected == []


SCRIPT = """
commit=$(git rev-parse BISECT_HEAD)
grep -q $commit {skips} && exit 125
grep -q $commit {bads} && exit 1
exit 0
"""


def test_git_bisect_run_names_the_same(cases, in_git, tmp_path):
    path, ids = in_git
    script, skips, bads = (tmp_path / n for n in ("script", "skips", "bads"))
    script.write_text(SCRIPT.format(skips=skips, bads=bads))
    many = [n for n, case in enumerate(cases[:100]) if len(case.possible()) > 4][:20]
    for n in many:
        case, commits = cases[n], ids[n]
        everyone = range(len(commits))
        skips.write_text("".join(f"{commits[i]}\n" for i in case.untestable))
        bads.write_text("".join(f"{commits[i]}\n" for i in everyone if case.is_bad(i)))
        ends = [commits[case.bad], *(commits[g] for g in case.goods)]
        git(path, "bisect", "start", "--no-checkout", *ends, code=None)
        said = git(path, "bisect", "run", "sh", str(script), code=None)
        log = git(path, "bisect", "log")
        git(path, "bisect", "reset")
        found = Repository(path).between(ends[0], ends[1:])
        search = start(graph(found), ends[0])
        told = re.findall(r"(?m)^git bisect (good|bad|skip) (\w{40})$", log)
        for word, commit in told:
            if commit in found:  # git tests where a good commit parted, too
                search = search.tell(CommitId(commit), Verdict(word))
        first = re.findall(r"(?m)^(\w{40}) is the first", said)
        any_of = re.findall(r"(?m)^(\w{40})$", said.partition("could be any of")[2])
        assert search.done
        assert sorted(search.culprits()) == sorted(first or any_of), said
        own = finish(start(graph(found), ends[0]), case, commits)
        assert commits[case.culprit] in own.culprits()
        if first:
            assert commits[case.culprit] == first[0]


def finish(search: Search, case: Case, commits: list[CommitId]) -> Search:
    while (choice := choose(search)) is not None:
        search = search.tell(choice.commit, judged(case, commits.index(choice.commit)))
    return search


def test_merge_bases_are_those_git_tests(in_git):
    path, ids = in_git
    repository = Repository(path)
    assert repository.merge_bases(ids[0][-1], [ids[1][-1]]) == ()
    assert repository.merge_bases(ids[0][-1], [ids[0][0]]) == (ids[0][0],)


def test_irrelevant_commits_fold(cases):
    """No folded commit is tested, none is the culprit, and the answer stays the same."""
    rng = random.Random(7)  # noqa: S311
    folded = 0
    for case in cases:
        history, possible = case.history, case.possible()
        same = {
            n
            for n in possible - {case.culprit}
            if len({case.is_bad(p) for p in history.parents[n]} | {case.is_bad(n)}) == 1
            and rng.random() < 0.7
        }
        whole = graph(history.mapping(possible), {name(n) for n in same})
        folded += len(possible) - len(whole.parents)
        search = start(whole, name(case.bad))
        while (choice := choose(search)) is not None:
            assert choice.commit in whole.parents
            search = search.tell(choice.commit, judged(case, number(choice.commit)))
        assert name(case.culprit) in search.culprits()
        for commit in search.culprits():
            assert number(commit) not in same or len(history.parents[number(commit)]) != 1
    assert folded > DAGS


def test_a_folded_commit_speaks_for_its_class():
    search = line(8, irrelevant=(3, 4, 7))
    assert numbers(search.open) == [1, 2, 5, 6, 8]
    assert numbers(search.tell(name(4), BAD).open) == [1, 2]
    assert numbers(search.tell(name(4), GOOD).open) == [5, 6, 8]
    assert search.tell(name(3), SKIP).skipped == {name(2)}


def test_a_merge_folds_only_between_equals():
    #   1 - 2 - 4   irrelevant: 2, 3 and both merges; 5 joins 4 with 1's class: not equal
    #    \- 3 -/ \
    #     \------ 5
    parents = {
        name(5): (name(4), name(3)), name(4): (name(2), name(3)), name(3): (name(1),),
        name(2): (name(1),), name(1): (name(0),),
    }  # fmt: skip
    every = {name(n) for n in (2, 3, 4, 5)}
    assert list(graph(parents, every).parents) == [name(1)]
    parts = graph(parents, every - {name(2)})
    assert sorted(map(number, parts.parents)) == [1, 2, 4, 5]


def test_nothing_in_question():
    with pytest.raises(UserError, match="nothing between good and bad"):
        start(graph({}), name(3))
    parents = {name(2): (name(1),), name(1): (name(0),)}
    with pytest.raises(UserError, match="only commits that cannot matter"):
        start(graph(parents, {name(1), name(2)}), name(2))


def test_contradictions_are_refused():
    search = line(9, irrelevant=(1,)).tell(name(5), BAD)
    with pytest.raises(UserError, match="which it is built on"):
        search.tell(name(7), GOOD)
    with pytest.raises(UserError, match="is good, but"):
        search.tell(name(5), GOOD)
    with pytest.raises(UserError, match="ancestor of a good"):
        search.tell(name(3), GOOD).tell(name(2), BAD)
    with pytest.raises(UserError, match="nothing that matters"):
        search.tell(name(1), BAD)
    assert search.tell(name(8), BAD).open == search.open
    assert search.tell(name(1), GOOD).open == search.open


def test_a_verdict_replaces_a_skip():
    search = line(9).tell(name(4), SKIP).tell(name(4), GOOD)
    assert not search.skipped
    assert numbers(search.open) == [5, 6, 7, 8, 9]


def test_terms():
    terms = Terms(old="broken", new="fixed", fixed=True)
    assert terms.judge(passed=True) is BAD
    assert terms.judge(passed=False) is GOOD
    assert Terms().judge(passed=True) is GOOD
    assert terms.word(GOOD) == "broken"
    assert terms.verdict("fixed") is BAD
    with pytest.raises(UserError, match="no verdict"):
        terms.verdict("bad")
    with pytest.raises(UserError, match="do not serve"):
        Terms(old="skip", new="bad")
    search = start(line(9).graph, name(9), terms).tell(name(4), BAD)
    with pytest.raises(UserError, match=r"is broken, but .* is fixed"):
        search.tell(name(6), GOOD)


# which commit is next


def test_without_costs_the_middle_is_next():
    for length in (2, 3, 10, 1000):
        search, steps = line(length), 0
        while (choice := choose(search)) is not None:
            search = search.tell(choice.commit, BAD if number(choice.commit) >= 2 else GOOD)
            steps += 1
        assert numbers(search.culprits()) == [2]
        assert steps <= math.ceil(math.log2(length))


def test_expected_steps():
    assert [line(n).expected_steps for n in (1, 2, 4, 8)] == [0, 1, 2, 3]
    assert line(3).expected_steps == pytest.approx(5 / 3)
    assert line(8).tell(name(1), SKIP).expected_steps == pytest.approx(20 / 7)


def test_cheap_ones_are_preferred_but_never_far_from_half():
    cheap = {10: 1.0, 30: 1.0, 50: 2.0}
    choice = choose(line(100), lambda c: cheap.get(number(c), 60.0))
    assert choice is not None
    assert number(choice.commit) == 30  # 10 splits too badly, however cheap
    assert choice.odds == pytest.approx(0.3)
    assert choice.seconds == 1
    asked = list[int]()
    choose(line(100), lambda c: asked.append(number(c)) or 1.0)
    assert min(asked) >= SHARE * 50
    assert max(asked) <= 100 - SHARE * 50
    assert len(asked) == len(set(asked))


def test_of_thousands_some_from_everywhere_are_priced():
    asked = list[int]()

    def cost(commit: CommitId) -> float:
        asked.append(number(commit))
        return 1.0 if number(commit) < 1500 else 60.0

    choice = choose(line(4000), cost)
    assert choice is not None
    assert len(asked) == PRICED
    assert 1400 < number(choice.commit) < 1500  # cheap, and the best split of those


def test_a_known_verdict_costs_nothing():
    choice = choose(line(100), lambda c: 0.0 if number(c) in {20, 40, 85} else 0.001)
    assert choice is not None
    assert number(choice.commit) == 40
    assert choice.rate == math.inf


def test_the_cheapest_of_a_class_stands_for_it():
    choice = choose(line(10, irrelevant=(6,)), lambda c: 1.0 if number(c) == 6 else 50.0)
    assert choice is not None
    assert (number(choice.commit), number(choice.root)) == (6, 5)


def test_a_merge_counts_every_commit_once(cases):
    """How many commits a verdict decides, with merges, against plain counting."""
    for case in cases[:200]:
        search = start(graph(case.history.mapping(case.possible())), name(case.bad))
        choice = choose(search)
        if choice is not None:
            below = case.history.ancestors[number(choice.commit)] & case.possible()
            assert choice.odds == pytest.approx(len(below) / len(case.possible()))


def test_after_a_skip_the_next_is_elsewhere():
    search = line(64)
    tried = list[int]()
    for _ in range(6):
        choice = choose(search)
        assert choice is not None
        assert all(abs(number(choice.commit) - t) > 1 for t in tried)
        tried.append(number(choice.commit))
        search = search.tell(choice.commit, SKIP)
    small = line(4).tell(name(2), SKIP)
    assert choose(small) is not None  # neighbours, when there is nothing else


@pytest.mark.parametrize("culprit", [1, 299, 500, 701, 999])
def test_a_run_of_untestable_commits_is_left_quickly(culprit):
    """Commits 300 to 700 of 1,000 do not build: the search goes round them, finds where the run
    begins and ends if the culprit may be in it, and says that the rest hardly can be tested.
    """
    search, skips, steps = line(1000), 0, 0
    while (choice := choose(search)) is not None and choice.testable > 0.01:
        commit = number(choice.commit)
        broken = 300 <= commit <= 700
        skips += broken
        steps += 1
        search = search.tell(choice.commit, SKIP if broken else BAD if commit >= culprit else GOOD)
    assert skips <= 12
    assert steps <= 20
    assert name(culprit) in search.open
    if choice is None:
        assert numbers(search.culprits()) == [culprit]
    else:
        assert set(numbers(search.open)) <= set(range(290, 711))


def test_ties_do_not_depend_on_order():
    history = History(parents=((), (0,), (0,), (0,), (0,), (1, 2, 3, 4)))
    forward = history.mapping(range(1, 6))
    backward = dict(reversed(forward.items()))
    chosen = {choose(start(graph(parents), name(5))) for parents in (forward, backward)}
    assert len(chosen) == 1


def test_both_ways_are_known_before_the_verdict():
    search = line(100)
    good, bad = after(search, name(50))
    assert isinstance(good, Choice)
    assert good == choose(search.tell(name(50), GOOD))
    assert bad == choose(search.tell(name(50), BAD))
    assert after(line(2), name(1)) == (None, None)


def test_the_likelier_next_one_is_prepared_first_then_the_cheaper():
    search = line(100)

    def order(commit: int, odds: float, dear: int = 0) -> list[int]:
        best = Choice(commit=name(commit), root=name(commit), bits=1.0, odds=odds)
        ways = prepared(search, best, lambda one: 9.0 if (number(one) > commit) == dear else 1.0)
        return [number(one.commit) for one in ways]

    older, newer = sorted(order(50, 0.5))
    assert older < 50 < newer
    assert order(50, 0.3) == order(50, 0.3, dear=1) == [newer, older]
    assert order(50, 0.7) == order(50, 0.7, dear=1) == [older, newer]
    assert order(50, 0.5, dear=1) == order(50, 0.51, dear=1) == [older, newer]
    assert order(50, 0.5) == [newer, older]
    assert prepared(line(2), Choice(commit=name(1), root=name(1), bits=1.0, odds=0.5)) == []
