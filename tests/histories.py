"""Random histories, in git and as plain dictionaries, and git's rules for a bisect in a few lines.

The rules share no line with labtasks: sets of ancestors, computed one commit at a time.
"""

from __future__ import annotations

import functools
import random
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from conftest import environment

from labtasks.key.git import CommitId


@dataclass(frozen=True, kw_only=True)
class History:
    """Commits by number, parents before children; the last one descends from all."""

    parents: tuple[tuple[int, ...], ...]

    @functools.cached_property
    def ancestors(self) -> list[set[int]]:
        """Of each commit, itself and all that it descends from."""
        found: list[set[int]] = []
        for number, above in enumerate(self.parents):
            found.append(set().union({number}, *(found[p] for p in above)))
        return found

    def question(self, bad: int, goods: Iterable[int]) -> set[int]:
        """Git's rule: ancestors of bad and of no good one."""
        return self.ancestors[bad].difference(*(self.ancestors[g] for g in goods))

    def mapping(self, numbers: Iterable[int]) -> dict[CommitId, tuple[CommitId, ...]]:
        """What `git rev-list --parents` would say of some commits."""
        return {name(n): tuple(map(name, self.parents[n])) for n in numbers}


def name(number: int) -> CommitId:
    return CommitId(f"{number:040x}")


def number(commit: CommitId) -> int:
    return int(commit, 16)


def random_history(rng: random.Random) -> History:
    """2 to 41 commits: lines, branches, merges of two or three, criss-crosses."""
    size = rng.randint(2, 40)
    merging = rng.choice((0, 0.1, 0.3, 0.6))
    window = rng.choice((1, 2, 5, 40))  # how far back a branch may begin
    parents: list[tuple[int, ...]] = [()]
    for child in range(1, size):
        count = rng.choice((2, 2, 3)) if rng.random() < merging else 1
        near = range(max(0, child - window), child)
        parents.append(tuple(rng.sample(near, min(count, len(near)))))
    tips = sorted(set(range(size)).difference(*parents))
    if len(tips) > 1:
        parents.append(tuple(rng.sample(tips, len(tips))))
    return History(parents=tuple(parents))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A history with a culprit, ends to begin from, and commits that cannot be tested."""

    history: History
    culprit: int
    bad: int
    goods: tuple[int, ...]
    untestable: frozenset[int]

    def is_bad(self, commit: int) -> bool:
        return self.culprit in self.history.ancestors[commit]

    def possible(self) -> set[int]:
        """What git has in question when it begins."""
        return self.history.question(self.bad, self.goods)


def random_case(rng: random.Random, *, skips: bool = True) -> Case:
    history = random_history(rng)
    everyone = range(len(history.parents))
    culprit = rng.choice(everyone[1:])
    worse = [n for n in everyone if culprit in history.ancestors[n]]
    better = [n for n in everyone if culprit not in history.ancestors[n]]
    bad = rng.choice((worse[-1], rng.choice(worse)))
    goods = tuple(rng.sample(better, rng.randint(1, min(3, len(better)))))
    part = rng.choice((0.05, 0.1, 0.4, 0.8)) if skips else 0
    untestable = frozenset(n for n in everyone if n != bad and rng.random() < part)
    if skips and not untestable:
        untestable = frozenset({rng.choice([n for n in everyone if n != bad])})
    return Case(history=history, culprit=culprit, bad=bad, goods=goods, untestable=untestable)


def git(repository: Path, *args: str, data: str = "", code: int | None = 0) -> str:
    done = subprocess.run(
        ["git", "-C", str(repository), *args],
        input=data, capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert code is None or done.returncode == code, done.stdout + done.stderr
    return done.stdout + (done.stderr if code is None else "")


def imported(
    repository: Path, histories: list[History], rng: random.Random
) -> list[list[CommitId]]:
    """One repository that holds all of these, dates skewed; the ids of each one's commits.

    Commit n writes the file n % 2, so that half of them touch the path "0".
    """
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    lines, mark = [], 1
    for which, history in enumerate(histories):
        first = mark
        for commit, parents in enumerate(history.parents):
            date = 1_000_000_000 + rng.randint(0, 100_000_000)
            text = f"history {which} commit {commit}\n"
            lines.append(f"commit refs/heads/h{which}\nmark :{mark}\n")
            lines.append(f"committer A <a@example.org> {date} +0000\ndata {len(text)}\n{text}")
            words = ("from", *("merge",) * len(parents))
            lines += [f"{w} :{first + p}\n" for w, p in zip(words, parents, strict=False)]
            if not parents:
                lines.append("deleteall\n")
            lines.append(f"M 644 inline {commit % 2}\ndata {len(text)}\n{text}\n")
            mark += 1
        lines.append(f"reset refs/heads/h{which}\nfrom :{mark - 1}\n\n")
    marks = repository / "marks"
    git(repository, "fast-import", "--quiet", f"--export-marks={marks}", data="".join(lines))
    git(repository, "symbolic-ref", "HEAD", "refs/heads/h0")
    known = dict(line.split() for line in marks.read_text().splitlines())
    ids = iter(CommitId(known[f":{n}"]) for n in range(1, mark))
    return [[next(ids) for _ in history.parents] for history in histories]
