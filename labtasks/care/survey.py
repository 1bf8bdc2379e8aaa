"""What a store holds and who is at work in it, read without opening anything that is sealed.

Knows nothing of labs: a cache directory is enough.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from labtasks.ground.digest import Key
from labtasks.ground.words import short
from labtasks.store import locks
from labtasks.store.layer import LayerId


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of an artifact's manifest. `bytes` are those of its own layer."""

    kind: str
    key: Key
    commit: str
    subject: str = ""
    rung: str = ""
    digest: str = ""
    log: str = ""
    stack: list[LayerId] = []
    below: list[LayerId] = []
    seconds: float = 0.0
    bytes: int = 0
    finished: float = 0.0

    @property
    def own(self) -> LayerId:
        """The layer that came with it; an image, which is no layer, counts as one of its own."""
        return self.stack[0] if self.stack else LayerId(self.key)

    @property
    def layers(self) -> list[LayerId]:
        """All that it needs."""
        return [*self.stack, *self.below] or [self.own]

    @property
    def name(self) -> str:
        """As its task is called."""
        return f"{self.kind}:{short(self.commit)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What artifacts take: `exclusive` bytes would be free without them, `shared` are in layers
    that others lie on as well.
    """

    count: int
    exclusive: int
    shared: int


_decoder = msgspec.json.Decoder(Held)


def held(cache: Path) -> list[Held]:
    """Every artifact of a store, the newest first. One that is being removed is left out."""
    found = []
    root = str(cache / "artifacts")
    for kind in _names(root):
        for key in _names(f"{root}/{kind}"):
            try:
                with open(f"{root}/{kind}/{key}/manifest.json", "rb") as file:  # noqa: PTH123 (10,000 of them)
                    found.append(_decoder.decode(file.read()))
            except (OSError, msgspec.DecodeError):
                continue
    return sorted(found, key=lambda one: -one.finished)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def references(artifacts: Iterable[Held]) -> Counter[LayerId]:
    """How many artifacts each layer serves."""
    return Counter(name for one in artifacts for name in one.layers)


def sizes(artifacts: Iterable[Held]) -> dict[LayerId, int]:
    """Bytes of each layer that some artifact made."""
    found: dict[LayerId, int] = {}
    for one in artifacts:
        if one.kind != "build":  # it has no layer of its own
            found[one.own] = max(one.bytes, found.get(one.own, 0))
    return found


def use(artifacts: list[Held]) -> dict[str, Use]:
    """What each kind takes."""
    serves, size = references(artifacts), sizes(artifacts)
    kinds: dict[str, list[Held]] = {}
    for one in artifacts:
        kinds.setdefault(one.kind, []).append(one)
    return {
        kind: Use(
            count=len(some),
            exclusive=sum(size.get(n, 0) for n in {o.own for o in some} if serves[n] == 1),
            shared=sum(size.get(n, 0) for n in {o.own for o in some} if serves[n] > 1),
        )
        for kind, some in sorted(kinds.items())
    }


def at_work(cache: Path) -> Iterator[str]:
    """Who holds which lock, in the words the holder left; none of those who were killed."""
    for about in sorted((cache / "locks").glob("*.owner")):
        if locks.taken(about.with_suffix(".lock")):
            try:
                yield about.read_text()
            except OSError:
                continue
