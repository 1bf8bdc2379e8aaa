"""`muninn <command ...>`: run any command as if it stood alone, and tell somebody when it ends.

Its status is the command's, whatever becomes of the message. Knows what is told and to whom; how a
command is run without being disturbed is elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labtasks.ground.error import Code, LabError, UserError
from labtasks.notice.transparent import Ended, let_go, run

if TYPE_CHECKING:
    from labtasks.notice import notify

_TOLD = "LABTASKS_TOLD"
"""notify.QUIET, for a command that ought not to wait until who is told has been imported."""

HELP = """\
usage: muninn COMMAND [WORD ...]
       muninn --test

Run a command, and send one message when it ends: what, where, how long, how it ended, its last
lines, and of a build or a bisect the line that matters.

  --test    send a message now: 0 when all channels took it, 1 when not, 3 when none is set up right

Who is told, as URLs of apprise (https://github.com/caronc/apprise/wiki):
  LABTASKS_NOTIFY               in the environment, with spaces between them: these and no others;
                                empty for nobody
  lab.toml, [notify] urls       of the lab in the working directory
  ~/.config/labtasks/notify     one a line; make it mode 600

The status is the command's, 128 and its number for a signal, 127 for a command that is not there,
126 for one that cannot be started. A channel that is down is tried three times, and named on
standard error; it changes nothing else.
Programs that draw the whole screen belong on the terminal itself, without muninn.
"""


def main(words: Sequence[str] | None = None) -> int:
    """The command's status; 3 when muninn itself was asked wrongly."""
    asked = list(sys.argv[1:] if words is None else words)
    if asked[:1] in (["--help"], ["-h"]):
        sys.stdout.write(HELP)
        return 0
    if asked == ["--test"]:
        return _test()
    if asked[:1] == ["--"]:
        asked = asked[1:]
    elif asked and asked[0].startswith("-"):
        sys.stderr.write(f"muninn: no option {asked[0]}\n  hint: muninn --help\n")
        return Code.REFUSED
    if not asked:
        sys.stderr.write("muninn: run what?\n  hint: muninn make, muninn eitri local/HEAD\n")
        return Code.REFUSED
    return _watched(asked)


def _watched(argv: list[str]) -> int:
    """Run it, tell of it; its status."""
    herald = Herald(Path.cwd())
    argv[0] = _beside(argv[0])
    ended = run(argv, {**os.environ, _TOLD: "yes"}, herald.start)
    _never_mind(ended.status)
    if ended.refused:
        sys.stderr.write(f"muninn: {argv[0]}: {ended.refused}\n")
    herald.tell(argv, ended)
    let_go(ended)
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    if threading.active_count() > 1:  # a server that never answers: nobody waits for it
        os._exit(ended.status)
    return ended.status


def _beside(command: str) -> str:
    """Labtasks' own commands are found beside muninn, where PATH does not have them."""
    here = Path(sys.argv[0]).resolve().parent / command
    ours = command in ("eitri", "brokkr", "doit", "labtasks")
    return str(here) if ours and not shutil.which(command) and here.exists() else command


def _never_mind(status: int) -> None:
    """From here on a signal only ends the telling; the status is the command's."""

    def leave(_number: int, _frame: object) -> None:
        os._exit(status)

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, leave)
    signal.signal(signal.SIGWINCH, signal.SIG_DFL)


class Herald:
    """Finds out who is to be told while the command runs, and tells them when it has ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._thread = threading.Thread(target=self._prepare, daemon=True)
        self._to: tuple[notify.Channel, ...] = ()
        self._wrong: list[str] = []

    def start(self) -> None:
        """Begin to find out."""
        self._thread.start()

    def _prepare(self) -> None:
        from labtasks.notice import notify  # noqa: PLC0415 (while the command runs)

        importlib.import_module(
            "labtasks.notice.news"
        )  # needed at the end: so it costs nothing then
        if notify.silenced():
            return
        try:
            found = notify.addresses(self._directory)
            if not found:
                self._wrong.append(str(_nobody()))
            if warning := notify.open_to_others():
                self._wrong.append(warning)
            self._to, refused = notify.channels(found)
            self._wrong += [str(one) for one in refused]
        except LabError as error:
            self._wrong.append(str(error))

    def tell(self, argv: Sequence[str], ended: Ended) -> None:
        """Send the message; what went wrong with it goes to standard error."""
        if self._thread.ident is None:
            self._thread.start()
        self._thread.join()
        from labtasks.notice import news, notify  # noqa: PLC0415 (imported by now)

        said = tuple(news.lines(tail) for tail in ended.tails)
        good = ended.status == 0
        told = news.News(
            what=shlex.join(argv),
            where=self._directory,
            seconds=ended.seconds,
            outcome=outcome(ended),
            good=good,
            matters=news.line_that_matters(said, good=good),
            said=said,
        )
        for text in (*self._wrong, *notify.send(news.message(told), self._to)):
            news.complain(text)


def outcome(ended: Ended) -> str:
    """How a command ended, in a few words."""
    if ended.refused:
        return f"not started ({ended.refused})"
    if ended.killed:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(ended.killed).name}"
        return f"killed by signal {ended.killed}"
    return "done" if ended.status == 0 else f"failed with status {ended.status}"


def _nobody() -> UserError:
    from labtasks.notice import notify  # noqa: PLC0415 (imported by now)

    return UserError(
        "there is nobody to tell",
        hint=f"a URL of apprise in {notify.file()}, [notify] urls or {notify.VARIABLE}",
    )


def _test() -> int:
    from labtasks.notice import news, notify  # noqa: PLC0415

    try:
        found = notify.addresses(Path.cwd())
        if not found:
            raise _nobody()
        if warning := notify.open_to_others():
            sys.stderr.write(f"muninn: {warning}\n")
        to, wrong = notify.channels(found)
        for one in wrong:
            sys.stderr.write(f"muninn: {one}\n")
        told = news.News(
            what="muninn --test", where=Path.cwd(), seconds=0.0, outcome="done", good=True,
            matters="This is how muninn speaks.",
        )  # fmt: skip
        failed = notify.send(news.message(told), to)
    except LabError as error:
        sys.stderr.write(f"muninn: {error}\n")
        return Code.REFUSED
    for text in failed:
        sys.stderr.write(f"muninn: {text}\n")
    for channel in to:
        if not any(text.startswith(f"{channel.name}:") for text in failed):
            sys.stdout.write(f"muninn: {channel.name}: sent\n")
    return Code.REFUSED if wrong else Code.NO if failed else Code.DONE


if __name__ == "__main__":
    sys.exit(main())
