"""muninn is not noticed by the command, nor by whoever started it; and it tells at the end."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest
from conftest import environment, wait_for
from servers import hook

from labtasks.notice import notify
from labtasks.notice.muninn import _TOLD

MUNINN = [sys.executable, "-m", "labtasks.notice.muninn"]
PYTHON = sys.executable


@pytest.fixture
def there():
    with hook() as found:
        yield found


def env(there, **more):
    return environment(LABTASKS_NOTIFY=there.url if there else "", NO_PROXY="127.0.0.1", **more)


def muninn(there, *words, **how):
    how = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 120, **how}
    return subprocess.run([*MUNINN, *words], check=False, **{"env": env(there), **how})


def test_what_is_told(there, tmp_path):
    done = muninn(there, "sh", "-c", "echo one; echo x.c:3: error: no >&2; exit 3", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"one\n", b"x.c:3: error: no\n")
    (got,) = there.got
    assert "failed with status 3" in got["title"]
    assert got["type"] == "failure"
    text = got["message"].splitlines()
    assert text[0].startswith("sh -c 'echo one;")
    assert text[1] == f"on {os.uname().nodename}, in {tmp_path}"
    assert "x.c:3: error: no" in text
    assert "  one" in text


def test_of_a_bisect_the_culprit(there):
    muninn(there, "echo", "culprit: 0123abc sys: Break it\nerror: nothing")
    assert "culprit: 0123abc sys: Break it" in there.got[0]["message"].splitlines()
    assert there.got[0]["type"] == "success"


@pytest.mark.parametrize(
    ("words", "code", "outcome"),
    [
        (["true"], 0, "done"),
        (["sh", "-c", "exit 255"], 255, "failed with status 255"),
        (["sh", "-c", "kill -9 $$"], 137, "killed by SIGKILL"),
        (["sh", "-c", "kill -TERM $$"], 143, "killed by SIGTERM"),
        (["no-such-command"], 127, "not started (No such file"),
        (["/etc/passwd"], 126, "not started (Permission denied"),
        (["--", "sh", "-c", "exit 4"], 4, "failed with status 4"),
    ],
)
def test_status(there, words, code, outcome):
    assert muninn(there, *words).returncode == code
    assert outcome in there.got[0]["title"]


@pytest.mark.parametrize("words", [[], ["--nosuch"], ["-x", "true"]])
def test_asked_wrongly(there, words):
    done = muninn(there, *words)
    assert done.returncode == 3
    assert b"hint: " in done.stderr
    assert not there.got


def test_help_names_every_status(there):
    text = muninn(there, "--help").stdout.decode()
    assert all(word in text for word in ("127", "126", "128", "--test", "LABTASKS_NOTIFY"))


def test_a_test_message(there):
    done = muninn(there, "--test")
    assert (done.returncode, len(there.got)) == (0, 1)
    assert b"sent" in done.stdout
    assert muninn(None, "--test").returncode == 3
    there.answers = [500] * 3
    assert muninn(there, "--test").returncode == 1


def test_a_channel_that_is_down_is_named_and_the_status_stays():
    with hook() as there:
        there.answers = [500] * 3
        done = muninn(there, "sh", "-c", "exit 5")
    assert done.returncode == 5
    assert b"not sent: the server answers 500, 3 times" in done.stderr
    assert b"s3cret-word" not in done.stderr
    assert b"t0ken" not in done.stderr


def test_a_malformed_address():
    done = subprocess.run(
        [*MUNINN, "sh", "-c", "exit 5"], check=False, capture_output=True,
        env=environment(LABTASKS_NOTIFY="jsn://s3cret-word"),
    )  # fmt: skip
    assert done.returncode == 5
    assert b"URL 1 (jsn://) is malformed" in done.stderr
    assert b"s3cret-word" not in done.stderr


def test_nobody_to_tell_is_said_unless_it_is_meant(tmp_path):
    nowhere = {**environment(HOME=str(tmp_path), XDG_CONFIG_HOME=""), "LABTASKS_NOTIFY": ""}
    assert muninn(None, "false", env=nowhere, cwd=tmp_path).stderr == b""
    del nowhere["LABTASKS_NOTIFY"]
    assert b"nobody to tell" in muninn(None, "true", env=nowhere, cwd=tmp_path).stderr


@pytest.mark.parametrize("way", ["pipe", "file", "appended", "socket"])
def test_output_is_passed_on_byte_for_byte(there, tmp_path, way):
    size = 64 << 20 if way == "pipe" else 3 << 20
    script = f"head -c {size} /dev/urandom | tee {tmp_path}/copy"
    if way == "pipe":
        done = muninn(there, "sh", "-c", script)
        out = done.stdout
    elif way == "socket":
        import socket  # noqa: PLC0415

        ours, theirs = socket.socketpair()
        with ours, theirs:
            run = subprocess.Popen([*MUNINN, "sh", "-c", script], stdout=theirs, env=env(there))
            theirs.close()
            out = b"".join(iter(lambda: ours.recv(1 << 20), b""))
            run.wait()
    else:
        with (tmp_path / "out").open("ab" if way == "appended" else "wb") as file:
            file.write(b"before")
            file.flush()
            muninn(there, "sh", "-c", script, stdout=file, stderr=None, capture_output=False)
        out = (tmp_path / "out").read_bytes().removeprefix(b"before")
    expected = (tmp_path / "copy").read_bytes()
    assert len(expected) == size
    assert hashlib.sha256(out).digest() == hashlib.sha256(expected).digest()


@pytest.mark.parametrize("way", ["pipe", "file", "null"])
def test_last_lines_however_it_goes(there, tmp_path, way):
    script = "seq 200000; echo the end"
    how = {"capture_output": False}
    if way == "file":
        with (tmp_path / "out").open("wb") as file:
            muninn(there, "sh", "-c", script, stdout=file, stderr=file, **how)
    elif way == "null":
        muninn(there, "sh", "-c", script, stdout=subprocess.DEVNULL, **how)
    else:
        muninn(there, "sh", "-c", script)
    assert there.got[0]["message"].splitlines()[-2:] == ["  200000", "  the end"]


def test_order_of_output_and_errors_in_one_pipe(there):
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; echo e$i >&2; done"
    done = muninn(there, "sh", "-c", script, capture_output=False, stdout=subprocess.PIPE,
                  stderr=subprocess.STDOUT)  # fmt: skip
    assert done.stdout.split() == [w for i in range(1, 10) for w in (b"%d" % i, b"e%d" % i)]


def test_a_reader_that_goes_away(there):
    done = subprocess.run(
        ["sh", "-c", '"$@" | head -2', "sh", *MUNINN, "yes"], env=env(there), check=False,
        capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == b"y\ny\n"
    assert "killed by SIGPIPE" in there.got[0]["title"]


def test_what_is_left_behind_can_still_write(there, tmp_path):
    script = "(until [ -e go ]; do sleep 0.1; done; echo late) & echo early"
    run = subprocess.Popen(
        [*MUNINN, "sh", "-c", script], stdout=subprocess.PIPE, env=env(there), cwd=tmp_path
    )
    run.wait(timeout=60)
    (tmp_path / "go").touch()
    assert run.stdout
    assert run.stdout.read() == b"early\nlate\n"


def test_memory_stays_flat(there):
    words = [*MUNINN, "head", "-c", str(64 << 20), "/dev/zero"]
    script = (
        "import resource, subprocess, sys\n"
        "run = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)\n"
        "while run.stdout.read(1 << 16): pass\n"
        "run.wait()\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
    )
    done = subprocess.run(
        [PYTHON, "-c", script, *words], env=env(there), capture_output=True, check=True
    )
    assert int(done.stdout) < 60_000 * (1024 if sys.platform == "darwin" else 1)


COUNTS = """
import signal, sys, time
got = []
for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(n, lambda n, _: got.append(n))
print("ready", flush=True)
ends = time.monotonic() + float(sys.argv[1])
while time.monotonic() < ends and not got:
    time.sleep(0.05)
