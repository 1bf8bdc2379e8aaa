"""Linux 6.1 built in one Debian machine and installed through another, onto a disk that it mounts
as its root; a commit that changes the kernel alone, and a bad one.

An hour and more, emulated. Left out where no Debian can be made, or the package is not installed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import debian
import linux
import pytest
from conftest import Repo, Said

from labtasks.command import main

pytestmark = [
    pytest.mark.skipif(not os.environ.get("LABTASKS_LONG"), reason="LABTASKS_LONG is not set"),
    pytest.mark.timeout(6 * 3600),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lab as the command leaves it, but for two options: base, kernel, broken."""
    debian.needed()
    root = tmp_path_factory.mktemp("linux")
    repo = Repo(root / "repo")
    linux.imported(repo)
    file = repo.path / "init" / "main.c"
    text = file.read_text()
    file.write_text(text.replace("Kernel command line: %s", "Kernel command line:  %s"))
    repo.commit("kernel", tag="kernel")
    linux.regress(repo)
    repo.commit("broken", tag="broken")
    argv = ["init", str(root / "lab"), "--debian", "--recipe", "linux", "--repository", "../repo"]
    assert main.main(argv) == 0
    path = root / "lab" / "lab.toml"
    path.write_text(
        path.read_text()
        .replace('# fragment = "tiny.config"', 'fragment = "disk.config"')
        .replace('# boots = "initrd"', 'boots = "disk"')
    )
    yield root / "lab"
    doit(root / "lab", "down:build", "down:inst")


def doit(lab: Path, *words: str, code: int = 0) -> Said:
    said = linux.bounded(lab, words, 4 * 3600)
    assert said
    assert said.code == code, said.text
    return said


def test_linux(lab: Path) -> None:
    repo = Repo(lab.parent / "repo")
    doit(lab, "up:build")
    said = doit(lab, "build:base", "install:base:test", "test:base:test")
    base, kernel, broken = (repo.short(ref) for ref in ("base", "kernel", "broken"))
    assert (said.rung("world", base), said.rung("kernel", base)) == ("clean", "clean")
    assert said.lines("through vm inst, onto")
    assert said.lines("good: Exiting with status 0")
    (console,) = (lab / "cache" / "artifacts" / "verdict").glob("*/console.0")
    shown = console.read_text(errors="replace")
    assert "VFS: Mounted root (ext4 filesystem) on device 254:0." in shown
    assert "Run /lab/init as init process" in shown

    said = doit(lab, "build:kernel", "install:kernel:test", "test:kernel:test")
    assert not said.lines("^world:.*: built")
    assert said.rung("kernel", kernel) == "incremental"
    assert said.lines("good: Exiting with status 0")

    said = doit(lab, "test:broken:test", code=1)
    assert said.rung("kernel", broken) == "incremental"
    assert said.lines(r"test: bad: \d+ lseek_m1 .*\[FAIL\]"), said.text
