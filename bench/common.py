"""What the benchmarks share: run a command, time it, print a figure beside its peer's."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from labtasks.command import init
from labtasks.lab import lab as labs

DOIT = (sys.executable, "-m", "doit")
PROJECT = Path(__file__).resolve().parent.parent

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
"""Pip leaves doit with bytecode; labtasks has its own after its first run, if it may."""


def run(argv: Sequence[str], cwd: Path, **env: str) -> str:
    """A command's output; its error ends the benchmark."""
    done = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def seconds(work: Callable[..., object], *given: object) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    work(*given)
    return time.perf_counter() - started


def cost(work: Callable[..., object], *given: object) -> tuple[float, float]:
    """Wall seconds of one call, and processor seconds of it and all that it started."""
    before = processors()
    return seconds(work, *given), processors() - before


def processors() -> float:
    """Processor seconds that this process and what it waited for have used."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, both))


def best(
    first: Callable[[], object], second: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """The best of `rounds` of each of two, run in turn, so that both see the same machine."""
    times = [(seconds(first), seconds(second)) for _ in range(rounds)]
    return min(a for a, _ in times), min(b for _, b in times)


def report(name: str, ours: float, peer: float, goal: str, unit: str = "s") -> None:
    """One line: figure, peer, ratio, goal."""
    figures = f"{ours:9.3f} {unit:<3} peer {peer:9.3f} {unit:<3} ratio {ours / peer:6.2f}"
    print(f"{name:<44} {figures}  ({goal})", flush=True)


def lab(directory: Path, text: str) -> Path:
    """A new lab."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    shutil.copy(PROJECT / "labtasks" / "dodo.py", directory / "dodo.py")
    (directory / "lab.toml").write_text(text)
    (directory / "doit.cfg").write_text(init.DOIT_CFG)
    return directory


def borrowed(scratch: Path, where: Path, ref: str, files: Sequence[str]) -> tuple[Path, Path]:
    """A lab on a clone of a lab's repository, with the store of that one; the clone, in which these
    files are checked out and `base` is `ref`.
    """
    text = (where / "lab.toml").read_text()
    found = labs.load(where)
    clone = scratch / "clone"
    origin = found.repository.git_dir
    run(["git", "clone", "-q", "--shared", "--no-checkout", str(origin), str(clone)], scratch)
    run(["git", "sparse-checkout", "set", "--no-cone", *(f"/{f}" for f in files)], clone)
    run(["git", "checkout", "-q", ref], clone)
    run(["git", "tag", "-f", "base", "HEAD"], clone)
    text = re.sub(r"(?m)^(repository|cache) *=.*\n", "", text)
    here = lab(scratch / "lab", f'repository = "{clone}"\ncache = "{found.cache}"\n{text}')
    for item in where.iterdir():
        if item.suffix in (".toml", ".sh") and item.name not in ("lab.toml", "pyproject.toml"):
            shutil.copy(item, here / item.name)
    return here, clone


def commit(clone: Path, path: str, number: int) -> str:
    """A commit on `base` that appends a definition to a file; its id."""
    run(["git", "checkout", "-q", "--detach", "base"], clone)
    with (clone / path).open("a") as file:
        file.write(f"\n/* {number} {os.getpid()} */\n")
        if path.endswith(".c"):
            file.write(f"extern int labtasks_{number}; int labtasks_{number} = {os.getpid()};\n")
    who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    run(["git", *who, "commit", "-qam", "bench"], clone)
    return run(["git", "rev-parse", "HEAD"], clone).strip()
