"""ssh to one machine: its command line, the lab's key pair, and what its failures mean.

The person's own ssh configuration, agent and known hosts play no part. A machine's host key is
taken at its first connection and must be the same ever after. Knows nothing of virtual machines.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labtasks.ground import process
from labtasks.ground.error import InfraError, LabError, UserError
from labtasks.ground.process import Answer

FAILED = 255
"""ssh's own status when it was not the command that failed."""

_AWKWARD = re.compile(r"[\\\n!']")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A machine to reach: `name` is what its host key is kept under in `known_hosts`."""

    name: str
    user: str
    host: str
    port: int
    key: Path
    known_hosts: Path
    control: Path | None = None
    """A socket through which many commands share one connection."""
    options: tuple[str, ...] = ()
    """More of ssh's options, as `-o` takes them."""
    remedy: str = ""
    """What to do when its host key is another one; empty for removing `known_hosts`."""

    @property
    def pinned(self) -> bool:
        """Whether its host key is known."""
        return self.known_hosts.exists() and self.known_hosts.stat().st_size > 0


def argv(remote: Remote, command: str = "", *, pinned: bool, terminal: bool = False) -> list[str]:
    """The command line; `command` is the remote shell's text, empty for a login."""
    options = {
        "StrictHostKeyChecking": "yes" if pinned else "accept-new",
        "UserKnownHostsFile": _path(remote.known_hosts),
        "GlobalKnownHostsFile": "none",
        "HostKeyAlias": remote.name,
        "CheckHostIP": "no",
        "UpdateHostKeys": "no",
        "HashKnownHosts": "no",
        "IdentityFile": _path(remote.key),
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "BatchMode": "yes",
        "ConnectTimeout": "10",
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "6",
        "LogLevel": "ERROR",
    }
    if remote.control:
        options |= {"ControlMaster": "auto", "ControlPersist": "60"}
        options["ControlPath"] = _path(remote.control)
    said = (*remote.options, *(f"{name}={value}" for name, value in options.items()))
    words = [word for option in said for word in ("-o", option)]
    tty = ["-t"] if terminal else ["-T"]
    end = [f"{remote.user}@{remote.host}", *([command] if command else [])]
    return ["ssh", "-F", "none", "-p", str(remote.port), *tty, *words, *end]


def _path(path: Path) -> str:
    """A path as ssh's options take it: quoted, its percent signs doubled."""
    return '"' + str(path).replace("%", "%%") + '"'


def make_key(key: Path) -> Path:
    """The lab's key pair, made when first asked for; the path of the private one."""
    if not key.exists():
        import filelock  # noqa: PLC0415 (once in a lab's life)

        key.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(key.with_name(f"{key.name}.lock")):
            if not key.exists():
                _make_key(key)
    return key


def _make_key(key: Path) -> None:
    scratch = key.with_name(f"{key.name}.{os.getpid()}")
    command = [process.which("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "labtasks"]
    answer = process.query([*command, "-f", str(scratch)])
    if answer.code:
        raise InfraError(
            f"ssh-keygen made no key: {answer.error.strip()}",
            hint=f"{key.parent} must be writable, and have room",
        )
    # the private half last: it is what says that there is a pair
    scratch.with_name(f"{scratch.name}.pub").replace(public(key))
    scratch.replace(key)


def public(key: Path) -> Path:
    """The public half of a key pair."""
    return key.with_name(f"{key.name}.pub")


def greets(port: int, patience: float = 2.0) -> bool:
    """Whether sshd's greeting comes from a port of 127.0.0.1 within some seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def query(remote: Remote, command: str, *, data: bytes = b"", timeout: float = 60) -> Answer:
    """Run a short command there. Raises LabError when it could not be run at all."""
    line = argv(remote, command, pinned=remote.pinned)
    answer = process.query(line, data=data, timeout=timeout)
    if answer.timed_out:
        raise InfraError(
            f"{remote.name}: no answer over ssh in {timeout:.0f} s",
            hint="it is very busy, or hangs: run this again, or start that machine anew",
        )
    if answer.code == FAILED:
        raise refusal(remote, answer.error)
    return answer


def scrubbed(argv: Sequence[str], env: Mapping[str, str], cwd: str, *, alone: bool = True) -> str:
    """Shell text that runs a command in a folder there, with this environment and no other; if
    `alone`, without input. Its status is never FAILED.
    """
    given = " </dev/null" if alone else ""
    command = shlex.join(["env", "-i", *(f"{name}={value}" for name, value in env.items()), *argv])
    status = f"code=$?; [ $code = {FAILED} ] && code={FAILED - 1}; exit $code"
    return f"umask 022; cd {shlex.quote(cwd)} || exit 1; {command}{given}; {status}"


def bound(remote: Remote, command: str) -> list[str]:
    """The command line for a long command: a killed doit must not leave a client behind that holds
    the connection.
    """
    lead = ["setpriv", "--pdeathsig", "KILL"] if sys.platform == "linux" else []
    return [*lead, *argv(remote, command, pinned=True)]


def attached(remote: Remote, command: str, *, terminal: bool) -> int:
    """Run a command there on the person's own terminal; its status."""
    return process.attached(argv(remote, command, pinned=remote.pinned, terminal=terminal))


def login(remote: Remote, words: Sequence[str], *, terminal: bool) -> int:
    """A shell, or a command, on the person's own terminal; its status. Raises LabError."""
    command = words[0] if len(words) == 1 else shlex.join(words)
    code = attached(remote, command, terminal=terminal)
    if code == FAILED:  # ssh has said something; what it means is found by asking once more
        query(remote, "true")
    return code


def refusal(remote: Remote, said: str) -> LabError:
    """What ssh's complaint means, and what to do."""
    text, last = said.strip(), last_words(said)
    if "host key" in text.lower() or "IDENTIFICATION HAS CHANGED" in text:
        return UserError(
            f"{remote.name}: its host key is not the one seen at first",
            hint=remote.remedy or f"if that is meant to be so, remove {remote.known_hosts}",
        )
    if "Permission denied" in text:
        return UserError(
            f"{remote.name}: {remote.user} is not let in: {last}",
            hint=f"{public(remote.key)} must be in ~{remote.user}/.ssh/authorized_keys there",
        )
    return InfraError(f"{remote.name}: {last}", hint="is it up, and is sshd running in it?")


def last_words(said: str) -> str:
    """The last line of what ssh complained of."""
    return (said.strip().splitlines() or ["ssh failed and said nothing"])[-1]


def shell(text: str) -> str:
    """The command line by which any login shell, also csh, gives `text` to sh."""
    if not _AWKWARD.search(text):
        return f"sh -c {shlex.quote(text)}"
    coded = _AWKWARD.sub(lambda found: f"\\0{ord(found[0]):03o}", text)
    return f"""sh -c 'eval "$(printf %b "$1")"' sh '{coded}'"""
