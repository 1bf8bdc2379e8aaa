"""Run a recipe's steps in a layer: mounts or copies, traced, logged, and what they left behind.

Two workspaces with one interface. On Linux the trees are overlays at /mnt/src and /mnt/obj in a
mount namespace of the build's own; elsewhere they are copied to one lane of the cache, which has
room for one build at a time. Knows nothing of keys, commits or why something is built.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labtasks import layer, namespace, process
from labtasks.error import InfraError
from labtasks.lab import Lab
from labtasks.layer import Entry, LayerId
from labtasks.namespace import Mount
from labtasks.process import Ended
from labtasks.recipe import JOBS, Bound, Places
from labtasks.source import EPOCH
from labtasks.store import Step, Store

STRACE = (
    "strace", "-f", "--seccomp-bpf", "-q", "-s", "4096",
    "-e", "trace=%file,fchdir,fcntl,dup,dup2,dup3,clone,clone3,vfork,fork",
)  # fmt: skip
"""What trace_strace reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """What a build starts from: stacks of layers, newest first, and what make must see as new."""

    src: tuple[LayerId, ...]
    obj: tuple[LayerId, ...] = ()
    below: tuple[LayerId, ...] = ()
    touch_src: tuple[str, ...] = ()
    touch_obj: tuple[str, ...] = ()
    remove_obj: tuple[str, ...] = ()
    flat: tuple[LayerId, ...] = ()
    """A stack that has grown too high: copied into the new layer instead of lying under it."""
    newest: float = 0.0
    """Seconds since 1970 of the newest object: what is touched must be younger."""


