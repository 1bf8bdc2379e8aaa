"""[notify] of lab.toml: who is told when something long has ended.

Apart from what tells them, because every run of doit reads it, and hardly one tells anybody.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

Meta = msgspec.Meta


class Notify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[notify]: who is told when something long has ended."""

    urls: Annotated[
        tuple[str, ...],
        Meta(
            description="Where messages go to, as URLs of apprise (slack://, tgram://, mailto://, "
            "ntfy://, json://, ...). They are secrets: ~/.config/labtasks/notify, one a line, is "
            "the better place if others read this file."
        ),
    ] = ()
    after_seconds: Annotated[
        float,
        Meta(
            description="A message at the end of builds, installs, tests and bisects that took "
            "longer than this; 0 for none (`muninn <command>` always sends one).",
            ge=0,
        ),
    ] = 600

    def __repr__(self) -> str:
        return f"Notify(urls=<{len(self.urls)}>, after_seconds={self.after_seconds})"
