"""What can happen on a console, and how a recipe says that it looks: named events as data.

Knows nothing of consoles that are read: `console` does that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import msgspec

from labtasks.ground.error import UserError
from labtasks.lab import config

_LOOKS_AHEAD = re.compile(r"(?<!\\)\$|\\[bBZ]|\(\?[=!>]")
"""What makes a pattern match a text and not the same text with more behind it."""


class EventName(StrEnum):
    """What can happen on a console. A recipe says how all but the last four look."""

    LOADER = "loader"  # firmware or boot loader has begun
    LOADER_FAILURE = "loader-failure"  # and found nothing to start
    BANNER = "banner"  # the kernel's first words
    READY = "ready"  # the root file system is there; init is next
    LOGIN = "login"
    PANIC = "panic"
    TRAP = "trap"  # a fault in the kernel
    DEBUGGER = "debugger"
    MOUNTROOT = "mountroot"  # no root file system
    SINGLE_USER = "single-user"
    SHUTDOWN = "shutdown"  # power-off, halt or reboot, announced
    MISMATCH = "mismatch"  # the world is of another kernel
    SILENT_REBOOT = "silent-reboot"
    SILENCE = "silence"
    FLOOD = "flood"
    TEXT = "text"  # a line that a person described


DERIVED = frozenset({EventName.SILENT_REBOOT, EventName.SILENCE, EventName.FLOOD, EventName.TEXT})
"""Events that no recipe describes."""

CRASHES = (EventName.PANIC, EventName.TRAP, EventName.DEBUGGER, EventName.SILENT_REBOOT)
STUCK = (EventName.MOUNTROOT, EventName.LOADER_FAILURE, EventName.SINGLE_USER)
"""After either a system does not go on."""

_DESCRIBABLE = (*CRASHES, *STUCK, EventName.SILENCE, EventName.FLOOD, EventName.TEXT)

BAD_VERDICT = "bad"
"""Describes the failure "the test says bad", among the names of events."""


class ConsoleRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the console's lines mean: event = regexes, any of which makes a line that event.

    `prompts` are looked for in the unfinished last line as well. `cpu` (group 1) and `backtrace`
    tell what belongs to a panic or trap before them. `silence` in seconds, 0 is never.
    """

    lines: dict[str, tuple[str, ...]] = {}
    prompts: dict[str, tuple[str, ...]] = {}
    cpu: tuple[str, ...] = ()
    backtrace: tuple[str, ...] = ()
    silence: float = 60.0


def check_failure(events: Iterable[str], pattern: str) -> None:
    """Refuse a person's description of the failure that cannot be meant. Raises UserError."""
    known = [BAD_VERDICT, *(name.value for name in _DESCRIBABLE)]
    said = list(events)
    for name in said:
        if name not in known:
            raise UserError(f"no failure is called {name!r}", hint=config.nearest(name, known))
    try:
        re.compile(pattern)
        re.compile(pattern.encode())  # as the console is searched
    except re.error as error:
        raise UserError(f"{pattern!r}: {error}", hint="a Python regex") from None
    if EventName.TEXT in said and not pattern:
        raise UserError("`text` is a line that matches, and no pattern is given", hint="give one")


def check(path: Path, rules: ConsoleRules) -> None:
    """Refuse what cannot be meant, in the recipe at `path`. Raises UserError."""
    known = [name.value for name in EventName if name not in DERIVED]
    for name in (*rules.lines, *rules.prompts):
        if name not in known:
            hint = config.nearest(name, known)
            raise UserError(f"{path}: [console] knows no event {name!r}", hint=hint)
    prompts = [pattern for found in rules.prompts.values() for pattern in found]
    lines = [pattern for found in rules.lines.values() for pattern in found]
    for pattern in (*lines, *rules.cpu, *rules.backtrace):
        groups = check_line(path, pattern)
        if pattern in rules.cpu and not groups:
            raise UserError(f"{path}: {pattern!r} has no group", hint=r"'cpuid = (\d+)'")
    for pattern in prompts:
        check_prompt(path, pattern)


def check_line(path: Path, pattern: str) -> int:
    """How many groups a pattern for a console's lines has, which are bytes. Raises UserError."""
    try:
        compiled = re.compile(pattern.encode())
    except re.error as error:
        raise UserError(f"{path}: {pattern!r}: {error}", hint="a Python regex") from None
    if compiled.search(b""):
        raise UserError(f"{path}: {pattern!r} matches an empty line", hint="every line has it")
    return compiled.groups


def check_prompt(path: Path, pattern: str) -> None:
    """A prompt is seen before its line ends, so its pattern cannot ask what comes behind it. Raises
    UserError.
    """
    check_line(path, pattern)
    if _LOOKS_AHEAD.search(pattern):
        raise UserError(
            f"{path}: prompt {pattern!r} asks what comes behind it",
            hint=r"a prompt is seen before its line ends: no $, \b, \Z, (?= or (?!",
        )
