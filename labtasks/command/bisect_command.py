"""`doit bisect`: a search from the command line.

Knows how words become a bisect's start; the search itself is elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from labtasks.bisect import gitlog
from labtasks.bisect.journal import Journal, path_of, read
from labtasks.bisect.progress import End, Start, State, imported, state
from labtasks.command import by_hand
from labtasks.command.loader import LabCommand, open_session
from labtasks.command.tasks import Session, request
from labtasks.ground import signals
from labtasks.ground.error import Code, InfraError, UserError, say
from labtasks.ground.space import given_space
from labtasks.ground.words import short
from labtasks.key.git import Commit, CommitId
from labtasks.lab.lab import Lab

if TYPE_CHECKING:
    from labtasks.bisect.hunt import Hunt
    from labtasks.key.key import World

_FLAGS: tuple[tuple[str, str, type, Any, str], ...] = (
    ("good", "good", list, [], "a commit that is good (several may be given)"),
    ("bad", "bad", str, "", "the commit that is bad"),
    ("old", "old", list, [], "the same as --good: with --fixed a commit that is broken"),
    ("new", "new", str, "", "the same as --bad: with --fixed the commit that is fixed"),
    ("vm", "vm", str, "", "the VM to test in (the only one of a lab need not be named)"),
    ("test", "test", str, "", "a test script instead of lab.toml's"),
    ("repeats", "repeats", str, "", "runs that must be good; auto finds out how many"),
    ("fixed", "fixed", bool, False, "find what mended a failure between --old and --new"),
    ("first_parent", "first-parent", bool, False, "follow only first parents of merges"),
    ("process", "process", int, 0, "2: the next builds are made while a test runs"),
    ("trust_ends", "trust-ends", bool, False, "take both ends for granted, as git does"),
    ("no_proof", "no-proof", bool, None, "name the culprit without clean builds"),
    ("revert", "revert", bool, False, "see too that the bad end is good without the culprit"),
    ("status", "status", bool, False, "how far it is"),
    ("log", "log", bool, False, "what was found, as `git bisect log` has it"),
    ("replay", "replay", str, "", "take what git (or --log) found from a file"),
    ("undo", "undo", bool, False, "take the last verdict back"),
    ("reset", "reset", bool, False, "give the bisect up"),
)

_EFFORT = ("process", "proof", "revert")
"""Options of a start that do not change what is searched: a word given again wins."""


class Bisect(LabCommand):
    """Find the commit that changed a test's verdict; without words, go on."""

    name = "bisect"
    doc_purpose = "find the commit that broke it: build, boot, judge, and prove it"
    doc_usage = "[--good REF --bad REF] [PATH ...] | good|bad|skip [REF ...]"
    doc_description = (
        "0: one culprit named, and proved; 1: none, or several; 3: refused, or the host failed."
    )
    cmd_options = tuple(
        {"name": name, "long": long, "type": kind, "default": default, "help": text}
        | {"process": {"short": "n"}, "no_proof": {"inverse": "proof"}}.get(name, {})
        for name, long, kind, default, text in _FLAGS
    )

    def execute(self, options: Any, words: list[str]) -> int:
        """Doit's hook."""
        signals.children_die_with_us()
        try:
            with given_space():
                return _answer(open_session(), options, words)
        except InfraError as error:
            sys.stderr.write(f"ERROR: the host failed: {error}\n")
            sys.stderr.write("nothing is concluded from that: `doit bisect` goes on here\n")
            return Code.REFUSED
        except KeyboardInterrupt:
            sys.stderr.write("\ninterrupted: `doit bisect` goes on here\n")
            return Code.INTERRUPTED


