"""A whole bisect, against `git bisect run` with plain make: clean, incremental, and through ccache.

    bench/bisects.py [<lab> --good <ref> --bad <ref>] [--peers clean,incremental,ccache,kernel]
                     [--ends believed,tested] [--given <lab>] [--enough <times>]

Without a lab: the demo OS. Every variant has a clone, objects and a cache of its own, builds with
the recipe's own steps, boots with the same code, and runs until git, or labtasks, names the
culprit. All must name the same one. Everybody begins with sources checked out, and with nothing
built, or with what the lab `given` has of the good end: world, kernel and root; ccache has compiled
them before the clock starts. The peer `kernel` does as people do by hand: one world, the first, and
only the kernel is made again. A peer that has taken `enough` times what labtasks took begins no
further step: its seconds, and so the ratio, are a bound.

git believes its user about both ends, and labtasks tests them unless told otherwise; so that each
does the job of the other, both are run both ways: ends believed (labtasks with --trust-ends), and
ends tested (the peer builds and boots both ends first, in the very tree it searches in). Labtasks'
proof, which no peer has, is timed apart.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import DOIT, PROJECT, lab, run

from labtasks.ground import namespace, process, supervisor
from labtasks.ground.namespace import Mount
from labtasks.lab import lab as labs
from labtasks.lab.binding import JOBS
from labtasks.lab.recipe import INSTALLS, find
from labtasks.lab.recipe import load as load_recipe
from labtasks.store import layer
from labtasks.store.store import Store
from labtasks.test.judge import Outcome, described, git_code
from labtasks.test.testbed import Testbed

PEERS = ("clean", "incremental", "ccache")
IN_PLACE = ("incremental", "kernel")
ONCE = {"world", "root"}
"""What the peer that makes only kernels makes for the first one."""

GIVEN = {"kernel", "root"}
"""What is taken from a lab that has it: a kernel lies over its world."""

ENDS = ("believed", "tested")
PARTS = ("world", "kernel", "root", "install")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant: seconds on the clock, of processors (QEMU's too), and in which worlds and
    kernels were built; builds, boots, bytes, the culprit.
    """

    name: str
    wall: float
    cpu: float
    compiling: float
    builds: int
    boots: int
    bytes: int
    culprit: str | None
    """None if it was stopped before its end."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is searched: a lab, both ends, whether they are "believed" or "tested", the lab that
    has the good one built, if there is one, and how many times our seconds are enough of a peer.
    """

    where: Path
    good: str
    bad: str
    ends: str
    given: Path | None
    enough: float


def main(jobs: Sequence[Job], peers: Sequence[str]) -> None:
    """Print tables; ratios are labtasks' wall seconds to the peer's, of the same kind of ends."""
    found: set[str | None] = set()
    for job in jobs:
        head = f"{f'ends {job.ends}':<26}{'wall s':>9}{'ratio':>7}{'cpu s':>9}{'build s':>9}"
        print(f"{head}{'builds':>8}{'boots':>7}{'MB':>8}  culprit", flush=True)
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_TMP")) as scratch:
            ours = _ours(Path(scratch), job)
            _print(ours, ours)
            found.add(ours.culprit)
            for name in peers:
                row = _peer(Path(scratch), job, name, ours.wall * job.enough)
                _print(row, ours)
                found.add(row.culprit or ours.culprit)
    if len(found) > 1:
        sys.exit("they disagree")


def _print(row: Row, ours: Row) -> None:
    print(
        f"{row.name:<26}{row.wall:9.1f}{ours.wall / row.wall:7.2f}{row.cpu:9.1f}"
        f"{row.compiling:9.1f}"
        f"{row.builds:8}{row.boots:7}{row.bytes / 2**20:8.0f}  "
        f"{(row.culprit or 'stopped: enough')[:15]}",
        flush=True,
    )


def _ours(scratch: Path, job: Job) -> Row:
    here = _lab(scratch / "labtasks", job.where)
    if job.given:
        run(["cp", "-al", str(job.given / "cache"), str(here)], here)
    else:
        run([*DOIT, "src:HEAD"], here)  # a clone has them checked out, too
    believed = ["--trust-ends"] if job.ends == "believed" else []
    words = ["--good", job.good, "--bad", job.bad, "--no-proof", "-n", "2", *believed]
    cpu, started = _cpu(), time.monotonic()
    run([*DOIT, "bisect", *words], here)
    wall, cpu = time.monotonic() - started, _cpu() - cpu
    report = here / "cache" / "bisect" / "report.json"
    found = json.loads(report.read_text())
    size = _size(here / "cache", but=here / "cache" / "demo")
    if os.environ.get("BENCH_KEEP"):  # the steps and their seconds
        shutil.copy(report, Path(os.environ["BENCH_KEEP"], f"{job.ends}.json"))
    if job.ends == "tested":
        for what in ("the proof", "asked again"):
            started = time.monotonic()
            run([*DOIT, "bisect", "--proof"], here)
            print(f"{what}: {time.monotonic() - started:.1f} s more", flush=True)
    return Row(
        name="labtasks",
        wall=wall,
        cpu=cpu,
        compiling=found["build_seconds"],
        builds=found["builds"],
        boots=found["boots"],
        bytes=size,
        culprit=found["culprits"][0],
    )


