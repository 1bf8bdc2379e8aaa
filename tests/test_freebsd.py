"""A real FreeBSD tree, cross-built: each kind of commit takes the rung it should, and boots.

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

from labtasks.recipe import SHIPPED

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

FOREVER = (
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
BOOTED = {  # script, loader.conf, [test] -> outcome, how its reason begins
    "words": ("echo one; echo two; exit 3", "", "", "bad", "bad: two"),
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
    "typed": ("uname -s; exit 3", "", 'run = "console"', "bad", "bad: FreeBSD"),
    "host": ("grep -qe '<<BOOT>>' $LAB_CONSOLE; echo $?", "", 'run = "host"', "good", "good: 0"),
    "loader": ("", 'kernel="nothing"', "", "untestable", "loader-failure: "),
}  # fmt: skip


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
    paths = [f"/{path}" for path, *_ in (*CHANGES.values(), FOREVER)]
    repo.git("sparse-checkout", "set", "--no-cone", *paths)
    repo.git("checkout", "-q", base)
    repo.git("tag", "lab-base")
    for tag, change in CHANGES.items():
        _commit(repo, tag, *change)
    repo.git("checkout", "-q", "lab-base")
    _commit(repo, "forever", *FOREVER)
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


def _commit(repo: Repo, tag: str, path: str, pattern: str, new: str) -> None:
    """One change on top of what is checked out, tagged lab-<tag>."""
    file = repo.path / path
    text, count = re.subn(pattern, new, file.read_text(), count=1)
    assert count == 1, path
    file.write_text(text)
    repo.git("commit", "-q", "-a", "-m", tag)
    repo.git("tag", f"lab-{tag}")


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


@pytest.fixture(scope="module")
def bootable(freebsd: tuple[Path, Repo]) -> tuple[Path, Repo]:
    for tool in ("qemu-system-x86_64", "makefs"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    lab, _ = freebsd
    settings = tomllib.loads((lab / "lab.toml").read_text())
    shipped = tomllib.loads((SHIPPED / "freebsd.toml").read_text())["options"]["firmware"]
    firmware = settings.get("options", {}).get("firmware", shipped["default"])
    if not Path(firmware).exists():
        pytest.skip(f"no UEFI firmware: {firmware}")
    shutil.copy(lab / "lab.toml", lab / "lab.plain")
    return freebsd


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
    assert judged(lab, "lab-base", SIGEXIT)[1]["outcome"] == "good"
    said, verdict = judged(lab, "lab-forever", SIGEXIT)
    assert verdict["outcome"] == "bad", said.text
    assert re.match(r"bad: \d{2,} reports of one exit, 1 expected", verdict["reason"])
    short = repo.short("lab-forever")
    assert said.rung("root", short) in ("trace", "cutoff", "same key"), said.text


@pytest.mark.parametrize("case", BOOTED)
def test_failures_are_told_apart(bootable: tuple[Path, Repo], case: str) -> None:
    script, loader, test, outcome, reason = BOOTED[case]
    said, verdict = judged(bootable[0], "lab-base", script, loader, test)
    assert (verdict["outcome"], verdict["reason"][: len(reason)]) == (outcome, reason), said.text
