"""A whole bisect, against `git bisect run` with plain make: clean, incremental, and through ccache.

Arguments: a lab, its good and its bad commit, and which peers (clean, incremental, ccache; all by
default). Without arguments: the demo OS. Every variant has a clone, objects and a cache of its
own, builds with the recipe's own steps, boots with the same code, and runs until git, or
labtasks, names the culprit. All must name the same one. Labtasks' proof is timed apart.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from common import DOIT, PROJECT, lab, run

from labtasks import lab as labs
from labtasks import namespace, process
from labtasks.judge import Outcome, described, git_code
from labtasks.namespace import Mount
from labtasks.recipe import JOBS
from labtasks.store import Store
from labtasks.trial import Trial

PEERS = ("clean", "incremental", "ccache")
PARTS = ("world", "kernel", "root", "install")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One variant: seconds on the clock and of processors, builds, boots, bytes, the culprit."""

    name: str
    wall: float
    cpu: float
    builds: int
    boots: int
    bytes: int
    culprit: str


def main(where: Path, good: str, bad: str, peers: Sequence[str]) -> None:
    """Print a table; ratios are labtasks' wall seconds to the peer's."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_TMP")) as scratch:
        ours = _ours(Path(scratch), where, good, bad)
        rows = [ours, *(_peer(Path(scratch), where, good, bad, name) for name in peers)]
    head = f"{'':<24}{'wall s':>9}{'ratio':>7}{'cpu s':>9}{'builds':>8}{'boots':>7}{'MB':>8}"
    print(f"{head}  culprit")
    for row in rows:
        ratio = ours.wall / row.wall
        print(
            f"{row.name:<24}{row.wall:9.1f}{ratio:7.2f}{row.cpu:9.1f}{row.builds:8}{row.boots:7}"
            f"{row.bytes / 2**20:8.0f}  {row.culprit[:12]}",
            flush=True,
        )
    if len({row.culprit for row in rows}) > 1:
        sys.exit("they disagree")


def _ours(scratch: Path, where: Path, good: str, bad: str) -> Row:
    here = _lab(scratch / "labtasks", where)
    cpu, started = _cpu(), time.monotonic()
    run([*DOIT, "bisect", "--good", good, "--bad", bad, "--no-proof", "-n", "2"], here)
    wall, cpu = time.monotonic() - started, _cpu() - cpu
    found = json.loads((here / "cache" / "bisect" / "report.json").read_text())
    size = _size(here / "cache", but=here / "cache" / "demo")
    started = time.monotonic()
    run([*DOIT, "bisect"], here)
    print(f"proof: {time.monotonic() - started:.1f} s more", flush=True)
    started = time.monotonic()
    run([*DOIT, "bisect"], here)
    print(f"asked again: {time.monotonic() - started:.1f} s", flush=True)
    return Row(
        name="labtasks",
        wall=wall,
        cpu=cpu,
        builds=found["builds"],
        boots=found["boots"],
        bytes=size,
        culprit=found["culprits"][0],
    )


def _peer(scratch: Path, where: Path, good: str, bad: str, name: str) -> Row:
    here = _lab(scratch / name, where)
    origin = labs.load(here).repository.git_dir
    tree = scratch / name / "tree"
    (tree / "obj").mkdir(parents=True)
    run(["git", "clone", "-q", "--shared", str(origin), "src"], tree)
    ends = [run(["git", "rev-parse", f"{ref}^{{commit}}"], origin).strip() for ref in (good, bad)]
    cpu, started = _cpu(), time.monotonic()
    run(["git", "bisect", "start", ends[1], ends[0]], tree / "src")
    step = [sys.executable, str(Path(__file__)), "--step", name, str(here), str(tree)]
    run(["git", "bisect", "run", *step], tree / "src", PYTHONPATH=str(PROJECT))
    wall, cpu = time.monotonic() - started, _cpu() - cpu
    steps = (tree / "steps").read_text().split()
    return Row(
        name=f"git bisect, {name}",
        wall=wall,
        cpu=cpu,
        builds=len(steps),
        boots=sum(code != "125" for code in steps),
        bytes=_size(tree, but=tree / "src" / ".git"),
        culprit=run(["git", "rev-parse", "refs/bisect/bad"], tree / "src").strip(),
    )


def step(name: str, here: Path, tree: Path) -> int:
    """What `git bisect run` runs: build the commit that is checked out, boot it, judge it."""
    code = _built_and_judged(name, labs.load(here), tree)
    with (tree / "steps").open("a") as steps:
        steps.write(f"{code}\n")
    return code


def _built_and_judged(name: str, found: labs.Lab, tree: Path) -> int:
    if name != "incremental":
        shutil.rmtree(tree / "obj")
        (tree / "obj").mkdir()
    (tree / "files").mkdir(exist_ok=True)
    for file, text in found.recipe.files.items():
        if not (tree / "files" / file).exists():
            (tree / "files" / file).write_text(text)
    for part in PARTS:
        for text in found.recipe.parts[part].steps:
            if _make(name, found, tree, text.replace(JOBS, str(found.jobs))):
                return git_code(Outcome.UNTESTABLE)
    trial = Trial(
        lab=found, store=Store(found.cache), guest=found.recipe.machine, vm=next(iter(found.vms)),
        root=str(tree / "obj"), boot=str(tree / "obj"), sha="bench", uses=(),
        wanted=described(found.settings.test.bad, found.settings.test.text), echo=False,
    )  # fmt: skip
    return git_code(trial.run(name, tree / "console").outcome)


def _make(name: str, found: labs.Lab, tree: Path, text: str) -> int:
    places = found.recipe.places
    mounts = [Mount(at=getattr(places, place), upper=place) for place in ("src", "obj", "files")]
    path = process.PATH if name != "ccache" else f"/usr/lib/ccache:{process.PATH}"
    env = {
        "PATH": path, "HOME": str(tree), "LC_ALL": "C", "CCACHE_DIR": str(tree / "ccache"),
        **found.recipe.env,
    }  # fmt: skip
    words = namespace.argv(found.namespace, mounts, ["sh", "-e", "-c", text], cwd=places.src)
    return process.run(words, log=tree / "log", env=env, cwd=tree).code


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


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        sys.exit(step(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])))
    if len(sys.argv) > 3:
        main(Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3], sys.argv[4:] or PEERS)
    else:
        with tempfile.TemporaryDirectory() as made:
            demo = lab(Path(made) / "demo", 'repository = "demo"\nrecipe = "demo"\n')
            main(demo, "good", "bad", PEERS)
