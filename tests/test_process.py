"""External commands: how they are started, how they end, what they inherit."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

import pytest
from conftest import environment, processes, wait_for

from labtasks.ground import process, signals, supervisor
from labtasks.ground.error import UserError

ENV = {"PATH": os.environ["PATH"]}


def run(tmp_path, script, **options):
    return supervisor.run(["sh", "-c", script], log=tmp_path / "log", env=ENV, **options)


def test_output_goes_to_the_log_and_is_appended(tmp_path):
    (tmp_path / "log").write_text("before\n")
    assert run(tmp_path, "echo out; echo err >&2").code == 0
    run(tmp_path, "echo more")
    assert (tmp_path / "log").read_text() == "before\nout\nerr\nmore\n"


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", -9), ("kill -TERM $$", -15)],
)
def test_statuses(tmp_path, script, code):
    ended = run(tmp_path, script)
    assert (ended.code, ended.timed_out) == (code, False)


def test_a_timeout_stops_everything(tmp_path):
    word = f"{77_000 + os.getpid()}.25"
    started = time.monotonic()
    try:
        ended = run(tmp_path, f"sleep {word} & sleep {word}", timeout=0.3)
        wait_for(lambda: not processes(f"sleep\0{word}"), seconds=3)
    finally:
        for left in processes(f"sleep\0{word}"):
            os.kill(left, signal.SIGKILL)
    assert ended.timed_out
    assert ended.code != 0
    assert time.monotonic() - started < 10


def test_until_ends_it(tmp_path):
    log = tmp_path / "log"
    ended = run(
        tmp_path, "echo ready; sleep 60", until=lambda: "ready" in log.read_text(), timeout=30
    )
    assert not ended.timed_out
    assert ended.seconds < 10


def test_echo_copies_what_is_new(tmp_path, capfd):
    (tmp_path / "log").write_text("old\n")
    run(tmp_path, "echo one; sleep 0.3; echo two", echo=True)
    assert capfd.readouterr().out == "one\ntwo\n"


def test_stdin_is_closed_and_the_environment_is_given(tmp_path):
    run(tmp_path, "cat; env")
    text = (tmp_path / "log").read_text()
    assert {line.split("=")[0] for line in text.splitlines()} <= {
        "PATH",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    }


def test_children_start_with_default_signals_and_umask(tmp_path):
    """Also when the caller's own are ignored, as in a background job of a script."""
    code = (
        "import os, signal, sys; from pathlib import Path; from labtasks.ground import supervisor;"
        "os.umask(0o077);"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]);"
        "ignored = signal.SIGINT, signal.SIGHUP, signal.SIGQUIT;"
        "[signal.signal(number, signal.SIG_IGN) for number in ignored];"
        "supervisor.run(['sh', '-c', 'grep Sig /proc/self/status; umask'],"
        " log=Path(sys.argv[1]), env=dict(os.environ))"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "log"], env=environment(), check=True)
    lines = dict(line.split(":") for line in (tmp_path / "log").read_text().splitlines()[:-1])
    mask = sum(
        1 << number - 1
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)
    )
    assert int(lines["SigIgn"], 16) & mask == 0
    assert int(lines["SigBlk"], 16) == 0
    assert (tmp_path / "log").read_text().splitlines()[-1] == "0022"


def test_a_missing_command(tmp_path):
    for call in (
        lambda: process.which("mke2fs-that-is-not-there"),
        lambda: process.query(["mke2fs-that-is-not-there"]),
        lambda: supervisor.run(["mke2fs-that-is-not-there"], log=tmp_path / "log", env=ENV),
    ):
        with pytest.raises(UserError, match="is missing") as caught:
            call()
        assert "PATH" in caught.value.hint


def test_a_script_whose_interpreter_is_missing(tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/nowhere/interpreter\n")
    script.chmod(0o755)
    with pytest.raises(UserError, match="script cannot be started: No such file") as caught:
        supervisor.run([str(script)], log=tmp_path / "log", env=ENV)
    assert "first line" in caught.value.hint


def test_a_missing_command_whose_package_is_known(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(process, "PATH", str(tmp_path))
    with pytest.raises(UserError) as caught:
        process.which("mke2fs")
    assert caught.value.hint == "on Debian: apt-get install e2fsprogs"


def test_questions():
    answer = process.query(["sh", "-c", "cat; echo e >&2; exit 4"], data=b"\xff")
    assert (answer.code, answer.output, answer.error) == (4, b"\xff", "e\n")
    assert answer.text == "\udcff"


def test_stop_climbs_the_ladder(monkeypatch):
    monkeypatch.setattr(signals, "GRACE", 0.2)
    child = subprocess.Popen(
        ["sh", "-c", "trap '' INT TERM; echo up; sleep 60 & wait; sleep 60"],
        start_new_session=True, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout
    child.stdout.readline()
    signals.stop(child.pid)
    assert child.wait(timeout=5) == -signal.SIGKILL
    child.stdout.close()


def test_a_dialogue_answers_line_by_line():
    talk = process.Dialogue(["sed", "-u", "s/^/said /"], {})
    lines = [b"x" * 100 + b"%d" % n for n in range(5000)]  # more than pipes hold
    assert talk.ask(lines) == [b"said " + line for line in lines]
    assert talk.ask([]) == []
    assert talk.ours


def test_a_dialogue_whose_command_ended_says_no_more():
    talk = process.Dialogue(["sed", "-u", "2q"], {})
    assert talk.ask([b"a", b"b", b"c"]) == [b"a", b"b"]
    assert talk.ask([b"d"]) == []


def test_a_dialogue_belongs_to_the_process_that_began_it():
    talk = process.Dialogue(["cat"], {})
    child = os.fork()
    if not child:
        os._exit(int(talk.ours))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert talk.ask([b"still here"]) == [b"still here"]


FORKS = """
import os, time
from labtasks.ground import signals
signals.children_die_with_us()
print(flush=True)
for _ in range(3):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="no signal at a parent's death")
def test_no_child_outlives_a_killed_parent():
    """Least of all one that was forked in that very moment."""
    for moment in range(12):
        with subprocess.Popen([sys.executable, "-c", FORKS], stdout=subprocess.PIPE) as parent:
            assert parent.stdout.readline() == b"\n"
            time.sleep(moment / 1000)
            parent.kill()
            assert select.select([parent.stdout], [], [], 20)[0]  # whoever lives holds the pipe
