"""Follow a running machine by the files it writes, until something decides its test.

Reads what has grown since the last look: the console as named events, the verdict's channel as
lines with the right nonce. Knows nothing of QEMU, or of what is good and what is bad.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from labtasks.lab.events import CRASHES, ConsoleRules, EventName
from labtasks.test.console import Console, Event, clean
from labtasks.test.judge import Said, listen

AFTERMATH = 1.0
"""Seconds a machine is watched after something decisive: a backtrace follows a panic, and a panic
may follow a verdict, unless the system then goes down in order.
"""

_ONWARD = frozenset(
    {
        EventName.LOADER, EventName.BANNER, EventName.READY, EventName.LOGIN,
        EventName.MISMATCH, EventName.SHUTDOWN,
    }
)  # fmt: skip
"""Events after which the test goes on; any other decides it."""

_BETWEEN = 0.5
"""Seconds that count between two looks at most: who stands still for longer (a host that sleeps or
is very busy) stands still as a whole, and nobody's silence begins with that.
"""

_MOST = 1 << 20
"""Bytes read in one look."""

_WORDS = 100
"""Different lines with the right nonce that are listened to."""


@dataclass(slots=True, kw_only=True)
class Watch:
    """One run, watched. `limit` are the bytes that make a flood, on either port, `text` a regex of
    the person's; `echo` shows the console on the terminal. `answered` are prompts that somebody
    answers, `beside` a file with what the test prints elsewhere: no more than on a port.

    `busy`: the test is at work where the console does not show it, so silence means nothing.
    """

    console: Path
    channel: Path
    rules: ConsoleRules
    nonce: str
    limit: int
    text: str = ""
    echo: bool = False
    answered: frozenset[EventName] = frozenset()
    beside: Path | None = None
    busy: bool = False
    events: list[Event] = field(default_factory=list)
    said: Said = field(default_factory=Said)
    flooded: bool = False
    size: int = 0
    _reader: Console = field(init=False)
    _looked: float = field(default_factory=time.monotonic)
    _clock: float = 0.0
    _decisive: float | None = None
    _at: int = 0
    _rest: bytes = b""
    _lines: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = Console(self.rules, watch=self.text)

    def decided(self) -> bool:
        """Whether the machine need not run on. Asked several times a second."""
        self._look()
        quiet = self._reader.quiet(self._clock)
        if quiet and not (self.busy and quiet.name is EventName.SILENCE):
            self._take([quiet])
        if self.beside and self.beside.exists():
            self.flooded |= self.beside.stat().st_size > self.limit
        over = bool(self.said.verdicts) and self._went_down
        return self.flooded or over or self._waited() > AFTERMATH

    def end(self) -> None:
        """Read the rest: the machine has ended."""
        self.catch_up()
        self._take(self._reader.end(self._clock))
        self.said = self._heard(ended=True)

    def catch_up(self) -> None:
        """Read all that was written until now."""
        while self._look():
            pass

    @property
    def up(self) -> bool:
        """Whether the system is so far that somebody could enter it."""
        return any(event.name in (EventName.READY, EventName.LOGIN) for event in self.events)

    @property
    def crashed(self) -> bool:
        """Whether the system goes on no more, as far as it has been read."""
        return self._reader.crashing or any(event.name in CRASHES for event in self.events)

    @property
    def _went_down(self) -> bool:
        return any(event.name is EventName.SHUTDOWN for event in self.events)

    def _waited(self) -> float:
        return 0.0 if self._decisive is None else self._clock - self._decisive

    def _look(self) -> int:
        """Read what has been written since the last look, and how many bytes that was."""
        data = self._read()
        now = time.monotonic()
        self._clock, self._looked = self._clock + min(now - self._looked, _BETWEEN), now
        self._take(self._reader.feed(data, self._clock))
        self.said = self._heard(ended=False)
        if self.said.verdicts and self._decisive is None:
            self._decisive = self._clock
        return len(data)

    def _take(self, events: list[Event]) -> None:
        self.events += events
        if self._decisive is None and any(e.name not in _ONWARD | self.answered for e in events):
            self._decisive = self._clock

    def _heard(self, *, ended: bool) -> Said:
        """What the channel has said. A system that talks there too must not hide a verdict, nor
        fill the disk.
        """
        while more := self._said_since():
            self._rest += more
            end = 1 + max(self._rest.rfind(b"\n"), self._rest.rfind(b"\r"))
            lines, self._rest = self._rest[:end].splitlines(), self._rest[end:][-_MOST:]
            ours = [one for one in lines if self.nonce.encode() in clean(one)]
            self._lines = list(dict.fromkeys((*self._lines, *ours)))[:_WORDS]
        return listen(b"\n".join((*self._lines, self._rest)), self.nonce, ended=ended)

    def _said_since(self) -> bytes:
        if self.flooded or not self.channel.exists():
            return b""
        with self.channel.open("rb") as file:
            file.seek(self._at)
            data = file.read(_MOST)
        self._at += len(data)
        self.flooded = self._at > self.limit
        return data

    def _read(self) -> bytes:
        if self.flooded:
            return b""
        with self.console.open("rb") as file:
            file.seek(self.size)
            data = file.read(min(_MOST, self.limit - self.size + 1))
        self.size += len(data)
        self.flooded = self.size > self.limit
        if self.echo:
            os.write(1, data)
        return data
