"""`eitri` and `brokkr`: several builds, or installations, one after the other, and a table.

Thin over doit's tasks `build:<ref>` and `install:<ref>:<vm>`: all that is asked for is looked up
before the first of them starts. Knows nothing of how anything is built.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labtasks.command import kinds
from labtasks.ground import signals
from labtasks.ground.error import INTERRUPTED, Code, LabError, UserError
from labtasks.ground.space import given_space
from labtasks.ground.words import cut, plain
from labtasks.key import guest_tools
from labtasks.key.git import Commit
from labtasks.key.key import Wanted
from labtasks.lab import config
from labtasks.lab.lab import load

_STATUS = """\
  -c, --continue   go on with the next one after a failure
  world=REF, retry=yes, force=yes, echo=yes are passed on to doit

Status: 0 all done, 1 something did not build or install, 3 the question was wrong (then nothing was
begun), 130 interrupted.
"""

HELP = {
    "eitri": f"""\
usage: eitri [-c] BUILDER/REF [BUILDER/REF ...]

Build the world and the kernel of commits, in this order. BUILDER is `local` or a build machine
([vm.NAME] or [ssh.NAME] of lab.toml); REF is whatever git resolves, with slashes or without.

{_STATUS}""",
    "brokkr": f"""\
usage: brokkr [-c] BUILDER/REF/VM [BUILDER/REF/VM ...]

Install commits for test machines, in this order; what is not built yet is built first. BUILDER is
`local` or a build machine ([vm.NAME] or [ssh.NAME] of lab.toml), REF is whatever git resolves, with
slashes or without, VM is the machine it is installed for.

{_STATUS}""",
}

_SHAPE = {"eitri": "BUILDER/REF", "brokkr": "BUILDER/REF/VM"}
_EXAMPLE = {"eitri": "eitri local/HEAD", "brokkr": "brokkr local/HEAD/test"}
_OPTIONS = ("world", *kinds.SWITCHES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One word of the command line, taken apart. `vm` is empty for a build."""

    builder: str
    ref: str
    vm: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A command line, taken apart; `options` are words for doit."""

    wishes: tuple[Wish, ...]
    options: tuple[str, ...] = ()
    go_on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of one wish. `code` is doit's status, None when it was not its turn."""

    wish: Wish
    commit: Commit
    rung: str = "-"
    seconds: float = 0.0
    outcome: str = "not tried"
    code: int | None = None


def eitri() -> int:
    """The command's status."""
    return main("eitri", sys.argv[1:])


def brokkr() -> int:
    """The command's status."""
    return main("brokkr", sys.argv[1:])


def main(name: str, words: Sequence[str]) -> int:
    """Do what the words ask for; the command's status."""
    if "--help" in words or "-h" in words:
        sys.stdout.write(HELP[name])
        return 0
    signals.terminate_on_sigterm()
    rows: list[Row] = []
    try:
        with given_space():
            asked = parse(name, words)
            rows = _looked_up(asked)
            _awake(asked)
            _work(rows, asked)
    except LabError as error:
        sys.stderr.write(f"ERROR: {error}\n")
        return Code.REFUSED
    except KeyboardInterrupt:
        sys.stderr.write(INTERRUPTED)
        sys.stdout.write(table(rows))
        return Code.INTERRUPTED
    sys.stdout.write(table(rows))
    return Code.DONE if all(row.code == 0 for row in rows) else Code.NO


def parse(name: str, words: Sequence[str]) -> Asked:
    """A command line. Raises UserError."""
    wishes, options, go_on = [], [], False
    for word in words:
        key, equals, _ = word.partition("=")
        if word in ("-c", "--continue"):
            go_on = True
        elif word.startswith("-"):
            hint = f"{name} takes --continue and --help"
            raise UserError(f"{name} has no option {word}", hint=hint)
        elif equals and "/" not in key:
            if key not in _OPTIONS:
                raise UserError(f"unknown word {word}", hint=config.nearest(key, _OPTIONS))
            options.append(word)
        else:
            wishes.append(_wish(name, word))
    if not wishes:
        raise UserError(f"{name}: of what?", hint=_EXAMPLE[name])
    return Asked(wishes=tuple(wishes), options=tuple(options), go_on=go_on)


