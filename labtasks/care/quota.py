"""What a lab's cache may hold: lab.toml's rules, and what no rule may touch.

Pinned worlds, commits to keep and those of a bisect under way are safe. Knows nothing of commands.
"""

from __future__ import annotations

import contextlib

from labtasks.bisect import journal
from labtasks.bisect.progress import state
from labtasks.care import gc
from labtasks.care.gc import DAY, Rules
from labtasks.ground.error import UserError, say
from labtasks.ground.words import count, size
from labtasks.key.git import CommitId
from labtasks.lab.lab import Lab
from labtasks.lab.settings import in_bytes
from labtasks.store.store import Store


def rules(lab: Lab, *, quota: str = "", days: float | None = None) -> Rules:
    """The lab's rules, those of a command line before those of lab.toml."""
    asked = lab.settings.gc
    return Rules(
        quota=in_bytes(quota) if quota else asked.bytes,
        age=(asked.days if days is None else days) * DAY,
        keep=frozenset(_kept(lab)),
    )


def _kept(lab: Lab) -> set[CommitId]:
    """Commits somebody counts on."""
    found: set[CommitId] = set()
    refs = (*lab.settings.gc.keep, lab.settings.world)
    for ref in refs:
        if ref and ref not in ("image", "own"):
            found.add(lab.repository.commit(ref).id)
    with contextlib.suppress(UserError):  # a damaged journal is told of by those who search
        searching = state(journal.read(journal.path_of(lab.cache)))
        if searching.start and not searching.end and not searching.proofs:
            found |= {*searching.start.goods, searching.start.bad}
            found |= {told.commit for told in searching.told}
    return found


def keep(lab: Lab, store: Store, name: str) -> None:
    """Before a build: keep the cache under its quota, with room for what the largest artifact of
    this kind took. Nothing happens in a lab without a quota.
    """
    if not lab.settings.gc.quota:
        return
    wanted = rules(lab)
    limit = Rules(quota=wanted.quota, keep=wanted.keep, beside=name.partition(":")[0])
    found = gc.collect(store, limit, dry_run=False)
    if found.gone:
        many = count(len(found.gone), "artifact")
        say(f"{name}: {many} went, to keep under the quota: {size(found.freed)}")
