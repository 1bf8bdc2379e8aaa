"""Paths that match globs, as recipes have them: `*` and `?` within a name, `**` across folders.

Knows nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache


@lru_cache(maxsize=64)
def matcher(globs: tuple[str, ...], but: tuple[str, ...] = ()) -> Callable[[str], bool]:
    """Whether a path matches one of `globs` and none of `but`."""
    yes, no = _pattern(globs), _pattern(but)
    return lambda path: yes.fullmatch(path) is not None and no.fullmatch(path) is None


def _pattern(globs: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(_regex, globs)) or r"(?!)", re.DOTALL)


def _regex(glob: str) -> str:
    table = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    return "".join(table.get(token, re.escape(token)) for token in tokens)