def _wish(name: str, word: str) -> Wish:
    builder, _, ref = word.partition("/")
    vm = ""
    if name == "brokkr":
        ref, _, vm = ref.rpartition("/")
    if not builder or not ref or (name == "brokkr" and not vm):
        raise UserError(f"{name} takes {_SHAPE[name]}, not {word!r}", hint=_EXAMPLE[name])
    return Wish(builder=builder, ref=ref, vm=vm)


def _looked_up(asked: Asked) -> list[Row]:
    """All that is asked for, found: what is wrong with the last is said before the first begins.
    Raises UserError.
    """
    lab = load(Path.cwd())
    rows = []
    for wish in asked.wishes:
        lab.built_by(wish.builder)
        if wish.vm:
            lab.vm(wish.vm)
        rows.append(Row(wish=wish, commit=lab.repository.commit(wish.ref)))
    return rows


def _awake(asked: Asked) -> None:
    """Bring up the machines that were never asked for their tools: every key holds the answer."""
    from labtasks.command import loader  # noqa: PLC0415 (doit, which --help does not need)

    lab = load(Path.cwd())
    for name in dict.fromkeys(wish.builder for wish in asked.wishes):
        there = lab.built_by(name)
        if there.builder_vm and not guest_tools.is_known(there):
            loader.run(f"builder={name}", f"up:{name}")


def _work(rows: list[Row], asked: Asked) -> None:
    """One doit run after the other; each row is replaced by what became of it."""
    from labtasks.command import loader  # noqa: PLC0415 (doit, which --help does not need)

    for at, row in enumerate(rows):
        wish, started = row.wish, time.monotonic()
        task = f"install:{row.commit.id}:{wish.vm}" if wish.vm else f"build:{row.commit.id}"
        rows[at] = replace(row, outcome="interrupted", code=Code.INTERRUPTED)
        options = (*asked.options, f"builder={wish.builder}")
        code = loader.run(*options, task)
        rung, outcome = _told(row, options, code, time.time() - (time.monotonic() - started))
        seconds = time.monotonic() - started
        rows[at] = replace(row, rung=rung, outcome=outcome, code=code, seconds=seconds)
        if code and not asked.go_on:
            return


def _told(row: Row, options: Sequence[str], code: int, began: float) -> tuple[str, str]:
    """The rung that held, and the outcome in a few words."""
    from labtasks.command import loader  # noqa: PLC0415

    try:
        session = loader.open_session(words=dict(o.split("=", 1) for o in options))
        kind = "install" if row.wish.vm else "build"
        ref = f"{row.commit.id}:{row.wish.vm}" if row.wish.vm else row.commit.id
        want = session.want(kind, ref)
    except LabError as error:
        return "-", error.message
    if code:
        failures = [f for each in _chain(want) if (f := session.store.failure(each.kind, each.key))]
        return "-", f"failed: {failures[0].error}" if failures else "failed"
    made = want if row.wish.vm else want.on[0]
    found = session.store.get(made.kind, made.key)
    if not found or found.finished < began:
        return "same key", "was there"
    return found.rung, "installed" if row.wish.vm else "built"


def _chain(want: Wanted) -> Iterator[Wanted]:
    """An artifact, and what it is made from, the deepest first."""
    for below in want.on:
        yield from _chain(below)
    yield want


def table(rows: Sequence[Row]) -> str:
    """The rows for a terminal, under their heads; "" without any."""
    if not rows:
        return ""
    cells = [["builder", "ref", "commit", "rung", "seconds", "outcome"]]
    for row in rows:
        ref = f"{row.wish.ref}/{row.wish.vm}" if row.wish.vm else row.wish.ref
        seconds = f"{row.seconds:.1f}" if row.code is not None else "-"
        cells.append(
            [row.wish.builder, plain(ref), row.commit.short, row.rung, seconds, plain(row.outcome)]
        )
    wide = [max(len(line[at]) for line in cells) for at in range(5)]
    lines = [
        "  ".join(f"{c:<{w}}" for c, w in zip(line, (*wide, 0), strict=True)) for line in cells
    ]
    return "\n" + "".join(f"{cut(line.rstrip(), 160)}\n" for line in lines)
