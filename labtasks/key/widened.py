"""Inputs that a recipe does not declare, and that builds were seen to read: part of its keys from
then on.

Knows nothing of traces: of paths only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from labtasks.ground import memory
from labtasks.key.git import Commit
from labtasks.lab.lab import Lab


def inputs(lab: Lab, kind: str) -> list[str]:
    """Undeclared inputs that builds of this recipe and kind were seen to read."""
    found: list[str] = memory.read(_file(lab)).get(_name(lab, kind), [])
    return found


def widen(
    lab: Lab, kind: str, commit: Commit, reads: Iterable[str], looked_for: Iterable[str] = ()
) -> list[str]:
    """Remember reads (paths in the tree) outside the declared inputs; returns the new ones.

    A file at the root widens by itself, a deeper one by its directory. What was looked for and
    was not there counts like a file.
    """
    declared = lab.recipe.parts[kind].inputs
    if "." in declared:
        return []
    known = inputs(lab, kind)
    covered = (*declared, *known)

    def outside(paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(p for p in paths if not any(p == c or p.startswith(f"{c}/") for c in covered))

    noise = ("RCS/", "SCCS/")  # where GNU make looks for every file, of old custom
    names = [p for p in looked_for if not any(n in f"{p}/" for n in noise)]
    files = [*lab.repository.which_are_files(commit.tree, outside(reads)), *outside(names)]
    homes = {str(Path(path).parent) if "/" in path else path for path in files}
    new = sorted(p for p in homes if not any(p.startswith(f"{q}/") for q in homes))
    if new:
        _remember(lab, _name(lab, kind), new)
    return new


def _remember(lab: Lab, name: str, new: Iterable[str]) -> None:
    """Add to what was seen to be read; builds that end at once must not lose each other's."""
    import filelock  # noqa: PLC0415 (an up-to-date run locks nothing)

    file = _file(lab)
    with filelock.FileLock(file.with_suffix(".lock")):
        everything = memory.read(file)
        everything[name] = sorted({*everything.get(name, ()), *new})
        memory.write(file, everything)


def _file(lab: Lab) -> Path:
    return lab.cache / "widened.json"


def _name(lab: Lab, kind: str) -> str:
    return f"{lab.recipe.name}.{kind}"
