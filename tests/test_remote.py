"""Builds on another machine: a real sshd on the loopback that keeps its own folders.

It is this machine, so its compilers are the oracle's; what differs is that nothing is shared but
the connection.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Lab, World, needs, processes, wait_for
from sshd import Sshd


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Sshd]:
    found = Sshd(tmp_path / "sshd")
    found.up()
    yield found
    found.down()


def lab_on(make_lab: Callable[..., Lab], host: Sshd, **more: object) -> Lab:
    needs("root", "strace")
    lab = make_lab(tracer="auto", builder="ssh:big")
    settings = {"builder": "ssh:big", "tracer": "auto", "ssh.big": host.table(**more)}
    lab.configure(**settings)
    return lab


def same_as_local(lab: Lab, world: World, rungs: dict[str, tuple[str, str]]) -> None:
    for commit, expected in rungs.items():
        said = lab.doit(f"build:{commit}")
        short = lab.repo.short(commit)
        assert (said.rung("world", short), said.rung("kernel", short)) == expected, said.text
        assert lab.content("kernel", commit) == world.oracle("kernel", commit)
    assert lab.content("world", "base") == world.oracle("world", "base")


RUNGS = {
    "base": ("clean", "clean"),
    "kernel-c": ("trace", "incremental"),
    "source-gone": ("trace", "incremental"),
}


def test_builds(make_lab: Callable[..., Lab], host: Sshd, world: World) -> None:
    """What is built there is what plain make builds here, on whatever rung; clones are kept."""
    lab = lab_on(make_lab, host)
    same_as_local(lab, world, RUNGS)
    assert lab.manifest("kernel", "kernel-c").tracer == "strace"
    assert len(lab.manifest("kernel", "kernel-c").stack) == 2
    (there,) = (host.folder / "there").iterdir()
    kept = [path.parent for path in there.glob("kept/*/chain") if path.read_text().split()]
    assert len(kept) == 3  # each but the first world lies over another
    assert not list(there.glob("build.*"))
    assert os.listdir("/mnt") == os.listdir("/mnt")
    # what the lab forgets goes there too, with the next build
    before = len(list(there.glob("kept/*")))
    lab.doit("clean", "kernel:source-gone", code=None)
