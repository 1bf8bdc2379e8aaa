"""The commits a search looks through: who descends from whom, and which need no test of their own.

A commit that cannot change the verdict (documentation, another architecture) belongs to the class
of its parent; a class is named by its root, the one commit in it that may change something. Knows
nothing of verdicts, and asks git nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from labtasks.key.git import CommitId

Parents = Mapping[CommitId, tuple[CommitId, ...]]
"""Commit -> its parents; parents that are no keys lie outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Classes of commits. `parents` has the roots in an order in which parents come first.

    `members` has the commits of each class, the root first. `place` says to which class a commit
    belongs; None when it cannot differ from commits outside, all of which are good.
    """

    parents: Parents
    members: Mapping[CommitId, tuple[CommitId, ...]]
    place: Mapping[CommitId, CommitId | None]

    def closure(self, roots: Iterable[CommitId]) -> set[CommitId]:
        """These classes and all that they descend from."""
        found = set(roots)
        queue = list(found)
        while queue:
            for parent in self.parents[queue.pop()]:
                if parent not in found:
                    found.add(parent)
                    queue.append(parent)
        return found


def graph(parents: Parents, irrelevant: Collection[CommitId] = ()) -> Graph:
    """The classes of some commits. `parents` as `git rev-list --parents bad --not goods` has them:
    what is outside is good.

    `irrelevant` are commits whose verdict must equal that of each parent. A merge folds only when
    its parents are of one class; a commit without parents has nothing to follow.
    """
    place: dict[CommitId, CommitId | None] = {}
    members: dict[CommitId, list[CommitId]] = {}
    above: dict[CommitId, tuple[CommitId, ...]] = {}
    for commit in _parents_first(parents):
        classes = {place.get(parent): None for parent in parents[commit]}  # a set with an order
        if commit in irrelevant and len(classes) == 1:
            (root,) = classes
            if root is not None:
                members[root].append(commit)
        else:
            root = commit
            members[commit] = [commit]
            above[commit] = tuple(parent for parent in classes if parent is not None)
        place[commit] = root
    return Graph(parents=above, members={r: tuple(m) for r, m in members.items()}, place=place)


def _parents_first(parents: Parents) -> list[CommitId]:
    """The keys, each after its parents, whatever order they come in and whatever their dates."""
    order: list[CommitId] = []
    done: set[CommitId] = set()
    for start in reversed(list(parents)):  # git says the newest first: little is left to sort
        stack = [start]
        while stack:
            commit = stack[-1]
            left = [p for p in parents[commit] if p in parents and p not in done]
            if left and commit not in done:
                stack.extend(left)
                continue
            stack.pop()
            if commit not in done:
                done.add(commit)
                order.append(commit)
    return order


def reach(parents: Parents, order: Sequence[CommitId]) -> dict[CommitId, int]:
    """How many commits of `order` each one descends from, itself included.

    `order` has parents first. One sweep: sets of commits are bits of an integer, kept only while a
    child is to come, and counted only at merges, because below a single parent one adds one.
    """
    children = dict.fromkeys(order, 0)
    for commit in order:
        for parent in parents[commit]:
            if parent in children:
                children[parent] += 1
    total: dict[CommitId, int] = {}
    masks: dict[CommitId, int] = {}
    for number, commit in enumerate(order):
        inside = [parent for parent in parents[commit] if parent in total]
        mask = 1 << number
        for parent in inside:
            mask |= masks[parent]
            children[parent] -= 1
            if not children[parent]:
                del masks[parent]
        if len(inside) > 1:
            total[commit] = mask.bit_count()
        else:
            total[commit] = 1 + (total[inside[0]] if inside else 0)
        if children[commit]:
            masks[commit] = mask
    return total


def distances(
    parents: Parents, order: Collection[CommitId], starts: Collection[CommitId]
) -> dict[CommitId, int]:
    """How many steps, up or down in history, each commit of `order` is from the nearest start.
    Those that no start reaches are left out.
    """
    near: dict[CommitId, list[CommitId]] = {commit: [] for commit in order}
    for commit in order:
        for parent in parents[commit]:
            if parent in near:
                near[commit].append(parent)
                near[parent].append(commit)
    found = {start: 0 for start in starts if start in near}
    ring = list(found)
    while ring:
        wider = []
        for commit in ring:
            for other in near[commit]:
                if other not in found:
                    found[other] = found[commit] + 1
                    wider.append(other)
        ring = wider
    return found


def hull(
    parents: Parents, order: Sequence[CommitId], some: Collection[CommitId]
) -> frozenset[CommitId]:
    """Of the commits of `order`, parents first, those of `some` and what lies between them: each
    descends from one of them and is an ancestor of one.
    """
    after: set[CommitId] = set()
    for commit in order:
        if commit in some or any(parent in after for parent in parents[commit]):
            after.add(commit)
    before: set[CommitId] = set()
    for commit in reversed(order):
        if commit in some:
            before.add(commit)
        if commit in before:
            before.update(parents[commit])
    return frozenset(after & before)
