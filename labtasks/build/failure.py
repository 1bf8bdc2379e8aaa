"""Why a step failed: what its log says first, and whether that was the machine's doing.

Knows nothing of how builds are run.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import signal
from collections.abc import Sequence
from pathlib import Path

from labtasks.ground.error import InfraError
from labtasks.ground.space import is_full, no_space
from labtasks.key.key import Wanted
from labtasks.lab import config
from labtasks.lab.lab import Lab
from labtasks.lab.settings import FILE, Settings

_ERRORS = (
    r"(?i)^(?!collect2: ).*\b(?:fatal )?error\b\s*:",  # the linker's own words are above gcc's
    r"^[\w.]+(?:Error|Exception): ",  # Python's
    r"(?:undefined reference to|multiple definition of) ",
    r"don't know how to make",
    r"No rule to make target",
    r"(?i)^(?:\S*sh: (?:(?:line )?\d+: )?)?\S+: (?:command )?not found",  # a shell's
    r"\*\*\*.*(?:Error|Stop)",
    r"^CMake Error ",
    r"^FAILED: ",  # ninja's
)
"""What the first error of a build log looks like, from the most to the least telling."""

_COLOUR = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""A terminal's control sequence."""


def first_error(log: Path, patterns: Sequence[str]) -> str:
    """The line of a build log that says what went wrong first; "" when none looks so."""
    return first_of(log.read_text(encoding="utf-8", errors="replace").splitlines(), patterns)


def first_of(lines: Sequence[str], patterns: Sequence[str] = ()) -> str:
    """The first of some lines that says what went wrong, without its colours; "" when none looks
    so.
    """
    lines = [_COLOUR.sub("", line) for line in lines]
    for pattern in (*patterns, *_ERRORS):
        search = re.compile(pattern).search
        for line in lines:
            if not line.startswith("+ ") and search(line):
                return line.strip()[:500]
    return ""


def again(lab: Lab, want: Wanted) -> str:
    """The command that runs a build's steps once more where they ran, to be typed where the person
    is. Raises UserError.
    """
    there = lab.directory.absolute()
    go = "" if Path(os.environ.get("PWD", "")) == there else f"cd {shlex.quote(str(there))} && "
    return f"{go}doit shell --steps {typed(lab, want)}"


def typed(lab: Lab, want: Wanted) -> str:
    """What names an artifact of this lab on a command line, with the words before it. Raises
    UserError.
    """
    builder = f"builder={lab.builder_said} " if lab.builder_said else ""
    vm = _installed_for(lab) if want.kind == "install" else ""
    return f"{builder}{want.words}{want.name}{':' if vm else ''}{vm}"


def _installed_for(lab: Lab) -> str:
    """A VM that is installed for, onto its own base or that of [install]; "" for the only one of a
    lab, which nobody need name. Raises UserError.
    """
    chosen = lab.settings.install
    own = config.read(lab.directory / FILE, Settings).install != chosen
    base = (chosen.base, chosen.digest) if own else ("", "")
    able = [name for name, vm in lab.vms.items() if (vm.base, vm.base_digest) == base]
    if len(lab.vms) == 1 or not able:
        return ""
    return min(able, key=lambda name: bool(lab.vms[name].image))  # it is tested, and no builder


def refuse_the_hosts(name: str, log: Path, code: int, cache: Path, *, away: str) -> None:
    """A failure of the machine is none of the commit's: its command was killed, its disk is full.
    `code` is the step's exit status, `away` the machine that builds, "" for this one. Raises
    InfraError.
    """
    if code < 0 or code in (128 + signal.SIGKILL, 128 + signal.SIGTERM):
        raise InfraError(f"{name}: the build was killed (status {code})", hint="run again")
    line = full(log)
    if line and away:
        raise InfraError(
            f"{name}: no space left in {away}: {line}",
            hint=f"more room there; in a VM, /tmp is its memory; the log is {log}",
        )
    if line or is_full(cache):
        raise no_space(OSError(errno.ENOSPC, line, str(cache)))
    if _killed(log):
        hint = "is there enough memory? lab.toml: jobs"
        raise InfraError(f"{name}: a command was killed; the log is {log}", hint=hint)


def _killed(log: Path) -> bool:
    """Whether the log's end says that a command was killed: the machine failed, not the commit."""
    return re.search(r"(?m)(\] Killed$|Killed signal terminated|signal 9\b)", _end(log)) is not None


def full(log: Path) -> str:
    """The line of a log's end that says that a disk is full; "" if none does."""
    lines = (line.strip() for line in _end(log).splitlines() if not line.startswith("+ "))
    return next((line[:500] for line in lines if "No space left on device" in line), "")


def _end(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-20_000:]
