"""The shell text that is sent to other machines: POSIX, whatever sh is there, and what it ends.

A FreeBSD has no GNU tool; what is known to fail there must not come back.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import wait_for

from labtasks.care import checkup
from labtasks.key import guest_tools
from labtasks.site import guest, guest_disk, listing, remote_folder, remote_script, site
from labtasks.test import tester_outside
from labtasks.vm import hotplug, installer

SHELLS = ("dash", "bash", "busybox sh")

TEXTS = {
    "hello": remote_script.HELLO,
    "open": remote_script.OPEN + remote_script.COPIES,
    "keep": remote_script.KEEP,
    "clear": site.END_STEP + remote_script.CLEAR,
    "boot": remote_folder.BOOT,
    "leaders": f"echo {site.LEADERS}",
    "listing": listing.SCRIPT,
    "clock": guest._SET_CLOCK.format(1),
    "wait": guest._WAIT_PAST.format(1),
    "tools": guest_tools._SYSTEM,
    "question": checkup.QUESTION,
    "disk": guest_disk._FIND + guest_disk._EMPTY + guest_disk._MOUNT + guest_disk._FREEZE,
    "tidy": guest_disk._TIDY,
    "script": tester_outside.command("true", "nonce"),
    "mount": installer._MOUNT.format(
        find=hotplug.FIND, here="/h", dest="/d", out="/o", home="/home", src="/s", obj="/b",
        files="/f", objfs="one", disk="two", partition=2,
    ),
    "unmount": site.END_STEP
    + installer._TIDY.format(here="/h", dest="/d", src="/s", obj="/b", files="/f"),
}  # fmt: skip

STRANGE = {
    r" -ef ": "nullfs gives files a device number of its own",
    r"\bmountpoint\b": "mount | grep",
    r"\bxargs [^|\n]*-r\b": "without input FreeBSD's runs nothing anyhow",
    r"\bsed [^|\n]*-i\b": "a new file",
    r"\bcp [^|\n]*(-a|-\w*d\w*|--)\b": "cp -RPp",
    r"\bstat\b": "its flags are another's",
    r"\breadlink -f\b": "pwd -P",
    r"\bdate [^|\n]*(-d|--)\b": "touch and date differ",
    r"\bmktemp\b": "a name of one's own",
    r"\btimeout\b|\bsetsid\b|\bsha\d+sum\b|\btac\b|\bseq\b|\bnproc\b": "not there",
    r"\bgrep -\w*P": "no such patterns",
    r"\[\[|\bfunction \w|\blocal\b|<\(|\$'|&>|\bsource\b": "of another shell",
    r"\bps [^|\n]*(--|-e\b|\baux\b)": "ps -A -o",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_any_shell_can_read_it(shell: str) -> None:
    words = shell.split()
    if not shutil.which(words[0]):
        pytest.skip(f"{words[0]} is missing")
    for name, text in TEXTS.items():
        done = subprocess.run(
            [*words, "-n"], input=text, capture_output=True, text=True, check=False, timeout=20
        )
        assert (done.returncode, done.stderr) == (0, ""), name


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_that_only_gnu_has(name: str) -> None:
    text = TEXTS[name]
    if name != "listing":  # which asks first
        assert "-printf" not in text
    for pattern, instead in STRANGE.items():
        found = re.search(pattern, text)
        assert found is None, f"{found and found[0]}: {instead}"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes], list[int]]]:
    """A step as a machine runs it, whose jobs have process groups of their own, as under bmake -j;
    their ids.
    """
    step, jobs = tmp_path / "step", tmp_path / "jobs"
    job = tmp_path / "job.py"
    job.write_text("import os\nos.setpgid(0, 0)\nos.execvp('sleep', ['sleep', '987.0419'])\n")
    text = (
        f"echo {site.LEADERS} since >{step}; "
        f"for one in 1 2; do {sys.executable} {job} & echo $! >>{jobs}; done; wait"
    )
    child = subprocess.Popen(["sh", "-c", text], start_new_session=True)
    wait_for(lambda: jobs.exists() and len(jobs.read_text().split()) == 2)
    pids = [int(word) for word in jobs.read_text().split()]
    wait_for(lambda: all(map(alive, pids)))
    yield step, child, pids
    for pid in (child.pid, *pids):
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    child.wait(timeout=20)


def alive(pid: int) -> bool:
    try:
        return "sleep" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def end(shell: str, step: Path) -> None:
    text = f"{site.END_STEP}end_step {step}\n"
    done = subprocess.run(
        [*shell.split(), "-c", text], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("orphans", [False, True])
def test_a_step_ends_with_all_its_jobs(
    session: tuple[Path, subprocess.Popen[bytes], list[int]], shell: str, orphans: bool
) -> None:
    """Whether or not the shell that led them is still there."""
    if not shutil.which(shell.split(maxsplit=1)[0]):
        pytest.skip(f"{shell} is missing")
    step, child, pids = session
    assert {os.getpgid(pid) for pid in pids} == {*pids}
    if orphans:
        child.kill()
        child.wait(timeout=20)
    assert [*map(alive, pids)] == [True, True]
    end(shell, step)
    wait_for(lambda: not any(map(alive, pids)))
    child.wait(timeout=20)


def test_a_stranger_is_left_alone(
    session: tuple[Path, subprocess.Popen[bytes], list[int]], tmp_path: Path
) -> None:
    """The ids in a file of before a restart may be somebody else's by now."""
    step, child, pids = session
    other = tmp_path / "another"
    other.write_text(step.read_text())
    end("sh", other)
    assert child.poll() is None
    assert all(map(alive, pids))