time.sleep(0.7)  # a second one would come now
print(*got)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_signal_reaches_the_command_once(there, number, whole_group):
    run = subprocess.Popen(
        ["env", "--default-signal", *MUNINN, PYTHON, "-c", COUNTS, "60"],  # nohup ignores one
        stdout=subprocess.PIPE, env=env(there), start_new_session=True,
    )  # fmt: skip
    assert run.stdout
    assert run.stdout.readline() == b"ready\n"
    (os.killpg if whole_group else os.kill)(run.pid, number)
    out, _ = run.communicate(timeout=120)
    assert out == b"%d\n" % number
    assert run.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc")
def test_a_signal_reaches_the_command_once_on_a_busy_machine(there):
    """Of muninn's own processes not all have their turn at once."""
    run = subprocess.Popen(
        ["env", "--default-signal", *MUNINN, PYTHON, "-c", COUNTS, "60"],
        stdout=subprocess.PIPE, env=env(there), start_new_session=True,
    )  # fmt: skip
    assert run.stdout
    assert run.stdout.readline() == b"ready\n"
    children = [int(word) for word in _of(run.pid, f"task/{run.pid}/children").split()]
    (witness,) = (pid for pid in children if b"labtasks.notice.muninn" in _of(pid, "cmdline"))
    os.kill(witness, signal.SIGSTOP)
    os.killpg(run.pid, signal.SIGINT)
    time.sleep(0.5)
    os.kill(witness, signal.SIGCONT)
    out, _ = run.communicate(timeout=120)
    assert out == b"%d\n" % signal.SIGINT


