"""From a kernel that is built, or only edited, to a verdict, against the same by hand.

    bench/verdicts.py [FIGURE ...] [--lab LAB --ref REF --source C --header H] [--rounds N]

Figures: `install`, `boot`, `edit`, `beside`; all of them by default. Without a lab: the demo OS. A
lab is used as bench/steps.py uses one: its store, and commits in a clone.

    install   `doit install` of a kernel whose world has a root; peers: the recipe's install step
              alone, and a copy of the files it leaves
    boot      `doit test` of what is installed; peer: the recipe's preparations and QEMU with the
              same arguments, the console read and judged afterwards by the same code
    edit      a C file edited, committed, `doit test`; peer: edited in place, make, the install
              step, the same boot
    beside    `doit test` of A, whose kernel is built, beside `doit build` of B; peer: the longer
              of both alone

Rounds alternate and the median of each counts, on the clock; in brackets, processor seconds.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import msgspec
from common import DOIT, borrowed, commit, cost, lab, run

from labtasks.build.builder import Trees, Workspace
from labtasks.build.workspace import open_workspace
from labtasks.ground import process
from labtasks.key.key import root_under, wanted
from labtasks.lab import lab as labs
from labtasks.lab.binding import late
from labtasks.site import ssh
from labtasks.store.store import Manifest, Store
from labtasks.test.judge import Ended, Outcome, described, judge
from labtasks.test.verdict import Verdict
from labtasks.test.watch import Watch

_NONCE = re.compile(r"nonce=([0-9a-f]{16})")


@dataclass(kw_only=True)
class Bed:
    """A lab on a clone; `source` and `header` are files in which commits are made."""

    here: Path
    clone: Path
    source: str
    header: str
    rounds: int
    number: int = 0
    found: labs.Lab = field(init=False)

    def __post_init__(self) -> None:
        self.found = labs.load(self.here)

    @property
    def vm(self) -> str:
        return next(iter(self.found.vms))

    @property
    def store(self) -> Store:
        return Store(self.found.cache)

    def commit(self, path: str) -> str:
        """A new commit that changes a file."""
        self.number += 1
        return commit(self.clone, path, self.number)

    def doit(self, *words: str) -> str:
        return run([*DOIT, *words], self.here)

    def held(self, kind: str, ref: str) -> Manifest:
        """An artifact of the store."""
        commit = self.found.repository.commit(ref)
        want = wanted(self.found, "install" if kind == "root" else kind, commit, None)
        want = root_under(self.found, want) if kind == "root" else want
        made = self.store.get(kind, want.key) if want else None
        return made or sys.exit(f"{kind}:{ref} is not in the store")

    def tree(self, kind: str, ref: str) -> Path:
        """What an artifact's own layer holds."""
        return self.store.layers / self.held(kind, ref).stack[0] / "t"

    def verdict(self, ref: str) -> tuple[Path, Verdict]:
        """The verdict on a commit, and its folder."""
        for path in self.found.cache.glob("artifacts/verdict/*/verdict.json"):
            found = msgspec.json.decode(path.read_bytes(), type=Verdict)
            if found.commit == ref:
                return path.parent, found
        sys.exit(f"there is no verdict on {ref}")

    def report(self, name: str, costs: list[tuple[tuple[float, float], ...]], goal: str) -> None:
        """One line: the medians of two columns."""
        (ours, work), (peer, theirs) = (
            [median(one[at] for one in column) for at in (0, 1)]
            for column in zip(*costs, strict=True)
        )
        figures = f"{ours:8.2f} s [{work:.2f}] peer {peer:8.2f} s [{theirs:.2f}]"
        ratio = f"ratio {ours / peer:5.2f} [{work / max(theirs, 0.01):.2f}] {ours - peer:+.2f} s"
        print(f"{name:<40} {figures} {ratio} ({goal})", flush=True)


