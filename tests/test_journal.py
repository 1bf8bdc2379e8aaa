"""A bisect survives whatever happens to its process, and speaks git's own format."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment
from histories import Case, git, imported, name, random_case
from hypothesis import given
from hypothesis import strategies as st

from labtasks.bisect import gitlog, journal, progress
from labtasks.bisect.choice import choose
from labtasks.bisect.graph import graph
from labtasks.bisect.journal import Journal
from labtasks.bisect.progress import Culprit, End, Proof, Start, Told, Undo
from labtasks.bisect.search import Terms, Verdict, start
from labtasks.ground.error import InfraError, UserError
from labtasks.key.git import CommitId, Repository

GOOD, BAD, SKIP = Verdict.GOOD, Verdict.BAD, Verdict.SKIP
BEGIN = Start(goods=(name(0),), bad=name(9), vm="demo", test="boot", options={"repeats": "auto"})
LINE = graph({name(n): (name(n - 1),) for n in range(9, 0, -1)})


def told(commit: int, verdict: Verdict, **more) -> Told:
    return Told(commit=name(commit), verdict=verdict, **more)


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "bisects" / "journal"
    events = [
        BEGIN,
        told(5, BAD, outcome="bad", reason="panic: x", seconds=3.5, fails=2, passes=1),
        told(2, SKIP, outcome="untestable", reason="does not build"),
        Culprit(commits=(name(3), name(4)), probability=0.97),
        Proof(commit=name(4), verdict=BAD, agrees=True),
        End(reason="proved"),
    ]
    with Journal(path) as log:
        written = [log.add(event) for event in events]
        assert all(event.time > 1e9 for event in written)
        assert log.state == progress.state(written)
    assert list(journal.read(path)) == written
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == [
        "start", "verdict", "verdict", "culprit", "proof", "end",
    ]  # fmt: skip
    with Journal(path) as log:
        assert log.events == written
    assert journal.read(tmp_path / "none") == ()


def test_the_state_goes_on_where_it_was(tmp_path):
    with Journal(tmp_path / "journal") as log:
        log.add(BEGIN)
        log.add(told(5, BAD))
        log.add(told(2, GOOD))
    with Journal(tmp_path / "journal") as log:
        search = log.state.search(LINE)
        assert search.open == (name(3), name(4), name(5))
        assert choose(search) is not None
    with pytest.raises(UserError, match="no bisect has begun"):
        progress.State().search(LINE)


def test_undo(tmp_path):
    with Journal(tmp_path / "journal") as log:
        with pytest.raises(UserError, match="no verdict"):
            log.undo()
        for event in (BEGIN, told(5, BAD), told(2, SKIP), Culprit(commits=(name(5),)), End()):
            log.add(event)
        assert log.undo(reason="mistyped").commit == name(2)
        assert [t.commit for t in log.state.told] == [name(5)]
        assert (log.state.culprit, log.state.end) == (None, None)
        log.add(told(3, GOOD))
        assert log.undo(name(5)).verdict is BAD
        assert [t.commit for t in log.state.told] == [name(3)]
        with pytest.raises(UserError, match="no verdict"):
            log.undo(name(5))
        log.add(told(3, BAD))  # the later one stands, until it is taken back
        assert [t.verdict for t in log.state.told] == [BAD]
        log.undo()
        assert [t.verdict for t in log.state.told] == [GOOD]
    assert len(journal.read(tmp_path / "journal")) == 10


@given(st.lists(st.one_of(st.none(), st.integers(0, 8)), max_size=30))
def test_undo_is_as_if_it_had_not_been(steps):
    """Verdicts (a number) and undos (None), against a plain stack."""
    events, stack = [BEGIN], []
    for step in steps:
        if step is None:
            events.append(Undo())
            stack = stack[:-1]
        else:
            events.append(told(step, SKIP, reason=str(len(events))))
            stack.append(events[-1])
    assert progress.state(events) == progress.state([BEGIN, *stack])


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_line_was_never_said(tmp_path, cut):
    path = tmp_path / "journal"
    with Journal(path) as log:
        for event in (BEGIN, told(5, BAD), told(2, GOOD)):
            log.add(event)
    path.write_bytes(path.read_bytes()[:-cut])
    assert len(journal.read(path)) == 2
    with Journal(path) as log:
        assert len(log.events) == 2
        log.add(told(2, BAD))
    assert [t.verdict for t in progress.state(journal.read(path)).told] == [BAD, BAD]


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "journal"
    path.write_text('{"event":"undo"}\n{"event":"und\n{"event":"undo"}\n')
    with pytest.raises(UserError, match="line 2"):
        journal.read(path)
    path.write_text('{"event":"teleport"}\n')
    with pytest.raises(UserError, match="teleport"):
        Journal(path)


def test_text_that_is_not_utf_8_is_kept_readable(tmp_path):
    with Journal(tmp_path / "journal") as log:
        log.add(told(1, BAD, reason="panic: \udcff\n\0"))
    (event,) = journal.read(tmp_path / "journal")
    assert isinstance(event, Told)
    assert event.reason == "panic: \\udcff\n\0"


WRITER = """
import os, signal, sys
from pathlib import Path
from labtasks.bisect.journal import Journal
from labtasks.bisect.progress import Undo
log = Journal(Path(sys.argv[1]))
log.add(Undo(reason="first"))
print("ready", flush=True)
while True:
    log.add(Undo(reason="more" * 100))