def _of(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123
        return file.read()


def test_killed_by_a_signal_to_muninn(there):
    script = "echo ready; exec sleep 60"
    run = subprocess.Popen([*MUNINN, "sh", "-c", script], env=env(there), stdout=subprocess.PIPE)
    assert run.stdout
    assert run.stdout.readline() == b"ready\n"
    run.terminate()
    assert run.wait(timeout=120) == 143
    assert "killed by SIGTERM" in there.got[0]["title"]


def test_what_was_ignored_stays_ignored(there):
    script = f"trap '' INT; exec {' '.join(MUNINN)} sh -c 'kill -INT $$; echo alive'"
    done = subprocess.run(["sh", "-c", script], env=env(there), capture_output=True, check=True)
    assert done.stdout == b"alive\n"


def on_a_terminal(there, words, *doings, size=(30, 100)):
    """Run muninn on a terminal of its own; each doing is (what must have been said, what to do).
    What was said in all, and the status.
    """
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        os.execve(PYTHON, [*MUNINN, *words], env(there))  # noqa: S606
    said, waiting, ends = b"", list(doings), time.monotonic() + 120
    while time.monotonic() < ends:
        if waiting and waiting[0][0] in said:
            waiting.pop(0)[1](fd, pid)
        if select.select([fd], [], [], 0.05)[0]:
            try:
                data = os.read(fd, 1 << 16)
            except OSError:
                data = b""
            if not data:
                break
            said += data
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return said, os.waitstatus_to_exitcode(status)


def typed(text):
    return lambda fd, _pid: os.write(fd, text)


def test_the_command_has_the_terminal(there):
    script = "test -t 0 && test -t 1 && test -t 2 && echo all; stty size; tput -T xterm cols"
    said, code = on_a_terminal(there, ["sh", "-c", script])
    assert code == 0
    assert said.split() == [b"all", b"30", b"100", b"100"]
    said, _ = on_a_terminal(there, ["printf", "a\\nb\\r\\n\\033[1mc"])
    assert said == b"a\r\nb\r\r\n\x1b[1mc"


def test_what_is_typed_reaches_the_command(there):
    script = "echo who; read name; echo hello $name"
    said, _ = on_a_terminal(there, ["sh", "-c", script], (b"who", typed(b"lab\n")))
    assert said.endswith(b"hello lab\r\n")


def test_an_interrupt_that_is_typed(there):
    said, code = on_a_terminal(there, [PYTHON, "-c", COUNTS, "60"], (b"ready", typed(b"\x03")))
    assert said.endswith(b"2\r\n")
    assert code == 0
    _, code = on_a_terminal(there, ["sh", "-c", "echo ready; sleep 60"], (b"ready", typed(b"\x03")))
    assert code == 130
    assert "killed by SIGINT" in there.got[1]["title"]


RESIZED = """
import os, signal, time
def tell(*_):
    os.write(1, b"%d %d\\n" % os.get_terminal_size(1))
signal.signal(signal.SIGWINCH, tell)
print("ready", flush=True)
ends = time.monotonic() + 60
while time.monotonic() < ends and os.get_terminal_size(1) != (55, 44):
    time.sleep(0.05)
tell()
"""


def test_the_terminal_is_resized(there):
    def resize(fd, _pid):
        fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 55, 0, 0))

    said, _ = on_a_terminal(there, [PYTHON, "-c", RESIZED], (b"ready", resize))
    assert said.endswith(b"55 44\r\n")


def test_stopped_and_continued_as_a_job(there):
    def go_on(_fd, pid):
        if sys.platform == "linux":
            wait_for(lambda: b"T (stopped)" in _of(pid, "status"))
        os.killpg(pid, signal.SIGCONT)

    def stop(fd, pid):
        os.killpg(pid, signal.SIGSTOP)
        go_on(fd, pid)
        os.write(fd, b"go on\n")

    script = "echo ready; read go; echo done"
    said, code = on_a_terminal(there, ["sh", "-c", script], (b"ready", stop))
    assert said.endswith(b"done\r\n")
    assert code == 0


def test_muninn_starts_a_command_before_it_imports_what_tells_of_it():
    code = "import sys, labtasks.notice.muninn; sys.exit(sum(n in sys.modules for n in %r))"
    late = ["labtasks.notice.notify", "labtasks.notice.news", "msgspec", "apprise", "tomllib"]
    run = [sys.executable, "-c", code % late]
    assert subprocess.run(run, env=environment(), timeout=60, check=False).returncode == 0
    assert _TOLD == notify.QUIET