def install(bed: Bed) -> None:
    """Installation of a kernel alone, against its step and against a copy."""
    bed.doit(f"test:{bed.commit(bed.source)}:{bed.vm}")
    step, copy = [], []
    for _ in range(bed.rounds):
        ref = bed.commit(bed.source)
        bed.doit(f"kernel:{ref}", f"root:{ref}")
        ours = cost(bed.doit, f"install:{ref}:{bed.vm}")
        with _workspace(bed, "kernel", ref) as (space, log):
            step.append((ours, cost(_steps, bed, space, "install", log)))
        made = bed.tree("install", ref)
        copy.append((ours, cost(run, ["cp", "-R", str(made), str(bed.here / "copy")], bed.here)))
        shutil.rmtree(bed.here / "copy")
    bed.report("install: doit, the step", step, "at most 1.5")
    bed.report("install: doit, a copy of the files", copy, "")


def boot(bed: Bed) -> None:
    """A test of what is installed, against the same boot by hand."""
    ref = bed.commit(bed.source)
    bed.doit(f"test:{ref}:{bed.vm}")
    costs = []
    for _ in range(bed.rounds):
        home, _ = bed.verdict(ref)
        shutil.rmtree(home)
        ours = cost(bed.doit, f"test:{ref}:{bed.vm}")
        _, found = bed.verdict(ref)
        root, made = bed.tree("root", ref), bed.tree("install", ref)
        costs.append((ours, cost(by_hand, bed, found.command, str(root), str(made))))
    bed.report("boot: doit test, by hand", costs, "at most +1 s")


def edit(bed: Bed) -> None:
    """A C file edited, to its verdict."""
    first = bed.commit(bed.source)
    bed.doit(f"test:{first}:{bed.vm}")
    _, found = bed.verdict(first)
    root = str(bed.tree("root", first))
    costs = []
    with _workspace(bed, "kernel", first) as (space, log):
        _steps(bed, space, "kernel", log)

        def theirs() -> None:
            name = f"labtasks_{time.monotonic_ns()}"
            text = f"\nextern int {name}; int {name} = 1;\n"
            space.launch(["sh", "-c", f"printf '{text}' >> {bed.source}"], log)
            _steps(bed, space, "kernel", log)
            _steps(bed, space, "install", log)
            by_hand(bed, found.command, root, str(space.objects()))

        def ours() -> None:
            bed.doit(f"test:{bed.commit(bed.source)}:{bed.vm}")

        for _ in range(bed.rounds):
            time.sleep(1.1)  # make compares whole seconds
            costs.append((cost(ours), cost(theirs)))
    bed.report("edit: to a verdict, by hand", costs, "at most 1.2")


def beside(bed: Bed) -> None:
    """The test of A beside the build of B, against the longer one alone."""
    bed.doit(f"build:{bed.commit(bed.header)}")  # inputs may be found by it
    bed.doit(f"test:{bed.commit(bed.source)}:{bed.vm}")
    costs, apart = [], []
    for _ in range(bed.rounds):
        first, second = bed.commit(bed.source), bed.commit(bed.source)
        bed.doit(f"kernel:{first}", f"kernel:{second}")
        test = cost(bed.doit, f"test:{first}:{bed.vm}")
        build = cost(bed.doit, f"build:{bed.commit(bed.header)}")
        words = ([f"test:{second}:{bed.vm}"], [f"build:{bed.commit(bed.header)}"])
        costs.append((cost(_at_once, bed, *words), max(test, build)))
        apart.append((costs[-1][0], (test[0] + build[0], test[1] + build[1])))
    bed.report("beside: both at once, the longer one", costs, "at most 1.2")
    bed.report("beside: both at once, one after the other", apart, "")


FIGURES: dict[str, Callable[[Bed], None]] = {
    "install": install, "boot": boot, "edit": edit, "beside": beside
}  # fmt: skip


def _at_once(bed: Bed, *commands: list[str]) -> None:
    with (bed.here / "both.log").open("w") as log:
        both = [
            subprocess.Popen([*DOIT, *words], cwd=bed.here, stdout=log, stderr=log)
            for words in commands
        ]
        codes = [one.wait(600) for one in both]
        if any(codes):
            sys.exit((bed.here / "both.log").read_text())


