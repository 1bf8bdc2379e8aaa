"""Reasons not to believe an incremental build, looked for before and after it ran.

    sealed files that somebody changed by hand: nothing is built on them
    makefiles the build made anew: what the old ones made may be wrong now
    a new file in a folder that make lists, and that nobody looked at
    a check that would see a change, and that did not run again
    an output that the rules of before made, and that nobody looked at under the new ones

All but the first raise BuildError, which leads to a clean build. Knows nothing of how steps run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from labtasks.build.builder import Trees, Workspace
from labtasks.ground import globs
from labtasks.ground.error import BuildError, UserError, printable
from labtasks.lab.recipe import Part
from labtasks.store import layer, seal
from labtasks.store.candidate import Candidate
from labtasks.store.layer import Entry, LayerId
from labtasks.store.store import Store
from labtasks.trace import trace_depend
from labtasks.trace.trace import CHECK, DRIVER, Job, Trace


def refuse_altered(
    store: Store,
    trees: Trees,
    reads: frozenset[str] | None,
    *,
    in_tree: bool,
    within: tuple[str, ...] = (),
) -> None:
    """Raises UserError for a sealed file changed by hand, of those in `reads` or of all: of all
    objects, and of the sources `within` some folders and files, where these are named.
    """

    def below(prefix: str) -> list[str] | None:
        if reads is None:
            return None
        return [p.removeprefix(prefix) for p in reads if p.startswith(prefix)]

    sources = below("src/")
    if within and "." not in within:
        tops = tuple(f"{path}/" for path in within)
        every = (e.path for name in trees.src for e in layer.entries(store.layers, name))
        sources = [path for path in every if f"{path}/".startswith(tops)]
    refuse_changed(store, (trees.src, sources), (trees.objects, None if in_tree else below("obj/")))


def refuse_changed(store: Store, *stacks: tuple[Iterable[LayerId], Iterable[str] | None]) -> None:
    """Raises UserError for a sealed file changed by hand, of some paths of each stack or of all."""
    bad = [name for stack, paths in stacks for name in seal.altered(store.layers, stack, paths)]
    if bad:
        owners = store.owners(bad[0].split("/")[0])
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise UserError(
            f"sealed file changed by hand: {store.layers / bad[0]}{more}",
            hint=f"`doit clean {' '.join(owners)}` and build again; nothing was made of it",
        )


def refuse_new_rules(
    store: Store, space: Workspace, trace: Trace, part: Part, entries: Iterable[Entry]
) -> None:
    """A makefile that the build itself made came out another one: what older rules made may be
    wrong now. Raises BuildError.
    """
    written = {e.path: e for e in entries if e.type == "f"}
    root = space.places().obj
    for entry, before in _new_rules(store, space, trace, part, written):
        old = layer.find(store.layers, space.trees.objects, entry.path) if before else None
        new = space.scratch / "layer" / "t" / entry.path
        if _no_makefile(new) and (old is None or _no_makefile(old)):
            continue
        if not _same_rules(_text(old) if old else "", _text(new), written, root):
            raise BuildError(f"it made new rules for make: {printable(entry.path)}")


def _new_rules(
    store: Store, space: Workspace, trace: Trace, part: Part, written: Mapping[str, Entry]
) -> Iterator[tuple[Entry, bool]]:
    """The makefiles that the build itself made otherwise than before, as `_differing` has them."""
    rules = {p.partition("/")[2] for p in trace.rules}
    harmless = globs.matcher((*part.depends, *part.volatile))
    made = [written[path] for path in sorted(written.keys() & rules) if not harmless(path)]
    return _differing(store, space, made)


def _differing(
    store: Store, space: Workspace, made: Collection[Entry]
) -> Iterator[tuple[Entry, bool]]:
    """Those of the files just made that are not as before, and whether they were there at all."""
    under = layer.merged(store.layers, space.trees.objects) if made else {}
    for entry in made:
        before = under.get(entry.path)
        if before is None or before.digest != entry.digest:
            yield entry, before is not None


def _no_makefile(path: Path) -> bool:
    """Whether a file is a program or other data, which make opens now and then to look at it."""
    with path.open("rb") as file:
        return b"\0" in file.read(4096)


def _same_rules(old: str, new: str, written: Collection[str], root: str) -> bool:
    """Whether two makefiles say the same, but for prerequisites of what was made just now, as
    compilers write them beside their objects.
    """
    before, after = trace_depend.prerequisites(old), trace_depend.prerequisites(new)
    if before is None or after is None:
        return False
    none = frozenset[str]()
    differ = {t for t in {*before, *after} if before.get(t, none) != after.get(t, none)}
    return all(_is_among(target, written, root) for target in differ)


def _is_among(target: str, written: Collection[str], root: str) -> bool:
    if target.startswith("/"):
        return target.removeprefix(f"{root}/") in written
    # relative to where make ran, which the file does not tell
    return any(f"/{path}".endswith(f"/{target}") for path in written)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def refuse_unused(base: Candidate, seen: Trace) -> None:
    """A file was added to a folder that make lists, and nobody looked at it: a wildcard may have
    put its name into a command that make saw no reason to run. Raises BuildError.
    """
    unused = base.added_to_listed - seen.reads - seen.absent
    if unused:
        raise BuildError(f"make lists the folder of a new file: {printable(min(unused))}")


def refuse_unnamed(
    store: Store,
    space: Workspace,
    base: Candidate,
    seen: Trace,
    part: Part,
    entries: Collection[Entry],
) -> None:
    """Make's rules have changed, and an output of the base was neither made again nor looked at: a
    makefile may no longer name it, and a clean build would not have it. Raises BuildError.

    For tracers that see make look at a file (`stat`); others would accuse all that is up to date.
    """
    trace = base.trace
    if trace is None:
        return
    written = {e.path: e for e in entries if e.type == "f"}
    changed = {f"src/{p}" for p in base.changed_paths} | {f"obj/{p}" for p in base.changed_obj}
    generated = _new_rules(store, space, trace, part, written)
    if changed.isdisjoint(trace.rules) and next(generated, None) is None:
        return
    tree = "src" if trace.in_tree else "obj"
    output, volatile = globs.matcher(part.outputs), globs.matcher(part.volatile)
    known = seen.reads | seen.writes
    gone = {entry.path for entry in entries}
    left = {
        f"{tree}/{path}"
        for path, entry in layer.merged(store.layers, space.trees.obj).items()
        if entry.type == "f" and path not in gone and output(path) and not volatile(path)
    } - known
    for name, job in trace.jobs.items() if left else ():
        lost = job.writes & left
        if lost and name != DRIVER and job.writes.isdisjoint(known):
            path = min(lost).partition("/")[2]
            raise BuildError(f"the rules differ, and make knows nothing of {printable(path)}")


def refuse_unchecked(
    store: Store, space: Workspace, base: Candidate, seen: Trace, entries: Iterable[Entry]
) -> None:
    """A command that left nothing would see a change now, and did not run again: it might leave
    something this time, of which make knows nothing. Raises BuildError.
    """
    trace = base.trace
    idle = {n for n in trace.names if n.startswith(CHECK)} - {*seen.names} if trace else set()
    if trace is None or not idle:
        return
    tree = "src" if trace.in_tree else "obj"
    files = {f"{tree}/{e.path}": e for e in entries if e.type == "f"}
    told = [file for path, file in files.items() if trace.touched([("A", path)]).keys() & idle]
    changes = {
        f"{tree}/{entry.path}": "M" if known else "A"
        for entry, known in _differing(store, space, told)
    }
    touched = trace.touched((status, path) for path, status in changes.items())
    for name in sorted(idle & {*touched, *(base.touched or {})}):
        check = trace.jobs[name]
        looked = {p for p in check.looked_at if p.startswith("src/") or p in changes}
        if not _ran_again(frozenset(looked - base.removed_src), check, trace, seen):
            why = (touched | (base.touched or {}))[name][0].partition("/")[2]
            raise BuildError(f"a command that leaves nothing was not run again: {printable(why)}")


def _ran_again(looked: frozenset[str], check: Job, trace: Trace, seen: Trace) -> bool:
    """Whether a check ran again as another job, because it left something this time or looked at
    more: one that is new, that did not look at all this before, or has the same sources.
    """
    for name, job in seen.jobs.items():
        if looked <= job.looked_at | job.writes:
            before = trace.jobs.get(name, Job())
            if not looked <= before.looked_at or _sources(job) == _sources(check):
                return True
    return False


def _sources(job: Job) -> frozenset[str]:
    return frozenset(path for path in job.looked_at if path.startswith("src/"))
