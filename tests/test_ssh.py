"""ssh's command line, the key pair, and what ssh's complaints mean; a real sshd is in test_vm."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from labtasks.ground.error import InfraError, UserError
from labtasks.site import ssh
from labtasks.site.ssh import Remote
from labtasks.vm import vm


def remote(folder: Path, port: int = 22) -> Remote:
    return Remote(
        name="build", user="root", host="127.0.0.1", port=port, key=folder / "k y",
        known_hosts=folder / "known",
    )  # fmt: skip


def test_nothing_of_the_persons_own_ssh(tmp_path: Path) -> None:
    words = ssh.argv(remote(tmp_path), "true", pinned=False)
    assert words[:3] == ["ssh", "-F", "none"]
    assert "StrictHostKeyChecking=accept-new" in words
    assert f'IdentityFile="{tmp_path}/k y"' in words
    assert words[-2:] == ["root@127.0.0.1", "true"]
    assert "StrictHostKeyChecking=yes" in ssh.argv(remote(tmp_path), pinned=True)


def test_a_key_is_made_once(tmp_path: Path) -> None:
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is missing")
    key = ssh.make_key(tmp_path / "vm" / "id")
    text = key.read_text()
    assert ssh.public(key).read_text().startswith("ssh-ed25519 ")
    assert key.stat().st_mode & 0o077 == 0
    assert ssh.make_key(key).read_text() == text
    assert {p.name for p in key.parent.iterdir()} - {"id.lock"} == {"id", "id.pub"}


def test_of_two_who_make_a_key_at_once_both_have_the_same_pair(tmp_path: Path) -> None:
    if not shutil.which("ssh-keygen"):
        pytest.skip("ssh-keygen is missing")
    script = "import sys; from pathlib import Path; from labtasks.site import ssh; "
    script += "ssh.make_key(Path(sys.argv[1]))"
    argv = [sys.executable, "-c", script, str(tmp_path / "id")]
    makers = [subprocess.Popen(argv) for _ in range(4)]
    assert [maker.wait() for maker in makers] == [0] * 4
    answer = subprocess.run(
        ["ssh-keygen", "-y", "-f", tmp_path / "id"], check=True, capture_output=True, text=True
    )
    assert answer.stdout.split()[:2] == (tmp_path / "id.pub").read_text().split()[:2]


@pytest.mark.parametrize(
    ("said", "kind", "part"),
    [
        ("Host key verification failed.", UserError, "not the one seen"),
        ("root@127.0.0.1: Permission denied (publickey).", UserError, "is not let in"),
        ("ssh: connect to host 127.0.0.1 port 9: Connection refused", InfraError, "refused"),
        ("", InfraError, "said nothing"),
    ],
)
def test_complaints(tmp_path: Path, said: str, kind: type[Exception], part: str) -> None:
    error = ssh.refusal(remote(tmp_path), said)
    assert isinstance(error, kind)
    assert part in error.message
    assert error.hint


def test_refused(tmp_path: Path) -> None:
    if not shutil.which("ssh"):
        pytest.skip("ssh is missing")
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(InfraError, match="refused"):
            ssh.query(remote(tmp_path, taken.getsockname()[1]), "true")


def test_hanging(tmp_path: Path) -> None:
    if not shutil.which("ssh"):
        pytest.skip("ssh is missing")
    with socket.create_server(("127.0.0.1", 0)) as server:
        kept: list[object] = []
        threading.Thread(target=lambda: kept.append(server.accept()), daemon=True).start()
        started = time.monotonic()
        with pytest.raises(InfraError, match="no answer over ssh in 1 s"):
            ssh.query(remote(tmp_path, server.getsockname()[1]), "true", timeout=1)
        assert time.monotonic() - started < 10


def test_a_slow_greeting_is_waited_for() -> None:
    """A busy guest answers one after the other, also those who have given up: asked every two
    seconds it would never come to who still waits.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:

        def serve() -> None:
            while True:
                connection, _ = server.accept()
                time.sleep(3)
                with contextlib.suppress(OSError), connection:
                    connection.sendall(b"SSH-2.0-slow\r\n")

        threading.Thread(target=serve, daemon=True).start()
        started = time.monotonic()
        tries = 1
        while not ssh.greets(server.getsockname()[1], vm._patience(time.monotonic() - started)):
            assert (tries := tries + 1) < 12
            time.sleep(0.1)
