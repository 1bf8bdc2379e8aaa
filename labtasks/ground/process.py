"""Commands: where they are found, short questions to them, and a person's own terminal for one.

`query` asks a short question (git, a compiler's version) and waits. All of this is the standard
library's, because importing `sh` alone would double the time of an up-to-date run; what takes long
is run by `supervisor`. Knows nothing of what the commands are for.
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
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labtasks.ground import signals
from labtasks.ground.error import UserError

PACKAGES = {
    "git": "git",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mke2fs": "e2fsprogs",
    "makefs": "makefs",
    "strace": "strace",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-i386": "qemu-system-x86",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-riscv64": "qemu-system-misc",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "mmdebstrap": "mmdebstrap",
}
"""Debian package of the commands that labtasks itself starts; recipes name those of their steps."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where builds find their tools, whatever the person's shell has; a recipe's env may say else."""


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

    @property
    def complaint(self) -> str:
        """The last line of its standard error; its status where it said nothing."""
        return (self.error.strip().splitlines() or [f"status {self.code}"])[-1]


def which(command: str, *, path: str | None = None) -> str:
    """The full path of a command. Raises UserError that names the package that has it."""
    found = shutil.which(command, path=path or _everywhere())
    if found:
        return found
    package = PACKAGES.get(command, "")
    raise UserError(
        f"the command {command!r} is missing",
        hint=f"on Debian: apt-get install {package}" if package else "install it, or mend PATH",
    )


def all_there(*commands: str) -> None:
    """Raises one UserError that names all of these that are missing, and their packages."""
    missing = [one for one in commands if not shutil.which(one, path=_everywhere())]
    if missing:
        packages = sorted({PACKAGES.get(one, one) for one in missing})
        raise UserError(
            f"missing: {', '.join(missing)}",
            hint=f"on Debian: apt-get install --no-install-recommends {' '.join(packages)}",
        )


def _everywhere() -> str:
    """PATH, and what a user's own often lacks: /sbin."""
    return f"{os.environ.get('PATH', '')}:{PATH}"


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


def attached(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> int:
    """Run a command on the person's own terminal until it ends; its status, as a shell says it.
    Ctrl-C is the command's. `env` is its environment, the person's without. Raises UserError when
    it is missing.
    """
    which(argv[0])
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # the child must not inherit "ignored"
        child = subprocess.Popen(  # noqa: S603
            argv,
            env=env,
            cwd=cwd,
            preexec_fn=signals.default,  # noqa: PLW1509
        )
        code = child.wait()
        return code if code >= 0 else 128 - code
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
