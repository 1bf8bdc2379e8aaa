"""`doit shell`: what a failure prints is typed as it stands, and fails as the build did.

Where the steps run it shows the build's trees, and nothing that is written there stays.
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time

import pytest
from conftest import environment, needs, programs
from test_remote import host, on_big

from labtasks.command import main

__all__ = ["host"]

ERROR = r"sys/c\.c:\d+:\d+: error: expected expression"


@pytest.fixture
def path(tmp_path):
    """A PATH with this checkout's doit on it."""
    programs(tmp_path / "programs")
    return f"{tmp_path}/programs:{os.environ['PATH']}"


def typed(line, path, where, **more):
    """What a person's shell makes of a line, somewhere."""
    return subprocess.run(
        ["sh", "-c", line], cwd=where, env=environment(PATH=path, **more), check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=120,
    )  # fmt: skip


def printed(said):
    """The command of a failure, and the first error before it."""
    (line,) = said.lines(r"^  again: ")
    (error,) = said.lines(r": kernel:\w+ does not build: ")
    return line.partition(": ")[2], error.partition("does not build: ")[2]


def again(lab, path, where, *words):
    """Fail, and type what was printed; what the failure and the typing said."""
    said = lab.doit("kernel:broken", *words, code=1)
    line, error = printed(said)
    assert re.search(ERROR, error)
    sealed = sorted(p.name for p in lab.store.layers.iterdir())
    done = typed(line, path, where)
    assert done.returncode == 2, done.stdout  # make's
    (told,) = re.findall(r"^kernel:\w+: step 1 of 1: status 2: (.*)$", done.stdout, re.MULTILINE)
    assert told == error
    assert "+ make -j2 -f sys/Makefile" in done.stdout
    assert sorted(p.name for p in lab.store.layers.iterdir()) == sealed
    lab.at_rest()
    return line


@pytest.mark.parametrize("driver", ["root", "user", "copy"])
def test_what_a_failure_prints_can_be_typed(make_lab, path, tmp_path, driver):
    lab = make_lab(driver=driver, tracer="none")
    assert "world=" not in again(lab, path, tmp_path)


def test_on_a_pinned_world(make_lab, path, tmp_path):
    lab = make_lab(tracer="none")
    assert re.search(r"--steps world=\w{12} kernel:", again(lab, path, tmp_path, "world=base"))


def test_in_the_lab_it_is_short(make_lab, path):
    lab = make_lab(tracer="none")
    done = typed("exec doit kernel:broken", path, lab.directory, PWD=str(lab.directory))
    (line,) = re.findall("again: (.*)", done.stdout)
    assert re.fullmatch(r"doit shell --steps kernel:\w{12}", line)


@pytest.mark.parametrize("words", [(), ("builder=big",)], ids=["always", "this once"])
def test_on_another_machine(make_lab, host, path, tmp_path, words):
    needs("root", "strace")
    lab = make_lab(tracer="auto")
    lab.configure(**on_big(host) | ({"builder": "local"} if words else {}))
    line = again(lab, path, tmp_path, *words)
    assert ("builder=ssh:big " in line) == bool(words)
    said = lab.doit("shell", *words, "kernel:broken", "echo $LEVEL; pwd; cat; exit 7", code=7)
    assert said.text.split() == ["0", "/mnt/src"]
    (there,) = (host.folder / "there").iterdir()
    assert not list(there.glob("build.*"))


def test_a_command_where_the_steps_run(built):
    """It sees objects that are there, and the world under them; it may write, and nothing stays."""
    text = "echo $LEVEL; pwd; ls /mnt/obj/kernel/kernel /mnt/obj/world/tool; echo x > sys/c.c"
    said = built.doit("shell", "kernel:base", text)
    assert said.text.split() == ["0", "/mnt/src", "/mnt/obj/kernel/kernel", "/mnt/obj/world/tool"]
    said = built.doit("shell", "kernel:base", "cat", "sys/c.c")
    assert said.text == "int c = 1;\n"
    said = built.doit("shell", "--steps", "kernel:base", "cat /mnt/obj/kernel/kernel >/dev/null")
    assert said.lines("all 1 steps went well")
    assert not said.lines("up to date")
    said = built.doit("shell", "world:kernel-c", "test", "-e", "/mnt/obj/world/tool", code=1)
    said = built.doit("shell", "kernel:base", "sh", "-c", 'echo "$1"', "sh", "a=b --help")
    assert said.text == "a=b --help\n"
    assert "USAGE" in built.doit("shell", "--help").text
    built.at_rest()


@pytest.mark.parametrize(("words", "message", "hint"), [
    ((), "shell: of what", "doit shell kernel:HEAD"),
    (("kernel:base",), "this is no terminal", "--steps"),
    (("build:base",), "takes world or kernel|takes toolchain, .*, not 'build'", "doit shell"),
    (("kernle:base",), "takes KIND:REF, not 'kernle:base'", "'kernel'"),
    (("toolchain:base", "true"), "recipe tiny has no toolchain", "it has: world, kernel"),
    (("retry=perhaps", "kernel:base"), "retry=perhaps", "retry=yes"),
    (("kernel:nowhere", "true"), "'nowhere' is not a commit", "hint"),
])  # fmt: skip
def test_a_wrong_question(built, words, message, hint):
    said = built.doit("shell", *words, code=3)
    assert said.lines(message), said.text
    assert said.lines(f"hint: .*{hint}|{hint}"), said.text
    assert "Traceback" not in said.text


def test_on_a_terminal_it_is_a_shell(built):
    """The steps, and then a shell behind the one that failed; its status is the command's."""
    built.doit("kernel:broken", code=1)
    leader, follower = pty.openpty()
    run = subprocess.Popen(
        built.argv("shell", "--steps", "kernel:broken"), cwd=built.directory, env=environment(),
        stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    try:
        text = until(leader, r"kernel:\w+# $")
        assert re.search(ERROR, text)
        os.write(leader, b"ls /mnt/obj/kernel; echo in $PWD, $((40 + 2)); exit 5\n")
        text = until(leader, "in /mnt/src, 42")
        assert "a.o" in text
        assert run.wait(timeout=60) == 5
    finally:
        run.kill()
        os.close(leader)
    built.at_rest()


def until(leader, pattern):
    """What a terminal shows, until it shows this."""
    text, ends = "", time.monotonic() + 120
    while not re.search(pattern, text):
        assert time.monotonic() < ends, text
        if select.select([leader], [], [], 1)[0]:
            text += os.read(leader, 4096).decode(errors="replace").replace("\r", "")
    return text


def test_a_demo_commit_that_does_not_compile(tmp_path, path):
    assert main.main(["init", str(tmp_path / "demo")]) == 0
    needs("root", "none")
    said = typed("exec doit kernel:ee4f3b37f723 world=image", path, tmp_path / "demo").stdout
    (line,) = re.findall("  again: (.*)", said)
    (error,) = re.findall("does not build: (.*)", said)
    assert "kern_malloc.c:7:10: fatal error: sys/mstats.h" in error
    assert "--steps world=image kernel:" in line
    done = typed(line, path, tmp_path / "demo")
    assert f"status 2: {error}\n" in done.stdout, done.stdout
