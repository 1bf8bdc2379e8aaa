"""A test's script, run by others than the world's init: typed on the console, sent over ssh, or
started on this host. Real machines, and a real sshd on this host's loopback.
"""

from __future__ import annotations

import getpass
import json
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Repo, processes, wait_for
from conftest import doit as run_doit

from labtasks.command import main
from labtasks.lab import demo
from labtasks.lab.lab import Lab
from labtasks.lab.recipe import SHIPPED
from labtasks.lab.session import Shell
from labtasks.lab.settings import Settings, Test
from labtasks.site import ssh
from labtasks.test import tester_outside, way
from labtasks.test.typist import Typist
from labtasks.test.watch import Watch

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
    return run_doit(lab, *words)


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


# On the host

HOST = """#!{python}
import os, time
open(os.environ["LAB_SERIAL"], "w").write("run /bin/uname\\n")
said = ""
while "1.1-BETA1 GENERIC amd64" not in said.rpartition("# run")[2]:
    time.sleep(0.05)
    said = open(os.environ["LAB_CONSOLE"]).read()
assert "Mounted root" in said
print(sorted(name for name in os.environ if name.startswith("LAB_")))
print("uname was typed in", os.environ["LAB_VM"])
raise SystemExit({status})
"""


@pytest.mark.parametrize(("status", "outcome"), [(0, "good"), (3, "bad"), (125, "untestable")])
def test_a_script_on_the_host(lab: Path, status: int, outcome: str) -> None:
    script = HOST.format(python=sys.executable, status=status)
    found = verdict(lab, script=script, run="host", kenv="shell=1")
    word = {0: "good", 3: "bad", 125: "skip"}[status]
    assert reason(found) == (outcome, f"{word}: uname was typed in test")
    printed = Path(found["runs"][0]["console"] + ".test").read_text()
    assert "'LAB_ADDRESS'" in printed
    assert "LAB_SSH" not in printed  # the recipe knows no ssh


SWITCHED_OFF = """#!{python}
import os, time
open(os.environ["LAB_SERIAL"], "w").write("leave shell\\n")
while "all tests passed" not in open(os.environ["LAB_CONSOLE"]).read():
    time.sleep(0.05)
time.sleep(1)
print("seen")
raise SystemExit(1)
"""


def test_the_guest_s_own_word_counts_for_nothing(lab: Path) -> None:
    """init says good and switches off; the script on the host goes on, and says bad."""
    script = SWITCHED_OFF.format(python=sys.executable)
    found = verdict(lab, script=script, run="host", kenv="shell=1 test=libctest")
    assert reason(found) == ("bad", "bad: seen")
    assert "all tests passed" in console(found)


def test_the_guest_is_gone_before_the_script_begins(lab: Path) -> None:
    """Or before it ends, where the guest is slow: either way that is said besides."""
    script = 'until grep -q panic: "$LAB_CONSOLE"; do sleep 0.1; done; echo seen; exit 1'
    found = verdict(lab, script=script, run="host", kenv="test.panic")
    assert found["outcome"] == "other-failure", found
    assert "panic" in found["reason"]
    assert "the script" in found["reason"]


@pytest.mark.parametrize(
    ("script", "settings", "said"),
    [
        ("sleep 1000", {"timeout": 15}, ("other-failure", "silence: after: Mounted root from")),
        (
            "yes | head -c 9999999; sleep 1000",  # it may be a while until somebody looks
            {"bytes": 100_000},
            ("other-failure", "flood: after: Mounted root from"),
        ),
    ],
)
def test_a_script_on_the_host_is_bounded(
    lab: Path, script: str, settings: dict, said: tuple[str, str]
) -> None:
    found = verdict(lab, script=script, run="host", kenv="shell=1", **settings)
    assert found["outcome"] == said[0]
    assert found["reason"].startswith(said[1]), found
    printed = Path(found["runs"][0]["console"] + ".test")
    assert printed.stat().st_size <= settings.get("bytes", 4 << 20)
    wait_for(lambda: not processes(str(lab)))


# Over ssh