"""


def test_kill_9_frees_the_lock_and_loses_nothing(tmp_path):
    path = tmp_path / "journal"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, env=environment()
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        with pytest.raises(UserError, match="another process"):
            Journal(path)
        assert journal.read(path)  # reading needs no lock
        os.kill(writer.pid, signal.SIGKILL)
    with Journal(path) as log:
        before = len(log.events)
        assert before >= 1
        log.add(Undo(reason="after"))
    assert len(journal.read(path)) == before + 1


def test_a_full_disk_leaves_the_journal_whole(tmp_path):
    path = tmp_path / "journal"
    script = f"""
import resource, signal
from pathlib import Path
from labtasks.ground.error import InfraError
from labtasks.bisect.journal import Journal
from labtasks.bisect.progress import Undo
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))
with Journal(Path({str(path)!r})) as log:
    try:
        while True:
            log.add(Undo(reason="more" * 10))
    except InfraError as error:
        print(error)
"""
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environment())
    assert str(path) in done.stdout
    assert path.read_bytes().endswith(b"}\n")
    assert len(journal.read(path)) >= 2


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InfraError, match="cannot be written"):
        Journal(tmp_path / "file" / "journal")


# git's own format


@pytest.fixture(scope="module")
def in_git(tmp_path_factory):
    """Twelve histories in a repository, and their commits' ids."""
    rng = random.Random(11)  # noqa: S311 (which histories they are must not change)
    found = [random_case(rng) for _ in range(60)]
    cases = [case for case in found if len(case.possible()) > 5][:12]
    path = tmp_path_factory.mktemp("logs") / "repository"
    return path, list(zip(cases, imported(path, [c.history for c in cases], rng), strict=True))


def resolver(path: Path):
    """What a driver gives: names to commits, None for what is none."""
    repository = Repository(path)

    def resolve(ref: str) -> CommitId | None:
        try:
            return repository.commit(ref).id
        except UserError:
            return None

    return resolve


def bisected(path: Path, case: Case, commits: list[CommitId]) -> progress.State:
    """A bisect's events, by the search itself."""
    begin = Start(goods=tuple(commits[g] for g in case.goods), bad=commits[case.bad])
    search = start(graph(Repository(path).between(begin.bad, begin.goods)), begin.bad)
    events = [begin]
    while (choice := choose(search)) is not None:
        number = commits.index(choice.commit)
        verdict = SKIP if number in case.untestable else BAD if case.is_bad(number) else GOOD
        search = search.tell(choice.commit, verdict)
        events.append(Told(commit=choice.commit, verdict=verdict))
    return progress.state([*events, Culprit(commits=search.culprits())])


