"""What a build is given, and how its steps are run there: traced, logged.

One interface; overlays (overlay), copies in a lane (lane) and another machine's trees (guest)
implement it. Knows nothing of keys, commits or why something is built.
"""

from __future__ import annotations

import os
import stat
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from labtasks.build import processor
from labtasks.ground import process, supervisor
from labtasks.ground.supervisor import Ended
from labtasks.lab.binding import JOBS, Bound, Places
from labtasks.store import layer
from labtasks.store.layer import Entry, LayerId
from labtasks.store.manifest import Step
from labtasks.store.source import EPOCH
from labtasks.trace import recorder
from labtasks.trace.recorder import Recorder

_CALLS = (
    "open openat openat2 creat stat lstat newfstatat statx access faccessat faccessat2 execve"
    " execveat chdir fchdir rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat"
    " rmdir mkdir mkdirat mknod mknodat chmod fchmodat fchmodat2 chown lchown fchownat truncate"
    " utime utimes futimesat utimensat readlink readlinkat getdents64 fcntl dup dup2 dup3"
    " clone clone3 vfork fork"
)
"""All that name a file, and what tells whose directory and descriptors those names start from."""

STRACE = (
    "strace", "-f", "--seccomp-bpf", "-q", "-s", "4096",
    "-e", "trace=" + ",".join(f"?{call}" for call in _CALLS.split()),
    "-e", "verbose=?clone3,?openat2",
)  # fmt: skip
"""What trace_strace reads: of structures only those that hold flags. The question marks: not
every processor has every call.
"""


REMOVE = 'for p; do [ -d "$p" ] && [ ! -L "$p" ] || rm -f "$p"; done'
"""Shell text that removes files and links, and leaves folders alone."""

_COARSE = 10**8
"""Nanoseconds by which a file system's clock may be behind the system's."""


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
    files: Mapping[str, str] = field(default_factory=dict)
    """Small texts beside the trees, by name: of the recipe's and the lab's, those of this part."""

    @property
    def objects(self) -> tuple[LayerId, ...]:
        """Every layer of objects that it starts from, newest first."""
        return (*self.obj, *self.flat, *self.below)

    @property
    def uses(self) -> tuple[LayerId, ...]:
        """Every layer that must stay while this is built."""
        return (*self.src, *self.objects)


