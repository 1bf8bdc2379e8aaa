"""Linux 6.1 from Debian's source package: built, stepped, found unchanged, booted, judged.

One long test: what is built once is used by all that follows. Some seven minutes on two free
processors; left out where the package is not installed.
"""

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

from labtasks import main

SOURCE = Path("/usr/src/linux-source-6.1.tar.xz")
LONGEST = 900.0
"""Seconds that one command may take; the longest takes 240, on a busy machine 500."""

FAST = ("-c", "core.compression=0", "-c", "core.looseCompression=0", "-c", "gc.auto=0")


@pytest.fixture(scope="module")
def linux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab on a git history of the package's tree: base, then one commit of each kind."""
    if not SOURCE.exists():
        pytest.skip("the Debian package linux-source-6.1 is not installed")
    for tool in ("flex", "bison", "bc", "strace", "xz"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    root = tmp_path_factory.mktemp("linux")
    repo = Repo(root / "repo")
    repo.create()
    unpack = ["tar", "-xf", str(SOURCE), "--strip-components=1", "-C", str(repo.path)]
    subprocess.run(unpack, check=True)
    repo.git(*FAST, "add", "-A", "-f")
    repo.git("commit", "-q", "-m", "import")
    repo.git("tag", "base")
    for tag, path, old, new in (
        ("kernel", "init/main.c", "Kernel command line: %s", "Kernel was told: %s"),
        ("docs", "Documentation/Changes", None, "\nmore\n"),
        ("arch", "arch/arm64/kernel/setup.c", None, "\n/* the end */\n"),
        ("world", "tools/testing/selftests/nolibc/nolibc-test.c", "Total number of", "Number of"),
    ):
        file = (repo.path / path).resolve()
        text = file.read_text()
        assert old is None or old in text
        file.write_text(text + new if old is None else text.replace(old, new))
        repo.commit(tag, tag=tag)
    repo.git("checkout", "-q", "kernel")
    file = repo.path / "fs" / "read_write.c"
    head, function, rest = file.read_text().partition("static off_t ksys_lseek(")
    file.write_text(head + function + rest.replace("return -EBADF;", "return -EINVAL;", 1))
    repo.commit("broken", tag="broken")
    main.main(["init", str(root / "lab"), "--repository", str(repo.path), "--recipe", "linux"])
    return root / "lab"


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
            show = [
                "ps",
                "--ppid",
                "2",
                "-N",
                "-o",
                "pid,ppid,stat,wchan:20,etime,comm",
                "--forest",
            ]
            others = subprocess.run(show, capture_output=True, text=True, check=False).stdout
            child.send_signal(signal.SIGABRT)
            child.wait()
        out.seek(0)
        text = out.read()
    if code is None:
        warnings.warn(f"{words} hung for {limit} s:\n{text}\n{others}", stacklevel=2)
        return None
    return Said(code, text)


@pytest.mark.timeout(4000)
def test_linux(linux: Path) -> None:
    repo = Repo(linux.parent / "repo")
    said = doit(linux, "build:base")
    base = repo.short("base")
    assert (said.rung("world", base), said.rung("kernel", base)) == ("clean", "clean")

    said = doit(linux, "build:kernel", "build:docs", "build:arch", "build:world", "build:base")
    for commit, rungs in {
        "kernel": ("trace", "incremental"),
        "docs": ("trace", "trace"),
        "arch": ("trace", "trace"),
        "world": ("incremental", "trace"),
    }.items():
        short = repo.short(commit)
        kernel = said.rung("kernel", short).replace("cutoff", "trace").replace("same key", "trace")
        world = said.rung("world", short).replace("cutoff", "trace").replace("same key", "trace")
        assert (world, kernel) == rungs, f"{commit}\n{said.text}"
    assert not said.lines(rf"{base}: built")

    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("built, but qemu-system-x86_64 is not installed to boot it")
    said = doit(linux, "boot:kernel")
    assert said.lines("test: good: good: ")
    (console,) = (linux / "cache" / "logs").glob("console-*")
    assert "Kernel was told: " in console.read_text(errors="replace")

    said = doit(linux, "test:kernel")
    assert said.lines("test: good: good: ")
    said = doit(linux, "test:broken", code=1)
    assert said.lines(r"test: bad: bad: \d+ lseek_m1 .*\[FAIL\]"), said.text
    settings = linux / "lab.toml"
    settings.write_text(settings.read_text().replace("[test]\n", '[test]\nscript = "tests"\n', 1))
    (linux / "tests").write_text("syscall:0-10\n")
    assert doit(linux, "test:broken").lines("test: good: good: ")
