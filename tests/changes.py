"""What the demo OS's changes are about, as their headers and patches tell those who test."""

from __future__ import annotations

import re
from typing import NamedTuple

from labtasks.lab import demo

KINDS = {"kernel", "world", "header", "docs", "arch", "abi", "broken", "regression"}


class Change(NamedTuple):
    """A commit after the first one; of a rename both paths are in `files`, of a merge none."""

    subject: str
    kind: str
    files: set[str]


def changes() -> list[Change]:
    """All of them, oldest first."""
    found = []
    for path in sorted(demo.CHANGES.glob("*.patch")):
        head, _, rest = path.read_text(encoding="utf-8").partition("\n\n")
        header = dict(line.split(": ", 1) for line in head.splitlines())
        names = re.findall(r"(?m)^diff --git a/(\S+) b/(\S+)$", rest)
        files = {name for pair in names for name in pair}
        found.append(Change(header["Subject"], header["Kind"], files))
    return found
