"""`labtasks init --debian` with a program in mmdebstrap's place: what is refused, what is made
once, what an interrupted run leaves.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Said, environment, wait_for

from labtasks.lab.lab import load

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a root disk")

TOOLS = ("mke2fs", "qemu-system-x86_64", "ssh", "ssh-keygen", "git", "sh", "env")
MAKES = 'for kind in img kernel initrd; do echo "$SIZE $kind" >"$OUT.$kind"; done'

Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Start `labtasks` with the given stand-in for mmdebstrap; a cache folder of its own."""
    for tool in TOOLS:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is missing")

    def start(*words: str, steps: str = MAKES) -> subprocess.Popen[str]:
        stand_in = tmp_path / "bin" / "mmdebstrap"
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(f'#!/bin/sh -e\necho made >>"{tmp_path}/made"\n{steps}\n')
        stand_in.chmod(0o755)
        env = environment(
            PATH=f"{stand_in.parent}:{os.environ['PATH']}", XDG_CACHE_HOME=str(tmp_path / "cache")
        )
        return subprocess.Popen(
            ["env", "--default-signal", sys.executable, "-m", "labtasks.command.main", *words],
            cwd=tmp_path, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    return start


def ended(one: subprocess.Popen[str], code: int = 0) -> Said:
    text, _ = one.communicate(timeout=120)
    assert one.returncode == code, text
    return Said(one.returncode, text)


def images(tmp_path: Path) -> list[str]:
    folder = tmp_path / "cache" / "labtasks" / "images"
    return sorted(p.name for p in folder.iterdir() if p.is_dir())


def test_two_labs_have_one_disk(run: Run, tmp_path: Path) -> None:
    assert ended(run("init", "a", "--debian")).lines("doit build:good install:good:test")
    assert ended(run("init", "b", "--debian")).lines("is here already")
    assert (tmp_path / "made").read_text() == "made\n"
    a, b = (load(tmp_path / name) for name in "ab")
    assert a.settings == b.settings
    assert a.builder_vm == "build"
    assert a.settings.install.through == "inst"
    assert (tmp_path / "a" / a.settings.install.base).is_file()
    disk = Path(a.vm("inst").image)
    assert disk.read_text() == "2G img\n"
    assert a.vm("build").digest == a.vm("inst").digest != ""
    ended(run("init", "c", "--debian", "--packages", "libelf-dev"))
    assert len(images(tmp_path)) == 2


def test_two_at_once_make_it_once(run: Run, tmp_path: Path) -> None:
    both = [run("init", name, "--debian", steps=f"sleep 1; {MAKES}") for name in "ab"]
    said = [ended(one).text for one in both]
    assert (tmp_path / "made").read_text() == "made\n"
    assert sum("waiting for making" in text for text in said) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_can_be_typed_again(
    run: Run, tmp_path: Path, how: signal.Signals
) -> None:
    one = run("init", "lab", "--debian", steps="touch $OUT.img; sleep 100")
    wait_for((tmp_path / "made").exists, seconds=60)
    one.send_signal(how)
    said = ended(one, 130 if how != signal.SIGKILL else -how).text
    assert "Traceback" not in said
    assert not (tmp_path / "lab").exists()
    assert how == signal.SIGKILL or not images(tmp_path)
    ended(run("init", "lab", "--debian"))
    assert [name[0] for name in images(tmp_path)] == ["d"]


def test_half_a_lab_is_made_whole(run: Run, tmp_path: Path) -> None:
    ended(run("init", "lab", "--debian"))
    (tmp_path / "lab" / "lab.toml").unlink()
    ended(run("init", "lab", "--debian"))
    (tmp_path / "lab" / "lab.toml").unlink()
    (tmp_path / "lab" / "dodo.py").write_text("somebody's own")
    assert "has a dodo.py already" in ended(run("init", "lab", "--debian"), 3).text


def test_a_failure_of_mmdebstrap_leaves_its_log_alone(run: Run, tmp_path: Path) -> None:
    said = ended(run("init", "lab", "--debian", steps="echo 'E: no network' >&2; exit 1"), 3).text
    assert "mmdebstrap failed: E: no network\n  hint: the log is " in said
    assert Path(said.split("the log is ")[-1].strip()).is_file()
    assert images(tmp_path) == []
    assert not (tmp_path / "lab").exists()


def test_what_is_missing_is_named_at_once(tmp_path: Path) -> None:
    """The commands' folders are taken away: two of them have what is needed, no other."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("git", "ssh", "ssh-keygen"):
        (tools / tool).symlink_to(shutil.which(tool) or pytest.skip(f"{tool} is missing"))
    text = (
        "from labtasks.command import main; from labtasks.ground import process; "
        "process.PATH = '/nowhere'; "
        "raise SystemExit(main.main(['init', 'lab', '--debian']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=tmp_path, env=environment(PATH=str(tools)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert "missing: mmdebstrap, mke2fs, qemu-system-" in done.stderr
    assert "apt-get install --no-install-recommends e2fsprogs mmdebstrap qemu-sys" in done.stderr
    assert not (tmp_path / "lab").exists()


def test_what_cannot_be_installed_so_is_refused(run: Run, tmp_path: Path) -> None:
    said = ended(
        run("init", "lab", "--debian", "--recipe", "freebsd", "--repository", "demo"), 3
    ).text
    assert "recipe freebsd " in said
    assert "hint: " in said
    assert not (tmp_path / "made").exists()