def _peer(scratch: Path, job: Job, name: str, enough: float) -> Row:
    here = _lab(scratch / name, job.where)
    origin = labs.load(here).repository.git_dir
    tree = scratch / name / "tree"
    (tree / "obj").mkdir(parents=True)
    run(["git", "clone", "-q", "--shared", str(origin), "src"], tree)
    if name == "ccache":
        _through_ccache(here, tree)
    if job.given:
        _give(job, tree)
    if job.given and name == "ccache":
        _build(name, labs.load(here), tree)
    (tree / "compiled").write_text("")
    refs = (job.good, job.bad)
    ends = [run(["git", "rev-parse", f"{ref}^{{commit}}"], origin).strip() for ref in refs]
    words = [sys.executable, str(Path(__file__)), "--step", name, str(here), str(tree)]
    cpu, started = _cpu(), time.monotonic()
    (tree / "until").write_text(str(math.inf))
    for commit in ends if job.ends == "tested" else ():
        run(["git", "checkout", "-q", commit], tree / "src")
        subprocess.run(words, env={**os.environ, "PYTHONPATH": str(PROJECT)}, check=False)
    told = (tree / "steps").read_text().split() if job.ends == "tested" else ["0", "1"]
    if told != ["0", "1"]:
        sys.exit(f"the ends are not good and bad to {name}: {told}")
    (tree / "until").write_text(str(started + enough))
    run(["git", "bisect", "start", ends[1], ends[0]], tree / "src")
    search = ["git", "bisect", "run", *words]
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    ended = subprocess.run(
        search, cwd=tree / "src", env=env, capture_output=True, text=True, check=False
    )
    stopped = (tree / "stopped").exists()
    if ended.returncode and not stopped:
        sys.exit(f"git bisect run: status {ended.returncode}\n{ended.stdout}{ended.stderr}")
    wall, cpu = time.monotonic() - started, _cpu() - cpu
    steps = (tree / "steps").read_text().split()
    return Row(
        name=f"git bisect, {name}",
        wall=wall,
        cpu=cpu,
        compiling=sum(map(float, (tree / "compiled").read_text().split())),
        builds=len(steps),
        boots=sum(code != "125" for code in steps),
        bytes=_size(tree, but=tree / "src" / ".git"),
        culprit=None
        if stopped
        else run(["git", "rev-parse", "refs/bisect/bad"], tree / "src").strip(),
    )


def _through_ccache(here: Path, tree: Path) -> None:
    """By the recipe's option; without one it stands in PATH under the compilers' names."""
    recipe = labs.load(here).settings.recipe
    if "ccache" in load_recipe(find(recipe, here)).options:
        file = here / "lab.toml"
        told = f'[options]\nccache = "yes"\nccache_dir = "{tree}/ccache"\n'
        text = file.read_text()
        file.write_text(text.replace("[options]\n", told) if "[options]\n" in text else text + told)


def _give(job: Job, tree: Path) -> None:
    """The good end's sources and what was made of them, in this order for make."""
    run(["git", "checkout", "-q", job.good], tree / "src")
    run(["find", ".", "-exec", "touch", "-h", "-d", "2000-01-01", "{}", "+"], tree / "src")
    given = labs.load(job.given)
    store = Store(given.cache)
    commit = run(["git", "rev-parse", f"{job.good}^{{commit}}"], tree / "src").strip()
    for part in GIVEN & given.recipe.parts.keys():
        (made,) = (one for one in store.all(part) if one.commit == commit)
        stack = made.stack if part == "root" else made.whole
        layer.copy_out(store.layers, stack, _objects(given, tree))
    for part in ONCE & given.recipe.parts.keys():
        (tree / part).touch()


def step(name: str, here: Path, tree: Path) -> int:
    """What `git bisect run` runs: build the commit that is checked out, boot it, judge it."""
    if time.monotonic() > float((tree / "until").read_text()):
        (tree / "stopped").touch()
        return git_code(Outcome.ABORTED)
    code = _built_and_judged(name, labs.load(here), tree)
    with (tree / "steps").open("a") as steps:
        steps.write(f"{code}\n")
    return code


