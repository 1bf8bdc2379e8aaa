"""What one build starts from: the layers it is given, and what make must see as new.

Knows nothing of how they are put in place, nor of why this base was chosen.
"""

from __future__ import annotations

from labtasks.build.builder import Trees
from labtasks.ground.error import UserError
from labtasks.key.git_objects import TreeId
from labtasks.key.key import Wanted
from labtasks.lab.lab import Lab
from labtasks.store.candidate import Candidate
from labtasks.store.manifest import Manifest


def trees(
    lab: Lab, want: Wanted, src: Manifest, base: Candidate | None, below: Manifest | None
) -> Trees:
    """The trees of a build from the sources `src`, incremental on `base`, over the world or
    toolchain `below`.
    """
    touch_src: tuple[str, ...] = ()
    stack = tuple(base.manifest.stack) if base else ()
    high = len(stack) >= lab.settings.depth
    if base:
        touch_src = base.changed_src
    if below and (base is None or tuple(base.manifest.below) != tuple(below.whole)):
        touch_src = tuple({*touch_src, *_changed_since(lab, want, below)})
    return Trees(
        src=tuple(src.stack),
        obj=() if high else stack,
        flat=stack if high else (),
        below=tuple(below.whole) if below else (),
        touch_src=touch_src,
        touch_obj=base.read_objects if base else (),
        remove_obj=base.stale if base else (),
        newest=max(base.manifest.newest if base else 0.0, below.newest if below else 0.0),
        files=lab.recipe.files_of(want.kind),
    )


def _changed_since(lab: Lab, want: Wanted, below: Manifest) -> tuple[str, ...]:
    """Sources that differ from those the world was built from; all of them where git has thrown
    those away.
    """
    new = want.commit.tree
    try:
        diff = lab.repository.diff(TreeId(below.built_from), new)
    except UserError:
        return tuple(lab.repository.files(new))
    return tuple(c.path for c in diff if c.status != "D")
