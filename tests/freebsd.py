"""A real FreeBSD tree, for tests: a clone to commit in, a lab on it, and the regression.

LABTASKS_FREEBSD_LAB names a lab (a directory with a lab.toml whose recipe is freebsd and whose
kernconf is LAB). Take a kernel without modules and a reduced world.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from conftest import Repo, Said, environment

from labtasks.lab.recipe import SHIPPED

LAB = os.environ.get("LABTASKS_FREEBSD_LAB", "")

wanted = pytest.mark.skipif(not LAB, reason="LABTASKS_FREEBSD_LAB names no FreeBSD lab")

Change = tuple[str, str, str]
"""A path, a pattern that is there once or more, and what its first match becomes."""

FOREVER: Change = (
    "sys/kern/kern_sig.c",
    r"if \(kern_logsigexit\)\n\s+log\(",
    'for (; kern_logsigexit; pause("again", 1))\n\t\t\tlog(',
)
SIGEXIT = """
cd /tmp
ulimit -c 0
sysctl -q kern.msgbuf_clear=1
sh -c 'kill -SEGV $$' > /dev/null 2>&1 &
sleep 2
count=$(dmesg | grep -c 'exited on signal 11')
echo "$count reports of one exit, 1 expected"
[ "$count" -eq 1 ]
"""
"""A test that is bad with FOREVER: the report of a process's end is repeated without end."""


def cloned(path: Path, files: Iterable[str]) -> Repo:
    """A clone of the lab's repository with these files alone checked out: LABTASKS_FREEBSD_REF,
    or HEAD.
    """
    settings = tomllib.loads((Path(LAB) / "lab.toml").read_text())
    origin = Path(LAB) / settings["repository"]
    repo = Repo(path)
    clone = ["git", "clone", "-q", "--shared", "--no-checkout", str(origin), str(path)]
    subprocess.run(clone, check=True)
    repo.git("config", "user.name", "tester")
    repo.git("config", "user.email", "tester@example.org")
    repo.git("config", "gc.auto", "0")
    repo.git("sparse-checkout", "set", "--no-cone", *(f"/{file}" for file in files))
    repo.git("checkout", "-q", "--detach", os.environ.get("LABTASKS_FREEBSD_REF", "HEAD"))
    return repo


def commit(repo: Repo, subject: str, *changes: Change) -> None:
    """Changes on top of what is checked out."""
    for path, pattern, new in changes:
        file = repo.path / path
        text, count = re.subn(pattern, new, file.read_text(), count=1)
        assert count == 1, path
        file.write_text(text)
    repo.git("commit", "-q", "-a", "-m", subject)


def lab_on(lab: Path, repo: Repo, cache: Path) -> Path:
    """The lab's settings again, for a clone of its repository and for this cache."""
    lab.mkdir()
    for item in Path(LAB).iterdir():
        if item.is_file() and not item.name.startswith(".doit.db"):
            shutil.copy(item, lab / item.name)
    text = re.sub(r"(?m)^(repository|cache) *=.*\n", "", (lab / "lab.toml").read_text())
    (lab / "lab.toml").write_text(f'repository = "{repo.path}"\ncache = "{cache}"\n{text}')
    return lab


def cache() -> Path:
    """Where the lab keeps what it built."""
    settings = tomllib.loads((Path(LAB) / "lab.toml").read_text())
    return (Path(LAB) / settings.get("cache", "cache")).resolve()


def doit(lab: Path, *words: str) -> Said:
    argv = [sys.executable, "-m", "doit", *words]
    done = subprocess.run(
        argv, cwd=lab, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    sys.stdout.write(done.stdout)
    return Said(done.returncode, done.stdout + done.stderr)


def can_boot(lab: Path) -> None:
    """Skip where nothing can be booted."""
    for tool in ("qemu-system-x86_64", "makefs"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    settings = tomllib.loads((lab / "lab.toml").read_text())
    shipped = tomllib.loads((SHIPPED / "freebsd.toml").read_text())["options"]["firmware"]
    firmware = settings.get("options", {}).get("firmware", shipped["default"])
    if not Path(firmware).exists():
        pytest.skip(f"no UEFI firmware: {firmware}")
