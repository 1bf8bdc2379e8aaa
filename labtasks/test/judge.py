"""What a test showed: the words on its own channel, the console's events and how the machine ended
become one outcome.

Silence is never good, and only the failure that a person described is bad. Pure; knows nothing of
machines, nor of what follows from an outcome, but for git's exit codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from labtasks.lab.events import BAD_VERDICT, CRASHES, STUCK, EventName, check_failure
from labtasks.test.console import Event, clean

_SHOWN = 500


class Outcome(StrEnum):
    """What is known of a commit after a test."""

    GOOD = "good"
    BAD = "bad"  # the failure that was described
    OTHER_FAILURE = "other-failure"  # another one, so nothing is known of the described
    UNTESTABLE = "untestable"  # it does not get so far
    INFRASTRUCTURE = "infrastructure"  # the machine failed, not the commit: try again
    ABORTED = "aborted"


class Word(StrEnum):
    """What a test can say."""

    READY = "ready"  # it begins
    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What came on the verdict channel with the right nonce."""

    ready: bool = False
    verdicts: tuple[tuple[Word, str], ...] = ()
    """Different words, each with the text behind it when it was first said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the machine ended. `status` is the emulator's, negative for a signal, None when it was
    not even started; `console` in bytes.
    """

    status: int | None
    seconds: float
    console: int
    stopped: bool = False  # by us, for enough was seen
    timed_out: bool = False
    flooded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The failure that counts: any of these events (`bad` is the test's own word), and if there is
    a pattern, it must be found in that event, in the test's words, or in a line of the console.
    """

    events: frozenset[str] = frozenset({BAD_VERDICT})
    pattern: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """An outcome, why, and the event that decided it, if one did.

    `mismatch`: the console said that the world does not fit the kernel, so align it first.
    """

    outcome: Outcome
    reason: str
    event: Event | None = None
    mismatch: bool = False


def described(events: Sequence[str] = (), pattern: str = "") -> Described:
    """A person's description of the failure, checked. Raises UserError."""
    check_failure(events, pattern)
    return Described(events=frozenset(events) or frozenset({BAD_VERDICT}), pattern=pattern)


def word_of(status: int) -> Word:
    """What the exit status of a test says, in git's convention."""
    return {0: Word.GOOD, 125: Word.SKIP}.get(status, Word.BAD)


def listen(data: bytes, nonce: str, *, ended: bool = False) -> Said:
    """What a verdict channel said: lines `VERDICT <nonce> ready|good|bad|skip [text]`.

    Firmware and boot loaders write there too, even in front of a verdict. An unfinished line counts
    only when the channel has ended.
    """
    line = re.compile(rf"VERDICT {re.escape(nonce)} ({'|'.join(Word)})(?:[ \t]+(.*))?$")
    lines = re.split(rb"[\r\n]", clean(data))
    words: dict[Word, str] = {}
    for found in lines if ended else lines[:-1]:
        if match := line.search(found.decode(errors="replace")):
            words.setdefault(Word(match[1]), (match[2] or "").strip()[:_SHOWN])
    return Said(
        ready=Word.READY in words,
        verdicts=tuple((word, text) for word, text in words.items() if word is not Word.READY),
    )


def judge(events: Sequence[Event], said: Said, ended: Ended, wanted: Described) -> Judged:
    """The outcome of one test. `events` are the console's, in order, from its start to its end."""
    mismatch = any(event.name is EventName.MISMATCH for event in events)
    lasting = _lasting(events)
    found = _Case(events=(*lasting, *_derived(lasting, said, ended)), said=said, ended=ended)
    rules = (found.nothing_to_judge, lambda: found.as_described(wanted), found.otherwise)
    outcome, reason, event = next(result for rule in rules if (result := rule()))
    return Judged(outcome=outcome, reason=reason[:_SHOWN], event=event, mismatch=mismatch)


def git_code(outcome: Outcome) -> int:
    """What `git bisect run` takes for an outcome: good, bad, skip, or stop."""
    return {
        Outcome.GOOD: 0,
        Outcome.BAD: 1,
        Outcome.OTHER_FAILURE: 125,
        Outcome.UNTESTABLE: 125,
        Outcome.INFRASTRUCTURE: 128,
        Outcome.ABORTED: 130,
    }[outcome]


def _lasting(events: Sequence[Event]) -> list[Event]:
    """Without failures to find a kernel or a root that were followed by finding one."""
    found = {EventName.READY, EventName.LOGIN}
    overcome = {
        EventName.MOUNTROOT: found,
        EventName.LOADER_FAILURE: found | {EventName.BANNER},
    }
    return [
        event
        for at, event in enumerate(events)
        if not overcome.get(event.name, set()) & {later.name for later in events[at + 1 :]}
    ]


def _derived(events: Sequence[Event], said: Said, ended: Ended) -> Iterable[Event]:
    """What no line tells: how the machine ended when nothing explains it."""
    names = {event.name for event in events}

    def event(name: EventName) -> Event:
        line = events[-1].line if events else ""
        return Event(name=name, line=line, seconds=ended.seconds)

    if ended.flooded:
        yield event(EventName.FLOOD)
    if said.verdicts or names & {*CRASHES, *STUCK}:
        return
    if ended.timed_out and EventName.SILENCE not in names:
        yield event(EventName.SILENCE)
    by_itself = not (ended.stopped or ended.timed_out or ended.flooded)
    if by_itself and EventName.BANNER in names and EventName.SHUTDOWN not in names:
        yield event(EventName.SILENT_REBOOT)  # an emulator that does not reboot ends


_Result = tuple[Outcome, str, Event | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """All that is known of one test."""

    events: tuple[Event, ...]
    said: Said
    ended: Ended

    def nothing_to_judge(self) -> _Result | None:
        """The run itself went wrong, or there are two verdicts."""
        ours = self.ended.stopped or self.ended.timed_out or self.ended.flooded
        if self.ended.status is None:
            return Outcome.INFRASTRUCTURE, "the machine was not started", None
        if not ours and self.ended.status:
            begun = self.ended.console or self.said.verdicts or self.ended.status < 0
            how = "the machine was ended from outside" if begun else "the emulator did not begin"
            return Outcome.INFRASTRUCTURE, f"{how}: exit status {self.ended.status}", None
        if not self.ended.console and not self.said.verdicts:
            return Outcome.INFRASTRUCTURE, "not a byte came on the console", None
        if len(self.said.verdicts) > 1:
            words = " and ".join(word for word, _ in self.said.verdicts)
            return Outcome.OTHER_FAILURE, f"the test said {words}", None
        return None

    def as_described(self, wanted: Described) -> _Result | None:
        """The described failure, wherever it happened."""
        verdict = next(iter(self.said.verdicts), None)
        search = re.compile(wanted.pattern).search
        anywhere = any(event.name is EventName.TEXT for event in self.events)
        if verdict and search(verdict[1]):
            anywhere = True
        for event in self.events:
            texts = (event.line, event.message, *event.backtrace)
            if event.name not in wanted.events or self._resting(event):
                continue
            if anywhere or any(search(text) for text in texts):
                return Outcome.BAD, _shown(event), event
        if verdict and verdict[0] is Word.BAD and BAD_VERDICT in wanted.events:
            if anywhere:
                return Outcome.BAD, f"bad: {verdict[1]}".rstrip(": "), None
            why = f"the test says bad, not as described: {verdict[1]}"
            return Outcome.OTHER_FAILURE, why, None
        return None

    def otherwise(self) -> _Result:
        """No described failure: what it was instead, if not good."""
        for at, event in enumerate(self.events):
            if event.name in CRASHES or event.name is EventName.FLOOD:
                began = event.name is EventName.FLOOD or self._began(at)
                outcome = Outcome.OTHER_FAILURE if began else Outcome.UNTESTABLE
                return outcome, _shown(event), event
        if self.said.verdicts:
            word, text = self.said.verdicts[0]
            outcome = {
                Word.GOOD: Outcome.GOOD,
                Word.SKIP: Outcome.UNTESTABLE,
            }.get(word, Outcome.OTHER_FAILURE)
            return outcome, f"{word}: {text}".rstrip(": "), None
        return self._no_verdict()

    def _no_verdict(self) -> _Result:
        began = Outcome.OTHER_FAILURE if self._began(len(self.events)) else Outcome.UNTESTABLE
        for event in self.events:
            stuck = event.name in STUCK and not self.said.ready
            if stuck or event.name is EventName.MISMATCH:
                return Outcome.UNTESTABLE, _shown(event), event
            if event.name in STUCK or event.name is EventName.SILENCE:
                return began, _shown(event), event
        return began, "it ended without a verdict", None

    def _began(self, at: int) -> bool:
        """Whether the test could begin before an event: root and init were there, or it said so."""
        if self.said.ready or self.said.verdicts:
            return True
        names = [event.name for event in self.events[:at]]
        ready = {EventName.READY, EventName.LOGIN} & set(names)
        return bool(ready) and not {EventName.MOUNTROOT, EventName.LOADER_FAILURE} & set(names)

    def _resting(self, event: Event) -> bool:
        """Whether this silence has a reason: a verdict, or something else that stopped it."""
        names = {found.name for found in self.events}
        stopped = self.said.verdicts or names & {*CRASHES, *STUCK}
        return event.name is EventName.SILENCE and bool(stopped)


def _shown(event: Event) -> str:
    """An event in a few words."""
    text = event.message or event.line
    where = f" on cpu {event.cpu}" if event.cpu is not None else ""
    after = "after: " if event.name in (EventName.SILENCE, EventName.FLOOD) and text else ""
    return f"{event.name}: {after}{text}".rstrip(": ") + where
