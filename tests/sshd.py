"""A real sshd on the loopback: a machine of its own for tests, as root or as another user."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from conftest import wait_for


class Sshd:
    """Listens on a free port while it is up; `path` is what its users find on PATH."""

    def __init__(self, folder: Path, *, path: str = "", prefix: tuple[str, ...] = ()) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root starts an sshd of his own")
        for tool in ("/usr/sbin/sshd", "ssh", "ssh-keygen"):
            if not shutil.which(tool):
                pytest.skip(f"{tool} is missing")
        Path("/run/sshd").mkdir(exist_ok=True)
        folder.mkdir(parents=True)
        self.folder, self.prefix = folder, prefix
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.keygen("host")
        self.keygen("user")
        set_path = f"SetEnv PATH={path}\n" if path else ""
        (folder / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nUsePAM no\n"
            f"PermitRootLogin prohibit-password\nMaxStartups 100\n{set_path}"
        )
        folder.chmod(0o755)
        (folder / "user.pub").chmod(0o644)
        self.child: subprocess.Popen[bytes] | None = None

    def keygen(self, name: str) -> None:
        """Make a key pair, in the place of an older one."""
        for path in self.folder.glob(f"{name}*"):
            path.unlink()
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name]
        subprocess.run(made, check=True, timeout=20)

    def public(self, name: str) -> str:
        """A public key, without the words about it."""
        return " ".join((self.folder / f"{name}.pub").read_text().split()[:2])

    def up(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [*self.prefix, "/usr/sbin/sshd", "-D", "-e", "-f", self.folder / "config"],
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        wait_for(self.greets)

    def greets(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def sessions(self) -> list[int]:
        """The processes that serve connections, each the leader of its session."""
        assert self.child
        return _children(self.child.pid)

    def cut(self) -> None:
        """End every connection, as a network does, and what served it."""
        _kill(self.sessions())

    def down(self) -> None:
        """End it with all its connections."""
        if self.child is None:
            return
        sessions = self.sessions()
        self.child.kill()
        _kill(sessions)
        self.child.wait(timeout=20)
        self.child = None

    def table(self, **more: object) -> Mapping[str, object]:
        """What [ssh.<name>] says of it."""
        return {
            "host": "127.0.0.1", "port": self.port, "key": str(self.folder / "user"),
            "folder": str(self.folder / "there"), **more,
        }  # fmt: skip


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it may end by itself just now
            os.kill(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    said = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)],
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    return [int(word) for word in said.stdout.split()]
