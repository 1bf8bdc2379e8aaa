"""The truth table of outcomes, and what a verdict channel says."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtasks.ground.error import UserError
from labtasks.lab import recipe
from labtasks.lab.events import EventName
from labtasks.test import judge
from labtasks.test.console import Console, Event
from labtasks.test.judge import Described, Ended, Judged, Outcome, Said, Word, described, listen

DATA = Path(__file__).parent / "data" / "console"
NONCE = "9f31"
FINE = Ended(status=0, seconds=9.0, console=5000)
STOPPED = dataclasses.replace(FINE, stopped=True)
TIMED_OUT = dataclasses.replace(FINE, timed_out=True)
FLOODED = dataclasses.replace(FINE, flooded=True)
BEGINS = ("banner", "ready")

NOTHING = Said()
READY = Said(ready=True)
GOOD, BAD, SKIP = (Said(verdicts=((word, "3 hits"),)) for word in (Word.GOOD, Word.BAD, Word.SKIP))


def events(*names: str) -> list[Event]:
    return [
        Event(name=EventName(name), line=f"the {name}", seconds=float(at))
        for at, name in enumerate(names)
    ]


def verdict(
    names: Sequence[str], said: Said, ended: Ended = FINE, wanted: Described | None = None
) -> Judged:
    return judge.judge(events(*names), said, ended, wanted or described())


OFF = (*BEGINS, "shutdown")
TABLE = [
    # The test's word.
    (OFF, GOOD, FINE, "good", None),
    (OFF, BAD, FINE, "bad", None),
    (OFF, SKIP, FINE, "untestable", None),
    (OFF, NOTHING, FINE, "other-failure", None),
    (BEGINS, GOOD, STOPPED, "good", None),
    (BEGINS, GOOD, TIMED_OUT, "good", None),
    ((*BEGINS, "silence"), GOOD, STOPPED, "good", None),
    ((), GOOD, FINE, "good", None),
    (OFF, Said(verdicts=(*GOOD.verdicts, *BAD.verdicts)), FINE, "other-failure", None),
    # A crash makes good impossible, and what is not described is not bad.
    *(
        ((*BEGINS, crash), said, STOPPED, "other-failure", crash)
        for crash in ("panic", "trap", "debugger", "silent-reboot")
        for said in (GOOD, SKIP, READY, NOTHING)
    ),
    ((*BEGINS, "panic"), BAD, STOPPED, "bad", None),
    ((*BEGINS, "trap", "panic", "debugger"), NOTHING, TIMED_OUT, "other-failure", "trap"),
    (("banner", "panic"), NOTHING, FINE, "untestable", "panic"),
    (("banner", "panic", "banner", "ready", "shutdown"), NOTHING, FINE, "untestable", "panic"),
    (("loader", "banner", "trap", "panic"), NOTHING, FINE, "untestable", "trap"),
    (("banner", "panic"), READY, FINE, "other-failure", "panic"),
    (("banner", "login", "panic"), NOTHING, FINE, "other-failure", "panic"),
    # It does not get so far.
    (("banner", "ready", "mountroot"), NOTHING, TIMED_OUT, "untestable", "mountroot"),
    (("banner", "ready", "mountroot", "panic"), NOTHING, FINE, "untestable", "panic"),
    (("loader", "loader-failure"), NOTHING, TIMED_OUT, "untestable", "loader-failure"),
    ((*BEGINS, "single-user"), NOTHING, TIMED_OUT, "untestable", "single-user"),
    ((*BEGINS, "single-user"), READY, TIMED_OUT, "other-failure", "single-user"),
    (("loader",), NOTHING, TIMED_OUT, "untestable", "silence"),
    (("banner",), NOTHING, TIMED_OUT, "untestable", "silence"),
    (("banner",), NOTHING, STOPPED, "untestable", None),
    (("banner", "shutdown"), NOTHING, FINE, "untestable", None),
    # The first root or loader did not do, another one did.
    (("banner", "mountroot", "ready", "shutdown"), GOOD, FINE, "good", None),
    (("banner", "mountroot", "ready"), NOTHING, TIMED_OUT, "other-failure", "silence"),
    (("loader-failure", "loader", *BEGINS), NOTHING, TIMED_OUT, "other-failure", "silence"),
    # Silence, a reboot that nothing announces, too much.
    (BEGINS, NOTHING, TIMED_OUT, "other-failure", "silence"),
    (BEGINS, NOTHING, FINE, "other-failure", "silent-reboot"),
    (("banner",), NOTHING, FINE, "untestable", "silent-reboot"),
    ((*BEGINS, "panic"), NOTHING, FINE, "other-failure", "panic"),
    (BEGINS, NOTHING, FLOODED, "other-failure", "flood"),
    (BEGINS, GOOD, FLOODED, "other-failure", "flood"),
    (BEGINS, BAD, FLOODED, "bad", None),
    # Another kernel's world.
    ((*BEGINS, "mismatch", "shutdown"), NOTHING, FINE, "untestable", "mismatch"),
    ((*BEGINS, "mismatch", "shutdown"), BAD, FINE, "bad", None),
    # The run itself.
    ((), NOTHING, dataclasses.replace(FINE, status=None, console=0), "infrastructure", None),
    ((), NOTHING, dataclasses.replace(FINE, status=1, console=0), "infrastructure", None),
    ((), NOTHING, dataclasses.replace(TIMED_OUT, console=0), "infrastructure", None),
    (BEGINS, GOOD, dataclasses.replace(FINE, status=-9), "infrastructure", None),
    (BEGINS, NOTHING, dataclasses.replace(FINE, status=-11), "infrastructure", None),
    (BEGINS, NOTHING, dataclasses.replace(TIMED_OUT, status=-9), "other-failure", "silence"),
]


@pytest.mark.parametrize(("names", "said", "ended", "outcome", "event"), TABLE)
def test_truth_table(
    names: Sequence[str], said: Said, ended: Ended, outcome: str, event: str | None
) -> None:
    judged = verdict(names, said, ended)
    decisive = judged.event.name.value if judged.event else None
    assert (judged.outcome.value, decisive) == (outcome, event), judged.reason
    assert judged.mismatch == ("mismatch" in names)
    assert judged.reason


# Names of events, a pattern; what came; whether that is what was described.
DESCRIPTIONS = [
    (["panic"], "", (*BEGINS, "panic"), NOTHING, STOPPED, "bad"),
    (["panic"], "", ("banner", "panic"), NOTHING, STOPPED, "bad"),
    (["panic"], "", (*BEGINS, "panic"), GOOD, STOPPED, "bad"),
    (["panic"], "the panic", (*BEGINS, "panic"), NOTHING, STOPPED, "bad"),
    (["panic"], "page fault", (*BEGINS, "panic"), NOTHING, STOPPED, "other-failure"),
    (["panic"], "page fault", (*BEGINS, "text", "panic"), NOTHING, STOPPED, "bad"),
    (["panic"], "", OFF, BAD, FINE, "other-failure"),
    (["panic"], "", OFF, GOOD, FINE, "good"),
    (["panic", "bad"], "", OFF, BAD, FINE, "bad"),
    (["panic"], "", BEGINS, NOTHING, TIMED_OUT, "other-failure"),
    (["panic"], "", (*BEGINS, "trap"), NOTHING, STOPPED, "other-failure"),
    (["debugger"], "", (*BEGINS, "panic", "debugger"), NOTHING, STOPPED, "bad"),
    (["silence"], "", BEGINS, NOTHING, TIMED_OUT, "bad"),
    (["silence"], "", (*BEGINS, "silence"), NOTHING, STOPPED, "bad"),
    (["silence"], "", (*BEGINS, "silence"), GOOD, STOPPED, "good"),
    (["silence"], "", (*BEGINS, "panic", "silence"), NOTHING, STOPPED, "other-failure"),
    (["silence"], "", (*BEGINS, "debugger"), NOTHING, TIMED_OUT, "other-failure"),
    (["silence"], "", ("banner", "mountroot"), NOTHING, TIMED_OUT, "untestable"),
    (["silence"], "", (), NOTHING, dataclasses.replace(TIMED_OUT, console=0), "infrastructure"),
    (["silent-reboot"], "", BEGINS, NOTHING, FINE, "bad"),
    (["silent-reboot"], "", (*BEGINS, "silent-reboot"), NOTHING, STOPPED, "bad"),
    (["silent-reboot"], "", OFF, NOTHING, FINE, "other-failure"),
    (["flood"], "", BEGINS, NOTHING, FLOODED, "bad"),
    (["flood"], "", OFF, GOOD, FINE, "good"),
    (["mountroot"], "", ("banner", "mountroot"), NOTHING, TIMED_OUT, "bad"),
    (["text"], "lock order", (*BEGINS, "text"), GOOD, STOPPED, "bad"),
    (["text"], "lock order", OFF, GOOD, FINE, "good"),
    ([], "[3-9] hits", OFF, BAD, FINE, "bad"),
    ([], "[4-9] hits", OFF, BAD, FINE, "other-failure"),
    ([], "[4-9] hits", (*BEGINS, "text"), BAD, FINE, "bad"),
    ([], "[4-9] hits", OFF, GOOD, FINE, "good"),
]


@pytest.mark.parametrize(("which", "pattern", "names", "said", "ended", "outcome"), DESCRIPTIONS)
def test_only_the_described_failure_is_bad(
    which: Sequence[str], pattern: str, names: Sequence[str], said: Said, ended: Ended, outcome: str
) -> None:
    judged = verdict(names, said, ended, described(which, pattern))
    assert judged.outcome.value == outcome, judged.reason


@given(
    names=st.lists(st.sampled_from([name.value for name in EventName]), max_size=8),
    said=st.sampled_from([NOTHING, READY, GOOD, BAD, SKIP]),
    ended=st.builds(
        Ended,
        status=st.sampled_from([0, 1, -9, None]),
        seconds=st.just(1.0),
        console=st.sampled_from([0, 100]),
        stopped=st.booleans(),
        timed_out=st.booleans(),
        flooded=st.booleans(),
    ),
    which=st.lists(st.sampled_from(["bad", "panic", "silence", "flood"])),
)
def test_good_and_bad_are_never_guessed(
    names: list[str], said: Said, ended: Ended, which: list[str]
) -> None:
    outcome = verdict(names, said, ended, described(which)).outcome
    if outcome is Outcome.GOOD:
        assert said is GOOD
        assert not {"panic", "trap", "debugger", "silent-reboot"} & set(names)
        assert not ended.flooded
    if outcome is Outcome.BAD:
        came = {*names, *(["bad"] if said is BAD else [])}
        came |= {"flood"} if ended.flooded else set()
        came |= {"silence"} if ended.timed_out else set()
        assert came & set(which or ["bad"])


def transcript(name: str, said: Said, ended: Ended, *which: str) -> Judged:
    data = (DATA / f"{name}.log").read_bytes()
    rules = recipe.load(recipe.SHIPPED / f"{name.partition('-')[0]}.toml").console
    reader = Console(rules)
    found = [*reader.feed(data, 1.0), *reader.end(1.0)]
    ended = dataclasses.replace(ended, console=len(data))
    return judge.judge(found, said, ended, described(which))


@pytest.mark.parametrize(
    ("name", "said", "ended", "outcome", "event"),
    [
        ("freebsd-good-full-rc", GOOD, FINE, "good", None),
        ("freebsd-good-generic", GOOD, FINE, "good", None),
        ("freebsd-good-init-script", GOOD, FINE, "good", None),
        ("freebsd-good-modules", BAD, FINE, "bad", None),
        ("freebsd-login", GOOD, STOPPED, "good", None),
        ("freebsd-login", NOTHING, TIMED_OUT, "other-failure", "silence"),
        ("freebsd-hang", NOTHING, TIMED_OUT, "other-failure", "silence"),
        ("freebsd-panic", NOTHING, FINE, "other-failure", "panic"),
        ("freebsd-fatal-trap", NOTHING, FINE, "other-failure", "trap"),
        ("freebsd-panic-ddb-prompt", NOTHING, TIMED_OUT, "other-failure", "panic"),
        ("freebsd-mountroot", NOTHING, TIMED_OUT, "untestable", "mountroot"),
        ("freebsd-single-user", NOTHING, TIMED_OUT, "untestable", "single-user"),
        ("freebsd-loader-no-root", NOTHING, TIMED_OUT, "untestable", "loader-failure"),
        ("linux-good", GOOD, STOPPED, "good", None),
        ("linux-reset", NOTHING, FINE, "other-failure", None),
        ("linux-exit", NOTHING, FINE, "other-failure", "panic"),
        ("linux-panic", NOTHING, FINE, "other-failure", "panic"),
        ("linux-trap", NOTHING, FINE, "other-failure", "trap"),
        ("linux-hang", NOTHING, TIMED_OUT, "other-failure", "silence"),
        ("linux-mountroot", NOTHING, FINE, "untestable", "mountroot"),
        ("demo-good", GOOD, FINE, "good", None),
        ("demo-bad", BAD, FINE, "bad", None),
        ("demo-mismatch", NOTHING, FINE, "untestable", "mismatch"),
        ("demo-panic", NOTHING, FINE, "other-failure", "panic"),
        ("demo-trap", NOTHING, FINE, "other-failure", "trap"),
        ("demo-hang", NOTHING, TIMED_OUT, "other-failure", "silence"),
        ("demo-reset", NOTHING, FINE, "other-failure", "silent-reboot"),
        ("demo-reboots", NOTHING, TIMED_OUT, "other-failure", "silent-reboot"),
        ("demo-mountroot", NOTHING, TIMED_OUT, "untestable", "mountroot"),
    ],
)
def test_transcripts(name: str, said: Said, ended: Ended, outcome: str, event: str | None) -> None:
    judged = transcript(name, said, ended)
    assert (judged.outcome, judged.event.name if judged.event else None) == (outcome, event)
    assert judged.mismatch == (name == "demo-mismatch")
    if event and outcome == "other-failure":
        assert transcript(name, said, ended, event).outcome is Outcome.BAD


def test_reasons_say_what_happened() -> None:
    assert transcript("freebsd-panic", NOTHING, FINE).reason == "panic: kdb_sysctl_panic on cpu 0"
    assert (
        transcript("freebsd-mountroot", NOTHING, TIMED_OUT).reason
        == "mountroot: ufs:/dev/nosuchdisk failed with error 19"
    )
    assert verdict(OFF, GOOD).reason == "good: 3 hits"
    assert verdict(BEGINS, NOTHING, TIMED_OUT).reason == "silence: after: the ready"


def test_channel() -> None:
    said = listen(b"\x1b[2J\x1b[01;01HShell> VERDICT 9f31 good all passed\r\n", NONCE)
    assert said == Said(verdicts=((Word.GOOD, "all passed"),))
    assert listen(b"VERDICT 9f31 ready\nVERDICT 9f31 bad\n", NONCE) == Said(
        ready=True, verdicts=((Word.BAD, ""),)
    )
    assert listen(b"VERDICT 9f31 good\nVERDICT 9f31 good again\n", NONCE).verdicts == (
        (Word.GOOD, ""),
    )
    two = listen(b"VERDICT 9f31 good\nVERDICT 9f31 bad 3 hits\n", NONCE).verdicts
    assert two == ((Word.GOOD, ""), (Word.BAD, "3 hits"))


@pytest.mark.parametrize(
    "line",
    [
        b"VERDICT 9f32 good\n",
        b"VERDICT good\n",
        b"VERDICT 9f31 goodness\n",
        b"VERDICT 9f31 fine\n",
        b"VERDICT 9f31good\n",
        b"verdict 9f31 good\n",
        b"VERDICT 9f31 good",
        b"\xff\xfe\n",
        b"",
    ],
)
def test_what_counts_for_nothing(line: bytes) -> None:
    assert listen(line, NONCE) == Said()


def test_an_unfinished_verdict_counts_at_the_end() -> None:
    assert listen(b"VERDICT 9f31 bad 3 hi", NONCE) == Said()
    assert listen(b"VERDICT 9f31 bad 3 hi", NONCE, ended=True).verdicts == ((Word.BAD, "3 hi"),)
    assert listen(b"VERDICT 9f31 goo", NONCE, ended=True) == Said()


def test_a_nonce_is_no_pattern() -> None:
    assert listen(b"VERDICT abc good\n", "a.c") == Said()
    assert listen(b"VERDICT a.c good\n", "a.c").verdicts


def test_descriptions_are_checked() -> None:
    assert described() == Described(events=frozenset({"bad"}))
    with pytest.raises(UserError, match="did you mean 'panic'"):
        described(["panik"])
    with pytest.raises(UserError, match="no failure is called 'ready'"):
        described(["ready"])
    with pytest.raises(UserError, match="Python regex"):
        described(["panic"], "(")
    with pytest.raises(UserError, match="no pattern is given"):
        described(["text"])


def test_git_codes() -> None:
    codes = {outcome: judge.git_code(outcome) for outcome in Outcome}
    assert [codes[o] for o in (Outcome.GOOD, Outcome.BAD)] == [0, 1]
    assert codes[Outcome.OTHER_FAILURE] == codes[Outcome.UNTESTABLE] == 125
    assert all(codes[o] >= 128 for o in (Outcome.INFRASTRUCTURE, Outcome.ABORTED))
    # git takes no two of them for the same but the ones it is to skip.
    pairs = itertools.combinations(Outcome, 2)
    same = [pair for pair in pairs if codes[pair[0]] == codes[pair[1]]]
    assert same == [(Outcome.OTHER_FAILURE, Outcome.UNTESTABLE)]
