"""What lies in a cache and belongs to nothing any more: consoles, logs, what killed runs began.

A console belongs to an installation that is in the store, or to the bisect that the journal tells
of; a log to an artifact or to a remembered failure. A verdict is a few lines and spares a boot when
the same is built again: it stays when its consoles go. Knows nothing of how any of them came about.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from labtasks.bisect import journal
from labtasks.bisect.progress import Proof, Told, latest, state
from labtasks.care.gc import DAY, Rules
from labtasks.care.survey import Held
from labtasks.ground.error import UserError

_READ = 1 * DAY
"""Seconds in which somebody may want to read a log that was named on a terminal."""


class _Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a verdict.json, or of a failure.json."""

    commit: str
    finished: float = 0.0
    inputs: list[tuple[str, str]] = []
    log: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remain:
    """A file or folder that can go, and its bytes."""

    path: Path
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bisect:
    """What the last bisect counts on, and its report shows."""

    commits: frozenset[str]
    folders: frozenset[Path]

    def needs(self, home: Path, commit: str) -> bool:
        return commit in self.commits or home in self.folders


def find(cache: Path, artifacts: Collection[Held], rules: Rules, now: float) -> list[Remain]:
    """What can go, given the artifacts that stay. Nothing while the journal cannot be read: nobody
    knows then what it counts on.
    """
    try:
        bisect = _bisect(journal.path_of(cache))
    except UserError:
        return []
    stay = {Path(one.log) for one in artifacts if one.log}
    found = list(_of_artifacts(cache, artifacts, rules, bisect, now, stay))
    found += [log for log in (cache / "logs").glob("*") if log not in stay and _old(log, now)]
    return [Remain(path=path, bytes=_size(path)) for path in found]


def remove(some: Collection[Remain]) -> None:
    """Remove them; who was faster is right as well."""
    for one in some:
        if one.path.is_dir():
            shutil.rmtree(one.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                one.path.unlink()


def _bisect(path: Path) -> _Bisect:
    events = latest(journal.read(path))
    start = state(events).start
    ends = [*start.goods, start.bad] if start else []
    told = [event for event in events if isinstance(event, Told | Proof)]
    consoles = [e.facts["console"] for e in told if isinstance(e, Told) and e.facts.get("console")]
    return _Bisect(
        commits=frozenset((*ends, *(event.commit for event in told))),
        folders=frozenset(Path(console).parent for console in consoles),
    )


def _of_artifacts(
    cache: Path, artifacts: Collection[Held], rules: Rules, bisect: _Bisect, now: float,
    stay: set[Path],
) -> Iterator[Path]:  # fmt: skip
    """Consoles without an installation, what is too old, and what was never finished. The logs of
    failures that are remembered join `stay`.
    """
    installed = {one.digest for one in artifacts if one.kind == "install"}
    for home in (cache / "artifacts").glob("*/*"):
        files = {path.name: path for path in home.glob("*")}
        if "manifest.json" in files:
            continue
        said = _read(files.get("verdict.json") or files.get("failure.json"))
        if said is None:
            if now - _changed(home) > max(rules.young, _READ):
                yield home
            continue
        counted_on = said.commit in rules.keep or bisect.needs(home, said.commit)
        here = bool(installed & {value for name, value in said.inputs if name == "install"})
        if counted_on or here or now - said.finished < rules.young:
            stay.add(Path(said.log))
        elif rules.age and now - said.finished > rules.age:
            yield home
        else:
            stay.add(Path(said.log))
            yield from (path for name, path in files.items() if name.startswith("console"))


def _read(path: Path | None) -> _Remembered | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Remembered) if path else None
    except (OSError, msgspec.DecodeError):
        return None


def _changed(path: Path) -> float:
    """When a file, or what is in a folder, was last changed; for ever where it has gone."""
    try:
        return max(one.stat().st_mtime for one in (path, *path.glob("*")))
    except OSError:
        return float("inf")


def _old(log: Path, now: float) -> bool:
    return now - _changed(log) > _READ


def _size(path: Path) -> int:
    try:
        inside = [Path(at) / name for at, _, names in os.walk(path) for name in names]
        return sum(one.lstat().st_size for one in inside or [path])
    except OSError:
        return 0
