"""Who runs a test's script: the world's init, or somebody who types it on the console.

Two more are in `errand`: ssh, and this host. Where the script is not init's, its exit status is the
verdict; whoever ran it writes that into the verdict's channel, and the machine's second port leads
nowhere. Knows nothing of outcomes.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass, replace
from pathlib import Path

from labtasks import machine
from labtasks.events import EventName
from labtasks.judge import word_of
from labtasks.lab import Lab
from labtasks.qemu import Machine
from labtasks.typist import Typist
from labtasks.watch import Watch

_MOST = 64 << 10
"""Bytes of console read in one look."""


@dataclass(slots=True, kw_only=True)
class Tester:
    """One run's. This one is for a test that init runs: it does nothing.

    `folder` is the run's scratch folder, `output` where what the script prints goes if not to the
    console, `channel` the file with the verdict's lines, `nonce` what they begin with.
    """

    lab: Lab
    vm: str
    sha: str
    folder: Path
    output: Path
    channel: Path
    nonce: str
    complaint: str = ""
    """What is in the way of running the script, for the reason of a run without a verdict."""

    answers = frozenset[EventName]()
    """Prompts of the console that this tester answers."""

    def dressed(self, found: Machine) -> Machine:
        """The machine with the ways into it that are needed."""
        return found

    def step(self, watch: Watch) -> None:
        """Go on; called several times a second."""

    def end(self, watch: Watch) -> None:
        """The run is over: nothing is left behind. May be called again."""

    def say(self, word: str, text: str = "") -> None:
        """A line on the verdict's channel."""
        with self.channel.open("a", encoding="utf-8") as file:
            file.write(f"VERDICT {self.nonce} {word} {text}\n")

    def ended(self, status: int, last: str) -> None:
        """The script has ended: that is the verdict."""
        self.say(word_of(status), last or f"exit status {status}")


@dataclass(slots=True, kw_only=True)
class Typed(Tester):
    """Types it at the shell on the console."""

    _typist: Typist | None = None
    _line: socket.socket | None = None
    _at: int = 0
    _unsent: bytes = b""
    _told: bool = False
    _over: bool = False

    answers = frozenset({EventName.SINGLE_USER})

    def dressed(self, found: Machine) -> Machine:
        return replace(found, serials=(port(self.folder, found.serials[0]), "null"))

    def step(self, watch: Watch) -> None:
        if self._typist is None:
            shell = self.lab.recipe.shell
            assert shell  # noqa: S101 (`refuse` has seen to that)
            self._typist = Typist(shell, self.lab.script, self.nonce)
        self._connect()
        if self._line is None:
            return
        with watch.console.open("rb") as file:
            file.seek(self._at)
            data = file.read(min(_MOST, max(0, watch.limit - self._at)))
        self._at += len(data)
        up = watch.up or any(event.name in self.answers for event in watch.events)
        self._unsent += self._typist.hear(data, time.monotonic(), up=up)
        self._exchange(self._line)
        if self._typist.began and not self._told:
            self._told = True
            self.say("ready")
        if self._typist.status is not None and not self._over:
            self._over = True
            self.ended(self._typist.status, self._typist.last)

    def _connect(self) -> None:
        if self._line is None:
            line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                line.connect(str(self.folder / "serial"))
            except OSError:  # QEMU is about to make it
                line.close()
                return
            line.setblocking(False)
            self._line = line

    def _exchange(self, line: socket.socket) -> None:
        """Type what there is room for. What the port says is in the log: a port that nobody reads
        holds the guest up.
        """
        with contextlib.suppress(OSError):  # it has said no more, or the machine has ended
            while line.recv(1 << 16):
                pass
        with contextlib.suppress(OSError):  # it has no room
            self._unsent = self._unsent[line.send(self._unsent) :] if self._unsent else b""

    def end(self, watch: Watch) -> None:
        del watch
        if self._line:
            self._line.close()
        if self._told and not self._over:
            self.complaint = "the script has not ended"


def port(folder: Path, before: str) -> str:
    """A serial port that can be talked to, its log where it was: `before` is file:<log>."""
    log = before.removeprefix("file:").replace(",", ",,")
    path = machine.fitting(folder / "serial").replace(",", ",,")
    return f"unix:{path},server=on,wait=off,logfile={log}"
