"""How commands end: the same everywhere, and as the pages and their own help say."""

from __future__ import annotations

import os
import pkgutil
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment, processes, wait_for

from labtasks.command import main
from labtasks.command.eitri import HELP
from labtasks.ground.error import Code

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "commands.md").read_text("utf-8")
COMMANDS = {name: pkgutil.resolve_name(of) for name, of in main._plugins().items()}
GIT = "verdict"
"""It ends as `git bisect run` wants it."""

WORDS = {
    "explain": ["kernel:HEAD"], "verify": ["kernel:HEAD"], "shell": ["kernel:HEAD", "true"],
    "ssh": ["a"], "console": ["a"],
}  # fmt: skip


def codes(text: str) -> set[int]:
    """The numbers that a text names as statuses: in front of words, or alone between commas."""
    return {int(found) for found in re.findall(r"(?:^|[,;.:] |or )(\d{1,3})(?=[ :,]|$)", text)}


def said(name: str) -> set[int]:
    """What the command's own help says it ends with."""
    found = codes(COMMANDS[name].doc_description)
    return found | {128} if "128 and above" in COMMANDS[name].doc_description else found


def row(name: str) -> str:
    """The last column of a command's row in the table of the page."""
    (found,) = re.findall(rf"^\| `doit {name}\b.*\| ([^|]*) \|$", PAGE, re.MULTILINE)
    return found


def run(where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=where, env=environment(), check=False, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=120,
    )  # fmt: skip


def doit(where: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return run(where, sys.executable, "-m", "doit", *words)


def test_the_page_lists_every_status():
    table = PAGE.partition("## How commands end")[2].partition("\n## ")[0]
    listed = {int(number) for number in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert listed == {*Code, 2}


@pytest.mark.parametrize("name", COMMANDS)
def test_page_and_help_say_the_same(name):
    assert codes(row(name)) - {Code.INTERRUPTED} == said(name) - {Code.INTERRUPTED}


@pytest.mark.parametrize("name", HELP)
def test_several_builds_end_as_one_does(name):
    listed = {*Code}
    assert codes(HELP[name].partition("Status: ")[2].replace("\n", " ")) == listed
    section = PAGE.partition("## eitri and brokkr")[2].partition("\n## ")[0]
    assert codes(section.partition("Status: ")[2].replace("\n", " ")) == listed


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is no lab any more."""
    directory = tmp_path_factory.mktemp("statuses") / "lab"
    assert main.main(["init", str(directory)]) == 0
    (directory / "lab.toml").unlink()
    with (directory / "dodo.py").open("a") as file:
        file.write("\n# somebody's own\n")
    return directory


@pytest.mark.parametrize("name", COMMANDS)
def test_where_no_lab_is_all_are_refused(nowhere, name):
    ran = doit(nowhere, name, *WORDS.get(name, ["HEAD"] if name == GIT else []))
    assert ran.returncode == (128 if name == GIT else Code.REFUSED)
    assert "lab.toml is missing" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_where_no_lab_is_programs_are_refused(nowhere):
    for name, words in (("eitri", ["local/HEAD"]), ("brokkr", ["local/HEAD/test"])):
        code = f"import sys; from labtasks.command.eitri import {name}; sys.exit({name}())"
        assert run(nowhere, sys.executable, "-c", code, *words).returncode == Code.REFUSED
    init = [sys.executable, "-m", "labtasks.command.main", "init", "."]
    assert run(nowhere, *init).returncode == Code.REFUSED  # dodo.py is there
    assert doit(nowhere, "build:HEAD").returncode == Code.REFUSED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_ends_without_a_traceback(make_lab, number):
    lab = make_lab()
    word = f"{86_400 + os.getpid()}.{number:d}"
    lab.recipe(("make -j{jobs} -f sys/Makefile {trim}", f"sleep {word}"))
    asked = subprocess.Popen(
        [sys.executable, "-m", "doit", "verify", "kernel:base"], cwd=lab.directory,
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_for(lambda: processes(f"sleep\0{word}") or asked.poll() is not None)
    asked.send_signal(number)
    text, _ = asked.communicate(timeout=60)
    assert asked.returncode == Code.INTERRUPTED, text
    assert "interrupted: " in text
    assert "Traceback" not in text
