"""What is told of a command that has ended: what, where, how long, how, the line that matters.

`message` is pure. `tell` sends it, and whatever goes wrong there is one line on standard error: the
work is done, and what came of it does not change. Knows nothing of how commands are run.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from labtasks.build import failure
from labtasks.ground.error import LabError
from labtasks.ground.words import count, cut, duration, plain
from labtasks.lab.addressee import Notify
from labtasks.notice import notify
from labtasks.notice.notify import Channel, Message
from labtasks.test.console import clean

_LINES = 12
_COLUMNS = 200
_FOUND = re.compile(r"(?:(?:no )?culprit|fixed by): .*|not finished: .*in question.*")
"""What a bisect ends with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something long has ended. `outcome` says how in a few words; `matters` is the one line to
    read; `said` are the ends of what it printed.
    """

    what: str
    where: Path
    seconds: float
    outcome: str
    good: bool
    matters: str = ""
    said: tuple[Sequence[str], ...] = ()


_BINARY = 0.2
"""Share of undecodable characters from which a line is none."""


def lines(tail: bytes) -> list[str]:
    """The end of some output as lines for a person: of a line written over, what stands last."""
    found = []
    for line in tail.split(b"\n"):
        shown = line.rstrip(b"\r").rpartition(b"\r")[2]
        text = clean(shown).decode(errors="replace")
        binary = text.count("\N{REPLACEMENT CHARACTER}") > _BINARY * len(text)
        found.append("(binary)" if binary else plain(text.expandtabs()).rstrip())
    return found


def line_that_matters(said: Sequence[Sequence[str]], *, good: bool) -> str:
    """Of a bisect its culprit, of what failed the first error; "" where neither is to be seen."""
    for some in said:
        for line in some:
            if _FOUND.match(line):
                return line
    if good:
        return ""
    return next((error for some in said if (error := failure.first_of(some))), "")


def message(news: News) -> Message:
    """What is sent."""
    took = duration(news.seconds)
    what = cut(plain(news.what), _COLUMNS)
    body = [
        f"{what}: {news.outcome} after {took}",
        f"on {platform.node()}, in {plain(str(news.where))}",
    ]
    if news.matters:
        body += ["", cut(plain(news.matters), 2 * _COLUMNS)]
    for label, some in zip(("it ended with", "and on standard error"), news.said, strict=False):
        last = [line for line in some if line][-_LINES:]
        if last:
            body += ["", f"{label}:", *(f"  {cut(line, _COLUMNS)}" for line in last)]
    title = f"{cut(what, 60)}: {news.outcome} ({took})"
    return Message(title=title, body="\n".join(body), good=news.good)


def complain(text: str) -> None:
    """Say on standard error why somebody was not told. Its being closed is no reason to end."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"labtasks: notification: {text}\n")
        sys.stderr.flush()


def channels(directory: Path) -> tuple[Channel, ...]:
    """Who is to be told of what happens in a directory; what is wrong with it is said."""
    try:
        warning = notify.open_to_others()
        if warning:
            complain(warning)
        found, wrong = notify.channels(notify.addresses(directory))
    except LabError as error:
        complain(str(error))
        return ()
    for refused in wrong:
        complain(str(refused))
    return found


def tell(news: News, settings: Notify) -> None:
    """Send it, if the lab's settings say so and nobody else does."""
    wanted = settings.after_seconds and news.seconds >= settings.after_seconds
    if not wanted or notify.QUIET in os.environ:
        return
    for failed in notify.send(message(news), channels(news.where)):
        complain(failed)


@contextlib.contextmanager
def of_work(what: str, directory: Path, settings: Notify) -> Iterator[list[str]]:
    """Tell of the work done inside when it ends, unless the person ends it. It may leave the line
    that matters in the list it is given.
    """
    started, found = time.monotonic(), [""]

    def ended(outcome: str, *, good: bool, matters: str) -> None:
        seconds = time.monotonic() - started
        tell(
            News(
                what=what, where=directory, seconds=seconds, outcome=outcome, good=good,
                matters=matters,
            ),
            settings,
        )  # fmt: skip

    try:
        yield found
    except LabError as error:
        ended("failed", good=False, matters=error.message)
        raise
    ended("done", good=True, matters=found[-1])


def of_run(
    tasks: Sequence[str], failed: Sequence[str], seconds: float, where: Path, settings: Notify
) -> None:
    """Tell of a run of doit: its tasks, and what is said of those that failed."""
    what = f"doit {' '.join(tasks)}"
    outcome = f"{count(len(failed), 'failure')}" if failed else "done"
    said = (tuple(line for text in failed for line in text.splitlines()),)
    tell(
        News(
            what=what, where=where, seconds=seconds, outcome=outcome, good=not failed,
            matters=failed[0].splitlines()[0] if failed else "", said=said,
        ),
        settings,
    )  # fmt: skip
