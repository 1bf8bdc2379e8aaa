"""What a shell offers: asked as bash and zsh ask, in the shells themselves."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import Repo, environment, programs
from doit.doit_cmd import DoitMain

from labtasks.command import completion, kinds, loader, main, tasks

LAB = """
repository = "../repo"
recipe = "demo"
[vm.ta]
[vm.tb]
[vm.builder]
image = "disk.img"
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab on a repository with a branch of two words, tags, and a name for no shell."""
    if not shutil.which("git"):
        pytest.skip("git is missing")
    base = tmp_path_factory.mktemp("completion")
    repo = Repo(base / "repo")
    repo.create()
    repo.commit("first", tag="good")
    repo.commit("second", tag="v1.0")
    repo.git("branch", "topic/fast")
    repo.git("branch", "a;rm$(id)")
    (base / "lab").mkdir()
    (base / "lab" / "lab.toml").write_text(LAB)
    programs(base / "bin")
    return base / "lab"


def env(directory: Path) -> dict[str, str]:
    """The environment of a shell that finds `labtasks` and `doit`."""
    return environment(PATH=f"{directory.parent / 'bin'}:{os.environ['PATH']}", TERM="dumb")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("doit bu", ["build:"]),
        ("doit do", ["doctor ", "down:"]),
        ("doit build:g", ["build:good "]),
        ("doit -n 2 build:good build:v", ["build:v1.0 "]),
        ("doit build:topic/", ["build:topic/fast "]),
        ("doit build:a", []),
        ("doit test:g", ["test:good:"]),
        ("doit test:good:t", ["test:good:ta ", "test:good:tb "]),
        ("doit up:", ["up:builder "]),
        ("doit ssh ", ["builder "]),
        ("doit ssh builder ", []),
        ("doit explain k", ["kernel:"]),
        ("doit verify ", ["build:", "kernel:", "toolchain:", "world:"]),
        ("doit verdict v1.0 ", ["builder ", "ta ", "tb "]),
        ("doit bisect ", ["bad ", "good ", "skip "]),
        ("doit bisect bad g", ["good "]),
        ("doit bisect --good g", ["good "]),
        ("doit bisect --bad=v", ["--bad=v1.0 "]),
        ("doit bisect --vm=ta", ["--vm=ta "]),
        ("doit bisect --rep", ["--repeats=", "--replay="]),
        ("doit gc --d", ["--days=", "--dry-run "]),
        ("doit world=i", ["world=image "]),
        ("doit retry=", ["retry=no ", "retry=yes "]),
        ("doit help doc", ["doctor "]),
        ("eitri ", ["builder/", "local/"]),
        ("eitri --", ["--continue ", "--help "]),
        ("eitri world=im", ["world=image "]),
        ("eitri local/topic", ["local/topic/fast "]),
        ("brokkr local/topic/f", ["local/topic/fast/"]),
        ("brokkr local/topic/fast/t", ["local/topic/fast/ta ", "local/topic/fast/tb "]),
        ("muninn ei", ["eitri "]),
        ("muninn eitri bu", ["builder/"]),
        ("muninn -- doit build:g", ["build:good "]),
        ("labtasks comp", ["completion "]),
        ("labtasks completion ", ["bash ", "zsh "]),
        ("labtasks init x --recipe d", ["demo "]),
        ("make build:", []),
        ("", []),
    ],
)
def test_what_is_offered(directory: Path, line: str, offered: list[str]) -> None:
    assert completion.answers(line, main._plugins(), directory) == offered


def test_a_commit_is_offered_by_its_id_where_no_name_begins_so(directory: Path) -> None:
    repo = Repo(directory.parent / "repo")
    short = repo.short("good")
    line = f"doit build:{short[:5]}"
    assert completion.answers(line, main._plugins(), directory) == [f"build:{short} "]


def test_without_a_lab_there_are_tasks_and_no_refs(tmp_path: Path) -> None:
    assert completion.answers("doit build:", main._plugins(), tmp_path) == []
    assert completion.answers("doit bui", main._plugins(), tmp_path) == ["build:"]


def test_asking_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text('repository = "demo"\nrecipe = "demo"\n')
    assert completion.answers("doit build:", main._plugins(), tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["lab.toml"]


def test_nothing_is_offered_that_is_not_there() -> None:
    assert set(completion.DOIT) <= set(DoitMain(loader.Loader()).get_cmds())
    assert set(kinds.WORDS) == set(tasks.Options.__dataclass_fields__)
    (subcommands,) = (a for a in main._parser()._actions if a.dest == "command")
    assert set(completion._labtasks([])) == set(subcommands.choices or ())


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("doit build:g", ["good "]),  # bash replaces what follows the colon
        ("doit test:good:t", ["ta ", "tb "]),
        ("doit bisect --good=g", ["good "]),
        ("doit world=ima", ["image "]),
        ("doit bisect --fi", ["--first-parent ", "--fixed "]),
        ("eitri local/topic", ["local/topic/fast "]),
    ],
)
def test_bash_is_told(directory: Path, line: str, replies: list[str]) -> None:
    text = f"""
    eval "$(labtasks completion bash)"
    COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:' COMP_LINE='{line} and more' COMP_POINT={len(line)}
    _labtasks
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", text],
        cwd=directory, env=env(directory), capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines() == replies, done.stderr


def press_tab(argv: list[str], setup: str, line: str, directory: Path, wanted: str) -> str:
    """Type into a shell on a terminal, with TAB at the end; what it shows, at most until `wanted`
    is there.
    """
    ours, theirs = os.openpty()
    shell = subprocess.Popen(
        argv, cwd=directory, env={**env(directory), "PS1": "$ "}, stdin=theirs, stdout=theirs,
        stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown = ""
    try:
        os.write(ours, f"{setup}; echo rea''dy\n".encode())
        shown = _until(ours, "ready", "")
        os.write(ours, f"{line}\t".encode())
        return _until(ours, wanted, shown.rpartition("ready")[2])
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


def _until(terminal: int, wanted: str, shown: str) -> str:
    ends = time.monotonic() + 60
    while wanted not in shown and time.monotonic() < ends:
        if select.select([terminal], [], [], 0.5)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace").replace("\a", "")
    return shown


SHELLS: Mapping[str, tuple[list[str], str]] = {
    "bash": (["bash", "--norc", "-i"], 'eval "$(labtasks completion bash)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -Uz compinit; compinit -u -D; eval "$(labtasks completion zsh)"',
    ),
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("doit test:goo", "doit test:good:"),
        ("doit bisect --bad=v", "--bad=v1.0 "),
        ("muninn eitri local/top", "local/topic/fast "),
    ],
)
def test_a_shell_on_a_terminal(directory: Path, shell: str, typed: str, shown: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    argv, setup = SHELLS[shell]
    assert shown in press_tab(argv, setup, typed, directory, shown)
