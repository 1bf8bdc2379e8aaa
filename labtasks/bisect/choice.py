"""Which commit a search tests next: the one that tells most per second of waiting.

Information is what a verdict is expected to tell (binary entropy of the split); seconds come from
whoever knows what is built already. Knows the search, and nothing of how a cost comes about.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from labtasks.bisect import graph as commits
from labtasks.bisect.search import Search, Verdict
from labtasks.ground.words import duration
from labtasks.key.git import CommitId

SHARE = 0.25
"""A commit may be chosen only when its smaller side is at least this part of the best split's."""

PRICED = 256
"""Classes of commits that are priced at most: a price takes milliseconds, and a year of a large
system has thousands of commits that split well enough.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The next commit to test: `commit`, of the class named `root`, and why it was chosen.

    `bits` is what its verdict tells, `odds` the probability that it is bad, `seconds` the expected
    cost, `testable` the probability that it can be tested at all. `instead` is what would tell
    more, and was passed over for what it costs.
    """

    commit: CommitId
    root: CommitId
    bits: float
    odds: float
    seconds: float = 1.0
    testable: float = 1.0
    instead: Choice | None = None

    @property
    def smaller(self) -> float:
        """The part of what is in question that is decided at the least."""
        return min(self.odds, 1 - self.odds)

    @property
    def rate(self) -> float:
        """Expected bits per second."""
        return self.bits * self.testable / self.seconds if self.seconds else math.inf

    def told(self) -> str:
        """What it tells and costs, for a person."""
        return f"{self.bits:.2f} bits in {duration(self.seconds)}, {self.rate:.2g} bits/s"


def choose(
    search: Search,
    cost: Callable[[CommitId], float] = lambda _commit: 1.0,
    sound: Collection[CommitId] = (),
) -> Choice | None:
    """The next commit to test; None when the search is done.

    Most expected information per expected second, among those whose split is near enough to the
    best. `cost` gives seconds to a commit's verdict, 0 when it is known already; it is asked once
    for each commit that is eligible, or, where these are many, for the best and some of the rest.
    `sound` commits can be tested, whatever lies beside them.
    """
    near = commits.distances(search.graph.parents, search.open, search.skipped)
    near = {commit: steps for commit, steps in near.items() if commit not in sound}
    priced = [
        replace(choice, commit=commit, seconds=seconds)
        for choice in _some(_eligible(search, _testable(search, near)))
        for seconds, commit in [_cheapest(search.graph.members[choice.root], cost)]
    ]
    # what lies beside an untestable commit often is untestable too; a known verdict is not
    away = [c for c in priced if not c.seconds or near.get(c.root) != 1]
    ranked = sorted(away or priced, key=lambda c: (-c.rate, -c.bits, c.root))
    if not ranked:
        return None
    best, most = ranked[0], max(ranked, key=lambda c: c.bits * c.testable)
    dearer = most.bits * most.testable > best.bits * best.testable
    return replace(best, instead=most) if dearer else best


def _cheapest(
    members: tuple[CommitId, ...], cost: Callable[[CommitId], float]
) -> tuple[float, CommitId]:
    """The commit of a class that costs least, the root if it is one of several."""
    return min(((cost(commit), commit) for commit in members), key=lambda pair: pair[0])


def _testable(search: Search, near: Mapping[CommitId, int]) -> dict[CommitId, float]:
    """The chance that a commit can be tested, from its distance to those that could not.

    What breaks a build breaks a run of commits, as likely as not twice as long as it is known to
    be; what lies between two untestable commits most likely is of one run with them.
    """
    run = commits.hull(search.graph.parents, search.open, search.skipped & set(search.open))
    skips = len(run & search.skipped)
    return {
        commit: steps / (steps + len(run)) / (1 + skips if commit in run else 1)
        for commit, steps in near.items()
    }


def _eligible(search: Search, chances: Mapping[CommitId, float]) -> list[Choice]:
    """Testable commits that split nearly as well as the most promising one, not yet priced."""
    reached = commits.reach(search.graph.parents, search.open)
    total = reached[search.bad]
    choices = [
        Choice(
            commit=commit,
            root=commit,
            bits=_entropy(reached[commit] / total),
            odds=reached[commit] / total,
            testable=chances.get(commit, 1.0),
        )
        for commit in search.testable
    ]
    best = max(choices, key=lambda c: c.bits * c.testable, default=None)
    return [c for c in choices if best and c.smaller >= SHARE * best.smaller]


def _some(eligible: list[Choice]) -> list[Choice]:
    """Of many, those that promise most and as many more from all over the rest: what is cheap to
    build may all lie on one side.
    """
    if len(eligible) <= PRICED:
        return eligible
    ranked = sorted(eligible, key=lambda c: (-c.bits * c.testable, c.root))
    half = PRICED // 2
    rest = ranked[half:]
    return ranked[:half] + [rest[i * len(rest) // half] for i in range(half)]


def _entropy(part: float) -> float:
    """Bits that a yes with probability `part` tells."""
    if not 0 < part < 1:
        return 0.0
    return -(part * math.log2(part) + (1 - part) * math.log2(1 - part))


def after(
    search: Search,
    commit: CommitId,
    cost: Callable[[CommitId], float] = lambda _commit: 1.0,
) -> tuple[Choice | None, Choice | None]:
    """What will be next if `commit`, one in question, turns out good, and if bad."""
    good, bad = (search.tell(commit, verdict) for verdict in (Verdict.GOOD, Verdict.BAD))
    return choose(good, cost), choose(bad, cost)


def prepared(
    search: Search, best: Choice, cost: Callable[[CommitId], float] = lambda _commit: 1.0
) -> list[Choice]:
    """What may be next after `best`, the likelier first; of two about as likely, the cheaper."""
    good, bad = after(search, best.root, cost)
    ways = [(round(1 - best.odds, 1), good), (round(best.odds, 1), bad)]
    some = [(chance, one) for chance, one in ways if one]
    return [one for _, one in sorted(some, key=lambda way: (-way[0], way[1].seconds))]