@dataclass(slots=True, kw_only=True)
class Workspace(ABC):
    """One build's trees, ready for its steps. `scratch` is a folder of its own."""

    layers: Path
    scratch: Path
    trees: Trees
    recipe: Bound
    jobs: int
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("out", "files", "home"):
            (self.scratch / name).mkdir(exist_ok=True)
        trees = self.trees
        uses = (*trees.src, *trees.obj, *trees.flat, *trees.below)
        (self.scratch / "uses").write_text(" ".join(uses))
        for name, text in self.recipe.files.items():
            path = self.scratch / "files" / name
            path.write_text(text, encoding="utf-8")
            os.utime(path, ns=(EPOCH, EPOCH))

    @abstractmethod
    def places(self) -> Places:
        """Where the steps see the trees."""

    @abstractmethod
    def prepare(self, log: Path) -> None:
        """Put the trees in place and touch what must look new."""

    @abstractmethod
    def remove(self, paths: Sequence[str], log: Path) -> None:
        """Remove objects, so that make makes them again."""

    @abstractmethod
    def launch(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        cwd: str = "",
        timeout: float | None = None,
        until: Callable[[], bool] | None = None,
        echo: bool = False,
    ) -> Ended:
        """Run one command where it sees the trees; `cwd` is the sources' root by default."""

    @abstractmethod
    def out(self) -> str:
        """Where a step sees the folder `scratch`/out."""

    @abstractmethod
    def objects(self) -> Path:
        """The folder with what the steps wrote to the object tree (and, in a lane, all of it)."""

    @abstractmethod
    def harvest(self) -> list[Entry]:
        """Make `scratch`/layer: what the steps left in the object tree. Its entries, hashed."""

    @abstractmethod
    def strays(self) -> list[str]:
        """Paths that the steps wrote into the sources, though the objects lie apart."""

    def run(self, steps: Iterable[str], log: Path, *, traced: bool, echo: bool) -> Ended:
        """Run steps until one fails; how the last one ended."""
        ended = Ended(code=0, seconds=0.0)
        for number, step in enumerate(steps, len(self.steps)):
            text = step.replace(JOBS, str(self.jobs))
            with log.open("a", encoding="utf-8") as out:
                out.write(f"+ {text}\n")
            tracer = [*STRACE, "-o", f"{self.out()}/strace.{number}"] if traced else []
            ended = self.launch([*tracer, "sh", "-e", "-c", text], log, echo=echo)
            self.steps.append(Step(text=text, seconds=round(ended.seconds, 3)))
            if ended.code:
                break
        return ended

    def environment(self) -> dict[str, str]:
        """A scrubbed environment: nothing of the person's shell decides what is built."""
        base = {"PATH": process.PATH, "TMPDIR": "/tmp", "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}  # noqa: S108
        return {**base, "HOME": self.home(), "SHELL": "/bin/sh", **self.recipe.env}

    @abstractmethod
    def home(self) -> str:
        """An empty folder to write to."""


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
        one = 'for p; do [ -d "$p" ] && [ ! -L "$p" ] || rm -f "$p"; done'
        self._each(f"sh -c {shlex.quote(one)}", self.places().obj, paths, log)

    def _each(self, command: str, tree: str, paths: Sequence[str], log: Path) -> None:
        """Run a command on paths of a tree where the mounts are."""
        if not paths:
            return
        names = b"".join(os.fsencode(f"{tree}/{p}") + b"\0" for p in paths)
        (self.scratch / "out" / "paths").write_bytes(names)
        text = f"xargs -0 {command} -- < {self.out()}/paths"
        inside = namespace.argv(self.kind, self._mounts(), ["sh", "-c", text], cwd=tree)
        answer = process.query(inside, env=self.environment(), cwd=self.layers)
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

    def launch(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        cwd: str = "",
        timeout: float | None = None,
        until: Callable[[], bool] | None = None,
        echo: bool = False,
    ) -> Ended:
        inside = namespace.argv(self.kind, self._mounts(), argv, cwd=cwd or self.places().src)
        env = self.environment()
        return process.run(
            inside, log=log, env=env, cwd=self.layers, timeout=timeout, until=until, echo=echo
        )

    def objects(self) -> Path:
        return self.scratch / "obj"

    def harvest(self) -> list[Entry]:
        upper = self.objects()
        if self.recipe.in_tree:
            self._drop_touched(upper)
        folder = self.scratch / "layer"
        folder.mkdir()
        upper.rename(folder / "t")
        found = layer.scan(folder / "t")
        layer.write_entries(folder, found)
        return found

    def _drop_touched(self, upper: Path) -> None:
        """Sources that were touched and not changed are no part of the objects."""
        for path in self.trees.touch_src:
            copy = upper / path
            if not os.path.lexists(copy):
                continue
            below = (layer.tree_of(self.layers, i) / path for i in self.trees.src)
            original = next((p for p in below if os.path.lexists(p)), None)
            if original and _same(copy, original):
                copy.unlink()

    def strays(self) -> list[str]:
        if self.recipe.in_tree:
            return []
        touched = {*self.trees.touch_src}
        return [
            path for path, info in layer.walk(self.scratch / "src")
            if path not in touched and (info.st_mode & 0o170000) != 0o040000
        ]  # fmt: skip


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
        layer.remove(src.parent)
        src.parent.mkdir(parents=True)
        layer.copy_out(self.layers, self.trees.src, src)
        stack = (*self.trees.obj, *self.trees.flat, *self.trees.below)
        layer.copy_out(self.layers, stack, obj)
        (self.scratch / "files").rename(self.places().files)
        wait_past(self.trees.newest)
        self._before = {path: (info.st_size, info.st_mtime_ns) for path, info in layer.walk(obj)}
        self.remove(self.trees.remove_obj, log)
        for root, paths in ((src, self.trees.touch_src), (obj, self.trees.touch_obj)):
            for path in paths:
                if os.path.lexists(root / path):
                    os.utime(root / path, follow_symlinks=False)
        if self.recipe.in_tree:  # a touched source is no object
            for path in set(self.trees.touch_src) & self._before.keys():
                info = (src / path).lstat()
                self._before[path] = (info.st_size, info.st_mtime_ns)

    def remove(self, paths: Sequence[str], log: Path) -> None:
        del log  # nothing is run
        for path in paths:
            target = self.objects() / path
            if target.is_symlink() or not target.is_dir():
                target.unlink(missing_ok=True)

    def launch(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        cwd: str = "",
        timeout: float | None = None,
        until: Callable[[], bool] | None = None,
        echo: bool = False,
    ) -> Ended:
        where = Path(cwd or self.places().src)
        env = self.environment()
        return process.run(
            argv, log=log, env=env, cwd=where, timeout=timeout, until=until, echo=echo
        )

    def objects(self) -> Path:
        return Path(self.places().obj)

    def harvest(self) -> list[Entry]:
        folder = self.scratch / "layer"
        (folder / "t").mkdir(parents=True)
        obj = self.objects()
        now = dict(layer.walk(obj))
        for path, info in now.items():
            target = folder / "t" / path
            if (info.st_mode & 0o170000) == 0o040000:
                continue
            if self._before.get(path) != (info.st_size, info.st_mtime_ns):
                target.parent.mkdir(parents=True, exist_ok=True)
                (obj / path).rename(target)
        found = layer.scan(folder / "t")
        gone = [p for p in self._before if p not in now and str(Path(p).parent) in {*now, "."}]
        for path in gone:
            (folder / "t" / path).parent.mkdir(parents=True, exist_ok=True)
            layer.whiteout(folder / "t" / path)
        found += [Entry(path, "w", 0, 0, "", 0, 0) for path in gone]
        layer.write_entries(folder, found)
        return found

    def strays(self) -> list[str]:
        return []  # the lane is thrown away: nobody builds on what was written there


@contextlib.contextmanager
def workspace(lab: Lab, store: Store, name: str, trees: Trees) -> Iterator[Workspace]:
    """The workspace this host can give, gone afterwards. The lane of copies takes one at a time."""
    kind = namespace.kind_here(lab.cache) if lab.overlay else "none"
    with contextlib.ExitStack() as stack:
        if kind == "none":
            stack.enter_context(store.lane(name))
        scratch = stack.enter_context(store.workspace(name))
        if kind == "none":
            yield Copy(
                layers=store.layers, scratch=scratch, trees=trees, recipe=lab.recipe, jobs=lab.jobs
            )
        else:
            yield Overlay(
                layers=store.layers, scratch=scratch, trees=trees, recipe=lab.recipe,
                jobs=lab.jobs, kind=kind,
            )  # fmt: skip


def _same(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and os.readlink(one) == os.readlink(other)
    a, b = one.stat(), other.stat()
    return (
        a.st_size == b.st_size and a.st_mode == b.st_mode and one.read_bytes() == other.read_bytes()
    )


def wait_past(newest: float) -> None:
    """Some makes compare whole seconds, newer meaning strictly newer: let the base's last second
    pass before anything is touched. Costs at most one second, right after another build.
    """
    while int(time.time()) <= int(newest):
        time.sleep(0.01)
