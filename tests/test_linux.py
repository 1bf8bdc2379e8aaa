"""Linux 6.1 from Debian's source package: built, stepped, found unchanged, booted, judged.

One long test: what is built once is used by all that follows. Some seven minutes on two free
processors; left out where the package is not installed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import linux
import pytest
from conftest import Repo
from linux import doit

from labtasks.command import main


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab on a git history of the package's tree: base, then one commit of each kind."""
    root = tmp_path_factory.mktemp("linux")
    repo = Repo(root / "repo")
    linux.imported(repo)
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
    linux.regress(repo)
    repo.commit("broken", tag="broken")
    main.main(["init", str(root / "lab"), "--repository", str(repo.path), "--recipe", "linux"])
    return root / "lab"


@pytest.mark.timeout(4000)
def test_linux(lab: Path) -> None:
    repo = Repo(lab.parent / "repo")
    said = doit(lab, "build:base")
    base = repo.short("base")
    assert (said.rung("world", base), said.rung("kernel", base)) == ("clean", "clean")

    said = doit(lab, "build:kernel", "build:docs", "build:arch", "build:world", "build:base")
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
    said = doit(lab, "boot:kernel")
    assert said.lines("test: good: ")
    (console,) = (lab / "cache" / "logs").glob("console-*")
    assert "Kernel was told: " in console.read_text(errors="replace")

    said = doit(lab, "test:kernel")
    assert said.lines("test: good: ")
    said = doit(lab, "test:broken", code=1)
    assert said.lines(r"test: bad: \d+ lseek_m1 .*\[FAIL\]"), said.text
    settings = lab / "lab.toml"
    settings.write_text(settings.read_text().replace("[test]\n", '[test]\nscript = "tests"\n', 1))
    (lab / "tests").write_text("syscall:0-10\n")
    assert doit(lab, "test:broken").lines("test: good: ")
