"""Which tracer a build gets, and the trace it leaves.

    bpf       every file call of every process, told by the kernel (Linux, root)
    strace    the same, by stopping at each
    filemon   the .meta records of FreeBSD's make in META_MODE
    depend    what compilers leave, and the recipe's globs for what they never show

Knows nothing of what traces are used for.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, lru_cache, reduce
from pathlib import Path

from labtasks.build.builder import STRACE, Workspace
from labtasks.ground import namespace, process
from labtasks.ground.error import UserError, say
from labtasks.ground.globs import matcher
from labtasks.lab.recipe import Part
from labtasks.store import layer
from labtasks.trace import recorder, trace_bpf, trace_depend, trace_filemon, trace_strace
from labtasks.trace.trace import DRIVER, Job, Trace
from labtasks.trace.trace_calls import Calls

_WATCHERS = {"bpf": trace_bpf.parse, "strace": trace_strace.parse}

_LONGEST = 256
"""Bytes of a first line that the kernel looks at."""


def choose(setting: str, part: Part, path: str, there: str | None = None) -> str:
    """The tracer to use: what lab.toml says, or the best there is. Raises UserError.

    `path` is where the build finds its tools; `there` is the best tracer of another machine that
    builds, "" for none.
    """
    if there is not None:
        return _choose_there(setting, part, there)
    if setting == "strace":
        process.which("strace", path=path)
    if setting == "filemon" and platform.system() != "FreeBSD":
        raise UserError("only FreeBSD has filemon", hint='set tracer = "auto" in lab.toml')
    if setting == "bpf" and not recorder.standing().works:
        found = recorder.standing()
        raise UserError(f"calls cannot be recorded by BPF: {found.said}", hint=found.remedy)
    if setting != "auto":
        return setting
    if recorder.standing().works and not recorder.distrusted():
        return "bpf"
    if strace_works(path):
        return "strace"
    if platform.system() == "FreeBSD" and Path("/dev/filemon").exists():
        return "filemon"
    return "depend" if part.depends else "none"


def _choose_there(setting: str, part: Part, there: str) -> str:
    """The same for another machine that builds."""
    best = there or ("depend" if part.depends else "none")
    if setting in ("bpf", "strace", "filemon") and setting != there:
        hint = f'install it there, or set tracer = "auto" (that is {best})'
        if setting == "bpf":
            hint = 'BPF watches builds on this host only: set tracer = "auto" in lab.toml'
        raise UserError(f"the machine that builds has no working {setting}", hint=hint)
    return best if setting == "auto" else setting


@cache
def strace_works(path: str) -> bool:
    """A container may have strace and forbid it to attach."""
    if platform.system() != "Linux" or not shutil.which("strace", path=path):
        return False
    return process.query([*STRACE, "-o", "/dev/null", "true"], env={"PATH": path}).code == 0


def collect(
    tracer: str,
    space: Workspace,
    part: Part,
    links: Mapping[str, str],
    sources: Callable[[], Collection[str]],
) -> Trace | None:
    """What a finished build read, or None.

    `links` are the symbolic links it found in its trees, `sources` gives every path of the source
    tree: they tell what a relative name in a dependency file is relative to, and those that match
    the part's `unseen` globs complete what compilers leave.
    """
    places = space.places()
    src, obj = places.src, places.obj
    if tracer in _WATCHERS:
        return _watched(tracer, space, links)
    if tracer == "filemon":
        metas, tree = _texts(space, ("**/*.meta",)), {f"src/{path}" for path in sources()}
        return trace_filemon.parse(metas, src=src, obj=obj, links=links, sources=tree)
    if tracer == "depend":
        tree = {f"src/{path}" for path in sources()}
        found = trace_depend.parse(
            _texts(space, part.depends), src=src, obj=obj, links=links, exists=tree.__contains__
        )
        unseen = matcher(part.unseen)
        reads = frozenset(p for p in tree if unseen(p.removeprefix("src/")))
        listed = frozenset(path.rpartition("/")[0] for path in reads)
        return found.united(Trace({DRIVER: Job(reads=reads, listed=listed, rules=reads)}))
    return None


def watches(tracer: str) -> bool:
    """Whether a tracer sees every look at a file, make's own (`stat`) among them."""
    return tracer in _WATCHERS


def _watched(tracer: str, space: Workspace, links: Mapping[str, str]) -> Trace | None:
    """What the steps did, by the logs of a tracer that watched them."""
    src, obj = space.places().src, space.places().obj
    logs = sorted((space.scratch / "out").glob(f"{tracer}.*"), key=lambda p: int(p.suffix[1:]))
    known = {**links, **_doors(src, obj)}

    def interpreter(path: str) -> str:
        return _interpreter(space.shown(path))

    parse = _WATCHERS[tracer]
    steps = [
        parse(log, Calls(src=src, obj=obj, cwd=src, links=known, interpreter=interpreter))
        for log in logs
    ]
    unseen = [p for step in steps for p in step.problems if p.startswith(trace_bpf.UNTRUE)]
    if unseen:
        recorder.distrust(unseen[0])
        say(f"note: {unseen[0]}: this trace proves nothing, and strace will watch for an hour")
    return reduce(Trace.united, steps) if steps else None


def _interpreter(script: Path | None) -> str:
    """What a `#!` line names; "" for any other file."""
    if script is None:
        return ""
    try:
        with script.open("rb") as file:
            first = file.readline(_LONGEST)
    except OSError:
        return ""
    words = first[2:].split() if first.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else ""


def _doors(*roots: str) -> dict[str, str]:
    """Links of this system that lead to the trees or to a folder above them, such as /usr/src.
    Looked for two folders deep: a link further down is not seen.
    """
    above = {str(up) for root in roots for up in (Path(root), *Path(root).parents)} - {"/"}
    inside = tuple(f"{root}/" for root in roots)
    apart = (namespace.ROOT, "/dev", "/proc", "/sys")
    tops = [item.path for item in _scan("/") if item.path not in apart]
    links = [*_links("/", _changed("/")), *(p for top in tops for p in _links(top, _changed(top)))]
    found = {path: os.path.realpath(path) for path in links}
    return {path: to for path, to in found.items() if to in above or to.startswith(inside)}


def _changed(folder: str) -> int:
    """When a folder, or the one that a link leads to, has last changed; 0 where there is none."""
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=256)
def _links(folder: str, changed: int) -> tuple[str, ...]:
    """The links in a folder as it was when it last changed: a bisect builds again and again."""
    del changed
    return tuple(item.path for item in _scan(folder) if item.is_symlink())


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return list(listing)
    except OSError:  # no folder, or not ours to read
        return []


def _texts(space: Workspace, globs: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Name below the object tree, and text, of the files that match and that the steps wrote: the
    records of a world's jobs are not a kernel's.
    """
    wanted = matcher(globs)
    root = space.objects(globs)
    for path, _ in layer.walk(root):
        if wanted(path) and (root / path).is_file() and space.wrote(path):
            yield path, (root / path).read_text(encoding="utf-8", errors="surrogateescape")
