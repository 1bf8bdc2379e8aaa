"""What MkDocs does not read in a page: the words behind a fence's language.

`console norun` marks commands that no test can run, `toml title="x"` names the file of a block.
"""

from __future__ import annotations

import re
from typing import Any

_NAMED = re.compile(r'^```(\w+) title="([^"]+)"$', re.MULTILINE)
_MARKED = re.compile(r"^```(\w+) norun$", re.MULTILINE)


def on_page_markdown(markdown: str, **_more: Any) -> str:
    """MkDocs' hook: a page before it is rendered."""
    named = _NAMED.sub(r"`\2`:\n\n```\1", markdown)
    return _MARKED.sub(r"```\1", named)
