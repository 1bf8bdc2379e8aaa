"""A real FreeBSD tree, cross-built: each kind of commit takes the rung it should, and boots.

Runs where LABTASKS_FREEBSD_LAB names a lab of such a tree (see freebsd.py). Commits are made in a
clone; artifacts of the lab's cache are used, so that a world built there is not built again.
"""

from __future__ import annotations

import re
import shutil
import time
import tomllib
from pathlib import Path

import freebsd
import pytest
from conftest import Repo, Said
from freebsd import doit

from labtasks.lab.recipe import SHIPPED

pytestmark = freebsd.wanted

NOW = f"{time.time_ns() // 10**9:x}"
"""The lab's cache is used, and may hold what an earlier run built: no two commit the same."""

CHANGES = {
    "kernel-1": ("sys/kern/kern_uuid.c", r"\Z", f'\nconst char *labtasks_one = "{NOW}";\n'),
    "kernel-2": ("sys/kern/subr_hints.c", r"\Z", f'\nconst char *labtasks_two = "{NOW}";\n'),
    "userland": ("bin/ls/util.c", r"usage: ls ", f"usage of ls {NOW}: "),
    "docs": ("share/man/man4/null.4", r"\Z", f'.\\\\" {NOW}\n'),
    "arch": ("sys/arm64/arm64/autoconf.c", r"\Z", f"/* {NOW} */\n"),
    "header": ("sys/dev/uart/uart_bus.h", r"\Z", f"#define\tLABTASKS_{NOW}\t1\n"),
    "param": (
        "sys/sys/param.h",
        r"(__FreeBSD_version )(\d+)",
        rf"\g<1>14{int(NOW, 16) % 10**5:05}",
    ),
}
RUNGS = {  # change -> what world and kernel may take
    "kernel-1": ("trace", "incremental"),
    "kernel-2": ("trace", "incremental"),
    "userland": ("incremental", "trace"),
    "docs": ("trace", "trace"),
    "arch": ("trace", "trace"),
    "header": ("trace", "incremental"),
    "param": ("incremental", "clean"),  # a kernel's make asks it for its version
}

BOOTED = {  # script, loader.conf, [test] -> outcome, how its reason begins
    "words": ("echo one; echo two; exit 3", "", "", "bad", "two"),
    "skip": ("echo not here; exit 125", "", "", "untestable", "skip: not here"),
    "panic": ("sysctl debug.kdb.panic=1", "", "", "other-failure", "panic: kdb_sysctl_panic on"),
    "described": ("sysctl debug.kdb.panic=1", "", 'bad = ["panic"]', "bad", "panic: "),
    "trap": ("sysctl debug.kdb.trap=1", "", "", "other-failure", "trap: page fault"),
    "hang": ("sleep 1000", "", "silence = 20", "other-failure", "silence: after: "),
    "flood": ("yes", "", "bytes = 65536", "other-failure", "flood: after: "),
    "mountroot": (
        "", 'vfs.root.mountfrom="ufs:/dev/nowhere"', "",
        "untestable", "mountroot: ufs:/dev/nowhere failed with error 19",
    ),
    "single-user": ("", 'boot_single="YES"\ninit_script=""', "", "untestable", "single-user: "),
    "typed": ("uname -s; exit 3", "", 'run = "console"', "bad", "FreeBSD"),
    "host": ("grep -qe '<<BOOT>>' $LAB_CONSOLE; echo $?", "", 'run = "host"', "good", "0"),
    "loader": ("", 'kernel="nothing"', "", "untestable", "loader-failure: "),
}  # fmt: skip
DEBUGGED = {  # the same, of a kernel that stops in a debugger
    "debugger": ("sysctl debug.kdb.enter=1", "", "", "other-failure", "debugger: db>"),
    "described": ("sysctl debug.kdb.enter=1", "", 'bad = ["debugger"]', "bad", "debugger: db>"),
    "panic": (
        "sysctl debug.kdb.panic=1", 'debug.debugger_on_panic="1"', "",
        "other-failure", "panic: kdb_sysctl_panic on",
    ),
    **{case: BOOTED[case] for case in ("words", "hang", "mountroot", "single-user")},
}  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Repo]:
    root = tmp_path_factory.mktemp("freebsd")
    changes = {**CHANGES, "forever": freebsd.FOREVER}
    repo = freebsd.cloned(root / "repo", [path for path, *_ in changes.values()])
    repo.git("tag", "lab-base")
    for tag, change in changes.items():
        if tag == "forever":  # on the base, the others one on another
            repo.git("checkout", "-q", "lab-base")
        freebsd.commit(repo, tag, change)
        repo.git("tag", f"lab-{tag}")
    return freebsd.lab_on(root / "lab", repo, freebsd.cache()), repo


