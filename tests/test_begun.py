"""What a bisect began with holds when it goes on; and where a command's lab is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import doit

from labtasks.bisect import gitlog, journal  # fmt: skip
from labtasks.bisect.journal import Journal
from labtasks.bisect.progress import Culprit, Folded, Start, Told, state
from labtasks.bisect.search import Verdict
from labtasks.command import bisect_command, bisect_status, by_hand, main, objection  # fmt: skip
from labtasks.command.tasks import Options, Session
from labtasks.ground.error import UserError
from labtasks.key.git import CommitId
from labtasks.lab.lab import load
from labtasks.store.store import Store


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("begun") / "lab"
    assert main.main(["init", str(directory)]) == 0
    with (directory / "lab.toml").open("a") as file:
        file.write('\n[vm.farm]\nimage = "farm.img"\n')
    return directory


def begun(builder: str) -> Start:
    commit = CommitId("a" * 40)
    return Start(goods=(commit,), bad=commit, options={"builder": builder})


def session(lab: Path, builder: str = "") -> Session:
    found = load(lab, builder=builder)
    return Session(lab=found, store=Store(found.cache), options=Options(builder=builder))


def test_the_builder_is_that_of_the_beginning(lab, capsys):
    found = bisect_command._built_as_begun(session(lab), begun("farm"))
    assert found.builder_name == "farm"
    assert "farm builds, as when it began" in capsys.readouterr().out
    assert bisect_command._built_as_begun(session(lab), begun("local")).builder_name == "local"
    assert capsys.readouterr().out == ""


def test_who_goes_on_may_name_another_builder(lab, capsys):
    found = bisect_command._built_as_begun(session(lab, "farm"), begun("local"))
    assert found.builder_name == "farm"
    assert "farm builds from here on; local did so far" in capsys.readouterr().out


def test_a_builder_that_is_there_no_more_is_refused(lab):
    with pytest.raises(UserError, match="no builder is called 'gone'"):
        bisect_command._built_as_begun(session(lab), begun("gone"))


def ends(lab: Path, **more) -> Start:
    commit = load(lab).repository.commit
    return Start(goods=(commit("good").id,), bad=commit("bad").id, **more)


def test_a_verdict_outside_the_paths_is_refused_with_the_paths(lab):
    begin = ends(lab, paths=("docs", "no such"))
    told = Told(commit=begin.bad, verdict=Verdict.SKIP)
    with pytest.raises(UserError) as caught:
        objection.to_verdict(load(lab), [begin], told)
    between = f"{begin.goods[0][:12]}..{begin.bad[:12]}"
    assert caught.value.hint == f"those of {between} that touch docs no such are"


def test_a_bookends_with_the_culprit_as_gits_does(lab):
    begin = ends(lab)
    found = load(lab).repository.commit("bad~3")
    events = [begin, Told(commit=found.id, verdict=Verdict.BAD)]
    assert "first bad" not in bisect_status.git_log(load(lab), state(events))
    log = bisect_status.git_log(load(lab), state([*events, Culprit(commits=(found.id,))]))
    assert log.splitlines()[-1] == f"# first bad commit: [{found.id}] {found.subject}"


def test_verdicts_by_hand_say_what_is_next_and_in_the_end_the_culprit(lab):
    found = load(lab)
    with Journal(found.cache / "bisect" / "journal") as journal:
        journal.add(ends(lab, vm="test"))
    said = doit(lab, "bisect", "good", "bad~5")
    lefts = []
    while following := re.search(
        r"^(\d+) left; next by hand: ([0-9a-f]{40}) (.+)$", said.stdout, re.MULTILINE
    ):
        assert following[0] in doit(lab, "bisect", "--status").stdout.splitlines()
        assert found.repository.commit(following[2]).subject == following[3]
        lefts.append(int(following[1]))
        assert lefts == sorted(set(lefts), reverse=True)
        said = doit(lab, "bisect", "good", following[2])
    assert len(lefts) > 1, said.stderr
    bad = found.repository.commit("bad")
    culprit = [f"culprit: {bad.id} {bad.subject}", "not proved yet: `doit bisect` goes on"]
    assert said.stdout.splitlines()[-2:] == culprit
    status = doit(lab, "bisect", "--status")
    assert (status.returncode, status.stdout.splitlines()[-2:]) == (1, culprit)


def test_what_is_next_is_no_commit_that_needs_no_test(lab):
    found = load(lab)
    with Journal(found.cache / "bisect" / "journal") as journal:
        journal.add(ends(lab, vm="test"))
        journal.add(Told(commit=found.repository.commit("bad~5").id, verdict=Verdict.GOOD))
        pattern = r"^(\d+) left; next by hand: ([0-9a-f]{40}) "
        first = re.search(pattern, doit(lab, "bisect", "--status").stdout, re.MULTILINE)
        assert first
        journal.add(Folded(commits=(CommitId(first[2]),), reason="nothing that was read"))
        second = re.search(pattern, doit(lab, "bisect", "--status").stdout, re.MULTILINE)
    assert second
    assert second[2] != first[2]
    assert int(second[1]) == int(first[1]) - 1


def test_a_range_is_skipped_as_git_does(lab, tmp_path, capsys):
    found = load(lab)
    commit = found.repository.commit
    with Journal(tmp_path / "journal") as book:
        book.add(ends(lab, vm="test"))
        by_hand.told(found, book, "good", ["bad~8"])
        by_hand.told(found, book, "skip", ["bad~6..bad~2", "bad~1"])
        skipped = [t.commit for t in book.state.told if t.verdict is Verdict.SKIP]
        between = found.repository.between(commit("bad~2").id, [commit("bad~6").id])
        assert skipped == [*reversed(between), commit("bad~1").id]
        assert f"bad~6..bad~2: {len(between)} commits skip, said by hand" in capsys.readouterr().out
        before = len(book.events)
        for words, said in (
            (("skip", "bad~6..bad~2"), "without a verdict"),
            (("skip", "bad~6...bad~2"), "no range"),
            (("bad", "bad~6..bad~2"), "only skip takes one"),
            (("skip", "bad~7", "nowhere..bad"), "is not a commit"),
        ):
            with pytest.raises(UserError, match=said):
                by_hand.told(found, book, words[0], words[1:])
        assert len(book.events) == before
        by_hand.told(found, book, "skip", ["bad~8..bad"])  # the bad end stays bad
        last = book.state
        assert {t.commit for t in last.told} >= set(between) | {commit("bad~7").id}
        assert all(t.commit != last.begun().bad for t in last.told)
        assert "any of them may be it" in capsys.readouterr().out


def test_what_is_mended_is_broken_first_and_fixed_by(lab, tmp_path, capsys):
    plain = {name: default for name, _, _, default, _ in bisect_command._FLAGS}
    asked = plain | {"fixed": True, "old": ["good"], "new": "bad", "vm": "farm", "repeats": "1"}
    with Journal(tmp_path / "journal") as book:
        found = session(lab)
        bisect_command._begin(found, book, asked, [])
        begin = book.state.begun()
        assert (begin.old, begin.new, begin.fixed) == ("broken", "fixed", True)
        for word, ref in (("broken", "bad~1"), ("fixed", "bad")):
            by_hand.told(found.lab, book, word, [ref])
        assert f"fixed by: {begin.bad}" in capsys.readouterr().out
        with pytest.raises(UserError, match="'good' is no verdict") as refused:
            by_hand.told(found.lab, book, "good", ["bad~2"])
        assert refused.value.hint == "one of broken, fixed, skip"
        log = bisect_status.git_log(found.lab, book.state)
        assert "'--term-old=broken' '--term-new=fixed'" in log
        read = gitlog.read(log, lambda name: found.lab.repository.commit(name).id)
        assert read.mending


@pytest.mark.parametrize("words", [("",), ("run", ""), ("gc", ""), ("verdict", ""), ("ssh", "")])
def test_an_empty_word_is_refused(lab, words):
    ran = doit(lab, *words)
    assert ran.returncode == (128 if "verdict" in words else 3)
    assert ran.stderr == "ERROR: a word is empty\n  hint: is a variable of the shell not set?\n"


@pytest.mark.parametrize(
    "words",
    [(), ("--frob", "HEAD"), ("-d", "/nowhere", "HEAD"), ("-d", "/", "HEAD"), ("HEAD", "nowhere")],
)
def test_a_wrong_question_is_no_bad_commit_to_git(lab, words):
    ran = doit(lab, "verdict", *words)
    assert ran.returncode == 128
    assert ran.stderr.startswith("ERROR: ")


def test_a_clones_own_gitignore_stays(tmp_path):
    (tmp_path / ".gitignore").write_text("*.o\n/cache/")
    assert main.main(["init", str(tmp_path)]) == 0
    assert (tmp_path / ".gitignore").read_text() == "*.o\n/cache/\n/.doit.db*\n"


@pytest.mark.parametrize(
    "words",
    [
        ("-d", "{}", "status"), ("--dir", "{}", "gc", "--dry-run"), ("status", "-d", "{}"),
        ("gc", "--dry-run", "--dir", "{}"), ("-f", "{}/dodo.py", "status"),
    ],
)  # fmt: skip
def test_a_command_is_about_the_lab_it_is_told(lab, tmp_path, words):
    other = tmp_path / "other"
    assert main.main(["init", str(other)]) == 0
    ran = doit(lab, *(word.format(other) for word in words))
    assert ran.returncode == 0, ran.stderr
    assert (other / "cache").exists()


def test_a_directory_that_is_not_there_is_refused(lab):
    ran = doit(lab, "status", "--dir", "/nowhere")
    assert ran.returncode == 3
    assert ran.stderr.startswith("ERROR: /nowhere: No such file")
    assert "lab.toml" in doit(lab, "status", "--dir", "/").stderr


def replayed(lab: Path, tmp_path: Path, text: str, *words: str) -> Start:
    """The start that a log leaves."""
    (tmp_path / "log").write_text(text)
    found, path = session(lab), tmp_path / "journal"
    options = {name: default for name, _, _, default, _ in bisect_command._FLAGS}
    options |= {"vm": "farm"} | dict.fromkeys(words, True)
    with journal.Journal(path) as log:
        bisect_command._replay(found, log, tmp_path / "log", options | {"repeats": "3"})
        return log.state.begun()


@pytest.mark.parametrize(
    ("terms", "words", "fixed"),
    [("", (), False), ("", ("fixed",), True), ("--term-old=broken --term-new=fixed", (), True)],
)
def test_a_replay_is_begun_as_it_is_asked(lab, tmp_path, terms, words, fixed):
    begin = replayed(lab, tmp_path, f"git bisect start {terms} bad good\n", *words, "trust_ends")
    assert begin.fixed == fixed
    assert begin.options == {
        "repeats": "3", "ends": "believed", "world": "", "builder": "local",
    }  # fmt: skip


def test_what_was_asked_of_a_bisect_holds_when_it_goes_on(lab, tmp_path):
    found = session(lab)
    plain = {name: default for name, _, _, default, _ in bisect_command._FLAGS} | {"vm": "farm"}
    asked = plain | {"good": ["good"], "bad": "bad", "repeats": "1"}
    with journal.Journal(tmp_path / "journal") as log:
        words = {"no_proof": True, "revert": True, "process": 2}
        bisect_command._begin(found, log, asked | words, [])
        bisect_command._begin(found, log, asked, [])  # the same question
        assert len(log.events) == 1
        refused = Told(commit=log.state.begun().bad, verdict=Verdict.GOOD, passes=60)
        log.add(refused)
        bisect_command._begin(found, log, asked | words, [])  # with another test now, for instance
        assert log.state.told == ()
        hunt = bisect_command._case(found, log, plain)
        assert (hunt.prove, hunt.revert, hunt.ahead is not None) == (False, True, True)
        again = bisect_command._case(found, log, plain | {"no_proof": False, "process": 1})
        assert (again.prove, again.revert, again.ahead) == (True, True, None)
        log.add(ends(lab))  # an old journal's start
        old = bisect_command._case(found, log, plain | {"vm": "farm"})
        assert (old.prove, old.revert, old.ahead) == (True, False, None)
