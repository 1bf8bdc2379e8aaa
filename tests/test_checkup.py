"""How a machine is, by its own answer: the question is put to real shells, also to one that has
FreeBSD's tools as far as they are asked.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from conftest import environment

from labtasks.care import checkup
from labtasks.care.checkup import QUESTION, Finding


def asked(path: str = "", **more: str) -> str:
    env = environment(**more)
    env["PATH"] = f"{path}:{env['PATH']}"
    done = subprocess.run(
        ["sh", "-s"], input=QUESTION, env=env, capture_output=True, text=True, check=True,
        timeout=20,
    )  # fmt: skip
    return done.stdout


def about(text: str, now: float | None = None) -> dict[str, Finding]:
    found = checkup.findings(text, "vm", time.time() if now is None else now)
    return {one.what.removeprefix("vm: "): one for one in found}


def test_this_machine_answers():
    found = about(asked())
    assert found["ssh"].well
    assert found["clock"].well
    assert "free at /" in found["disk space"].said


@pytest.fixture
def freebsd(tmp_path: Path) -> Path:
    """A folder for PATH with what tells FreeBSD from others."""
    for name, line in (("uname", "echo FreeBSD"), ("kldstat", 'test "$2" = filemon')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_filemon_is_looked_for_where_there_is_freebsd(freebsd):
    assert "filemon" not in about(asked())
    text = asked(str(freebsd))
    assert about(text)["filemon"].said == "is loaded, but has no device"
    (freebsd / "kldstat").write_text("#!/bin/sh\nexit 1\n")
    missing = about(asked(str(freebsd)))["filemon"]
    assert (missing.well, missing.needed, missing.said) == (False, False, "is not loaded")
    assert "kldload filemon" in missing.remedy
    assert about(f"{text}device=yes\n")["filemon"].said.startswith("/dev/filemon is not for ")
    assert about(f"{text}device=yes\nopens=yes\n")["filemon"].well


@pytest.mark.parametrize(
    ("skew", "said"),
    [(0, "agrees with ours"), (90, "1 min 30 s ahead of ours"), (-7200, "2 h 00 min behind ours")],
)
def test_clocks_are_compared(skew, said):
    found = about(f"system=FreeBSD\nclock={1000000 + skew}\n", now=1000000.5)["clock"]
    assert (found.said, found.well) == (said, not skew)
    assert "ntpd -gq" in found.remedy


def test_a_slow_answer_is_no_wrong_clock():
    (clock,) = (
        one
        for one in checkup.findings("system=Linux\nclock=100\n", "vm", 104.0, patience=4.0)
        if one.what == "vm: clock"
    )
    assert clock.well


@pytest.mark.parametrize(
    ("blocks", "well", "needed"), [(10**8, True, False), (10**6, False, False), (-8, False, True)]
)
def test_room_in_a_machine(blocks, well, needed):
    found = about(f"system=FreeBSD\nclock=1\nfree={blocks} /\nhome={blocks} /\n", now=1)
    assert (found["disk space"].well, found["disk space"].needed) == (well, needed)


@pytest.mark.parametrize("text", ["", "Welcome!\n", "system=\nclock=soon\nfree=a b\n", "=\n==\n"])
def test_a_machine_that_says_something_else_is_ill(text):
    assert not about(text)["ssh"].well
