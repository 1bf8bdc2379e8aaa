"""Every external command of the project, and how it ends.

Two ways, for two uses. `query` asks a short question (git, a compiler's version) and waits: the
standard library, because importing `sh` alone would double the time of an up-to-date run. `run`
starts a build through `sh`: own session, default signals, closed stdin, the log written by the
child itself, and a ladder of signals when the work is interrupted.

Knows nothing of recipes, layers or what the commands are for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labtasks import live
from labtasks.error import InfraError, UserError

PACKAGES = {
    "git": "git",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mke2fs": "e2fsprogs",
    "makefs": "makefs",
    "strace": "strace",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-aarch64": "qemu-system-arm",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "mmdebstrap": "mmdebstrap",
}
"""Debian package of the commands that labtasks itself starts; recipes name those of their steps."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where builds find their tools, whatever the person's shell has; a recipe's env may say else."""

GRACE = 1.5
"""Seconds each signal of the ladder is given before the next one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a short command said. `code` is its exit status."""

    code: int
    output: bytes
    error: str
    timed_out: bool = False

    @property
    def text(self) -> str:
        """Standard output as text, undecodable bytes kept."""
        return self.output.decode(errors="surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a long command ended. `code` is its exit status, negative for a signal."""

    code: int
    seconds: float
    timed_out: bool = False
    stopped: bool = False
    """Whether `until` ended it."""


def which(command: str, *, package: str = "", path: str | None = None) -> str:
    """The full path of a command. Raises UserError that names the package that has it."""
    everywhere = f"{os.environ.get('PATH', '')}:{PATH}"  # a user's own often lacks /sbin
    found = shutil.which(command, path=path or everywhere)
    if found:
        return found
    package = package or PACKAGES.get(command, "")
    raise UserError(
        f"the command {command!r} is missing",
        hint=f"on Debian: apt-get install {package}" if package else "install it, or mend PATH",
    )


def query(
    argv: Sequence[str],
    *,
    data: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> Answer:
    """Ask a short question and wait for the answer, `timeout` seconds at most: then the command
    is killed, and what it said so far is the answer. A missing command raises UserError.
    """
    try:
        done = subprocess.run(  # noqa: S603 (argv lists only, no shell)
            argv,
            input=data,
            capture_output=True,
            env={**_person(), "LC_ALL": "C", **(env or {})},
            cwd=cwd,
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode(errors="replace")
        return Answer(code=-signal.SIGKILL, output=late.stdout or b"", error=said, timed_out=True)
    except FileNotFoundError:
        which(argv[0], path=os.environ.get("PATH", ""))
        raise
    return Answer(
        code=done.returncode, output=done.stdout, error=done.stderr.decode(errors="replace")
    )


def _person() -> dict[str, str]:
    """The person's environment, without what would turn git to another repository."""
    return {name: v for name, v in os.environ.items() if not name.startswith("GIT_")}


class Dialogue:
    """A command that answers each line it is told with one line, for as long as this object lives:
    many short questions without a process for each. A missing command raises UserError.
    """

    _AT_ONCE = 50  # lines under way, so that neither side waits for the other's pipe

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        which(argv[0])
        self._child = subprocess.Popen(  # noqa: S603
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**_person(), "LC_ALL": "C", **env},
            start_new_session=True,  # a Ctrl-C on the terminal is not for it
        )
        self._owner = os.getpid()
        self._turn = threading.Lock()
        weakref.finalize(self, _hung_up, self._child, self._owner)

    @property
    def ours(self) -> bool:
        """Whether it is this process's own, and not one of before a fork."""
        return self._owner == os.getpid()

    def ask(self, lines: Sequence[bytes]) -> list[bytes]:
        """The answers, without their line ends; fewer than asked for where the command died."""
        with self._turn:
            return self._asked(lines)

    def _asked(self, lines: Sequence[bytes]) -> list[bytes]:
        told, heard = self._child.stdin, self._child.stdout
        answers: list[bytes] = []
        for start in range(0, len(lines), self._AT_ONCE):
            some = lines[start : start + self._AT_ONCE]
            with contextlib.suppress(BrokenPipeError):
                told.write(b"".join(line + b"\n" for line in some))  # type: ignore[union-attr]
                told.flush()  # type: ignore[union-attr]
            for _ in some:
                answer = heard.readline()  # type: ignore[union-attr]
                if not answer:
                    return answers
                answers.append(answer[:-1])
        return answers


def _hung_up(child: subprocess.Popen[bytes], owner: int) -> None:
    """End a dialogue: its command sees the end of its input."""
    for pipe in (child.stdin, child.stdout):
        if pipe:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    if owner == os.getpid():
        child.wait()


def stream(argv: Sequence[str], *, data: Path | None = None, into: Path | None = None) -> Answer:
    """Run a command with a file as its standard input, or its output, and wait."""
    with (
        (data or Path(os.devnull)).open("rb") as source,
        (into or Path(os.devnull)).open("wb") as target,
    ):
        done = subprocess.run(  # noqa: S603
            argv, stdin=source, stdout=target, stderr=subprocess.PIPE, check=False
        )
    return Answer(code=done.returncode, output=b"", error=done.stderr.decode(errors="replace"))


def attached(argv: Sequence[str]) -> int:
    """Run a command on the person's own terminal until it ends; its status. Ctrl-C is the
    command's. Raises UserError when it is missing.
    """
    which(argv[0])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # the child must not inherit "ignored"
        child = subprocess.Popen(argv, preexec_fn=_default_signals)  # noqa: S603, PLW1509
        return child.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def spawned(argv: Sequence[str], env: Mapping[str, str], moves: Mapping[int, int]) -> int:
    """Start a command in our own process group, as a shell would; its process id.

    `moves` are descriptors it is to have: theirs -> ours. Raises OSError when it cannot be started.
    """
    actions = [(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in moves.items()]
    ignored = [signal.SIGPIPE, signal.SIGXFSZ]  # by Python, not by whoever started us

    def spawn(words: list[str]) -> int:
        return os.posix_spawnp(words[0], words, env, file_actions=actions, setsigdef=ignored)

    try:
        return spawn([*argv])
    except OSError as error:
        script = shutil.which(argv[0])
        if error.errno != errno.ENOEXEC or not script:
            raise
        return spawn(["/bin/sh", script, *argv[1:]])


def command_of(pid: int) -> list[str]:
    """The command line of a running process; empty when there is none (any more)."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape")
        return words.split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):  # it may end while its file is read
        if sys.platform == "linux":
            return []
    answer = query(["ps", "-ww", "-o", "command=", "-p", str(pid)])
    return answer.text.split() if answer.code == 0 else []


def _default_signals() -> None:
    """Runs in the child: a job of a non-interactive shell inherits SIGINT ignored, a build must
    not (bmake's bootstrap refuses), and sh itself ignores SIGHUP in background children.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.umask(0o022)


def run(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    cwd: Path | None = None,
    timeout: float | None = None,
    until: Callable[[], bool] | None = None,
    echo: bool = False,
) -> Ended:
    """Run a long command, its output appended to `log`, and wait.

    `timeout` in seconds ends it, and so does `until`, asked several times a second. With `echo`
    the log is also copied to standard output. On any exception here (Ctrl-C, TERM) the whole
    session is stopped: INT, then TERM, then KILL.
    Raises UserError when the command is missing.
    """
    which(argv[0])
    started = time.monotonic()
    with log.open("ab") as out:
        position = out.tell()
        child = _launched(argv, out, env, cwd, None)
        try:
            why = _wait(child, log, position, until, started, timeout, echo=echo)
        except BaseException:
            _end(child)
            raise
        child.wait()
    seconds = time.monotonic() - started
    return Ended(
        code=child.exit_code, seconds=seconds, timed_out=why == "time", stopped=why == "until"
    )


def _launched(
    argv: Sequence[str], out: Any, env: Mapping[str, str], cwd: Path | None, data: Path | None
) -> Any:
    """A child of `sh`: own session, default signals, output to a file, input from one or none."""
    import sh  # noqa: PLC0415 (60 ms that an up-to-date run does not pay)

    with (data or Path(os.devnull)).open("rb") as source:
        return sh.Command(argv[0])(
            *argv[1:],
            _in=source,
            _out=out,
            _err_to_out=True,
            _env=dict(env),
            _cwd=str(cwd) if cwd else None,
            _bg=True,
            _bg_exc=False,
            _new_session=True,
            _tty_out=False,
            _ok_code=list(range(-64, 256)),
            _preexec_fn=_default_signals,
        )


class Child:
    """A command that runs beside its caller."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        data: Path | None = None,
    ) -> None:
        with log.open("ab") as out:
            self._child = _launched(argv, out, os.environ if env is None else env, cwd, data)

    def alive(self) -> bool:
        """Whether it runs still."""
        return bool(self._child.is_alive())

    def code(self) -> int:
        """Its exit status, negative for a signal; waits for it."""
        self._child.wait()
        return int(self._child.exit_code)

    def stop(self) -> None:
        """End it and what it started."""
        _end(self._child)


def _wait(
    child: Any,
    log: Path,
    position: int,
    until: Callable[[], bool] | None,
    started: float,
    timeout: float | None,
    *,
    echo: bool,
) -> str:
    """Wait for the child, copying the log's growth when asked. What made us end it: "time",
    "until", or "" when it ended by itself.
    """
    pause, why = 0.005, ""
    while child.is_alive():
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
        if echo:
            position = _copy(log, position)
        else:
            live.tick(log)
        if until and until():
            stop(child.pid)
            why = "until"
            break
        if timeout is not None and time.monotonic() - started > timeout:
            stop(child.pid)
            why = "time"
            break
    if echo:
        _copy(log, position)
    return why


def _copy(log: Path, position: int) -> int:
    with log.open("rb") as text:
        text.seek(position)
        data = text.read()
    os.write(1, data)
    return position + len(data)


def _end(child: Any) -> None:
    """Stop a child of `sh` and all it started, and see them gone: who was killed dies a moment
    later.
    """
    stop(child.pid)
    child.wait()
    deadline = time.monotonic() + GRACE
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.killpg(child.pid, 0)
            time.sleep(0.005)


def stop(leader: int) -> None:
    """End a whole session: INT, TERM, KILL, each with some seconds of grace."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(leader, number)
        except (ProcessLookupError, PermissionError):
            return
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            try:
                os.killpg(leader, 0)
            except (ProcessLookupError, PermissionError):
                return
            if _is_zombie(leader):  # it has ended; what it left behind is not asked
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(leader, signal.SIGKILL)
                return
            time.sleep(0.02)


def _is_zombie(leader: int) -> bool:
    """Whether the leader has ended and only waits to be reaped (by sh's own thread)."""
    try:
        state = Path(f"/proc/{leader}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state == "Z"


def terminate_on_sigterm() -> None:
    """Make SIGTERM end this program as Ctrl-C does, so that what it started is stopped too."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def children_die_with_us() -> None:
    """Let whatever this program forks end when it is killed: workers of `doit -n` would wait for
    work for ever, and a build would go on for nobody. Linux only.
    """
    if sys.platform == "linux":
        bond = _Bond()
        os.register_at_fork(before=bond.before, after_in_child=bond.in_child)


class _Bond:
    """What ties a child to the life of the process that forks it."""

    _SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2), which the standard library lacks

    def before(self) -> None:
        """In the parent: all that takes time, and who it is."""
        import ctypes  # noqa: PLC0415 (5 ms that an up-to-date run does not pay)

        self._prctl = ctypes.CDLL(None).prctl
        self._parent = os.getpid()

    def in_child(self) -> None:
        """The parent may have been killed since the fork: then no signal would come any more."""
        self._prctl(self._SET_DEATH_SIGNAL, int(signal.SIGKILL))
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGKILL)


def no_space(error: OSError) -> InfraError:
    """The refusal for a full disk, wherever it was met."""
    return InfraError(
        f"no space left while writing {error.filename or 'the cache'}",
        hint="free some space (`doit clean <task>` removes an artifact) and run the command again",
    )
