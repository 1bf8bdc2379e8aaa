"""What the benchmarks share: run a command, time it, print a figure beside its peer's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

DOIT = (sys.executable, "-m", "doit")
PROJECT = Path(__file__).resolve().parent.parent


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
    (directory / "doit.cfg").write_text(
        "[GLOBAL]\nloader = labtasks\n[LOADER]\nlabtasks = labtasks.loader:Loader\n"
        "[COMMAND]\nexplain = labtasks.commands:Explain\nverify = labtasks.commands:Verify\n"
        "bisect = labtasks.bisect_command:Bisect\nstatus = labtasks.care:Status\n"
        "gc = labtasks.care:Gc\n"
    )
    return directory
