"""QEMU's monitor: one question and one answer at a time over its socket.

Knows the protocol and nothing of what a machine is for. QEMU serves one client at a time; a second
one waits until the first has gone, and both have a deadline.
"""

from __future__ import annotations

import json
import re
import socket
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from labtasks.ground.error import InfraError, LostError

_FORWARD = re.compile(r"TCP\[HOST_FORWARD\]\s+\S+\s+(\S+)\s+(\d+)\s+\S+\s+(\d+)")


class Monitor(AbstractContextManager["Monitor"]):
    """A connection to a machine's monitor. Everything in it raises InfraError when QEMU is not
    there, does not answer within `timeout` seconds, or refuses.
    """

    def __init__(self, path: Path, *, timeout: float = 5.0) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise self._silent(error) from None
        self._lines = self._socket.makefile("rb")
        try:
            self._read()  # the greeting
            self.execute("qmp_capabilities")
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; the machine runs on."""
        self._lines.close()
        self._socket.close()

    def execute(self, command: str, **arguments: Any) -> Any:
        """What QEMU returns for a command."""
        words = {"execute": command, **({"arguments": arguments} if arguments else {})}
        try:
            self._socket.sendall(json.dumps(words).encode() + b"\n")
        except OSError as error:
            raise self._silent(error) from None
        while True:
            answer = self._read()
            if "error" in answer:
                raise InfraError(
                    f"QEMU refuses {command}: {answer['error'].get('desc', '')}", hint=self._anew
                )
            if "return" in answer:
                return answer["return"]  # anything else is an event, which nobody waits for

    def human(self, line: str) -> str:
        """What the monitor for people answers: some facts are only there."""
        return str(self.execute("human-monitor-command", **{"command-line": line}))

    def forwards(self) -> dict[int, int]:
        """Ports of the guest that are forwarded: guest's port -> port on 127.0.0.1."""
        return forwards(self.human("info usernet"))

    def _read(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
            answer = json.loads(line) if line else None
        except (OSError, ValueError) as error:
            raise self._silent(error) from None
        if not isinstance(answer, dict):
            raise self._silent(EOFError("it has closed the connection"))
        return answer

    def _silent(self, error: Exception) -> LostError:
        return LostError(f"no answer from QEMU at {self._path}: {error}", hint=self._anew)

    @property
    def _anew(self) -> str:
        """What helps: the socket is in the folder that has the machine's name."""
        return f"`doit down:{self._path.parent.name}` ends that machine; then run this again"


def forwards(usernet: str) -> dict[int, int]:
    """What `info usernet` says about TCP ports of 127.0.0.1: guest's port -> host's."""
    return {int(m[3]): int(m[2]) for m in _FORWARD.finditer(usernet) if m[1] == "127.0.0.1"}
