"""A serial console becomes named events, as the recipe describes them.

Bytes go in as they come; which events come out does not depend on how they were cut. Memory is
bounded whatever the guest prints, and time is proportional to it. Knows nothing of verdicts, nor
of who reads the console or how the machine was started.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from labtasks.lab.events import ConsoleRules, EventName

LIMIT = 4096
"""Bytes of a line that are looked at; what comes behind them is skipped."""
MOST = 100
"""Events of one name that are told. A machine can panic for ever."""
GATHERED = 100
"""Lines behind a panic or trap in which its processor and backtrace are looked for."""
SETTLE = 2.0
"""Seconds of silence after which a panic has said what it had to say."""

_BLOCK = 1 << 16
# Where the cursor goes back, another line begins: loaders draw with \r and \b.
_LINE = re.compile(rb"[^\n\r\b]+")
_BREAK = re.compile(rb"[\n\r\b]")
_UNSEEN = re.compile(
    rb"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f]"
    rb"(?:(?<=\x1b)(?:"
    rb"\[[0-?]*[ -/]*[@-~]?"  # CSI: colours, the cursor
    rb"|[\]PX^_][^\a\x1b\n\r\b]*(?:\a|\x1b\\)?"  # OSC and its like: titles, links
    rb"|[ -/]*[0-~]?))?"
)
_ATOM = re.compile(
    r"(\\.|\[\^?\]?(?:\\.|[^]\\])*\]|.)(\{[^}]*\}|[*?])?", re.DOTALL
)  # of a regex: a character, escape or set, and whether it can be missing
_CRASHES = frozenset({EventName.PANIC, EventName.TRAP})
_EXPLAINS = _CRASHES | {EventName.SHUTDOWN, EventName.DEBUGGER}
"""After these a new start of the machine is not silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened: the line that shows it, and when.

    A prompt's line ends with the prompt. `message`, `cpu` and `backtrace` are of panics and traps.
    """

    name: EventName
    line: str
    seconds: float
    message: str = ""
    cpu: int | None = None
    backtrace: tuple[str, ...] = ()


_Search = Callable[[bytes], "re.Match[bytes] | None"]
_Searches = Sequence[_Search]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    name: EventName
    search: _Search
    literal: bytes


def clean(data: bytes) -> bytes:
    """Console output without escape sequences and control characters; line breaks stay."""
    return _UNSEEN.sub(b"", data)


def literal(pattern: str) -> bytes:
    """The longest text that is in everything a regex matches; empty when none is plain to see.

    Texts are found in a flood a hundred times faster than patterns.
    """
    if re.search(r"\(\?[a-zA-OQ-Z-]", pattern):  # flags, which can change what a letter means
        return b""
    runs, depth = [""], 0
    for atom, optional in _ATOM.findall(pattern):
        depth += (atom == "(") - (atom == ")")
        if atom == "|" and not depth:
            return b""
        plain = atom[1:] if atom[0] == "\\" and not atom[1:].isalnum() else atom
        if depth or optional or len(plain) > 1 or atom in ".^$+*?{}()[]|":
            runs.append("")
        else:
            runs[-1] += plain
    return max(runs, key=len).encode()


def _rules(found: dict[str, tuple[str, ...]]) -> tuple[_Rule, ...]:
    return tuple(
        _Rule(name=EventName(name), search=re.compile(text.encode()).search, literal=literal(text))
        for name, patterns in found.items()
        for text in patterns
    )


def _text(line: bytes) -> str:
    return line.decode(errors="replace").strip()


def _shortest(line: bytes, rule: _Rule) -> int:
    """How much of a line has to be there until a prompt is seen."""
    low, high = 1, len(line)
    while low < high:
        middle = (low + high) // 2
        if rule.search(line[:middle]):
            high = middle
        else:
            low = middle + 1
    return low


def _last_line(data: bytes) -> str:
    lines = reversed(_LINE.findall(data))
    return next((text for line in lines if (text := _text(clean(line)))), "")


@dataclass(slots=True)
class _Crash:
    """A panic or trap whose lines are still coming."""

    event: Event
    cpu: int | None = None
    backtrace: list[str] = field(default_factory=list)
    lines: int = 0

    def gather(self, line: bytes, cpu: _Searches, backtrace: _Searches) -> None:
        """Take what belongs to it from a line behind it."""
        self.lines += 1
        for search in cpu if self.cpu is None else ():
            if (match := search(line)) and (match[1] or b"").isdigit():
                self.cpu = int(match[1])
        if any(search(line) for search in backtrace):
            self.backtrace.append(_text(line))

    def settled(self) -> Event:
        return replace(self.event, cpu=self.cpu, backtrace=tuple(self.backtrace))


class Console:
    """The reader of one console, from the machine's start to its end.

    `watch` is a person's own regex; lines it matches are `text` events.
    """

    def __init__(self, rules: ConsoleRules, *, watch: str = "") -> None:
        lines = dict(rules.lines)
        if watch:
            lines[EventName.TEXT] = (watch,)
        self._lines = _rules(lines)
        self._prompts = _rules(rules.prompts)
        self._cpu = [re.compile(text.encode()).search for text in rules.cpu]
        self._backtrace = [re.compile(text.encode()).search for text in rules.backtrace]
        self._silence = rules.silence
        self._tail = b""  # the unfinished line, at most LIMIT bytes of it
        self._told: frozenset[EventName] = frozenset()  # its prompts
        self._heard = 0.0  # when the last byte came
        self._quiet = False  # silence has been told
        self._last = ""
        self._crash: _Crash | None = None
        self._counts: dict[EventName, int] = {}
        self._up = self._explained = self._loads = False

    def feed(self, data: bytes, at_seconds: float) -> list[Event]:
        """What the next bytes show. `at_seconds` is its time, as it is watched."""
        found: list[Event] = []
        for start in range(0, len(data), _BLOCK):
            block = data[start : start + _BLOCK]
            if len(self._tail) < LIMIT or _BREAK.search(block):  # else more of a line too long
                found.extend(self._block(block, at_seconds))
        if data:
            self._heard, self._quiet = at_seconds, False
        return found

    def quiet(self, at_seconds: float) -> Event | None:
        """What it means that nothing came until now: a crash that has ended, or silence.

        Silence is told once, and not while the console waits at a prompt.
        """
        waited = at_seconds - self._heard
        if self._crash and waited >= SETTLE:
            return next(self._settle(), None)
        if not self._silence or waited < self._silence or self._quiet or self._told:
            return None
        self._quiet = True
        line = _text(clean(self._tail)) or self._last
        return Event(name=EventName.SILENCE, line=line, seconds=at_seconds)

    @property
    def crashing(self) -> bool:
        """Whether a crash has begun whose end is not told yet."""
        return self._crash is not None

    def end(self, at_seconds: float) -> list[Event]:
        """What the last line shows, which nothing has ended. The console is not fed again."""
        found = list(self._block(b"\n", at_seconds))
        return [*found, *self._settle()]

    def _block(self, data: bytes, seconds: float) -> Iterator[Event]:
        buffer = self._tail + data
        text = clean(buffer)
        lines = [rule for rule in self._lines if rule.literal in text]
        prompts = [rule for rule in self._prompts if rule.literal in text]
        end = 1 + max(buffer.rfind(b"\n"), buffer.rfind(b"\r"), buffer.rfind(b"\b"))
        for match in _LINE.finditer(buffer, 0, end):
            if not (lines or prompts or self._crash):
                break  # a flood that says nothing
            first = match.start()
            if first:
                self._told = frozenset()
            line = clean(buffer[first : min(match.end(), first + LIMIT)])
            yield from self._waits(line, prompts, seconds)
            yield from self._says(line, lines, seconds)
        if end:
            self._last = _last_line(buffer[max(0, end - LIMIT) : end]) or self._last
            self._told = frozenset()
        self._tail = buffer[end : end + LIMIT]
        yield from self._waits(clean(self._tail), prompts, seconds)

    def _waits(self, line: bytes, rules: list[_Rule], seconds: float) -> Iterator[Event]:
        """The prompts in a line, finished or not, each as it was when it came to be seen."""
        seen = [
            (_shortest(line, rule), rule)
            for rule in rules
            if rule.name not in self._told and rule.literal in line and rule.search(line)
        ]
        for length, rule in sorted(seen, key=lambda one: one[0]):
            if rule.name not in self._told:
                self._told |= {rule.name}
                yield from self._happens(rule, line[:length], seconds)

    def _says(self, line: bytes, rules: list[_Rule], seconds: float) -> Iterator[Event]:
        """What a finished line means. A crash that goes on about itself is no second one."""
        crash = self._crash
        for rule in rules:
            if rule.name in self._told or (crash and crash.event.name == rule.name):
                continue
            if rule.literal in line and rule.search(line):
                self._told |= {rule.name}
                yield from self._happens(rule, line, seconds)
        if crash and crash is self._crash:
            crash.gather(line, self._cpu, self._backtrace)
            if crash.lines >= GATHERED:
                yield from self._settle()

    def _happens(self, rule: _Rule, line: bytes, seconds: float) -> Iterator[Event]:
        if rule.name is not EventName.TEXT:
            yield from self._settle()
        match = rule.search(line)
        message = _text(match[1] or b"") if match and match.re.groups else ""
        event = Event(name=rule.name, line=_text(line), seconds=seconds, message=message)
        if self._restarts(rule.name):
            said = f"it began again: {event.line}"
            yield from self._counted(replace(event, name=EventName.SILENT_REBOOT, message=said))
        if rule.name in _CRASHES:
            self._crash = _Crash(event=event)
        else:
            yield from self._counted(event)

    def _restarts(self, name: EventName) -> bool:
        """Whether the machine has just begun again without having said why.

        A loader's words are better proof than a kernel's: a guest may print its message buffer.
        """
        self._explained |= name in _EXPLAINS
        if name is EventName.LOADER:
            self._loads = True
        elif name is not EventName.BANNER:
            return False
        first = name is EventName.LOADER or not self._loads
        silent = first and self._up and not self._explained
        if first:
            self._explained = False
        self._up = name is EventName.BANNER
        return silent

    def _settle(self) -> Iterator[Event]:
        if self._crash:
            event, self._crash = self._crash.settled(), None
            yield from self._counted(event)

    def _counted(self, event: Event) -> Iterator[Event]:
        self._counts[event.name] = self._counts.get(event.name, 0) + 1
        if self._counts[event.name] <= MOST:
            yield event
