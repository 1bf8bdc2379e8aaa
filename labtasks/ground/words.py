"""Words for a person: what others wrote made harmless, and numbers as people say them.

Commits and consoles hold whatever their authors liked. Knows nothing of where words are shown.
"""

from __future__ import annotations

import math
import unicodedata

_JOINERS = "\u200c\u200d"
"""Format characters that some scripts are spelled with."""


def plain(text: str) -> str:
    """Words of others, harmless: what would move a cursor, ring, or turn the direction of reading
    becomes an escape. One line.
    """
    if text.isprintable():
        return text
    return "".join(_visible(char) for char in text.replace("\r\n", "\n"))


def _visible(char: str) -> str:
    if char in _JOINERS:
        return char
    if char in "\n\t":
        return " "
    harmful = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    return char.encode("unicode_escape").decode() if harmful else char


def block(text: str) -> list[str]:
    """The lines of a longer text, harmless, without empty ones around."""
    lines = [plain(line.expandtabs()).rstrip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines[next((at for at, line in enumerate(lines) if line), 0) :]


def bare(reason: str, verdict: str) -> str:
    """A reason without the verdict in front, where that is told beside it."""
    return "" if reason == verdict else reason.removeprefix(f"{verdict}: ")


def short(commit: str) -> str:
    """A commit as people write it."""
    return plain(commit)[:12]


def duration(seconds: float) -> str:
    """Seconds for a person: `3.1 s`, `42 s`, `4 min 10 s`, `2 h 05 min`."""
    if not math.isfinite(seconds) or seconds < 0:
        return "?"
    if round(seconds, 1) < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def about(seconds: float) -> str:
    """A forecast of seconds, no more exact than it is: `10 s`, `4 min`, `2 h 10 min`."""
    if not math.isfinite(seconds) or seconds < 0:
        return "?"
    if seconds < 55:
        return f"{max(1, round(seconds)) if seconds < 10 else round(seconds, -1):.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    minutes = round(minutes / 5) * 5
    return f"{minutes // 60} h {minutes % 60:02} min"


def day(seconds: float, form: str = "%Y-%m-%d") -> str:
    """A date in UTC; nothing where there is none, for git takes any number as a date."""
    import datetime as dt  # noqa: PLC0415 (every command imports this module, few tell dates)

    try:
        return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime(form)
    except (OverflowError, ValueError, OSError):
        return ""


def percent(probability: float) -> str:
    """A probability for a person; never rounded up to certainty."""
    return "100 %" if probability >= 1 else f"{math.floor(probability * 1000) / 10:.1f} %"


def count(number: int, noun: str) -> str:
    """`1 commit`, `2,000 commits`, `2 passes`."""
    ending = "" if number == 1 else "es" if noun.endswith("s") else "s"
    return f"{number:,} {noun}{ending}"


def labelled(word: str, text: str) -> str:
    """A text behind the word for it: `bad: panic: ...`; once, where it begins with that word."""
    return text if text.partition(": ")[0] == word else f"{word}: {text}"


def size(count: float) -> str:
    """Bytes for a person: `512 B`, `3.1 MB`, `40 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def brief(seconds: float) -> str:
    """A duration for a narrow column: `4m10s`, `2h05m`, `-` for none."""
    return duration(seconds).replace(" min", "m").replace(" ", "") if seconds else "-"


def cut_inside(line: str, columns: int) -> str:
    """A line that fits, without its middle: of a command its name and its last words are told."""
    if cut(line, columns) == line:
        return line
    head = cut(line, columns // 3).rstrip("…").rstrip()
    tail = columns - len(head) - 3
    return (
        f"{head} … {line[-tail:].lstrip()}" if tail > 0 and line.isascii() else cut(line, columns)
    )


def cut(line: str, columns: int) -> str:
    """A line that fits into so many columns; wide characters take two columns."""
    room = columns
    if room <= 0:
        return ""
    for at, char in enumerate(line):
        room -= 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if room < 0:
            return f"{line[: max(0, at - 1)].rstrip()}…"
    return line
