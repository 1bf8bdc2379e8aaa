"""What is written down of an artifact, or of a commit that does not build.

Knows nothing of where it is kept.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from labtasks.ground.digest import Digest, Key
from labtasks.ground.words import short
from labtasks.key.key import Wanted
from labtasks.store.layer import LayerId


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step as it ran: its text and its wall seconds."""

    text: str
    seconds: float


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact. `digest` covers its outputs; everything else here is about how it came to be.

    The files themselves (path, mode, size, BLAKE3) are listed in the layers of `stack`, newest
    first; `below` are the layers of the world or toolchain it was built on. `rung` is how it was
    come by: clean, incremental, cutoff (same inputs by content), trace (proved by what was read),
    or composed. `base` is the artifact that rung started from; `built_from` is the tree make saw,
    `built_as` the name under which it did. `bytes` are those of the layer that came with it,
    `links` a source tree's symbolic links. Times are seconds.
    """

    kind: str
    key: Key
    family: Key
    digest: Digest
    commit: str
    tree: str
    built_from: str
    built_as: str = ""
    date: int
    subject: str
    inputs: list[tuple[str, str]]
    stack: list[LayerId]
    links: dict[str, str] = {}
    below: list[LayerId] = []
    below_digest: str = ""
    rung: str
    base: str = ""
    why: str = ""
    steps: list[Step] = []
    seconds: float = 0.0
    jobs: int = 0
    jobs_total: int = 0
    newest: float = 0.0
    bytes: int = 0
    tracer: str = ""
    warnings: list[str] = []
    reproduce: str = ""
    log: str = ""
    host: str = ""
    finished: float = 0.0

    @classmethod
    def of(cls, want: Wanted, **more: Any) -> Manifest:
        """Of what was wanted and is made now: `more` are the fields that `want` does not tell."""
        commit = want.commit
        return cls(
            kind=want.kind,
            key=want.key,
            family=want.family,
            commit=commit.id,
            tree=commit.tree,
            built_from=commit.tree,
            date=commit.date,
            subject=commit.subject,
            inputs=list(want.inputs),
            reproduce=f"doit {want.words}{want.kind}:{commit.id}",
            finished=time.time(),
            **more,
        )

    @property
    def whole(self) -> list[LayerId]:
        """Every layer of its object tree, newest first: its own, and those it was built on."""
        return [*self.stack, *self.below]

    @property
    def origin(self) -> str:
        """The name under which it was really built."""
        return self.built_as or self.name

    @property
    def name(self) -> str:
        """Kind and short commit, as tasks are called."""
        return f"{self.kind}:{short(self.commit)}"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A commit that does not build, found by a clean build. `error` is the log's first one."""

    commit: str
    error: str
    log: str
    step: str
    finished: float
