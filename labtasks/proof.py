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
from labtasks.judge import Outcome
from labtasks.key import Wanted, World
from labtasks.probe import Finding, Prober


def anew(prober: Prober, commit: Commit) -> Callable[[int], Finding]:
    """Build a commit without anything reused but its world by proof; what tests it then. Where each
    commit had its own world, that may be to blame, and is built clean as well. What is sealed and
    not reproduced by a clean build is replaced. Where the commit's own world does not build, the
    search's stays below it. Raises UserError, InfraError.
    """
    own = replace(prober, world=_aligned(prober, commit))
    try:
        kernel = key.wanted(prober.lab, "kernel", commit, own.world)
        if prober.world is None and kernel.base:
            _clean(own, kernel.base, commit)
            kernel = key.wanted(prober.lab, "kernel", commit, own.world)  # inputs may be new
        _clean(own, kernel, commit)
    except BuildError as error:
        said = Finding(
            commit=commit,
            outcome=Outcome.UNTESTABLE,
            reason=error.message.splitlines()[0],
            how="built clean",
        )
        return lambda _number: said  # what is sealed of it came from an incremental build
    # numbers below zero: no run of a series has them, so none of those answers
    return lambda number: own.probe(commit, again=-1 - number)


def _clean(own: Prober, want: Wanted, commit: Commit) -> None:
    """Build one part clean; what was made of another content is forgotten."""
    lab, store = own.lab, own.store
    before = store.get(want.kind, want.key)
    made = produce(lab, store, want, replace(own.request, clean=True, retry=True))
    if before is None or before.digest == made.digest:
        return
    say(f"{want.name}: the clean build differs from what was sealed, and replaces it")
    install = key.wanted(lab, "install", commit, own.world)
    on_world = (*install.on, key.root_under(lab, install)) if want.kind != "kernel" else ()
    store.forget_all((one.kind, one.key) for one in (install, *on_world) if one)


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
