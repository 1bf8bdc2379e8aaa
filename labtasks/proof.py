"""A commit built clean, on its own world, and booted anew: what a bisect ends with.

Whatever was incremental, pinned or derived is left out, so that nothing reused can have decided.
Knows nothing of searches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from labtasks import key
from labtasks.artifact import produce
from labtasks.error import BuildError, say
from labtasks.git import Commit
from labtasks.key import World
from labtasks.probe import Finding, Prober


def anew(prober: Prober, commit: Commit) -> Callable[[int], Finding]:
    """Build a commit without anything reused but its world by proof; what tests it then. A sealed
    kernel that a clean build does not reproduce is replaced. Where the commit's own world does not
    build, the search's stays below it. Raises UserError, InfraError.
    """
    lab, store = prober.lab, prober.store
    world = _aligned(prober, commit)
    own = replace(prober, world=world)
    want = key.wanted(lab, "kernel", commit, world)
    before = store.get(want.kind, want.key)
    try:
        kernel = produce(lab, store, want, replace(prober.request, clean=True, retry=True))
    except BuildError:
        return lambda _number: own.probe(commit)
    if before and before.digest != kernel.digest:
        say(f"{want.name}: the clean build differs from what was sealed, and replaces it")
        install = key.wanted(lab, "install", commit, world)
        store.forget(install.kind, install.key)
    # numbers below zero: no run of a series has them, so none of those answers
    return lambda number: own.probe(commit, again=-1 - number)


def _aligned(prober: Prober, commit: Commit) -> World:
    """The commit's own world; where that does not build, the one that the search used."""
    want = key.wanted(prober.lab, "kernel", commit, None)
    if want.base is None or not isinstance(prober.world, Commit):
        return prober.world
    try:
        produce(prober.lab, prober.store, want.base, prober.request)
    except BuildError as error:
        say(f"  its own world does not build: {error.message.splitlines()[0]}")
        return prober.world_for(commit)[0]
    return None
