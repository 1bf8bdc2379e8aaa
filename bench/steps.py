"""What labtasks adds to make: a one-file kernel step, tracing, bytes on disk, two at once.

Arguments: a lab whose commit is built, the commit, a C file its kernel is made from, a header
that many of them read. Without arguments: the demo OS. All is done in a copy of the lab's cache
by reference (a clone of the repository, the same store), and forgotten afterwards.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from common import DOIT, best, borrowed, commit, lab, report, run, seconds

from labtasks.build.builder import Trees
from labtasks.build.workspace import open_workspace
from labtasks.key import key
from labtasks.lab import lab as labs
from labtasks.store.store import Store
from labtasks.trace import recorder, tracing

ROUNDS = 3


def main(where: Path, ref: str, source: str, header: str) -> None:
    """Print what each costs."""
    with tempfile.TemporaryDirectory() as scratch:
        here, clone = borrowed(Path(scratch), where, ref, [source, header])
        run([*DOIT, "build:base"], here)
        run([*DOIT, f"kernel:{commit(clone, source, 99)}"], here)  # inputs may be found by it
        run([*DOIT, "build:base"], here)
        commits = [commit(clone, source, n) for n in range(ROUNDS)]
        whole = [seconds(run, [*DOIT, f"kernel:{c}"], here) for c in commits]
        bare = [_in_place(here, source) for _ in range(ROUNDS)]
        over = min(whole) - min(bare)
        report("kernel step: whole command, and bare make", min(whole), min(bare), "")
        print(f"{'  added by labtasks':<44} {over:9.3f} s    (at most 1.5 s)")
        _disk(here, commits[-1])
        plain = _clean(here, "none")
        for tracer in ("bpf", "strace") if recorder.standing().works else ("strace",):
            watched = _clean(here, tracer)
            report(f"clean kernel, {tracer} (log read), none", watched, plain, "at most 1.05")
        _two(here, clone, header)


def _base(here: Path) -> tuple[labs.Lab, Store, Trees]:
    found = labs.load(here)
    store = Store(found.cache)
    want = key.wanted(found, "build", found.repository.commit("base"), None)
    build = store.get("build", want.key)
    if build is None:
        sys.exit("the base is not built")
    trees = Trees(src=tuple(build.below), obj=tuple(build.stack), files=found.recipe.files)
    return found, store, trees


def _in_place(here: Path, source: str) -> float:
    """Seconds of the kernel's steps after one file was edited where it lies."""
    found, store, trees = _base(here)
    steps = found.recipe.parts["kernel"].steps
    with open_workspace(found, store, "bench", trees) as space:
        log = space.scratch / "log"
        space.prepare(log)
        space.run(steps, log, tracer="none", echo=False)
        space.launch(["sh", "-c", f"sleep 1; echo '/* x */' >> {source}"], log)
        return seconds(lambda: space.run(steps, log, tracer="none", echo=False))


def _clean(here: Path, tracer: str) -> float:
    """Seconds of a clean kernel build; with the log of the tracer read, when there is one."""
    found, store, trees = _base(here)
    part = found.recipe.parts["kernel"]
    want = key.wanted(found, "kernel", found.repository.commit("base"), None)
    below = store.get(want.base.kind, want.base.key) if want.base else None
    trees = replace(trees, obj=tuple(below.stack) if below else ())
    with open_workspace(found, store, "bench", trees) as space:
        log = space.scratch / "log"
        space.prepare(log)

        def work() -> None:
            if space.run(part.steps, log, tracer=tracer, echo=False).code:
                sys.exit(log.read_text()[-2000:])
            if tracer != "none":
                tracing.collect(tracer, space, part, {}, list)

        return seconds(work)


def _disk(here: Path, ref: str) -> None:
    """Bytes a step added to the cache, against the bytes make rewrote."""
    found, store, _ = _base(here)
    want = key.wanted(found, "kernel", found.repository.commit(ref), None)
    made = store.get("kernel", want.key)
    if made is None:
        sys.exit("the step is not built")
    layer = store.layers / made.stack[0]
    home = store.home("kernel", want.key)
    added = sum(p.lstat().st_blocks * 512 for d in (layer, home) for p in d.rglob("*"))
    since = made.finished - made.seconds - 5
    files = [p.lstat() for p in (layer / "t").rglob("*") if p.is_file()]
    wrote = sum(f.st_blocks * 512 for f in files if f.st_mtime >= since)
    report(
        "bytes of a step, and rewritten by make", added / 2**20, wrote / 2**20, "at most 1.5", "MB"
    )


def _two(here: Path, clone: Path, header: str) -> None:
    """Two builds one after the other, against both at once; make has one job. The first of all
    reads the disk, and counts for nobody.
    """
    settings = here / "lab.toml"
    settings.write_text("jobs = 1\n" + settings.read_text())
    number = itertools.count(100)

    def two(*words: str) -> None:
        run([*DOIT, *words, *(f"kernel:{commit(clone, header, next(number))}" for _ in "ab")], here)

    run([*DOIT, f"kernel:{commit(clone, header, next(number))}"], here)
    apart, both = best(two, lambda: two("-n", "2"), 2)
    report("two builds: one after the other, at once", apart, both, "at least 1.6")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]).resolve(), *sys.argv[2:5])
    else:
        with tempfile.TemporaryDirectory() as made:
            demo = lab(Path(made) / "demo", 'repository = "demo"\nrecipe = "demo"\n')
            main(demo, "good", "sys/kern/kern_synch.c", "sys/sys/proc.h")
