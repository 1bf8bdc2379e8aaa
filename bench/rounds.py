"""A search with builders ahead, simulated on recorded build and test seconds, against the ideal.

    bench/rounds.py [report.json ...] [--commits 64] [--searches 100] [--seed 1]

A `report.json` is what a bisect leaves in cache/bisect: the seconds of its builds and tests, those
of aliases and known verdicts left out. Without one: the recorded bisect of FreeBSD in
docs/results.md, and two stated distributions. The history is a line, the culprit anywhere in it.
Every commit gets one of the recorded durations by lot.

    ours, k ahead    one test at a time; besides the builder of what is tested next, k others
                     build what may come after it, the likelier first; a verdict drops what is moot
    plain            the same with none ahead
    ideal            k + 1 builders and as many test machines: each round builds and tests k + 1
                     commits and so leaves one part in k + 2; it takes as long as its slowest

Every builder is a machine of its own: builders that share processors gain less. The choice of
commits is labtasks' own code, with equal prices.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from labtasks.bisect import choice, search
from labtasks.bisect.graph import graph
from labtasks.bisect.search import Search, Terms, Verdict
from labtasks.key.git import CommitId

AHEAD = (0, 1, 2, 4)


@dataclass(frozen=True, kw_only=True)
class Record:
    """Seconds of builds and of tests, as something recorded or stated has them."""

    name: str
    builds: tuple[float, ...]
    tests: tuple[float, ...]


STATED = (
    Record(
        name="FreeBSD kernels, recorded",
        builds=(227.4, 10.3, 7.9, 5.7, 28.6),
        tests=(10.3, 9.7, 11.2, 15.0, 25.9, 21.5, 16.0),
    ),
    Record(name="stated: build 1800, test 60", builds=(1800.0,), tests=(60.0,)),
    Record(name="stated: build 60, test 60", builds=(60.0,), tests=(60.0,)),
)


@dataclass(kw_only=True)
class Lanes:
    """Builders of one search: what is built, and what each is building until when."""

    seconds: dict[CommitId, float]
    count: int
    now: float = 0.0
    built: set[CommitId] = field(default_factory=set)
    busy: dict[CommitId, float] = field(default_factory=dict)

    def keep(self, wanted: Sequence[CommitId]) -> None:
        """Drop what is not wanted any more, and begin what is, in order, as far as hands go."""
        self.busy = {c: end for c, end in self.busy.items() if c in wanted}
        for commit in wanted:
            if len(self.busy) < self.count and commit not in {*self.built, *self.busy}:
                self.busy[commit] = self.now + self.seconds[commit]

    def until(self, when: float, wanted: Sequence[CommitId]) -> None:
        """Go on to a moment; who is ready begins the next of what is wanted."""
        while self.busy and min(self.busy.values()) <= when:
            commit = min(self.busy, key=lambda c: self.busy[c])
            self.now = self.busy.pop(commit)
            self.built.add(commit)
            self.keep(wanted)
        self.now = when


def main(records: Sequence[Record], commits: int, searches: int, seed: int) -> None:
    """Print a table: wall seconds of a search, the mean of all, and what they are of plain's."""
    print(f"{commits} commits, {searches} searches each; seconds, and the part of plain's")
    print(f"{'':<30}{'k':>3}{'tests':>7}{'ours':>9}{'':>6}{'rounds':>8}{'ideal':>9}{'':>6}")
    for record in records:
        plain = 0.0
        for ahead in AHEAD:
            rng = random.Random(seed)  # noqa: S311 (every k sees the same searches)
            runs = [one(record, commits, ahead, rng) for _ in range(searches)]
            tests, ours, rounds, ideal = (fmean(run[i] for run in runs) for i in range(4))
            plain = plain or ours
            print(
                f"{record.name:<30}{ahead:>3}{tests:7.1f}{ours:9.0f}{ours / plain:6.2f}"
                f"{rounds:8.1f}{ideal:9.0f}{ideal / plain:6.2f}",
                flush=True,
            )