def _built_and_judged(name: str, found: labs.Lab, tree: Path) -> int:
    if not _build(name, found, tree):
        return git_code(Outcome.UNTESTABLE)
    root = str(_objects(found, tree))
    bed = Testbed(
        lab=found, store=Store(found.cache), guest=found.recipe.machine, vm=next(iter(found.vms)),
        root=root, boot=root, image=None, sha="bench", uses=(),
        wanted=described(found.settings.test.bad, found.settings.test.text), echo=False,
    )  # fmt: skip
    return git_code(bed.run(name, tree / "console").outcome)


def _build(name: str, found: labs.Lab, tree: Path) -> bool:
    """World, kernel and root of what is checked out."""
    objects = _objects(found, tree)
    if name not in IN_PLACE:
        _empty(objects)
    (tree / "files").mkdir(exist_ok=True)
    for file, text in found.recipe.files.items():
        if not (tree / "files" / file).exists():
            (tree / "files" / file).write_text(text)
    for part in (one for one in PARTS if one in found.recipe.parts):
        if name == "kernel" and part in ONCE and (tree / part).exists():
            continue
        if part in INSTALLS:  # their steps are for an empty place
            for glob in found.recipe.parts[part].outputs:
                shutil.rmtree(objects / glob.split("/")[0], ignore_errors=True)
        started = time.monotonic()
        steps = [text.replace(JOBS, str(found.jobs)) for text in found.recipe.parts[part].steps]
        failed = any(_make(name, found, tree, text) for text in steps)
        if part not in INSTALLS:
            with (tree / "compiled").open("a") as compiled:
                compiled.write(f"{time.monotonic() - started}\n")
        if failed:
            return False
        (tree / part).touch()
    return True


def _objects(found: labs.Lab, tree: Path) -> Path:
    """The folder that is the recipe's {obj}."""
    return tree / ("src" if found.recipe.in_tree else "obj")


def _empty(objects: Path) -> None:
    """As a checkout leaves them."""
    if (objects / ".git").exists():
        run(["git", "clean", "-qffdx"], objects)
        run(["git", "checkout", "-q", "."], objects)
    else:
        shutil.rmtree(objects)
        objects.mkdir()


def _make(name: str, found: labs.Lab, tree: Path, text: str) -> int:
    places = found.recipe.places
    folders = (tree / "src", _objects(found, tree), tree / "files")
    at = dict(zip((places.src, places.obj, places.files), folders, strict=True))
    mounts = [Mount(at=at, upper=folder.name) for at, folder in at.items()]
    path = process.PATH if name != "ccache" else f"/usr/lib/ccache:{process.PATH}"
    env = {
        "PATH": path, "HOME": str(tree), "LC_ALL": "C", "CCACHE_DIR": str(tree / "ccache"),
        **found.recipe.env,
    }  # fmt: skip
    words = namespace.argv(found.namespace, mounts, ["sh", "-e", "-c", text], cwd=places.src)
    return supervisor.run(words, log=tree / "log", env=env, cwd=tree).code


def _lab(directory: Path, where: Path) -> Path:
    """The lab again, with an empty cache of its own."""
    text = (where / "lab.toml").read_text()
    here = lab(directory / "lab", text)
    for file in where.iterdir():
        if file.is_file() and file.name not in ("lab.toml", "dodo.py", "doit.cfg", ".doit.db"):
            shutil.copy(file, here / file.name)
    return here


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _size(folder: Path, *, but: Path) -> int:
    files = (p for p in folder.rglob("*") if but not in p.parents and p != but)
    return sum(p.lstat().st_blocks * 512 for p in files)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lab", nargs="?", type=Path)
    parser.add_argument("--good", default="good")
    parser.add_argument("--bad", default="bad")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--ends", default=",".join(ENDS))
    parser.add_argument("--given", type=Path, help="a lab whose cache has the good end, alone")
    parser.add_argument("--enough", type=float, default=math.inf, help="times labtasks' seconds")
    return parser.parse_args()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        sys.exit(step(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
    asked = _arguments()
    with tempfile.TemporaryDirectory() as made:
        where = asked.lab or lab(Path(made) / "demo", 'repository = "demo"\nrecipe = "demo"\n')
        given = asked.given and asked.given.resolve()
        jobs = [
            Job(
                where=where.resolve(),
                good=asked.good,
                bad=asked.bad,
                ends=ends,
                given=given,
                enough=asked.enough,
            )
            for ends in asked.ends.split(",")
        ]
        main(jobs, asked.peers.split(","))