NONCE = "sent.a7c1"


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[int]:
    """A real sshd on a port of the loopback: it lets the lab's key in as the user of this test."""
    server = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if not server or not shutil.which("ssh"):
        pytest.skip("sshd or ssh is missing")
    keys = [ssh.make_key(tmp_path / name) for name in ("host", "lab/cache/vm/id_ed25519")]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    options = (
        "ListenAddress=127.0.0.1", f"AuthorizedKeysFile={ssh.public(keys[1])}", "StrictModes=no",
        "UsePAM=no", "PidFile=none", "PermitRootLogin=yes", "LogLevel=ERROR",
    )  # fmt: skip
    words = [word for option in options for word in ("-o", option)]
    argv = [server, "-D", "-e", "-f", os.devnull, "-h", str(keys[0]), "-p", str(port), *words]
    with subprocess.Popen(argv, stderr=(tmp_path / "sshd.log").open("w")) as running:
        wait_for(lambda: ssh.greets(port) or running.poll() is not None)
        yield port
        running.kill()


class Sending:
    """The part of a run that is ssh's: a console, a channel, and a system that answers."""

    def __init__(self, folder: Path, script: str, port: int, run: str = "ssh") -> None:
        (folder / "run").mkdir()
        (folder / "lab").mkdir(exist_ok=True)
        (folder / "lab" / "script").write_text(script)
        (folder / "console").write_text("Mounted root from here\n")
        settings = Settings(
            repository="none", recipe="my.toml", test=Test(script="script", run=run)
        )
        recipe = (SHIPPED / "demo.toml").read_text() + f'[ssh]\nuser = "{getpass.getuser()}"\n'
        if run == "host":
            recipe = recipe.partition("[ssh]")[0]
        (folder / "lab" / "my.toml").write_text(recipe)
        self.tester = way.tester(
            Lab(directory=folder / "lab", settings=settings), vm="ta", sha="0", nonce=NONCE,
            folder=folder / "run", output=folder / "output", channel=folder / "channel",
        )  # fmt: skip
        assert isinstance(self.tester, tester_outside._Running)
        self.tester._ports = {22: port}
        self.watch = Watch(
            console=folder / "console", channel=folder / "channel", nonce=NONCE, limit=1 << 20,
            rules=self.tester.lab.recipe.console, beside=folder / "output",
        )  # fmt: skip

    def step(self) -> bool:
        self.tester.step(self.watch)
        return self.watch.decided()

    def left_alone(self) -> None:
        """Start the script, and look away until it has ended."""
        wait_for(lambda: self.step() or self.tester._child is not None)
        wait_for(lambda: not self.tester._child.alive())

    def end(self) -> None:
        self.tester.end(self.watch)
        Path(f"/tmp/lab.{self.watch.nonce}").unlink(missing_ok=True)  # noqa: S108

    def verdicts(self) -> tuple[tuple[str, str], ...]:
        wait_for(lambda: self.step() or bool(self.watch.said.verdicts))
        self.end()
        self.watch.end()
        return self.watch.said.verdicts


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("printf %s 'a \"b\" %s \\n $HOME'\n", ("good", 'a "b" %s \\n $HOME')),
        ("printf here; exit 4", ("bad", "here")),
        ("read line || echo no input; exit 125", ("skip", "no input")),
        ("#!/bin/cat\nthe end", ("good", "the end")),
        (f"echo VERDICT {NONCE} good; kill -9 $$", ("bad", "exit status 137")),
    ],
)
def test_a_script_sent_over_ssh(
    tmp_path: Path, sshd: int, script: str, said: tuple[str, str]
) -> None:
    sending = Sending(tmp_path, script, sshd)
    verdicts = sending.verdicts()
    assert sending.watch.said.ready
    assert verdicts in ((said,), ((said[0], "Killed"),))


def test_a_connection_that_is_lost(tmp_path: Path, sshd: int) -> None:
    """It is no verdict, and what was sent is not sent again."""
    sending = Sending(tmp_path, "echo begun; kill -9 $PPID", sshd)
    sending.step()
    wait_for(lambda: sending.step() or "begun" in _text(tmp_path / "output"))
    wait_for(lambda: sending.step() or sending.tester.complaint != "")
    assert sending.tester.complaint.startswith("ssh: the connection was lost")
    for _ in range(5):
        sending.step()
    assert not sending.watch.said.verdicts
    assert not sending.watch.busy
    sending.end()
    assert _text(tmp_path / "output").count("begun") == 1


def test_a_script_that_says_much_before_anybody_looks(tmp_path: Path, sshd: int) -> None:
    sending = Sending(tmp_path, "yes | head -c 200000; kill -9 $PPID", sshd)
    sending.left_alone()
    sending.step()
    assert sending.watch.said.ready
    assert sending.tester.complaint.startswith("ssh: the connection was lost")
    sending.step()
    assert sending.tester._child is None
    sending.end()


