"""A real FreeBSD tree, cross-built: each kind of commit takes the rung it should.

Runs when LABTASKS_FREEBSD_LAB names a lab of such a tree (a directory with a lab.toml whose
recipe is freebsd). Commits are made in a clone; artifacts of the lab's cache are used, so that a
world built there is not built again. Take a kernel without modules and a reduced world.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import Repo, Said, environment

LAB = os.environ.get("LABTASKS_FREEBSD_LAB", "")

pytestmark = pytest.mark.skipif(not LAB, reason="LABTASKS_FREEBSD_LAB names no FreeBSD lab")

CHANGES = {
    "kernel-1": ("sys/kern/kern_uuid.c", r"\Z", '\nconst char *labtasks_one = "one";\n'),
    "kernel-2": ("sys/kern/subr_hints.c", r"\Z", '\nconst char *labtasks_two = "two";\n'),
    "userland": ("bin/ls/util.c", r"usage: ls ", "usage of ls: "),
    "docs": ("share/man/man4/null.4", r"\Z", '.\\" the end\n'),
    "arch": ("sys/arm64/arm64/autoconf.c", r"\Z", "/* the end */\n"),
    "header": ("sys/dev/uart/uart_bus.h", r"\Z", "#define\tLABTASKS_HEADER\t1\n"),
    "param": ("sys/sys/param.h", r"(__FreeBSD_version )(\d+)", r"\g<1>1499999"),
}
RUNGS = {  # change -> what world and kernel may take
    "kernel-1": ("trace", "incremental"),
    "kernel-2": ("trace", "incremental"),
    "userland": ("incremental", "trace"),
    "docs": ("trace", "trace"),
    "arch": ("trace", "trace"),
    "header": ("trace", "incremental"),
    "param": ("incremental", "incremental"),
}


@pytest.fixture(scope="module")
def freebsd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Repo]:
    root = tmp_path_factory.mktemp("freebsd")
    settings = tomllib.loads((Path(LAB) / "lab.toml").read_text())
    origin = Path(LAB) / settings["repository"]
    repo = Repo(root / "repo")
    clone = ["git", "clone", "-q", "--shared", "--no-checkout", str(origin), str(repo.path)]
    subprocess.run(clone, check=True)
    base = os.environ.get("LABTASKS_FREEBSD_REF", "HEAD")
    repo.git("config", "user.name", "tester")
    repo.git("config", "user.email", "tester@example.org")
    repo.git("sparse-checkout", "set", "--no-cone", *(f"/{path}" for path, *_ in CHANGES.values()))
    repo.git("checkout", "-q", base)
    repo.git("tag", "lab-base")
    for tag, (path, pattern, new) in CHANGES.items():
        file = repo.path / path
        text, count = re.subn(pattern, new, file.read_text(), count=1)
        assert count == 1, path
        file.write_text(text)
        repo.git("commit", "-q", "-a", "-m", tag)
        repo.git("tag", f"lab-{tag}")
    lab = root / "lab"
    lab.mkdir()
    for name in os.listdir(LAB):
        if (Path(LAB) / name).is_file():
            shutil.copy(Path(LAB) / name, lab / name)
    text = (lab / "lab.toml").read_text()
    text = re.sub(r"(?m)^(repository|cache) *=.*\n", "", text)
    cache = (Path(LAB) / settings.get("cache", "cache")).resolve()
    (lab / "lab.toml").write_text(f'repository = "{repo.path}"\ncache = "{cache}"\n{text}')
    return lab, repo


def doit(lab: Path, *words: str) -> Said:
    argv = [sys.executable, "-m", "doit", *words]
    done = subprocess.run(
        argv, cwd=lab, env=environment(), capture_output=True, text=True, check=False
    )
    sys.stdout.write(done.stdout)
    return Said(done.returncode, done.stdout + done.stderr)


def test_freebsd(freebsd: tuple[Path, Repo]) -> None:
    lab, repo = freebsd
    assert doit(lab, "build:lab-base").code == 0
    proved = {"same key": "trace", "cutoff": "trace"}
    for change, rungs in RUNGS.items():
        said = doit(lab, f"build:lab-{change}")
        assert said.code == 0, said.text
        short = repo.short(f"lab-{change}")
        took = [said.rung(kind, short) for kind in ("world", "kernel")]
        assert tuple(proved.get(rung, rung) for rung in took) == rungs, said.text
        if change == "param":
            assert said.lines("nearly a full build"), said.text
    back = doit(lab, "build:lab-base")
    assert not back.lines("built: ")
    equal = doit(lab, "verify", "kernel:lab-kernel-2")
    assert equal.code == 0, equal.text
