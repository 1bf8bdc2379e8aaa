"""A test's script, run by others than the world's init: typed on the console, sent over ssh, or
started on this host. Real machines, and a real sshd on this host's loopback.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Repo, environment

from labtasks import demo, main
from labtasks.recipe import SHIPPED

DATA = Path(__file__).parent / "data"

SHELL = """
[shell]
prompt = '^# '
put = "{line}"
run = "status {nonce}"
"""
"""Of the demo OS with tests/data/nidavel-console.patch, when kenv has shell=1."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab of the demo OS with a shell on its console, and a debugger."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86_64 is missing")
    folder = tmp_path_factory.mktemp("w")
    repo = Repo(folder / "repo")
    demo.create(repo.path)
    repo.git("config", "user.name", "tester")
    repo.git("config", "user.email", "tester@example.org")
    repo.git("apply", str(DATA / "nidavel-console.patch"))
    repo.commit("a shell on the console, and a debugger")
    assert main.main(["init", str(folder / "lab"), "--repository", str(repo.path)]) == 0
    text = (SHIPPED / "demo.toml").read_text()
    prompts = "[console.prompts]\n"
    assert prompts in text
    text = text.replace(prompts, f"{prompts}debugger = ['^db> ']\n")
    (folder / "lab" / "my.toml").write_text(text + SHELL)
    return folder / "lab"


def doit(
    lab: Path, *words: str, script: str | None = "", kenv: str = "", more: str = "", **test: object
) -> subprocess.CompletedProcess[str]:
    """Run doit with this script and these settings of [test]."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in test.items()]
    if script is not None:
        (lab / "script").write_text(script)
        lines.append('script = "script"')
    (lab / "lab.toml").write_text(
        'repository = "../repo"\nrecipe = "my.toml"\n[test]\n' + "\n".join(lines)
        + f'\n[options]\nkenv = "{kenv}"\n{more}'
    )  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "doit", *words], cwd=lab, env=environment(), check=False,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def verdict(lab: Path, *words: str, **settings: object) -> dict:
    """The verdict of a test that is run now."""
    home = lab / "cache" / "artifacts" / "verdict"
    before = {p.parent.name for p in home.glob("*/verdict.json")}
    ran = doit(lab, "test:HEAD", *words, **settings)
    new = [p for p in home.glob("*/verdict.json") if p.parent.name not in before]
    assert len(new) == 1, ran.stdout + ran.stderr
    return json.loads(new[0].read_text())


def reason(found: dict) -> tuple[str, str]:
    return found["outcome"], found["reason"]


def console(found: dict) -> str:
    return Path(found["runs"][0]["console"]).read_text()


# On the console


def test_a_script_typed_on_the_console(lab: Path) -> None:
    good = verdict(lab, script="run /bin/uname\ntest libctest\n", run="console", kenv="shell=1")
    assert good["outcome"] == "good", good
    assert "init: test libctest ok" in good["reason"]
    assert "# test libctest" in console(good)
    bad = verdict(lab, script="test probetest\n", run="console", kenv="shell=1")
    assert bad["outcome"] == "bad", bad
    assert "test probetest FAILED" in bad["reason"]


def test_no_shell_comes(lab: Path) -> None:
    """init's own verdict, on its own port, is nobody's: only what was asked for counts."""
    found = verdict(lab, script="test libctest\n", run="console", kenv="test=libctest")
    assert found["outcome"] == "other-failure", found
    assert "all tests passed" in console(found)


# The debugger


def test_the_debugger_waits(lab: Path) -> None:
    kenv = "test.panic debug.debugger_on_panic=1"
    found = verdict(lab, script=None, kenv=kenv, bad=["debugger"])
    assert reason(found) == ("bad", "debugger: db>")
