"""What a bisect built and booted: counted where it was sealed, not where it was asked for.

A build made ahead, or that came to nothing, was a build; a verdict that was known already was no
boot. Knows nothing of why anything was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from labtasks.bisect.progress import AnyEvent, Proof, Told, latest
from labtasks.store.store import Store
from labtasks.test import verdict

_KINDS = ("toolchain", "world", "kernel")
_MADE = ("clean", "incremental")
"""The rungs on which something is compiled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Builds of toolchains, worlds and kernels, failed ones included; wall `seconds` of those that
    did not fail; and runs of tests.
    """

    builds: int
    boots: int
    seconds: float


def of(store: Store, events: Sequence[AnyEvent]) -> Spent:
    """What the last bisect of a journal built and booted, of what the store still has."""
    begin, *rest = latest(events)
    since, told = begin.time, [event for event in rest if isinstance(event, Told | Proof)]
    until = max((event.time for event in told), default=since)
    built = {
        round(made.finished, 3): made.seconds
        for kind in _KINDS
        for made in store.all(kind)
        if made.rung in _MADE
    }
    built |= dict(_replaced(told))
    built = {finished: took for finished, took in built.items() if since <= finished <= until}
    failed = [f for kind in _KINDS for f in store.failures(kind) if since <= f.finished <= until]
    runs = [len(v.runs) for v in verdict.every(store) if since <= v.finished <= until]
    return Spent(
        builds=len(built) + len(failed), boots=sum(runs), seconds=round(sum(built.values()), 1)
    )


def _replaced(told: Sequence[AnyEvent]) -> list[tuple[float, float]]:
    """Kernels that were tested, by when they were finished: a clean build of the same one, as the
    proof makes it, has taken the place of some.
    """
    facts = [event.facts for event in told if isinstance(event, Told)]
    return [
        (float(one["finished"]), float(one.get("compiled", 0)))
        for one in facts
        if one.get("finished") and one.get("rung") in _MADE
    ]