def test_git_bisect_replay_takes_what_is_written(in_git, tmp_path):
    path, histories = in_git
    for case, commits in histories:
        state = bisected(path, case, commits)
        assert state.culprit is not None
        culprits = state.culprit.commits
        text = gitlog.write(state.git_log(), {commits[case.bad]: "it's bad!"}, culprits)
        (tmp_path / "log").write_text(text)
        said = git(path, "bisect", "replay", str(tmp_path / "log"), code=None)
        while "merge base must be tested" in said:  # git wants to be told what follows
            base = re.findall(r"(?m)^\[(\w{40})\]", said)[-1]
            said = git(path, "bisect", "good", base, code=None)
        first = re.findall(r"(?m)^(\w{40}) is the first", said)
        any_of = re.findall(r"(?m)^(\w{40})$", said.partition("could be any of")[2])
        own = git(path, "bisect", "log")
        ends = re.findall(r"(?m)^# (?:possible )?first '?bad'? commit: \[(\w{40})\]", own)
        assert sorted(ends) == sorted(culprits)
        assert re.findall(r"(?m)^# (?:possible )?first bad commit: \[(\w{40})\]", text) == list(
            culprits
        )
        git(path, "bisect", "reset")
        assert sorted(first or any_of) == sorted(state.culprit.commits), said
        again = gitlog.read(own, resolver(path))
        ours = state.git_log().told
        assert again.told[: len(ours)] == ours
        assert progress.state(progress.imported(gitlog.GitLog(told=ours))).git_log().told == ours


def test_a_log_of_git_with_everything(in_git, tmp_path):
    """Terms, first parents and paths, ends given as names at the start."""
    path, histories = in_git
    case, commits = histories[0]
    bad, good = commits[case.bad], commits[case.goods[0]]
    options = ["--term-old", "it's", "--term-new=fixed", "--first-parent", "--no-checkout"]
    git(path, "tag", "-f", "newest", bad)
    git(path, "bisect", "start", *options, "newest", good, "--", "0", "a b!", code=None)
    git(path, "bisect", "skip", commits[1], code=None)
    text = git(path, "bisect", "log")
    git(path, "bisect", "reset")
    log = gitlog.read(text, resolver(path))
    assert log == gitlog.GitLog(
        told=((bad, BAD), (good, GOOD), (commits[1], SKIP)),
        terms=Terms(old="it's", new="fixed"),
        first_parent=True,
        paths=("0", "a b!"),
    )
    assert log.ends() == (bad, (good,), ((commits[1], SKIP),))
    assert progress.state(progress.imported(log)).git_log() == log
    assert gitlog.read(gitlog.write(log), resolver(path)) == log
    (tmp_path / "log").write_text(gitlog.write(log))
    git(path, "bisect", "replay", str(tmp_path / "log"), code=None)
    assert git(path, "bisect", "terms", "--term-bad") == "fixed\n"
    assert gitlog.read(git(path, "bisect", "log"), resolver(path)) == log
    git(path, "bisect", "reset")


def test_old_and_new_are_terms_of_their_own(in_git):
    path, histories = in_git
    case, commits = histories[0]
    git(path, "bisect", "start")
    git(path, "bisect", "new", commits[case.bad], code=None)
    git(path, "bisect", "old", commits[case.goods[0]], code=None)
    text = git(path, "bisect", "log")
    git(path, "bisect", "reset")
    log = gitlog.read(text, resolver(path))
    assert log.terms == Terms(old="old", new="new")
    assert [verdict for _, verdict in log.told] == [BAD, GOOD]


def test_paths_need_no_dashes():
    log = gitlog.read(
        "git bisect start 'bad' 'good' 'sys' 'bin'\n",
        {"bad": name(9), "good": name(1)}.get,
    )
    assert log.told == ((name(9), BAD), (name(1), GOOD))
    assert log.paths == ("sys", "bin")


def test_a_log_without_both_ends():
    for line, message in (("bad", "no good commit"), ("good", "no bad commit")):
        log = gitlog.read(f"git bisect start\ngit bisect {line} a\n", {"a": name(1)}.get)
        with pytest.raises(UserError, match=message):
            log.ends()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "says nothing"),
        ("git bisect start\n", "says nothing"),
        ("git bisect start 'x\n", "line 1 of the log cannot"),
        ("git bisect start --teleport\n", "line 1 of the log cannot"),
        ("git bisect start\ngit bisect good nowhere\n", "line 2 .*'nowhere', which is no"),
        ("git bisect start\ngit bisect better a\n", "'better' is no verdict"),
        ("git bisect start\ngit bisect good a\ngit bisect new a\n", "line 3"),
        ("git bisect start '--term-old=a'\ngit bisect good a\n", "'good' is no verdict"),
        ("git bisect good a b\n", "line 1"),
    ],
)
def test_logs_that_make_no_sense(text, message):
    with pytest.raises(UserError, match=message):
        gitlog.read(text, {"a": name(1)}.get)
