"""What is said to a person: calm lines, what a command ends with, and two families of refusals:
what they can mend, and what the machine did.

Knows nothing of who catches them. Each carries a hint that says what to do next.
"""

from __future__ import annotations

import enum
import os
import sys

from labtasks.ground import live


class Code(enum.IntEnum):
    """What every command of ours ends with; docs/commands.md says it to people."""

    DONE = 0
    NO = 1
    """The answer is no, or a task failed."""
    REFUSED = 3
    """The question was wrong, or nothing could begin. (2 is doit's for a defect.)"""
    INTERRUPTED = 130


STOP = 128
"""`doit verdict` alone, for whatever is no verdict: below 128 git would read a bad commit."""

INTERRUPTED = "\ninterrupted: what was under way is gone, what was sealed stays\n"
"""What a person is told who pressed Ctrl-C."""


def printable(name: str) -> str:
    """A file's name for a person to read: what is not UTF-8 in it becomes an escape."""
    return name.encode(errors="backslashreplace").decode()


def say(text: str) -> None:
    """One calm line about what happens. Work goes on where nobody reads it any more."""
    live.clear()
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        unheard()
    live.again()


def unheard() -> None:
    """Nobody reads standard output any more: what is left to say goes nowhere, without an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class LabError(Exception):
    """Something stopped the work; `hint` says what to do. Printed without a traceback."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class UserError(LabError):
    """The person can mend it: a wrong name, a missing tool, a tree that does not compile."""


class BuildError(UserError):
    """The commit does not build. A fact about the commit, remembered under the artifact's key."""


class InfraError(LabError):
    """The machine failed, not the commit: no space, a killed build. Never remembered."""


class LostError(InfraError):
    """The machine that builds was lost in mid-build. What it did is thrown away, and worth doing
    once more.
    """