def test_a_script_that_fails_with_the_system(tmp_path: Path) -> None:
    """What the console said just before counts, though nobody has looked at it yet."""
    sending = Sending(tmp_path, 'echo "panic: at last" >>"$LAB_CONSOLE"; exit 1', 0, run="host")
    sending.left_alone()
    sending.tester.step(sending.watch)
    sending.end()
    assert sending.tester.complaint == "the script: exit status 1"
    assert not sending.watch.said.verdicts


def test_who_is_not_let_in_is_told_so(tmp_path: Path, sshd: int) -> None:
    sending = Sending(tmp_path, "true", sshd)
    ssh.public(tmp_path / "lab/cache/vm/id_ed25519").write_text("")
    wait_for(lambda: sending.step() or sending.tester.complaint != "")
    assert "Permission denied" in sending.tester.complaint
    sending.end()


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


# Typing


def test_any_script_can_be_typed() -> None:
    """A real shell on a real terminal, as a single-user prompt is one."""
    script = (
        "cat <<'x'\n\ttab \x01 \\ %d 'quotes' \"$HOME\" `ls` !! ~ \x7f\xe4\nx\necho done\nexit 7\n"
    )
    script += "# " + "long " * 100
    nonce = f"typed.{os.getpid()}"
    typist = Typist(Shell(prompt=r"lab\(7\)> "), script, nonce)
    pid, terminal = pty.fork()
    if not pid:
        os.execve("/bin/sh", ["sh", "-i"], {"PS1": "lab(7)> ", "PATH": os.environ["PATH"]})  # noqa: S606
    shown = b""
    started = time.monotonic()
    while typist.status is None and time.monotonic() - started < 120:
        ready, _, _ = select.select([terminal], [], [], 0.1)
        data = os.read(terminal, 4096) if ready else b""
        shown += data
        os.write(terminal, typist.hear(data, time.monotonic(), up=True))
    os.close(terminal)
    os.waitpid(pid, 0)
    file = Path(f"/tmp/lab.{nonce}")  # noqa: S108
    assert file.read_bytes() == script.encode()
    file.unlink()
    assert (typist.status, typist.last) == (7, "done"), shown


def test_a_login_is_answered_once_and_only_when_asked() -> None:
    shell = Shell(prompt="# ", answers=(("login: ", "root"), ("Password:", "secret")))
    typist = Typist(shell, "true", "17")
    assert typist.hear(b"boot\r\nlogin: ", 1.0, up=False) == b"root\n"
    assert typist.hear(b"root\r\nPassword:", 2.0, up=False) == b"secret\n"
    assert typist.hear(b"\r\nLogin incorrect\r\nlogin: ", 3.0, up=False) == b""
    assert typist.hear(b"", 30.0, up=False) == b""
    assert typist.hear(b"", 30.0, up=True) == b"\n"  # a message may stand behind the prompt
    assert typist.hear(b"\r\n# ", 31.0, up=True).startswith(b"printf ")
    assert typist.hear(b"printf ... # ", 32.0, up=True) == b""  # its echo is no prompt
    assert not typist.began
    assert b"; sh /tmp/lab.17;" in typist.hear(b"\r\n# ", 33.0, up=True)
    assert typist.began
    typist.hear(b"echo VERDICT 17 rea\rdy; sh ...; echo VERDICT 1\r7 status $s\r\n", 34.0, up=True)
    typist.hear(b"VERDICT 17 ready\r\n", 34.0, up=True)
    assert typist.last == ""
    assert typist.status is None
    typist.hear(b"all well\r\n\r\nVERDICT 17 status 0\r\n", 35.0, up=True)
    assert (typist.status, typist.last) == (0, "all well")


# A test that fails now and then

COUNTED = """#!/bin/sh
n=$(($(cat {0}/$LAB_COMMIT 2>/dev/null) + 1))
echo $n >{0}/$LAB_COMMIT
case $LAB_COMMIT:$n in ({1}) exit 1;; esac
"""
"""A script on the host; each boot of a commit has a number, and some of them fail."""


