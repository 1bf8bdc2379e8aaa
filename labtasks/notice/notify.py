"""Messages to a person who is elsewhere: where they go to, and whether they went.

Addresses are URLs as apprise writes them. They hold passwords and tokens: nothing here prints or
logs one, and no error repeats one. Knows nothing of what is told.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from labtasks.ground.error import UserError
from labtasks.lab import config
from labtasks.lab.addressee import Notify
from labtasks.notice import apprised

VARIABLE = "LABTASKS_NOTIFY"
"""Environment: URLs with spaces between them, instead of all others; empty for none."""

QUIET = "LABTASKS_TOLD"
"""Environment: set for a command at whose end somebody else tells of it."""

PAUSES = (0.5, 2.0)
"""Seconds before the second and the third try."""

LONGEST = 20.0
"""Seconds after which nothing is waited for any more, whatever a server does."""


class _OfLab(msgspec.Struct, frozen=True):
    """The one table of lab.toml that is read here; the others are somebody else's to judge."""

    notify: Notify = Notify()


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One URL, and what it may be called in front of others."""

    url: str = field(repr=False)
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent: plain text."""

    title: str
    body: str
    good: bool


def file(environ: Mapping[str, str] = os.environ) -> Path:
    """The person's own list of URLs."""
    home = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config"
    return Path(home) / "labtasks" / "notify"


def addresses(directory: Path, environ: Mapping[str, str] = os.environ) -> tuple[Address, ...]:
    """Who is to be told: what the environment says, else those of the lab in `directory` (if there
    is one) and the person's own. Raises UserError for a file that cannot be read.
    """
    if VARIABLE in environ:
        return tuple(_named(environ[VARIABLE].split(), VARIABLE))
    toml = directory / "lab.toml"
    lab = config.read(toml, _OfLab).notify.urls if toml.exists() else ()
    found = (*_named(lab, "lab.toml"), *_named(_lines(file(environ)), str(file(environ))))
    first: dict[str, Address] = {}
    for address in found:
        first.setdefault(address.url, address)
    return tuple(first.values())


def silenced() -> bool:
    """Whether the environment says that nobody is to be told."""
    return not os.environ.get(VARIABLE, VARIABLE).strip()


def _named(urls: Sequence[str], where: str) -> Iterator[Address]:
    for number, url in enumerate(urls, 1):
        scheme = apprised.scheme(url)
        about = f" ({scheme}://)" if scheme else ""
        yield Address(url=url, name=f"{where}, URL {number}{about}")


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise UserError(f"{path} cannot be read: {why}", hint="one URL a line") from None
    return [url for line in lines if (url := line.strip()) and not url.startswith("#")]


def open_to_others(environ: Mapping[str, str] = os.environ) -> str:
    """What to say of a list of secrets that everybody may read; "" when all is well."""
    path = file(environ)
    try:
        wide = path.stat().st_mode & 0o077
    except OSError:
        return ""
    return f"{path} holds secrets and is open to others: chmod 600 {path}" if wide else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """An address that apprise understands."""

    name: str
    server: Any = field(repr=False)


def channels(found: Sequence[Address]) -> tuple[tuple[Channel, ...], tuple[UserError, ...]]:
    """The addresses that can be used, and what is wrong with the others. Raises UserError without
    apprise. Takes some 150 ms.
    """
    good, wrong = [], []
    for address in found:
        server = apprised.server(address.url)
        if server:
            good.append(Channel(name=address.name, server=server))
        else:
            wrong.append(_malformed(address))
    return tuple(good), tuple(wrong)


def _malformed(address: Address) -> UserError:
    """What is said of a URL that cannot be used; all of it that is repeated is its scheme."""
    hint = "https://github.com/caronc/apprise/wiki says what each service needs"
    scheme, known = apprised.scheme(address.url), apprised.schemes()
    near = config.nearest(scheme, known) if scheme and scheme not in known else ""
    if near.startswith("did you mean"):
        hint = f"{near} {hint}"
    return UserError(f"{address.name} is malformed, or of no service that apprise knows", hint=hint)


def send(message: Message, to: Sequence[Channel], *, seconds: float = LONGEST) -> list[str]:
    """Send to all of them at once, three times to those that fail. What to say of each that was
    not reached, after `seconds` at the latest.
    """
    failed: dict[int, str] = dict.fromkeys(range(len(to)), "it did not answer in time")
    ends = time.monotonic() + seconds
    threads = [
        threading.Thread(target=_deliver, args=(message, channel, n, failed, ends), daemon=True)
        for n, channel in enumerate(to)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))
    return [f"{to[n].name}: not sent: {why}" for n, why in sorted(failed.copy().items())]


def _deliver(
    message: Message, channel: Channel, number: int, failed: dict[int, str], ends: float
) -> None:
    for pause in (*PAUSES, 0.0):
        why = apprised.refusal(channel.server, message.title, message.body, good=message.good)
        if not why:
            failed.pop(number, None)
            return
        failed[number] = why
        if time.monotonic() + pause > ends:
            return
        time.sleep(pause)
    failed[number] = f"{why}, {len(PAUSES) + 1} times"
