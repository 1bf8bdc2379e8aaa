"""A workspace of plain copies, for systems without overlays.

The cache has one lane, with room for one build at a time: its paths are the same for every build,
as compilers record them. Knows nothing of mounts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labtasks.build.builder import Workspace, aged, wait_past
from labtasks.ground.error import InfraError
from labtasks.lab.binding import Places
from labtasks.store import layer
from labtasks.store.layer import Entry


@dataclass(slots=True, kw_only=True)
class Copy(Workspace):
    """Plain copies in the lab's one lane, for systems without overlays."""

    _before: dict[str, tuple[int, int]] = field(default_factory=dict)

    def places(self) -> Places:
        return self.recipe.places

    def out(self) -> str:
        return str(self.scratch / "out")

    def home(self) -> str:
        return str(self.scratch / "home")

    def prepare(self, log: Path) -> None:
        src, obj = Path(self.places().src), Path(self.places().obj)
        if src.parent != (self.layers.parent / "lane").resolve():
            raise InfraError(f"{src.parent} is no lane of this cache", hint="run again")
        layer.remove(src.parent)
        src.parent.mkdir(parents=True)
        layer.copy_out(self.layers, self.trees.src, src)
        layer.copy_out(self.layers, self.trees.objects, obj)
        (self.scratch / "files").rename(self.places().files)
        wait_past(self.trees.newest)
        self._before = self._under(obj)
        self.remove(self.trees.remove_obj, log)
        for root, paths in ((src, self.trees.touch_src), (obj, self.trees.touch_obj)):
            for path in paths:
                if os.path.lexists(root / path):
                    os.utime(root / path, follow_symlinks=False)
        touched = {*self.trees.touch_obj, *(self.trees.touch_src if self.recipe.in_tree else ())}
        for path in touched & self._before.keys():  # what is only touched is not built
            info = (obj / path).lstat()
            self._before[path] = (info.st_size, info.st_mtime_ns)

    def _under(self, obj: Path) -> dict[str, tuple[int, int]]:
        """Size and time of what lies under the new layer. A flattened stack does not: there only
        what `below` shows unchanged, and what it shows and the stack had removed.
        """
        shown = {p: (info.st_size, info.st_mtime_ns) for p, info in layer.walk(obj)}
        if not self.trees.flat:
            return shown
        below = layer.merged(self.layers, self.trees.below)
        return {p: (e.size, e.mtime) for p, e in below.items() if p not in shown} | {
            p: fact
            for p, fact in shown.items()
            if p in below and fact == (below[p].size, below[p].mtime)
        }

    def remove(self, paths: Sequence[str], log: Path) -> None:
        del log  # nothing is run
        for path in paths:
            target = self.objects() / path
            if target.is_symlink() or not target.is_dir():
                target.unlink(missing_ok=True)

    def inside(self, argv: Sequence[str], cwd: str) -> tuple[Sequence[str], Path]:
        return argv, Path(cwd)

    def objects(self, globs: tuple[str, ...] = ("**",)) -> Path:
        del globs
        return Path(self.places().obj)

    def wrote(self, path: str) -> bool:
        info = (self.objects() / path).lstat()
        return self._before.get(path) != (info.st_size, info.st_mtime_ns)

    def shown(self, path: str) -> Path | None:
        tree, _, rest = path.partition("/")
        return Path(self.places().src if tree == "src" else self.places().obj) / rest

    def harvest(self) -> list[Entry]:
        folder = self.scratch / "layer"
        (folder / "t").mkdir(parents=True)
        obj = self.objects()
        now = dict(layer.walk(obj))
        for path, info in now.items():
            target = folder / "t" / path
            if stat.S_ISDIR(info.st_mode):
                continue
            if self._before.get(path) != (info.st_size, info.st_mtime_ns):
                target.parent.mkdir(parents=True, exist_ok=True)
                (obj / path).rename(target)
        aged(folder / "t", self.begun)
        found = layer.scan(folder / "t")
        folders = {*now, "."}
        gone = [p for p in self._before if p not in now and str(Path(p).parent) in folders]
        found += layer.whiteouts(folder / "t", gone)
        layer.write_entries(folder, found)
        return found

    def strays(self) -> list[str]:
        return []  # the lane is thrown away: nobody builds on what was written there