def test_a_confidence_says_how_many_runs(lab: Path, tmp_path: Path) -> None:
    here = {"run": "host", "kenv": "shell=1"}
    script = COUNTED.format(tmp_path, "none")
    count = tmp_path / Repo(lab.parent / "repo").short("HEAD")
    said = doit(lab, "test:HEAD", script=script, confidence=0.9, **here)
    assert "4 runs, none failed: 90.9 % sure; " in said.stdout, said.stdout + said.stderr
    assert count.read_text() == "4\n"

    # the number of runs is what counts, whoever asked for it
    said = doit(lab, "test:HEAD", script=script, repeats=4, **here)
    assert "4 runs, none failed: 90.9 % sure; " in said.stdout
    assert count.read_text() == "4\n"
    said = doit(lab, "test:HEAD", script=script, **here)
    assert re.search(r": good: exit status 0 \([\d.]+ s\)", said.stdout), said.stdout
    assert count.read_text() == "5\n"

    count.unlink()
    script = COUNTED.format(tmp_path, "*:3")
    said = doit(lab, "test:HEAD", script=script, confidence=0.9, **here)
    assert said.returncode == 1
    told = "(failed 1 of 3 runs, which decides: up to 4 were to come)"
    assert told in said.stdout, said.stdout + said.stderr
    said = doit(lab, "verdict", "HEAD", script=script, confidence=0.9, **here)
    assert said.returncode == 1
    assert told in said.stdout
    assert count.read_text() == "3\n"


def test_a_bisect_counts_single_runs_and_is_as_sure(lab: Path, tmp_path: Path) -> None:
    """--repeats auto learns how often it fails, and is as sure as the lab wants to be."""
    old, new = (Repo(lab.parent / "repo").short(ref) for ref in ("HEAD~1", "HEAD"))
    script = COUNTED.format(tmp_path, f"{new}:*[02468]")  # every other run
    words = ("bisect", "--good", "HEAD~1", "--bad", "HEAD", "--no-proof")
    settings = {"run": "host", "kenv": "shell=1", "confidence": 0.9, "script": script}
    said = doit(lab, *words, "--repeats", "auto", **settings)
    doit(lab, "bisect", "--reset")
    told = re.search(
        r"failed (\d+) of (\d+) runs: from here (\d+) passes in a row clear a commit, "
        r"for a chance of 10% that a step is wrong", said.stdout,
    )  # fmt: skip
    assert told, said.stdout + said.stderr
    assert said.returncode == 0, said.stdout
    assert f"culprit: {new}" in said.stdout
    assert (tmp_path / new).read_text() == f"{told[2]}\n"
    assert int((tmp_path / old).read_text()) < 4 * int(told[2])  # no boot is four

    for path in (tmp_path / old, tmp_path / new):
        path.unlink()
    script = COUNTED.format(tmp_path, f"{new}:2")
    said = doit(lab, *words, **{**settings, "script": script})
    doit(lab, "bisect", "--reset")
    assert said.returncode == 0, said.stdout
    assert "  4 runs, none failed: 90.9 % sure\n" in said.stdout
    assert "  failed 1 of 2 runs, which decides: up to 4 were to come\n" in said.stdout


# Mistakes


@pytest.mark.parametrize(
    ("settings", "recipe", "said"),
    [
        ({"confidence": 0.5}, "", "[test] confidence = 0.5 is not between 0.5 and 1"),
        ({"confidence": 1}, "", "[test] confidence = 1 is not between 0.5 and 1"),
        ({"confidence": -0.9}, "", "[test] confidence = -0.9 is not between 0.5 and 1"),
        ({"confidence": 0.9, "repeats": 2}, "", "repeats = 2 and confidence = 0.9 both say"),
        ({"run": "shh"}, "", "Invalid enum value 'shh'"),
        ({"run": "ssh", "script": None}, "", '[test] run = "ssh" without a script'),
        ({"run": "ssh"}, "", "recipe my has no [ssh]"),
        ({"run": "console"}, "-", "recipe my has no [shell]"),
        ({"ports": [80]}, "", "[test] ports are for scripts on the host"),
        ({}, "[shell]\nprompt = '# $'", "asks what comes behind it"),
        ({}, "[shell]\nprompt = '('", "a Python regex"),
        ({}, "[shell]\nprompt = '#'\nput = 'x'", "put has no part of the script in it"),
        ({}, "[shell]\nprompt = '#'\nrun = 'x'", "run does not tell the status"),
        ({}, "[shell]\nprompts = '#'", "unknown key 'prompts' in [shell]\n  hint: did you mean"),
    ],
)
def test_mistakes_are_refused(lab: Path, settings: dict, recipe: str, said: str) -> None:
    path = lab / "my.toml"
    before = path.read_text()
    path.write_text(before.replace(SHELL, f"\n{recipe.strip('-')}\n") if recipe else before)
    settings = {"script": "true", **settings}
    ran = doit(lab, "test:HEAD", **settings)
    path.write_text(before)
    assert ran.returncode
    assert said in ran.stdout + ran.stderr
    assert "hint: " in ran.stdout + ran.stderr
