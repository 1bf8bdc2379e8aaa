"""The search for the commit that changed a verdict, by git's rules.

A Search is a value: `tell` returns another one. The rules are those of git bisect: a good commit
clears its ancestors, a bad one leaves only its own, a skipped one stays in question, and the
search ends when nothing but the bad commit and skipped ones is left. Knows nothing of which commit
is tested next, how it is built and tested, and asks git nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass, field, replace

from labtasks.bisect import graph as commits
from labtasks.bisect.graph import Graph
from labtasks.ground.error import UserError
from labtasks.ground.words import short
from labtasks.key.git import CommitId

_TAKEN = frozenset(
    {"help", "log", "next", "replay", "reset", "run", "skip", "start", "terms", "view", "visualize"}
)
"""Words that mean something else to git bisect."""

_UNDO = "test it again; `doit bisect --undo` takes the last verdict back"


class Verdict(enum.StrEnum):
    """What a test said of a commit: as before, changed, or nothing."""

    GOOD = "good"
    BAD = "bad"
    SKIP = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the two states are called. `fixed`: the search is for what mended a failure, so that
    a test which passes means the new state.
    """

    old: str = "good"
    new: str = "bad"
    fixed: bool = False

    def __post_init__(self) -> None:
        if self.old == self.new or {self.old, self.new} & _TAKEN:
            raise UserError(
                f"{self.old!r} and {self.new!r} do not serve as terms",
                hint=f"two different words, none of {', '.join(sorted(_TAKEN))}",
            )

    @property
    def named(self) -> str:
        """What the commit that is looked for is to the new state."""
        return "fixed by" if self.fixed else "culprit"

    def word(self, verdict: Verdict) -> str:
        """The person's word for a verdict."""
        return {Verdict.GOOD: self.old, Verdict.BAD: self.new, Verdict.SKIP: "skip"}[verdict]

    def verdict(self, word: str) -> Verdict:
        """The verdict a word stands for. Raises UserError when it is none of the three."""
        known = {self.word(verdict): verdict for verdict in Verdict}
        if word not in known:
            raise UserError(f"{word!r} is no verdict", hint=f"one of {', '.join(known)}")
        return known[word]

    def judge(self, *, passed: bool) -> Verdict:
        """What a test that passed, or failed as described, says of its commit."""
        return Verdict.BAD if passed == self.fixed else Verdict.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A commit in question. `weight` is how many its verdict decides at the least: `dist` in `git
    rev-list --bisect-all`.
    """

    commit: CommitId
    weight: int
    skipped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How far a search has come. Commits are named by the roots of their classes.

    `open` may be the culprit, parents first, `bad` last; `cleared` are good or ancestors of good;
    `bads` have all been told bad.
    """

    graph: Graph
    bad: CommitId
    open: tuple[CommitId, ...]
    cleared: frozenset[CommitId] = frozenset()
    bads: frozenset[CommitId] = frozenset()
    skipped: frozenset[CommitId] = frozenset()
    terms: Terms = field(default_factory=Terms)

    @property
    def remaining(self) -> int:
        """How many commits may still be the culprit."""
        return len(self.open)

    @property
    def testable(self) -> tuple[CommitId, ...]:
        """Those in question that can still be tested: not skipped, not known to be bad."""
        return tuple(c for c in self.open if c not in self.skipped and c != self.bad)

    @property
    def done(self) -> bool:
        """Whether no test can tell more."""
        return not self.testable

    def culprits(self) -> tuple[CommitId, ...]:
        """The first bad commit; when skips leave more in question, all it could be, the known bad
        one last. Empty before the end.
        """
        return self.open if self.done else ()

    @property
    def expected_steps(self) -> float:
        """How many tests are to come on average, if each splits what is left in halves."""
        return expected(len(self.testable) + 1)

    def candidates(self) -> tuple[Candidate, ...]:
        """All in question, the best split first, as `git rev-list --bisect-all` orders them."""
        total = self.remaining
        found = [
            Candidate(
                commit=commit,
                weight=min(reaches, total - reaches),
                skipped=commit in self.skipped,
            )
            for commit, reaches in commits.reach(self.graph.parents, self.open).items()
        ]
        return tuple(sorted(found, key=lambda c: (-c.weight, c.commit)))

    def tell(self, commit: CommitId, verdict: Verdict) -> Search:
        """The search after a verdict on a commit of the graph. Raises UserError when it contradicts
        an earlier one.
        """
        root = self.graph.place[commit]
        if verdict is Verdict.SKIP:
            return replace(self, skipped=self.skipped | {root}) if root else self
        if verdict is Verdict.GOOD:
            return self._good(commit, {root} if root else set())
        if root is None or root in self.cleared:
            good, bad = self.terms.old, self.terms.new
            why = "nothing that matters changed since" if root is None else "it is an ancestor of"
            raise UserError(f"{short(commit)} is {bad}, but {why} a {good} commit", hint=_UNDO)
        below = self.graph.closure({root})
        told = replace(self, bads=self.bads | {root}, skipped=self.skipped - {root})
        if self.bad in below:  # nothing new: an older one is known
            return told
        return _narrow(told, root, below)

    def _good(self, commit: CommitId, roots: set[CommitId]) -> Search:
        below = self.graph.closure(roots)
        wrong = sorted(below & self.bads)
        if wrong:
            good, bad = self.terms.old, self.terms.new
            why = f"{short(wrong[0])}, which it is built on or equal to, is {bad}"
            raise UserError(f"{short(commit)} is {good}, but {why}", hint=_UNDO)
        told = replace(self, cleared=self.cleared | below, skipped=self.skipped - roots)
        return _narrow(told, self.bad, set(self.open))


def expected(count: int) -> float:
    """How many tests tell one of so many commits, on average, if each splits them in halves."""
    whole = max(1, count).bit_length() - 1
    return whole + 2 * (count - (1 << whole)) / count if count else 0.0


def _narrow(search: Search, bad: CommitId, below: Collection[CommitId]) -> Search:
    """With only what lies below the bad commit, and is not cleared, in question."""
    order = (c for c in search.graph.parents if c in below and c not in search.cleared)
    return replace(search, bad=bad, open=tuple(order))


def start(graph: Graph, bad: CommitId, terms: Terms | None = None) -> Search:
    """A search for the first bad commit among those of `graph`, all of which `bad` descends from.

    A `bad` that is no commit of the graph (it does not touch the paths in question) stands for
    the newest one there. Raises UserError when nothing between good and bad can have changed the
    verdict.
    """
    terms = terms or Terms()
    root = graph.place[bad] if bad in graph.place else _newest(graph)
    if root is None:
        why = "only commits that cannot matter" if bad in graph.place else "nothing"
        raise UserError(
            f"{why} between {terms.old} and {terms.new} ({short(bad)})",
            hint=f"are {terms.old} and {terms.new} the right way round, and tested alike?",
        )
    search = Search(graph=graph, bad=root, open=(), bads=frozenset({root}), terms=terms)
    return _narrow(search, root, graph.closure({root}))


def _newest(graph: Graph) -> CommitId | None:
    """The root that comes last, where git's answer has one newest commit."""
    return next(reversed(tuple(graph.parents)), None)