def one(
    record: Record, commits: int, ahead: int, rng: random.Random
) -> tuple[float, float, float, float]:
    """One search: tests and seconds of ours, rounds and seconds of the ideal."""
    names = [CommitId(f"{n:040x}") for n in range(commits)]
    builds = {name: rng.choice(record.builds) for name in names}
    tests = {name: rng.choice(record.tests) for name in names}
    culprit = rng.choice(names)
    ours = simulated(names, culprit, builds, tests, ahead)
    return (*ours, *ideal(names, culprit, builds, tests, ahead + 1))


def simulated(
    names: Sequence[CommitId],
    culprit: CommitId,
    builds: dict[CommitId, float],
    tests: dict[CommitId, float],
    ahead: int,
) -> tuple[int, float]:
    """Tests and seconds of a search with some builders ahead."""
    parents = {c: tuple(names[i - 1 : i]) for i, c in enumerate(names)}
    place = search.start(graph(parents), names[-1], Terms())
    lanes, count = Lanes(seconds=builds, count=ahead + 1), 0
    while not place.done:
        wanted = list(likeliest(place, ahead))
        now = wanted[0]
        lanes.keep(wanted)
        if now not in lanes.built:
            lanes.until(lanes.busy[now], wanted)
        lanes.until(lanes.now + tests[now], wanted)
        place = place.tell(now, Verdict.BAD if now >= culprit else Verdict.GOOD)
        count += 1
    return count, lanes.now


def likeliest(place: Search, ahead: int) -> Iterator[CommitId]:
    """What is tested next, and what may come after that, the likelier first: some more than there
    are builders, for those that are ready early.
    """
    queue: list[tuple[float, int, Search]] = [(-1.0, 0, place)]
    number = given = 0
    while queue and given <= 3 * ahead:
        chance, _, one = heapq.heappop(queue)
        best = None if one.done else chosen(one)
        if best is None:
            continue
        yield best.commit
        given += 1
        if ahead:
            for verdict, odds in ((Verdict.GOOD, 1 - best.odds), (Verdict.BAD, best.odds)):
                number += 1
                heapq.heappush(queue, (chance * odds, number, one.tell(best.commit, verdict)))


_chosen: dict[tuple[CommitId, ...], choice.Choice | None] = {}
"""What was chosen among some commits: the same question is asked again and again."""


def chosen(place: Search) -> choice.Choice | None:
    """What labtasks would test."""
    if place.open not in _chosen:
        _chosen[place.open] = choice.choose(place)
    return _chosen[place.open]


def ideal(
    names: Sequence[CommitId],
    culprit: CommitId,
    builds: dict[CommitId, float],
    tests: dict[CommitId, float],
    builders: int,
) -> tuple[int, float]:
    """Rounds and seconds, if every round tests as many commits as there are builders, at once."""
    left = list(names)  # the last one is known to be bad
    rounds, seconds = 0, 0.0
    while len(left) > 1:
        cuts = sorted({len(left) * i // (builders + 1) - 1 for i in range(1, builders + 1)} - {-1})
        cuts = cuts or [0]
        seconds += max(builds[left[i]] + tests[left[i]] for i in cuts)
        good = max((i for i in cuts if left[i] < culprit), default=-1)
        bad = min((i for i in cuts if left[i] >= culprit), default=len(left) - 1)
        left = left[good + 1 : bad + 1]
        rounds += 1
    return rounds, seconds


def recorded(path: Path) -> Record:
    """The builds and tests of a bisect's report."""
    steps = json.loads(path.read_text())["steps"]
    builds = tuple(s["build_seconds"] for s in steps if s["build_seconds"])
    tests = tuple(s["test_seconds"] for s in steps if s["test_seconds"])
    return Record(name=path.stem, builds=builds, tests=tests)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("reports", nargs="*", type=Path)
    parser.add_argument("--commits", type=int, default=64)
    parser.add_argument("--searches", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    given = [recorded(path) for path in asked.reports]
    main(given or STATED, asked.commits, asked.searches, asked.seed)
