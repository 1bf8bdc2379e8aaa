"""What a tree on another machine holds, asked by shell text that systems of two families know.

GNU's find prints all there is to know of a file; the BSDs have mtree, whose lines are taken apart
here. Knows nothing of how the text is run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

SCRIPT = r"""
if find . -prune -printf '' 2>/dev/null; then
	find . -mindepth 1 -printf '%P\0%y %m %s %T@ %l\0'
else
	echo '#mtree' && mtree -c -k type,mode,size,time,link -p .
fi
"""
"""Run in the tree; `listed` reads what it prints."""

_TYPES = {"file": "f", "dir": "d", "link": "l", "fifo": "p", "socket": "s", "char": "c"}
_ESCAPE = re.compile(rb"\\(M-|M\^|\^)(.)|\\([0-7]{1,3})|\\(.)", re.DOTALL)
_LETTERS = {
    b"n": 10, b"r": 13, b"b": 8, b"a": 7, b"v": 11, b"t": 9, b"f": 12, b"s": 32, b"E": 27, b"0": 0
}  # fmt: skip


def listed(text: str) -> dict[str, str]:
    """Every path below the tree, with what tells whether it changed: its type's letter (f, d, l or
    another) first, then mode, size, time, and a link's target.
    """
    if text.startswith("#mtree"):
        return dict(_mtree(text))
    words = text.split("\0")[:-1]
    return dict(zip(words[::2], words[1::2], strict=True))


def _mtree(text: str) -> Iterator[tuple[str, str]]:
    """Folders open with their own line and close with `..`; `/set` gives what lines leave out."""
    folder: list[str] = []
    usual: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        name, *fields = line.split() or ["#"]
        if name.startswith("#"):
            continue
        facts = dict(word.partition("=")[::2] for word in fields)
        if name == "/set":
            usual |= facts
        elif name == "/unset":
            usual = {key: value for key, value in usual.items() if key not in fields}
        elif name == "..":
            folder.pop()
        else:
            facts = usual | facts
            path = "/".join([*folder[1:], _plain(name)])
            if folder:
                yield path, _fact(facts)
            if facts.get("type") == "dir":
                folder.append(_plain(name))


def _fact(facts: dict[str, str]) -> str:
    letter = _TYPES.get(facts.get("type", ""), "?")
    keys = ("mode", "size", "time", "link")
    return " ".join([letter, *(facts.get(key, "-") for key in keys)])


def _plain(name: str) -> str:
    """A name without the escapes of vis(3)."""

    def byte(match: re.Match[bytes]) -> bytes:
        meta, char, octal, letter = match.groups()
        if octal:
            return bytes([int(octal, 8)])
        if letter:
            return bytes([_LETTERS.get(letter, letter[0])])
        low = char[0] if meta == b"M-" else 127 if char == b"?" else char[0] & 31
        return bytes([low | (128 if meta.startswith(b"M") else 0)])

    raw = name.encode(errors="surrogateescape")
    return _ESCAPE.sub(byte, raw).decode(errors="surrogateescape")
