"""A kernel and a world of different commits: what is refused, and what must be said.

A new kernel runs an old world; the other way round nobody promises anything. Knows nothing of the
store: two commits and the recipe's [abi] are enough.
"""

from __future__ import annotations

import re

from labtasks.ground.error import UserError
from labtasks.key.git import Commit
from labtasks.lab.lab import Lab


def version(lab: Lab, commit: Commit) -> str:
    """The ABI version a tree states, or "" where the recipe knows of none."""
    where = lab.recipe.abi.version
    if where is None:
        return ""
    found = re.search(where.pattern, lab.repository.read(commit.tree, where.file))
    return found[1] if found else ""


def note_on_image(lab: Lab, kernel: Commit) -> str:
    """What to say before a kernel is built for the world of a VM's own image."""
    found, where = version(lab, kernel), lab.recipe.abi.version
    states = f"; {where.file} states {found} here" if where and found else ""
    return f"nothing is known of the ABI of the image's world{states}"


def check_pin(lab: Lab, world: Commit, kernel: Commit, *, force: bool) -> list[str]:
    """What to say before a kernel is built on another commit's world.

    Raises UserError when the kernel is older than the world, unless forced.
    """
    if world.id == kernel.id:
        return []
    notes = []
    if not lab.repository.is_ancestor(world.id, kernel.id):
        if not force:
            raise UserError(
                f"kernel {kernel.short} does not descend from world {world.short}: "
                "only a newer kernel on an older world is supported",
                hint="pin the oldest good commit's world, or add force=yes",
            )
        notes.append(f"forced: world {world.short} is not an ancestor of kernel {kernel.short}")
    old, new = version(lab, world), version(lab, kernel)
    if old != new:
        where = lab.recipe.abi.version
        notes.append(f"{where.file if where else ''} states {old} for the world, {new} here")
    paths = lab.recipe.abi.paths
    before = lab.repository.ids(world.tree, paths)
    after = lab.repository.ids(kernel.tree, paths)
    crossed = [p for p in paths if before[p] != after[p]]
    if crossed:
        notes.append(f"ABI paths differ from the world's: {', '.join(crossed)}")
    if old != new or crossed:
        notes.append(
            "a test that fails on this pair is suspect: align the world before you trust it"
        )
    return notes
