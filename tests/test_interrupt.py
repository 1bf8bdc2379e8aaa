"""Ctrl-C, TERM, and a terminal that goes away: everything that was started is stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from conftest import environment, processes, wait_for


def sleeping(lab, kept, word, *words, **options):
    """Start a build whose world step sleeps for ever; wait until it does."""
    lab.recipe(("make -j{jobs} -f bin/Makefile {trim}", f"sleep {word} & sleep {word}"))
    run = lab.start(*words, **options)
    kept.append(run)
    wait_for(lambda: processes(f"sleep\0{word}"))
    return run


def unique():
    """A number of seconds no other process sleeps."""
    return f"{86_400 + os.getpid()}.{os.urandom(3).hex()}".translate(
        {ord(c): "7" for c in "abcdef"}
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("driver", "words"), [("root", ()), ("root", ("-n", "2")), ("user", ()), ("copy", ())]
)
def test_an_interrupted_build(make_lab, kept, driver, words, number):
    lab = make_lab(driver=driver)
    word = unique()
    run = sleeping(lab, kept, word, *words, "build:base", "build:kernel-c")
    run.send_signal(number)
    text, _ = run.communicate(timeout=120)
    assert run.returncode != 0
    assert "Traceback" not in text, text
    wait_for(lambda: not processes(word))
    lab.at_rest()
    assert not list(lab.store.cache.glob("artifacts/world/*/failure.json"))
    lab.doit("src:kernel-c")


def test_a_terminals_interrupt_reaches_the_whole_group(make_lab, kept):
    lab = make_lab()
    word = unique()
    run = sleeping(lab, kept, word, "build:base")
    os.killpg(run.pid, signal.SIGINT)
    text, _ = run.communicate(timeout=120)
    assert "interrupted" in text
    wait_for(lambda: not processes(word))
    lab.at_rest()


def test_started_with_interrupts_ignored(make_lab, kept):
    """A job in the background of a script: TERM ends it, and its make is not deaf to INT."""
    lab = make_lab()
    word = unique()
    lab.recipe(
        ("make -j{jobs} -f bin/Makefile {trim}", f"grep Sig /proc/self/status; sleep {word}")
    )
    script = f"{sys.executable} -m doit build:base & echo $!; wait"
    run = subprocess.Popen(
        ["sh", "-c", script],
        cwd=lab.directory, env=environment(), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    kept.append(run)
    assert run.stdout
    leader = int(run.stdout.readline())
    wait_for(lambda: processes(f"sleep\0{word}"))
    ignored = re.search(r"SigIgn:\s*(\w+)", lab.logs("world")[0].read_text())
    assert ignored
    assert int(ignored[1], 16) & (1 << signal.SIGINT - 1) == 0
    os.kill(leader, signal.SIGTERM)
    run.communicate(timeout=120)
    wait_for(lambda: not processes(word))
    lab.at_rest()


def test_a_deaf_step_is_killed(make_lab, kept):
    """A step that ignores INT and TERM has some seconds, then it is over."""
    lab = make_lab()
    word = unique()
    lab.recipe(
        ("make -j{jobs} -f bin/Makefile {trim}", f"trap '' INT TERM; sleep {word}; sleep {word}")
    )
    run = lab.start("world:base")
    kept.append(run)
    wait_for(lambda: processes(f"sleep\0{word}"))
    run.terminate()
    run.communicate(timeout=120)
    wait_for(lambda: not processes(word))
    lab.at_rest()