@dataclass(slots=True, kw_only=True)
class Workspace(ABC):
    """One build's trees, ready for its steps. `scratch` is a folder of its own."""

    layers: Path
    scratch: Path
    trees: Trees
    recipe: Bound
    jobs: int
    steps: list[Step] = field(default_factory=list)
    idle: dict[int, int] = field(default_factory=processor.idle)
    near: ClassVar[bool] = True
    """Whether `shown` gives files with all that is in them."""
    begun: int = field(default_factory=time.time_ns)

    def __post_init__(self) -> None:
        for name in ("out", "files", "home"):
            (self.scratch / name).mkdir(exist_ok=True)
        for name, text in self.trees.files.items():
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
    def inside(self, argv: Sequence[str], cwd: str) -> tuple[Sequence[str], Path]:
        """The command line that runs `argv` in `cwd` where it sees the trees, and the folder
        that is started in.
        """

    def launch(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        cwd: str = "",
        until: Callable[[], bool] | None = None,
        echo: bool = False,
    ) -> Ended:
        """Run one command where it sees the trees; `cwd` is the sources' root by default."""
        command, where = self.inside(argv, cwd or self.places().src)
        env = self.environment()
        return supervisor.run(command, log=log, env=env, cwd=where, until=until, echo=echo)

    def attended(self, argv: Sequence[str], prompt: str, *, terminal: bool) -> int:
        """Run a command on the person's own terminal, where it sees the trees; its status."""
        del terminal
        command, where = self.inside(argv, self.places().src)
        return process.attached(command, env=self.attending(prompt), cwd=where)

    def attending(self, prompt: str) -> dict[str, str]:
        """The environment of what a person runs."""
        return attending(self.environment(), prompt)

    @abstractmethod
    def out(self) -> str:
        """Where a step sees the folder `scratch`/out."""

    @abstractmethod
    def objects(self, globs: tuple[str, ...] = ("**",)) -> Path:
        """A folder with what the steps wrote to the object tree, at least with what matches; it
        may show more of the tree, and `wrote` tells.
        """

    def wrote(self, path: str) -> bool:
        """Whether the steps wrote an object that `objects` shows."""
        del path
        return True

    @abstractmethod
    def shown(self, path: str) -> Path | None:
        """Where a file lies that the steps saw; `path` is a trace's ("src/...", "obj/...")."""

    @abstractmethod
    def harvest(self) -> list[Entry]:
        """Make `scratch`/layer: what the steps left in the object tree. Its entries, hashed."""

    def sealed_as(self, stack: Sequence[LayerId]) -> None:
        """Told of which stack the harvested layer is about to be the top."""
        del stack

    @abstractmethod
    def strays(self) -> list[str]:
        """Paths that the steps wrote into the sources, though the objects lie apart."""

    def run(
        self, steps: Iterable[str], log: Path, *, tracer: str, echo: bool, alone: bool = False
    ) -> Ended:
        """Run steps until one fails; how the last one ended.

        `tracer`: strace and bpf watch the steps, others look at what these leave. `alone`: under
        strace, on one processor.
        """
        ended = Ended(code=0, seconds=0.0)
        with recorder.recording() if tracer == "bpf" else nullcontext() as recording:
            for number, step in enumerate(steps, len(self.steps)):
                text = step.replace(JOBS, str(self.jobs))
                with log.open("a", encoding="utf-8") as out:
                    out.write(f"+ {text}\n")
                command = ["sh", "-e", "-c", text]
                if tracer == "strace":
                    under = [*STRACE, "-o", f"{self.out()}/strace.{number}"]
                    command = [*(self.lone() if alone else []), *under, *command]
                if recording:
                    ended = self._recorded(recording, number, command, log, echo=echo)
                else:
                    ended = self.launch(command, log, echo=echo)
                self.steps.append(Step(text=text, seconds=round(ended.seconds, 3)))
                if ended.code:
                    break
        return ended

    def _recorded(
        self, recording: Recorder, number: int, command: list[str], log: Path, *, echo: bool
    ) -> Ended:
        folder = self.scratch / "out"
        with recording.into(folder / f"bpf.{number}") as drain:
            words = recording.words(folder, self.out())
            return self.launch([*words, *command], log, echo=echo, until=drain)

    def environment(self) -> dict[str, str]:
        """What the steps find in theirs."""
        return self.recipe.environment(self.home())

    def lone(self) -> list[str]:
        """The beginning of a command line that keeps to one processor."""
        return processor.one(self.idle)

    @abstractmethod
    def home(self) -> str:
        """An empty folder to write to."""


def attending(env: Mapping[str, str], prompt: str) -> dict[str, str]:
    """The environment of what a person runs: that of a step, and for a shell its terminal's."""
    kind = os.environ.get("TERM", "dumb")
    return {**env, **({"PS1": prompt, "TERM": kind} if prompt else {})}


def same(one: Path, other: Path) -> bool:
    """Whether two files, or links, are the same but for their times."""
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and os.readlink(one) == os.readlink(other)
    a, b = one.stat(), other.stat()
    return (
        a.st_size == b.st_size and a.st_mode == b.st_mode and one.read_bytes() == other.read_bytes()
    )


def wait_past(newest: float) -> None:
    """Some makes compare whole seconds, newer meaning strictly newer: let the base's last second
    pass before anything is touched. What `aged` has sealed is never waited for.
    """
    while int(time.time()) <= int(newest):
        time.sleep(0.01)


def aged(tree: Path, since: int) -> None:
    """Date what was written into a tree since then (ns since 1970) one second back, so that the
    build after this one may begin at once: what it touches is of a later second. What one build
    wrote keeps its order, and all that was sealed before is older by the same second.
    """
    done = set()  # a file with two names ages once
    for path, info in layer.walk(tree):
        dated = stat.S_ISREG(info.st_mode) or stat.S_ISLNK(info.st_mode)
        if dated and info.st_mtime_ns > since - _COARSE and info.st_ino not in done:
            done.add(info.st_ino)
            past = info.st_mtime_ns - 10**9
            os.utime(tree / path, ns=(past, past), follow_symlinks=False)