def by_hand(bed: Bed, argv: list[str], root: str, made: str) -> None:
    """Prepare a folder, run QEMU in it until the verdict is there, and judge its console."""
    guest = bed.found.recipe.machine
    if guest is None:
        sys.exit("the recipe has no [machine]")
    with tempfile.TemporaryDirectory(dir=bed.here) as folder:
        theirs = _scratch(argv)
        words = [word.replace(theirs, folder) for word in argv]
        words = [re.sub(r"file:\S*/console\.\d+$", f"file:{folder}/console", w) for w in words]
        said = _NONCE.search(" ".join(words))
        nonce = said[1] if said else "0123456789abcdef"
        test = bed.found.settings.test
        (Path(folder) / "run").mkdir()
        (Path(folder) / "test").write_text(bed.found.script)
        names = {
            "root": root, "boot": made, "run": f"{folder}/run", "test": f"{folder}/test",
            "nonce": nonce, "sha": "byhand", "way": test.run, "jobs": str(bed.found.jobs),
            "image": "''", "key": str(ssh.public(bed.found.key_file)),
        }  # fmt: skip
        env = {"PATH": process.PATH}
        for text in guest.steps:
            run(["sh", "-e", "-c", late(text, names)], Path(folder) / "run", **env)
        started = time.monotonic()
        watch = Watch(
            console=Path(folder) / "console", channel=Path(folder) / "channel", nonce=nonce,
            rules=bed.found.recipe.console, limit=test.bytes,
        )  # fmt: skip
        watch.console.touch()
        with subprocess.Popen(words, stderr=subprocess.PIPE) as qemu:
            while qemu.poll() is None and not watch.said.verdicts:
                time.sleep(0.02)
                watch.catch_up()
            qemu.kill()
            complaint = qemu.stderr.read() if qemu.stderr else b""
        watch.end()
        seconds = time.monotonic() - started
        ended = Ended(status=0, seconds=seconds, console=watch.size, stopped=True)
        found = judge(watch.events, watch.said, ended, described(test.bad, test.text))
        if found.outcome is not Outcome.GOOD:
            sys.exit(f"by hand: {found}\n{complaint.decode()}{watch.events}")


def _scratch(argv: list[str]) -> str:
    """The folder in which the machine of a verdict ran."""
    return next(w.removeprefix("file:").removesuffix("/channel") for w in argv if "/channel" in w)


@contextmanager
def _workspace(bed: Bed, kind: str, ref: str) -> Iterator[tuple[Workspace, Path]]:
    """The trees as a build left them, where its steps see them, to go on by hand."""
    made = bed.held(kind, ref)
    src = bed.held("src", ref)
    trees = Trees(
        src=tuple(src.stack), obj=tuple(made.stack), below=tuple(made.below), newest=made.newest,
        files=bed.found.recipe.files,
    )  # fmt: skip
    with open_workspace(bed.found, bed.store, "bench", trees) as space:
        log = space.scratch / "log"
        space.prepare(log)
        yield space, log


def _steps(bed: Bed, space: Workspace, part: str, log: Path) -> None:
    """A part's steps, by hand. What is installed goes where nothing was."""
    if part == "install":
        for glob in bed.found.recipe.parts[part].outputs:
            shutil.rmtree(space.objects() / glob.split("/")[0], ignore_errors=True)
    if space.run(bed.found.recipe.parts[part].steps, log, tracer="none", echo=False).code:
        sys.exit(log.read_text()[-2000:])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", nargs="*", default=[*FIGURES])
    parser.add_argument("--lab", type=Path)
    parser.add_argument("--ref", default="good")
    parser.add_argument("--source", default="sys/kern/kern_synch.c")
    parser.add_argument("--header", default="sys/sys/proc.h")
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    asked = _arguments()
    with tempfile.TemporaryDirectory() as made:
        where = asked.lab or lab(Path(made) / "demo", 'repository = "demo"\nrecipe = "demo"\n')
        files = [asked.source, asked.header]
        here, clone = borrowed(Path(made), where.resolve(), asked.ref, files)
        bed = Bed(
            here=here, clone=clone, source=asked.source, header=asked.header, rounds=asked.rounds
        )
        for name in asked.figures:
            FIGURES[name](bed)
