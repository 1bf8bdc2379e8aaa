"""The line at the bottom of a terminal: there on a terminal, nowhere else."""

import os
import pty
import subprocess
import sys

import pytest
from conftest import environment

from labtasks import live

SCRIPT = """
import time
from pathlib import Path
from labtasks import live
from labtasks.error import say
log = Path("log")
log.write_text("cc -c first.c\\n\\x1b[31mcc -c second.c\\n")
with live.doing("kernel:abc", 12.0):
    live.tick(log)
    say("a calm line")
say("the end")
"""


def on_a_terminal(tmp_path, **env: str) -> str:
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environment(**env), stdout=theirs,
        check=True,
    )  # fmt: skip
    os.close(theirs)
    return os.read(ours, 65536).decode()


def test_a_terminal_sees_the_line_and_it_goes_before_others(tmp_path):
    said = on_a_terminal(tmp_path, TERM="xterm")
    assert "\r\x1b[Kkernel:abc: 0 of some 12 s  [31mcc -c second.c" in said
    assert "\r\x1b[Ka calm line" in said
    assert said.endswith("the end\r\n")


@pytest.mark.parametrize("env", [{"TERM": "dumb"}])
def test_a_dumb_terminal_sees_calm_lines_alone(tmp_path, env):
    assert on_a_terminal(tmp_path, **env) == "a calm line\r\nthe end\r\n"


def test_a_pipe_sees_calm_lines_alone(tmp_path):
    argv = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(
        argv, cwd=tmp_path, env=environment(TERM="xterm"), check=True, capture_output=True
    )
    assert done.stdout == b"a calm line\nthe end\n"


def test_without_an_expectation_it_only_counts():
    assert live.line("boot", 3.2, 0.0, "") == "boot: 3 s"
