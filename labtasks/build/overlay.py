"""A workspace of overlays: instant, and the layers under it are never written.

Sources are at /mnt/src and objects at /mnt/obj, in a mount namespace of the build's own. Linux
only; it knows nothing of how the namespace is entered.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labtasks.build.builder import REMOVE, Workspace, aged, same, wait_past
from labtasks.ground import namespace, process
from labtasks.ground.error import InfraError
from labtasks.ground.namespace import Mount
from labtasks.lab.binding import Places
from labtasks.store import layer
from labtasks.store.layer import Entry, LayerId


@dataclass(slots=True, kw_only=True)
class Overlay(Workspace):
    """Overlays in a namespace: instant, and the layers under them are never written."""

    kind: namespace.Kind
    _mounted: int = 0

    def places(self) -> Places:
        return self.recipe.places

    def out(self) -> str:
        return f"{namespace.ROOT}/out"

    def home(self) -> str:
        return f"{namespace.ROOT}/home"

    def prepare(self, log: Path) -> None:
        for name in ("src", "obj"):
            (self.scratch / name).mkdir()
        layer.copy_out(self.layers, self.trees.flat, self.objects(), whiteouts=True)
        wait_past(self.trees.newest)
        src, obj, trees = self.places().src, self.places().obj, self.trees
        self.remove(trees.remove_obj, log)
        self._each("touch -h -c", obj, trees.touch_obj, log)
        self._each("touch -h -c", src, trees.touch_src, log)

    def remove(self, paths: Sequence[str], log: Path) -> None:
        self._each(f"sh -c {shlex.quote(REMOVE)}", self.places().obj, paths, log)

    def _each(self, command: str, tree: str, paths: Sequence[str], log: Path) -> None:
        """Run a command on paths of a tree where the mounts are."""
        if not paths:
            return
        names = b"".join(os.fsencode(f"{tree}/{p}") + b"\0" for p in paths)
        (self.scratch / "out" / "paths").write_bytes(names)
        text = f"xargs -0 {command} -- < {self.out()}/paths"
        argv, where = self.inside(["sh", "-c", text], tree)
        answer = process.query(argv, env=self.environment(), cwd=where)
        with log.open("a", encoding="utf-8", errors="replace") as out:
            out.write(f"+ {command} of {len(paths)} paths of {tree}\n{answer.error}")
        if answer.code:
            hint = f"the log is {log}"
            raise InfraError(f"the trees could not be put in place: {answer.error}", hint=hint)

    def _mounts(self) -> list[Mount]:
        self._mounted += 1
        here = os.path.relpath(self.scratch, self.layers)

        def mount(at: str, name: str, stack: Iterable[LayerId]) -> Mount:
            work = self.scratch / f"work.{name}.{self._mounted}"
            work.mkdir()
            lowers = tuple(f"{i}/t" for i in stack)
            return Mount(at=at, upper=f"{here}/{name}", lowers=lowers, work=f"{here}/{work.name}")

        trees, places = self.trees, self.places()
        if self.recipe.in_tree:
            stacks = [mount(places.src, "obj", (*trees.obj, *trees.below, *trees.src))]
        else:
            stacks = [
                mount(places.src, "src", trees.src),
                mount(places.obj, "obj", (*trees.obj, *trees.below)),
            ]
        plain = [
            Mount(at=places.files, upper=f"{here}/files"),
            Mount(at=self.out(), upper=f"{here}/out"),
        ]
        return [*stacks, *plain]

    def inside(self, argv: Sequence[str], cwd: str) -> tuple[Sequence[str], Path]:
        return namespace.argv(self.kind, self._mounts(), argv, cwd=cwd), self.layers

    def objects(self, globs: tuple[str, ...] = ("**",)) -> Path:
        del globs
        return self.scratch / "obj"

    def shown(self, path: str) -> Path | None:
        tree, _, rest = path.partition("/")
        trees = self.trees
        objects = (*trees.obj, *trees.below)
        if self.recipe.in_tree:
            upper, stack = "obj", (*objects, *trees.src)
        else:
            upper, stack = tree, trees.src if tree == "src" else objects
        new = self.scratch / upper / rest
        return new if os.path.lexists(new) else layer.find(self.layers, stack, rest)

    def harvest(self) -> list[Entry]:
        upper = self.objects()
        self._drop_touched(upper)
        folder = self.scratch / "layer"
        folder.mkdir()
        upper.rename(folder / "t")
        aged(folder / "t", self.begun)
        found = layer.scan(folder / "t")
        layer.write_entries(folder, found)
        return found

    def _drop_touched(self, upper: Path) -> None:
        """What was touched and not changed (a world's objects, sources they lie among) is no
        part of what was built.
        """
        trees = self.trees
        touched = [(path, trees.below) for path in trees.touch_obj]
        if self.recipe.in_tree:
            touched += [(path, trees.src) for path in trees.touch_src]
        for path, stack in touched:
            copy, original = upper / path, layer.find(self.layers, stack, path)
            if original and os.path.lexists(copy) and same(copy, original):
                copy.unlink()

    def strays(self) -> list[str]:
        if self.recipe.in_tree:
            return []
        touched = {*self.trees.touch_src}
        return [
            path for path, info in layer.walk(self.scratch / "src")
            if path not in touched and not stat.S_ISDIR(info.st_mode)
        ]  # fmt: skip
