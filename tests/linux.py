"""Linux 6.1 from Debian's source package as a git repository; doit in a lab of it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
from conftest import Repo, Said, environment

SOURCE = Path("/usr/src/linux-source-6.1.tar.xz")
LONGEST = 900.0
"""Seconds that one command may take; the longest takes 240, on a busy machine 500."""

FAST = ("-c", "core.compression=0", "-c", "core.looseCompression=0", "-c", "gc.auto=0")


def imported(repo: Repo) -> None:
    """A repository whose first commit, checked out and tagged base, is the package's tree."""
    if not SOURCE.exists():
        pytest.skip("the Debian package linux-source-6.1 is not installed")
    for tool in ("flex", "bison", "bc", "strace", "xz"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    repo.create()
    unpack = ["tar", "-xf", str(SOURCE), "--strip-components=1", "-C", str(repo.path)]
    subprocess.run(unpack, check=True)
    repo.git(*FAST, "add", "-A", "-f")
    repo.git("commit", "-q", "-m", "import")
    repo.git("tag", "base")


def regress(repo: Repo) -> None:
    """Write the regression: lseek on a file that is not open says EINVAL."""
    file = repo.path / "fs" / "read_write.c"
    head, function, rest = file.read_text().partition("static off_t ksys_lseek(")
    file.write_text(head + function + rest.replace("return -EBADF;", "return -EINVAL;", 1))


def doit(lab: Path, *words: str, code: int = 0) -> Said:
    """One command. One that hangs says where, and is killed: the next takes its work up."""
    for limit in (LONGEST, 2 * LONGEST):
        said = bounded(lab, words, limit)
        if said is not None:
            assert said.code == code, said.text
            return said
    pytest.fail(f"doit {' '.join(words)}: hung twice")


def bounded(lab: Path, words: tuple[str, ...], limit: float) -> Said | None:
    argv = [sys.executable, "-m", "doit", *words]
    env = environment(PYTHONFAULTHANDLER="1")
    with tempfile.TemporaryFile("w+") as out:  # a pipe would be held open by what is left behind
        child = subprocess.Popen(
            argv, cwd=lab, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, text=True
        )
        try:
            code: int | None = child.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
            show = ["ps", "-N", "--ppid", "2", "--forest", "-o", "pid,stat,wchan:20,etime,comm"]
            others = subprocess.run(show, capture_output=True, text=True, check=False).stdout
            child.send_signal(signal.SIGABRT)
            child.wait()
        out.seek(0)
        text = out.read()
    if code is None:
        warnings.warn(f"{words} hung for {limit} s:\n{text}\n{others}", stacklevel=2)
        return None
    return Said(code, text)
