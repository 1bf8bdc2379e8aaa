"""A regression of Linux 6.1 bisected, from an empty cache to the proof, with real boots.

The history is one that kernel developers have: files that this kernel is made of and files that it
is not, documentation, another architecture, a userland, headers, and a commit that does not build.
"""

from __future__ import annotations

import json
import math
import os
import random
from pathlib import Path

import linux
import pytest
from conftest import Repo
from linux import doit

from labtasks.command import main

pytestmark = pytest.mark.skipif(
    not os.environ.get("LABTASKS_LONG"), reason="LABTASKS_LONG is not set: a quarter of an hour"
)

KINDS = {  # what a commit adds a line to
    "kernel": (
        "init/main.c", "kernel/fork.c", "kernel/sys.c", "kernel/signal.c", "kernel/exit.c",
        "mm/mmap.c", "fs/open.c", "fs/namei.c", "lib/string.c",
    ),
    "header": ("include/linux/utsname.h", "include/linux/pid.h"),
    "userland": ("tools/testing/selftests/nolibc/nolibc-test.c",),
    "idle": (
        "Documentation/process/howto.rst", "MAINTAINERS", "arch/arm64/kernel/setup.c",
        "arch/riscv/mm/init.c", "drivers/gpu/drm/drm_file.c", "drivers/usb/core/hub.c",
        "fs/ext4/super.c", "net/ipv4/tcp.c", "sound/core/init.c", "kernel/bpf/core.c",
        "tools/perf/perf.c", "scripts/checkpatch.pl",
    ),
}  # fmt: skip
CULPRIT = "vfs: Simplify lseek"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab on 27 commits in an order that is always the same, tagged good to bad."""
    root = tmp_path_factory.mktemp("linux-bisect")
    repo = Repo(root / "repo")
    linux.imported(repo)
    repo.git("tag", "good")
    files = [(kind, path) for kind, paths in KINDS.items() for path in paths]
    random.Random(6).shuffle(files)  # noqa: S311
    for number, (kind, path) in enumerate(files):
        file = repo.path / path
        code = f'\nconst char *labtasks_{number} = "{number}";\n'
        file.write_text(file.read_text() + (code if kind == "kernel" else f"\n/* {number} */\n"))
        repo.commit(f"{kind}: {path}")
        if number == len(files) // 3:
            whole = (repo.path / "kernel/panic.c").read_text()
            for subject, text in (("broken", "#error not yet\n"), ("mended", "")):
                repo.write("kernel/panic.c", whole + text)
                repo.commit(f"{subject}: kernel/panic.c")
        if number == len(files) // 2:
            linux.regress(repo)
            repo.commit(CULPRIT)
    repo.git("tag", "bad")
    argv = ["init", str(root / "lab"), "--repository", str(repo.path), "--recipe", "linux"]
    assert main.main(argv) == 0
    return root / "lab"


@pytest.mark.timeout(6000)
def test_a_regression_of_linux_is_named_and_proved(lab: Path) -> None:
    ends = ("--good", "good", "--bad", "bad")
    said = doit(lab, "bisect", "-n", "2", *ends)
    report = json.loads((lab / "cache" / "bisect" / "report.json").read_text())
    assert CULPRIT in said.text.split("culprit: ")[1].splitlines()[0]
    assert [(p["role"], p["verdict"], p["agrees"]) for p in report["proofs"]] == [
        ("culprit", "bad", True),
        ("parent", "good", True),
    ]
    assert report["folded"] >= len(KINDS["idle"])
    for node in report["nodes"]:  # an end is tested whatever it is
        if node["subject"].startswith("idle: ") and node["step"] is None:
            assert node["state"] == "folded", node
    classes = len(report["nodes"]) - report["folded"]
    assert len(report["steps"]) <= 2 + math.ceil(math.log2(classes)) + 1  # one may not build
    assert doit(lab, "bisect", "--reset").code == 0
    doit(lab, "bisect", *ends)
    report = json.loads((lab / "cache" / "bisect" / "report.json").read_text())
    assert (report["builds"], report["boots"]) == (0, 0)
