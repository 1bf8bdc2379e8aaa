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
from labtasks.probe import Finding, Prober


def anew(prober: Prober, commit: Commit) -> Callable[[int], Finding]:
    """Build a commit without anything reused but its world by proof; what tests it then. A sealed
    kernel that a clean build does not reproduce is replaced. Raises UserError, InfraError.
    """
    lab, store = prober.lab, prober.store
    own = replace(prober, world=None)
    want = key.wanted(lab, "kernel", commit, None)
    before = store.get(want.kind, want.key)
    try:
        kernel = produce(lab, store, want, replace(prober.request, clean=True, retry=True))
    except BuildError:
        return lambda _number: own.probe(commit)
    if before and before.digest != kernel.digest:
        say(f"{want.name}: the clean build differs from what was sealed, and replaces it")
        install = key.wanted(lab, "install", commit, None)
        store.forget(install.kind, install.key)
    # numbers below zero: no run of a series has them, so none of those answers
    return lambda number: own.probe(commit, again=-1 - number)
