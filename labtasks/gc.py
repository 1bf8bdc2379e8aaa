"""Which artifacts a store can do without: by size, by age, and never those somebody counts on.

Pure but for the removal itself. Knows nothing of how artifacts are made.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from labtasks import survey
from labtasks.git import CommitId
from labtasks.layer import LayerId
from labtasks.store import Store
from labtasks.survey import Held

DAY = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is kept. `quota` in bytes and `age` in seconds, 0 for no limit; artifacts of the commits
    `keep` stay, and those younger than `young` seconds, which a command may be about to use.
    """

    quota: int = 0
    age: float = 0.0
    keep: frozenset[CommitId] = frozenset()
    young: float = 600.0


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
    for one in sorted(artifacts, key=lambda one: (used[one.own], one.finished)):
        age = now - used[one.own]
        too_old = rules.age and age > rules.age
        too_much = rules.quota and total > rules.quota
        if one.commit in rules.keep or age < rules.young or not (too_old or too_much):
            continue
        for name in one.layers:
            serves[name] -= 1
            if not serves[name]:
                total -= size.get(name, 0)
        yield one


def collect(store: Store, rules: Rules, *, dry_run: bool) -> list[Held]:
    """Remove what the rules choose; what that was. Two at once wait for one another."""
    with store.collecting():
        found = list(chosen(survey.held(store.cache), rules, time.time()))
        if not dry_run:
            store.forget_all([(one.kind, one.key) for one in found])
    return found