@pytest.mark.timeout(6 * 3600)
def test_freebsd(tree: tuple[Path, Repo]) -> None:
    lab, repo = tree
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


@pytest.fixture(scope="module")
def bootable(tree: tuple[Path, Repo]) -> tuple[Path, Repo]:
    lab, _ = tree
    freebsd.can_boot(lab)
    shutil.copy(lab / "lab.toml", lab / "lab.plain")
    return tree


def judged(lab: Path, ref: str, script: str, loader: str = "", test: str = "") -> tuple[Said, dict]:
    """A commit tested under a script and settings of the moment: what was said, and the verdict."""
    text = (lab / "lab.plain").read_text()
    if loader:
        text = text.replace("[options]\n", f"[options]\nloader_conf = '''{loader}'''\n")
    if script:
        (lab / "script").write_text(script)
        test += '\nscript = "script"'
    (lab / "lab.toml").write_text(f"{text}\n[test]\n{test}\n")
    said = doit(lab, f"test:{ref}")
    found = re.search(r"test:\w+:\w+: (\S+): (.*?)(?: \([\d.]+ s\))?$", said.text, re.MULTILINE)
    assert found, said.text
    return said, {"outcome": found[1], "reason": found[2]}


def test_a_regression_is_found_by_booting_it(bootable: tuple[Path, Repo]) -> None:
    lab, repo = bootable
    assert judged(lab, "lab-base", freebsd.SIGEXIT)[1]["outcome"] == "good"
    said, verdict = judged(lab, "lab-forever", freebsd.SIGEXIT)
    assert verdict["outcome"] == "bad", said.text
    assert re.match(r"\d{2,} reports of one exit, 1 expected", verdict["reason"])
    short = repo.short("lab-forever")
    assert said.rung("root", short) in ("trace", "cutoff", "same key"), said.text


@pytest.mark.parametrize("case", BOOTED)
def test_failures_are_told_apart(bootable: tuple[Path, Repo], case: str) -> None:
    script, loader, test, outcome, reason = BOOTED[case]
    said, verdict = judged(bootable[0], "lab-base", script, loader, test)
    assert (verdict["outcome"], verdict["reason"][: len(reason)]) == (outcome, reason), said.text


@pytest.fixture(scope="module")
def debugged(tree: tuple[Path, Repo]) -> Path:
    """A lab on the same store whose kernel has DDB."""
    made = tree[0].parent / "debugged"
    lab = freebsd.lab_on(made, tree[1], freebsd.cache())
    freebsd.can_boot(lab)
    plain = tomllib.loads((SHIPPED / "freebsd.toml").read_text())["files"]["LAB"]
    (lab / "DEBUG").write_text(plain.replace("LAB", "DEBUG", 1) + "options \tDDB\n")
    text, count = re.subn(
        r"(?m)^kernconf *=.*", 'kernconf = "DEBUG"', (lab / "lab.toml").read_text()
    )
    assert count == 1, text
    (lab / "lab.plain").write_text(f'{text}\n[files]\nDEBUG = "DEBUG"\n')
    return lab


@pytest.mark.timeout(3600)  # a kernel of its own is built
@pytest.mark.parametrize("case", DEBUGGED)
def test_a_debugger_is_told_apart(debugged: Path, case: str) -> None:
    script, loader, test, outcome, reason = DEBUGGED[case]
    said, verdict = judged(debugged, "lab-base", script, loader, test)
    assert (verdict["outcome"], verdict["reason"][: len(reason)]) == (outcome, reason), said.text
