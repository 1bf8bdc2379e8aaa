"""Which artifacts a store can do without: by size, by age, and never those somebody counts on.

Pure but for the removal itself. Knows nothing of how artifacts are made.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from labtasks.care import survey
from labtasks.care.survey import Held
from labtasks.key.git import CommitId
from labtasks.store.layer import LayerId
from labtasks.store.store import Store

DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is kept. `quota` in bytes and `age` in seconds, 0 for no limit; artifacts of the commits
    `keep` stay, and those younger than `young` seconds, which a command may be about to use. Under
    the quota there is room left for one more artifact of the kind `beside`, as large as any.
    """

    quota: int = 0
    age: float = 0.0
    keep: frozenset[CommitId] = frozenset()
    young: float = 600.0
    beside: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What a collection removed, what it left, and the bytes that this freed."""

    gone: list[Held]
    left: list[Held]
    freed: int


def chosen(artifacts: Collection[Held], rules: Rules, now: float) -> Iterator[Held]:
    """What to remove, the longest unused first: what is older than `age`, then as much as brings
    the rest under `quota`. An artifact counts as used when something was last built on it.
    """
    serves, size = survey.references(artifacts), survey.sizes(artifacts)
    used: dict[LayerId, float] = {}
    for one in artifacts:
        for name in one.layers:
            used[name] = max(used.get(name, 0.0), one.finished)
    total = sum(size.values())
    largest = max((one.bytes for one in artifacts if one.kind == rules.beside), default=0)
    quota = max(1, rules.quota - largest) if rules.quota else 0
    for one in sorted(artifacts, key=lambda one: (used[one.own], one.finished)):
        age = now - used[one.own]
        too_old = rules.age and age > rules.age
        too_much = quota and total > quota
        if one.commit in rules.keep or age < rules.young or not (too_old or too_much):
            continue
        for name in one.layers:
            serves[name] -= 1
            if not serves[name]:
                total -= size.get(name, 0)
        yield one


def collect(store: Store, rules: Rules, *, dry_run: bool) -> Collected:
    """Remove what the rules choose. Two at once wait for one another."""
    with store.collecting():
        before = survey.held(store.cache)
        gone = list(chosen(before, rules, time.time()))
        if not dry_run:
            store.forget_all([(one.kind, one.key) for one in gone])
    keys = {one.key for one in gone}
    left = [one for one in before if one.key not in keys]
    freed = sum(survey.sizes(before).values()) - sum(survey.sizes(left).values())
    return Collected(gone=gone, left=left, freed=freed)
