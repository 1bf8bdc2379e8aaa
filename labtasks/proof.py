"""A commit built clean, on its own world, and booted anew: what a bisect ends with.

Whatever was incremental, pinned or derived is left out, so that nothing reused can have decided.
Knows nothing of searches.
"""

from __future__ import annotations

from dataclasses import replace

from labtasks import key
from labtasks.artifact import produce
from labtasks.error import BuildError, say
from labtasks.git import Commit
from labtasks.probe import Finding, Prober

_ANEW = -1
"""The number of a proof's run: no run of a series has it, so it is not answered by one."""


def again(prober: Prober, commit: Commit) -> Finding:
    """The commit's finding without anything reused but its world by proof. A sealed kernel that a
    clean build does not reproduce is replaced. Raises UserError, InfraError.
    """
    lab, store = prober.lab, prober.store
    own = replace(prober, world=None)
    want = key.wanted(lab, "kernel", commit, None)
    before = store.get(want.kind, want.key)
    clean = replace(prober.request, clean=True, retry=True)
    try:
        kernel = produce(lab, store, want, clean)
    except BuildError:
        return own.probe(commit)
    if before and before.digest != kernel.digest:
        say(f"{want.name}: the clean build differs from what was sealed, and replaces it")
        install = key.wanted(lab, "install", commit, None)
        store.forget(install.kind, install.key)
    return own.probe(commit, again=_ANEW)
