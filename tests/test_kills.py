"""kill -9 at random moments of building, installing and testing a real system.

Whatever the moment: nothing it started lives on, nothing sealed is damaged, and the next run
finishes the work. LABTASKS_KILLS is the number of kills; a few by default.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import pytest
from conftest import environment, stack_content

from labtasks.command import main

pytestmark = [
    pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="no qemu-system-x86_64"),
    pytest.mark.skipif(sys.platform != "linux", reason="orphans are caught by Linux's prctl"),
    pytest.mark.timeout(3600),
]

KILLS = int(os.environ.get("LABTASKS_KILLS", "4"))
LONGEST = 10.0
"""Seconds after which one run is killed at the latest; a full one takes some ten."""

OUTPUTS = {"world": ("tmp/bin", "world"), "kernel": ("sys/GENERIC/kernel",), "root": ("root",)}
"""What the demo's recipe declares, that is: which files are compared."""

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


@pytest.fixture
def orphans() -> Iterator[None]:
    """Whatever loses its parent becomes a child of this process."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(SUBREAPER, 1) == 0
    yield
    prctl(SUBREAPER, 0)


def all_end(within: float) -> bool:
    """Whether every child and orphan of this process has ended in time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.02)
        except ChildProcessError:
            return True
    return False


def lab_at(directory: Path) -> Path:
    assert main.main(["init", str(directory)]) == 0
    (directory / "lab.toml").write_text('repository = "demo"\nrecipe = "demo"\n')
    return directory


def start(lab: Path, *words: str) -> subprocess.Popen[bytes]:
    with (lab / "said").open("ab") as said:
        argv = [sys.executable, "-m", "doit", *words]
        return subprocess.Popen(
            argv, cwd=lab, env=environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )


def content(lab: Path) -> dict[str, object]:
    """What the artifacts of a lab hold, from the files on disk: key -> files."""
    cache, found = lab / "cache", {}
    for path in sorted(cache.glob("artifacts/*/*/manifest.json")):
        manifest = json.loads(path.read_text())
        wanted = OUTPUTS.get(path.parts[-3])
        if wanted:
            files = stack_content(cache / "layers", manifest["stack"], wanted)
            name = f"{manifest['kind']}:{manifest['commit']}"
            found[name] = (manifest["digest"], files)
    return found


@pytest.mark.usefixtures("orphans")
def test_killed_at_any_moment(tmp_path: Path) -> None:
    refs = ["test:good", "test:bad", "test:bad~1", "test:HEAD"]
    lab = lab_at(tmp_path / "killed")
    moments = random.Random(int(os.environ.get("LABTASKS_SEED", "11")))  # noqa: S311
    for number in range(KILLS):
        run = start(lab, *(["-n", "2"] if number % 3 == 2 else []), refs[number % len(refs)])
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(moments.uniform(0.2, LONGEST))
        run.kill()
        run.wait()
        assert all_end(within=120), (lab / "said").read_text()
    for ref, code in zip(refs, (0, 1, None, None), strict=True):
        run = start(lab, ref)
        assert run.wait(300) in ((0, 1) if code is None else (code,)), (lab / "said").read_text()
    assert "Traceback" not in (lab / "said").read_text()
    assert not [p for p in (lab / "cache" / "tmp").iterdir() if (p / "owner").exists()]
    for path in (lab / "cache" / "locks").glob("*.lock"):
        with filelock.FileLock(path, timeout=20):
            pass
    undisturbed = lab_at(tmp_path / "undisturbed")
    assert start(undisturbed, "--continue", *refs).wait(600) == 1
    mine, theirs = content(lab), content(undisturbed)
    assert mine.keys() == theirs.keys()
    assert {name for name in mine if mine[name] != theirs[name]} == set()