def _answer(session: Session, options: Any, words: list[str]) -> int:
    path = path_of(session.lab.cache)
    if options["status"] or options["log"]:
        return _shown(session, state(read(path)), status=options["status"])
    with Journal(path) as journal:
        if options["undo"]:
            told = journal.undo()
            say(f"{short(told.commit)} is in question again (it was {told.verdict})")
            return Code.DONE
        if options["reset"]:
            journal.add(End(reason="given up"))
            say("the bisect is given up; what was built and tested stays in the store")
            return Code.DONE
        if options["replay"]:
            _replay(session, journal, Path(options["replay"]), options)
        elif words and words[0] in ("good", "bad", "skip", *_terms(journal.state)):
            return by_hand.told(session.lab, journal, words[0], words[1:])
        elif any(options[end] for end in ("good", "bad", "old", "new")):
            _begin(session, journal, options, words)
        elif words:
            raise UserError(
                f"bisect does not take {words[0]!r}", hint="doit bisect --good REF --bad REF"
            )
        return _hunt(session, journal, options)


def _shown(session: Session, found: State, *, status: bool) -> int:
    from labtasks.command import bisect_status  # noqa: PLC0415

    if status:
        return bisect_status.status(session.lab, session.store, found)
    sys.stdout.write(bisect_status.git_log(session.lab, found))
    return Code.DONE


def _terms(found: State) -> tuple[str, ...]:
    return (found.start.old, found.start.new) if found.start else ()


def _asked(session: Session, options: Any, paths: list[str]) -> Start:
    """The start that a command line describes. Raises UserError."""
    goods, bad = [*options["good"], *options["old"]], options["bad"] or options["new"]
    if not (goods and bad):
        raise UserError(
            "a bisect needs both ends", hint="doit bisect --good REF --bad REF [--vm VM]"
        )
    repository = session.lab.repository
    _, vm = session.on_vm(f"HEAD:{options['vm']}")
    old, new = ("broken", "fixed") if options["fixed"] else ("good", "bad")
    return Start(
        old=old,
        new=new,
        goods=tuple(dict.fromkeys(repository.commit(ref).id for ref in goods)),
        bad=repository.commit(bad).id,
        vm=vm,
        test=options["test"],
        fixed=options["fixed"],
        first_parent=options["first_parent"],
        paths=tuple(paths),
        options=_chosen(session, options),
    )


def _chosen(session: Session, options: Any) -> dict[str, str]:
    """How a bisect tests and builds, for its start."""
    pinned = session.world()  # as a commit: a branch may move before the end
    sure = session.lab.settings.test.confidence
    return {
        "repeats": options["repeats"],
        **({"error": f"{1 - sure:.12g}"} if sure and options["repeats"] == "auto" else {}),
        **({"ends": "believed"} if options["trust_ends"] else {}),
        "world": pinned.id if isinstance(pinned, Commit) else session.options.world,
        "builder": session.lab.builder_name,
        **({"process": str(options["process"])} if options["process"] else {}),
        **({"proof": "no"} if options["no_proof"] else {}),
        **({"revert": "yes"} if options["revert"] else {}),
    }


def _question(begin: Start) -> Start:
    """What is asked, whatever is built ahead or proved in the end."""
    asked = {name: word for name, word in begin.options.items() if name not in _EFFORT}
    return msgspec.structs.replace(begin, time=0.0, options=asked)


def _begin(session: Session, journal: Journal, options: Any, paths: list[str]) -> None:
    """Write a start, unless it is the one that is under way. Raises UserError."""
    from labtasks.command import objection  # noqa: PLC0415

    start, under_way = _asked(session, options, paths), journal.state
    same = under_way.start and _question(under_way.start) == _question(start)
    if same and not (under_way.end or under_way.refused):
        return
    objection.to_another(under_way)
    objection.to_ends(session.lab, start, said=options["bad"] or options["new"])
    objection.to_testing(session.lab, start, _world(session, start))
    journal.add(start)


