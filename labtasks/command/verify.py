"""Is it true: rebuild an artifact clean and compare what came out, file by file.

Knows nothing of how the artifact was come by; that it was incremental or proved is what is tested.
"""

from __future__ import annotations

from dataclasses import dataclass

from labtasks.build import doubt
from labtasks.build.attempt import Attempt
from labtasks.ground import globs
from labtasks.ground.error import say
from labtasks.key.key import Wanted
from labtasks.lab.lab import Lab
from labtasks.store import layer
from labtasks.store.manifest import Manifest
from labtasks.store.reuse import Decision
from labtasks.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A sealed artifact beside a clean build of the same commit. Paths of outputs, sorted."""

    equal: int
    differ: tuple[str, ...]
    only_sealed: tuple[str, ...]
    only_clean: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.differ or self.only_sealed or self.only_clean)


def verify(
    lab: Lab, store: Store, want: Wanted, sealed: Manifest, below: Manifest | None, *, echo: bool
) -> Comparison:
    """Build clean beside the store and compare. Raises what a build raises, UserError also for a
    file of the artifact that was changed by hand.
    """
    doubt.refuse_changed(store, (sealed.stack, None))  # its listing is what is compared
    part = lab.recipe.parts[want.kind]
    clean = Decision(rung="clean", why="to verify")
    with Attempt(lab=lab, store=store, want=want, below=below, echo=echo).built(clean) as built:
        wanted = globs.matcher(part.outputs, part.volatile)
        ours = {p: e for p, e in layer.merged(store.layers, sealed.stack).items() if wanted(p)}
        theirs = {p: e for p, e in built.files.items() if wanted(p)}
    say(f"{want.name}: rebuilt clean in {built.seconds:.1f} s")
    both = ours.keys() & theirs.keys()
    differ = [p for p in both if _content(ours[p]) != _content(theirs[p])]
    return Comparison(
        equal=len(both) - len(differ),
        differ=tuple(sorted(differ)),
        only_sealed=tuple(sorted(ours.keys() - theirs.keys())),
        only_clean=tuple(sorted(theirs.keys() - ours.keys())),
    )


def _content(entry: layer.Entry) -> tuple[str, int, str]:
    return entry.type, entry.mode, entry.digest
