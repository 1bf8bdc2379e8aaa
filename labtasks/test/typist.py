"""Type a test on a serial console, and read its exit status there.

Bytes that the console shows go in, bytes to type come out. Nothing is typed before the console asks
for it, and one line at a time: a port has room for a few bytes only. Pure; knows nothing of
sockets, nor of what the status means.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from labtasks.lab.session import LINE, PIECE, Shell
from labtasks.test.console import LIMIT, clean

_PLAIN = re.compile(rb"[A-Za-z0-9 _.,:/=+-]")
_PIECE = 180
"""Bytes of one typed part: terminals take lines of a few hundred."""
_NUDGE = 5.0
"""Seconds after which an empty line is typed: a message of the kernel may stand behind a prompt."""


class Typist:
    """Somebody at a console. `began` once something of the script runs; `status` when it has ended,
    and `last` the last line that it printed.
    """

    def __init__(self, shell: Shell, script: str, nonce: str) -> None:
        self._answers = [(re.compile(asked.encode()), typed) for asked, typed in shell.answers]
        self._prompt = re.compile(shell.prompt.encode())
        self._lines = deque(typed(shell, script, nonce))
        self._before = 1 if shell.begin else 0  # lines that are none of the script's
        if PIECE in shell.put:
            self._before = len(self._lines) - 1
        self._nonce = nonce.encode()
        self._status = re.compile(rb"VERDICT %b status (\d+)" % re.escape(self._nonce))
        self._tail = b""  # the unfinished line
        self._fresh = True  # it began after what was typed last
        self._since = 0.0  # when something was last heard or typed
        self.began = False
        self.status: int | None = None
        self.last = ""

    def hear(self, data: bytes, now: float, *, up: bool) -> bytes:
        """What is typed at `now` (seconds), after the console has shown `data`. `up`: the system is
        so far that an empty line does no harm.
        """
        *lines, tail = re.split(rb"[\r\n]", self._tail + data)
        for line in lines:
            self._read(clean(line).strip())
        self._tail = tail[:LIMIT]
        self._fresh |= bool(lines)
        said = self._answer(clean(self._tail)) if self.status is None else None
        waits = up and bool(self._lines) and now - self._since >= _NUDGE
        if data or said is not None or waits:
            self._since = now
        if said is None:
            return b"\n" if waits else b""
        self._fresh = False
        return f"{said}\n".encode()

    def _read(self, line: bytes) -> None:
        if not self.began or self.status is not None or not line:
            return
        if found := self._status.search(line):
            self.status = int(found[1])
        elif line == b"VERDICT %b ready" % self._nonce:
            self.last = ""  # what was typed may have been shown in pieces
        elif self._nonce not in line and not self._prompt.search(line):  # nor what was typed
            self.last = line.decode(errors="replace")

    def _answer(self, line: bytes) -> str | None:
        """What belongs behind the unfinished line, if it asks for something."""
        if not line or not self._fresh:
            return None
        for answer in self._answers:
            if answer[0].search(line):
                self._answers.remove(answer)
                return answer[1]
        if not self._lines or not self._prompt.search(line):
            return None
        self.began = self._before == 0
        self._before = max(0, self._before - 1)
        return self._lines.popleft()


def typed(shell: Shell, script: str, nonce: str) -> Iterator[str]:
    """The lines to type, in order; the last one starts the script."""

    def filled(text: str) -> str:
        return text.replace("{nonce}", nonce)

    if shell.begin:
        yield filled(shell.begin)
    put = filled(shell.put)
    if PIECE in put:
        yield from (put.replace(PIECE, piece) for piece in pieces(script.encode()))
    else:
        yield from (put.replace(LINE, line) for line in script.splitlines() if line.strip())
    yield filled(shell.run)


def pieces(data: bytes) -> Iterator[str]:
    """Bytes as printf's %b takes them, in parts that a terminal takes: no character in them means
    anything to a shell or a terminal.
    """
    piece = ""
    for byte in data:
        plain = _PLAIN.fullmatch(bytes([byte]))
        piece += chr(byte) if plain else f"\\0{byte:03o}"
        if len(piece) >= _PIECE:
            yield piece
            piece = ""
    if piece:
        yield piece
