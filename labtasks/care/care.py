"""`doit status`, `doit gc` and `doit doctor`: how a lab is, and what keeps it well.

Each prints what it found, one line for one thing.
"""

from __future__ import annotations

import math
import time
from typing import Any

from labtasks.command.loader import LabCommand, open_session
from labtasks.command.tasks import Session
from labtasks.ground.error import Code, UserError, say
from labtasks.ground.words import count, duration, size


class _Care(LabCommand):
    """A command about the whole lab."""

    doc_usage = ""
    cmd_options: tuple[dict[str, Any], ...] = ()

    def execute(self, options: Any, words: list[str]) -> int:
        """Doit's hook. Raises UserError for a word: `gc dry-run` must not collect."""
        if words:
            raise UserError(
                f"{self.name} does not take {words[0]!r}", hint=f"doit {self.name} --help"
            )
        return self.answer(open_session(), options)

    def answer(self, session: Session, options: Any) -> int:
        """Answer; the command's status."""
        raise NotImplementedError


class Status(_Care):
    """What runs, what the store holds, what was built last."""

    name = "status"
    doc_purpose = "what runs now, what the store holds, what was built last"
    doc_description = "0: answered; 3: this is no lab."

    def answer(self, session: Session, options: Any) -> int:
        """Always 0."""
        from labtasks.care import survey  # noqa: PLC0415

        del options
        cache = session.store.cache
        for line in survey.at_work(cache):
            say(f"at work: {line}")
        artifacts = survey.held(cache)
        for kind, use in survey.use(artifacts).items():
            say(
                f"{kind:<10} {count(use.count, 'artifact'):>16}  "
                f"{size(use.exclusive):>9} exclusive  {size(use.shared):>9} shared"
            )
        say(f"free: {size(session.store.free_bytes())} at {cache}")
        for one in artifacts[:_RECENT]:
            ago = duration(time.time() - one.finished)
            took = f"{one.rung:<12} {duration(one.seconds):>9}"
            say(f"{one.name:<22} {took}  {ago} ago  {one.subject}")
        return 0


_RECENT = 10


class Gc(_Care):
    """Remove what the rules of lab.toml, or those given, do not keep."""

    name = "gc"
    doc_purpose = "remove artifacts by size, age and what is to be kept"
    doc_description = (
        "Without options the rules of [gc] in lab.toml hold. What is being built or looked for, "
        "and pinned worlds, always stay. Consoles and logs that belong to nothing any more go too, "
        "never those of the last bisect. 0: done; 3: the question was wrong."
    )
    cmd_options = (
        {"name": "dry_run", "long": "dry-run", "type": bool, "default": False, "help": "only say"},
        {"name": "quota", "long": "quota", "type": str, "default": "", "help": "as in 40GB"},
        {"name": "days", "long": "days", "type": str, "default": "", "help": "unused for so long"},
    )

    def answer(self, session: Session, options: Any) -> int:
        """Always 0."""
        from labtasks.care import gc, quota, remains  # noqa: PLC0415

        days = _days(options["days"]) if options["days"] else None
        rules = quota.rules(session.lab, quota=options["quota"], days=days)
        dry_run = options["dry_run"]
        found = gc.collect(session.store, rules, dry_run=dry_run)
        verb = "would go" if dry_run else "went"
        for one in found.gone:
            say(f"{one.name}: {verb}, {duration(time.time() - one.finished)} old")
        say(f"{count(len(found.gone), 'artifact')} {verb}: {size(found.freed)}")
        left = remains.find(session.store.cache, found.left, rules, time.time())
        if not dry_run:
            remains.remove(left)
            session.store.sweep()
        if left:
            freed = size(sum(one.bytes for one in left))
            say(f"{count(len(left), 'file')} that belonged to nothing any more {verb}: {freed}")
        return 0


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0 <= days < math.inf:
        raise UserError(f"--days does not take {text!r}", hint="a number of days")
    return days


class Doctor(_Care):
    """Whether a build and a boot would work here."""

    name = "doctor"
    doc_purpose = "check this host, the builder and the machines; what to do where one is not well"
    doc_description = "0: a build and a boot would work; 1: something is wrong; 3: this is no lab."

    def answer(self, session: Session, options: Any) -> int:
        """0 when a build and a boot would work, 1 when not."""
        from labtasks.care import doctor  # noqa: PLC0415

        del options
        failed = 0
        for found in doctor.examine(session.lab, session.store):
            mark = "ok" if found.well else "FAIL" if found.needed else "note"
            remedy = "" if found.well else f"\n     do: {found.remedy}"
            say(f"{mark:<4} {found.what}: {found.said}{remedy}")
            failed += found.needed and not found.well
        return Code.NO if failed else Code.DONE
