"""What happened in a bisect, event by event, and what it comes to.

Verdicts stand until they are taken back, which is an event too. Knows nothing of where events are
kept, nor of how verdicts come about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from labtasks.bisect import search
from labtasks.bisect.gitlog import GitLog
from labtasks.bisect.graph import Graph
from labtasks.bisect.search import Search, Terms, Verdict
from labtasks.ground.digest import Digest
from labtasks.ground.error import UserError
from labtasks.key.git import CommitId, Repository

Role = Literal["culprit", "parent", "revert"]
"""Why a commit is in a proof."""


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Anything that happened. `time` in seconds since 1970, set when it is written."""

    time: float = 0.0


class Start(Event, frozen=True, kw_only=True, tag="start"):
    """What is looked for, and how. `test` and `options` are the driver's own words."""

    goods: tuple[CommitId, ...]
    bad: CommitId
    vm: str = ""
    test: str = ""
    old: str = "good"
    new: str = "bad"
    fixed: bool = False
    first_parent: bool = False
    paths: tuple[str, ...] = ()
    options: dict[str, str] = msgspec.field(default_factory=dict)

    def between(
        self, repository: Repository, goods: Sequence[CommitId] = ()
    ) -> dict[CommitId, tuple[CommitId, ...]]:
        """The commits in question at first, newest first, with their parents; `goods` are others
        than the good ends.
        """
        return repository.between(
            self.bad, goods or self.goods, first_parent=self.first_parent, paths=self.paths
        )

    @property
    def terms(self) -> Terms:
        """What the two states are called."""
        return Terms(old=self.old, new=self.new, fixed=self.fixed)


class Told(Event, frozen=True, kw_only=True, tag="verdict"):
    """What was found of a commit, skips included.

    `outcome` is the test's own word and `reason` its line for a person; `digest` is that of what
    was tested; `how` says where the verdict is from (tested, inherited, by hand, imported);
    `fails` and `passes` count the runs of a repeated test; `facts` are the driver's own words.
    """

    commit: CommitId
    verdict: Verdict
    outcome: str = ""
    reason: str = ""
    digest: Digest = Digest("")
    seconds: float = 0.0
    how: str = "tested"
    fails: int = 0
    passes: int = 0
    facts: dict[str, str] = msgspec.field(default_factory=dict)


class Undo(Event, frozen=True, kw_only=True, tag="undo"):
    """The last verdict is taken back, or the last one on `commit`, and what was concluded since."""

    commit: CommitId | None = None
    reason: str = ""


class Culprit(Event, frozen=True, kw_only=True, tag="culprit"):
    """The search's end: one commit, or all it could be. `probability` that it is right."""

    commits: tuple[CommitId, ...]
    probability: float = 1.0


class Proof(Event, frozen=True, kw_only=True, tag="proof"):
    """A commit built clean and tested again: whether that agrees with the search. `role` is
    culprit, parent, or revert (of the culprit, on the bad end).
    """

    commit: CommitId
    role: Role = "culprit"
    verdict: Verdict
    agrees: bool
    reason: str = ""
    digest: Digest = Digest("")
    seconds: float = 0.0


class Folded(Event, frozen=True, kw_only=True, tag="folded"):
    """Commits that need no test, as their verdict is that of their parents, and why that is so."""

    commits: tuple[CommitId, ...]
    reason: str = ""


class End(Event, frozen=True, kw_only=True, tag="end"):
    """The bisect is over: nothing is to go on."""

    reason: str = ""


AnyEvent = Start | Told | Undo | Culprit | Proof | Folded | End


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a journal comes to: the verdicts that stand, in order, and what was concluded."""

    start: Start | None = None
    told: tuple[Told, ...] = ()
    culprit: Culprit | None = None
    proofs: tuple[Proof, ...] = ()
    folded: Folded | None = None
    end: End | None = None

    def begun(self) -> Start:
        """The start. Raises UserError when there was none."""
        if self.start is None:
            raise UserError("no bisect has begun", hint="`doit bisect --good REF --bad REF`")
        return self.start

    @property
    def refused(self) -> Told | None:
        """An end of which a test found something else than was said of it: no search goes on."""
        if self.start is None:
            return None
        said = {self.start.bad: Verdict.BAD, **dict.fromkeys(self.start.goods, Verdict.GOOD)}
        return next((t for t in self.told if t.verdict is not said.get(t.commit, t.verdict)), None)

    def search(self, graph: Graph) -> Search:
        """The search at this point, among what git has between the ends of `start`. Whoever made
        `graph` left out what good commits outside of it clear. Raises UserError when the verdicts
        contradict one another, or there was no start.
        """
        begin = self.begun()
        found = search.start(graph, begin.bad, begin.terms)
        for told in self.told:
            if told.commit in graph.place:
                found = found.tell(told.commit, told.verdict)
        return found

    def git_log(self) -> GitLog:
        """The same as git would have it. Raises UserError when there was no start."""
        begin = self.begun()
        ends = [(begin.bad, Verdict.BAD), *((good, Verdict.GOOD) for good in begin.goods)]
        found = ((told.commit, told.verdict) for told in self.told)
        return GitLog(
            told=(*ends, *(told for told in found if told not in ends)),
            terms=begin.terms,
            first_parent=begin.first_parent,
            paths=begin.paths,
        )


def latest(events: Sequence[AnyEvent]) -> Sequence[AnyEvent]:
    """The events of the last bisect, its start first; none without one."""
    starts = [number for number, event in enumerate(events) if isinstance(event, Start)]
    return events[starts[-1] :] if starts else ()


def imported(
    log: GitLog,
    *,
    vm: str = "",
    test: str = "",
    fixed: bool = False,
    options: Mapping[str, str] | None = None,
) -> list[AnyEvent]:
    """The events that a bisect with git would have left here; what git does not know is said
    besides. Raises UserError when its log has not both ends.
    """
    bad, goods, rest = log.ends()
    begin = Start(
        goods=goods,
        bad=bad,
        vm=vm,
        test=test,
        old=log.terms.old,
        new=log.terms.new,
        fixed=fixed,
        first_parent=log.first_parent,
        paths=log.paths,
        options=dict(options or {}),
    )
    return [begin, *(Told(commit=c, verdict=v, how="imported") for c, v in rest)]


def state(events: Sequence[AnyEvent]) -> State:
    """What some events come to. A second start begins anew; of several verdicts on one commit
    the last one stands; a verdict after the culprit was named opens the search again.
    """
    now, told = State(), list[Told]()
    for event in events:
        match event:
            case Start():
                now, told = State(start=event), []
            case Told():
                told.append(event)
                now = replace(now, culprit=None, end=None)
            case Undo():
                _take_back(told, event.commit)
                now = replace(now, culprit=None, proofs=(), end=None)
            case Culprit():
                now = replace(now, culprit=event)
            case Proof():
                now = replace(now, proofs=(*now.proofs, event))
            case Folded():
                now = replace(now, folded=event)
            case End():
                now = replace(now, end=event)
    last = {event.commit: event for event in told}
    return replace(now, told=tuple(event for event in told if last[event.commit] is event))


def _take_back(told: list[Told], commit: CommitId | None) -> None:
    for index in reversed(range(len(told))):
        if commit in {None, told[index].commit}:
            del told[index]
            return
