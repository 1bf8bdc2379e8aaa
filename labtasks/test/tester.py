"""Who runs a test's script: the world's init, or somebody who types it on the console.

Two more are in `tester_outside`: ssh, and this host. Where the script is not init's, its exit
status is the verdict; whoever ran it writes that into the verdict's channel, and the machine's
second port leads nowhere. Knows nothing of outcomes.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from labtasks.lab.events import EventName
from labtasks.lab.lab import Lab
from labtasks.test.judge import word_of
from labtasks.test.typist import Typist
from labtasks.test.watch import Watch
from labtasks.vm.qemu import Machine

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
    _line: int | None = None
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
            self._line = os.open(typed(self.folder), os.O_RDWR | os.O_NONBLOCK)
        with watch.console.open("rb") as file:
            file.seek(self._at)
            data = file.read(min(_MOST, max(0, watch.limit - self._at)))
        self._at += len(data)
        up = watch.up or any(event.name in self.answers for event in watch.events)
        self._unsent += self._typist.hear(data, time.monotonic(), up=up)
        self._type()
        if self._typist.began and not self._told:
            self._told = True
            self.say("ready")
        if self._typist.status is not None and not self._over:
            self._over = True
            self.ended(self._typist.status, self._typist.last)

    def _type(self) -> None:
        """Type what there is room for."""
        with contextlib.suppress(BlockingIOError):
            while self._unsent and self._line is not None:
                self._unsent = self._unsent[os.write(self._line, self._unsent) :]

    def end(self, watch: Watch) -> None:
        if self._line is None:
            return
        before = -1
        while before < self._at:  # the script may have said its last word as the machine went down
            before = self._at
            self.step(watch)
        os.close(self._line)
        self._line = None
        if self._told and not self._over:
            self.complaint = "the script has not ended"


def typed(folder: Path) -> Path:
    """The named pipe into which what is typed on the console of a run is written."""
    return folder / "serial.in"


def port(folder: Path, before: str) -> str:
    """A serial port that can be typed on, its log where it was: `before` is file:<log>.

    QEMU writes into the log itself: a socket that is read too slowly holds the guest up, and QEMU
    then writes a byte into the socket's log as often as it tries to send it.
    """
    os.mkfifo(typed(folder), 0o600)
    typed(folder).with_suffix(".out").symlink_to(before.removeprefix("file:"))
    return f"pipe:{folder / 'serial'}"