def _replay(session: Session, journal: Journal, path: Path, options: Any) -> None:
    from labtasks.command import objection  # noqa: PLC0415

    objection.to_another(journal.state)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        hint = "a file that `git bisect log` wrote"
        raise UserError(f"{path}: {error.strerror}", hint=hint) from None

    def resolve(name: str) -> CommitId | None:
        try:
            return session.lab.repository.commit(name).id
        except UserError:
            return None

    _, vm = session.on_vm(f"HEAD:{options['vm']}")
    log = gitlog.read(text, resolve)
    events = imported(
        log,
        vm=vm,
        test=options["test"],
        fixed=options["fixed"] or log.mending,
        options=_chosen(session, options),
    )
    begin = state(events).begun()
    objection.to_testing(session.lab, begin, _world(session, begin))
    for event in events:
        journal.add(event)


def _hunt(session: Session, journal: Journal, options: Any) -> int:
    from labtasks.notice import news  # noqa: PLC0415
    from labtasks.report import record, summary  # noqa: PLC0415

    begin = journal.state.begun()
    if journal.state.end:
        raise UserError(
            f"the bisect has ended: {journal.state.end.reason}",
            hint="`doit bisect --good REF --bad REF` begins another",
        )
    hunt = _case(session, journal, options)
    lab = hunt.lab
    what = f"doit bisect {short(begin.goods[0])}..{short(begin.bad)}"
    hunt.view.title = f"{what.removeprefix('doit ')} on {begin.vm}"
    with news.of_work(what, lab.directory, lab.settings.notify) as matters:
        try:
            hunt.run()
        finally:
            if hunt.ahead:
                hunt.ahead.stop()
        found = record.write(hunt)
        matters.append(summary.text(found).splitlines()[0])
    say(summary.text(found))
    say(f"the page is {journal.path.parent / 'report.html'}")
    return Code.DONE if len(found.culprits) == 1 else Code.NO


def _case(session: Session, journal: Journal, options: Any) -> Hunt:
    """The bisect under way, ready to go on."""
    from labtasks.bisect.ahead import Ahead  # noqa: PLC0415
    from labtasks.bisect.hunt import Hunt  # noqa: PLC0415
    from labtasks.bisect.probe import Prober  # noqa: PLC0415
    from labtasks.bisect.series import Decider  # noqa: PLC0415

    begin = journal.state.begun()
    declined, began = options["no_proof"], begin.options
    if declined is None:  # neither --no-proof nor --proof
        declined = began.get("proof") == "no"
    lab = _built_as_begun(session, begin).onto(begin.vm).tested_by(begin.test)
    decider = Decider.of(begin)
    if not decider.repeats:  # it counts single runs
        lab = lab.tested_once()
    prober = Prober(
        lab=lab,
        store=session.store,
        vm=begin.vm,
        request=request(session),
        world=_world(session, begin),
        because=_whose(session, begin),
    )
    return Hunt(
        lab=lab,
        store=session.store,
        journal=journal,
        prober=prober,
        decider=decider,
        prove=not declined,
        revert=options["revert"] or began.get("revert") == "yes",
        ahead=Ahead(prober=prober)
        if (options["process"] or int(began.get("process", 1))) > 1
        else None,
    )


def _world(session: Session, begin: Start) -> World:
    """The world that kernels are tried on: what the bisect began with, else the good end's."""
    chosen = begin.options.get("world") or session.lab.settings.world or begin.goods[0]
    return session.world_of(chosen)


def _whose(session: Session, begin: Start) -> str:
    """Why it is that world, for a person."""
    chosen = begin.options.get("world") or session.lab.settings.world
    return "as `world` asks" if chosen else f"the {begin.terms.old} end's"


def _built_as_begun(session: Session, begin: Start) -> Lab:
    """The lab with the builder that the bisect began with, whatever lab.toml says by now; another
    only by the word of who goes on. Raises UserError for a builder that is there no more.
    """
    lab, began = session.lab, begin.options.get("builder", "")
    if not began or began == lab.builder_name:
        return lab
    if session.options.builder:
        say(f"bisect: {lab.builder_name} builds from here on; {began} did so far")
        return lab
    say(f"bisect: {began} builds, as when it began; builder={lab.builder_name} would change that")
    return lab.built_by(began)
