"""What a bisect found, as a structure that is kept as JSON, and as text for a terminal.

Knows nothing of how commits are built, tested or chosen: whoever searches fills it in. Words of
commits and consoles are made harmless here, before a terminal or a page shows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from labtasks.error import UserError, printable
from labtasks.words import bare, block, brief, count, cut, day, duration, percent, plain, short

State = Literal["good", "bad", "skip", "folded", "cleared", "open", "culprit"]
"""Of a commit in the history. `folded` needs no test, `cleared` is out of question by the verdict
on another one, `open` is in question still.
"""

_COLUMNS = 100
_LABEL = 10


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict, in the order in which they were found.

    `verdict` is one of the report's terms, or skip; `outcome` what the test came to and `reason`
    why; `how` is tested, inherited, by hand or imported; `why` says why this commit was chosen.
    `rung` and `reused` say what its kernel was made from, `world` on which world it ran.
    `remaining` commits were in question afterwards; `console` is a path.
    """

    commit: str
    subject: str
    verdict: str
    outcome: str
    reason: str
    how: str
    why: str = ""
    rung: str = ""
    reused: str = ""
    world: str = ""
    build_seconds: float = 0
    test_seconds: float = 0
    remaining: int = 0
    console: str = ""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A commit built clean and tested again. `agrees`: it came to what the search had found."""

    commit: str
    subject: str
    role: Literal["culprit", "parent", "revert"]
    verdict: str
    agrees: bool
    reason: str = ""
    seconds: float = 0


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One commit of the history. `date` in seconds since 1970, `step` counts the report's steps
    from 1 and names the one that tested it, `why` says why it was folded.
    """

    commit: str
    parents: tuple[str, ...]
    subject: str
    author: str
    date: int
    state: State
    step: int | None = None
    why: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A bisect, finished or not. All times in seconds, `started` since 1970; 0 is not known.

    `terms` are the words for as before and changed. `culprits` is one commit, or all that skipped
    ones leave open; `probability` is that of their being right. `diffstat` and `message` are the
    culprit's. `builds` are those of toolchains, worlds and kernels, made ahead or failed, too, and
    `build_seconds` what they took; `boots` are runs of tests. `nodes` has the newest first,
    children before parents. `full_build_seconds` is what one build of everything takes;
    `saved_seconds` is the time this took less than such a build at each step. `excerpt` is the
    console around the failure, `commands` show it again.
    """

    repository: str
    good: tuple[str, ...]
    bad: str
    terms: tuple[str, str] = ("good", "bad")
    vm: str = ""
    test: str = ""
    culprits: tuple[str, ...] = ()
    probability: float = 0
    diffstat: str = ""
    message: str = ""
    steps: tuple[Step, ...] = ()
    proofs: tuple[Proof, ...] = ()
    nodes: tuple[Node, ...] = ()
    notes: tuple[str, ...] = ()
    started: float = 0
    seconds: float = 0
    builds: int = 0
    boots: int = 0
    build_seconds: float = 0
    folded: int = 0
    full_build_seconds: float = 0
    saved_seconds: float = 0
    excerpt: str = ""
    commands: tuple[str, ...] = ()
    finished: bool = False

    def node(self, commit: str) -> Node | None:
        """A commit of the history, if it is in there."""
        return next((node for node in self.nodes if node.commit == commit), None)

    def subject(self, commit: str) -> str:
        """The first line of a commit's message, wherever it is told."""
        told: tuple[Node | Step | Proof, ...] = (*self.nodes, *self.steps, *self.proofs)
        return next((one.subject for one in told if one.commit == commit), "")

    @property
    def remaining(self) -> int:
        """How many commits may be the culprit now."""
        if self.culprits:
            return len(self.culprits)
        return self.steps[-1].remaining if self.steps else len(self.nodes) - self.folded

    def state(self, verdict: str) -> State:
        """What a step's verdict, in the person's terms, says of a commit."""
        old, new = self.terms
        return "good" if verdict == old else "bad" if verdict == new else "skip"


def json(report: Report) -> bytes:
    """The report for a program, and to be read again."""
    try:
        return msgspec.json.encode(report)
    except UnicodeEncodeError:  # a console's or a commit's bytes that are no text
        return msgspec.json.encode(_text_only(msgspec.to_builtins(report)))


def read(data: bytes) -> Report:
    """A report that `json` wrote. Raises UserError when it is none."""
    try:
        return msgspec.json.decode(data, type=Report)
    except msgspec.DecodeError as error:
        raise UserError(f"this is no report of a bisect: {error}", hint="run it again") from None


def _text_only(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {key: _text_only(one) for key, one in value.items()}
    return [_text_only(one) for one in value] if isinstance(value, list | tuple) else value


def verdict_of_proof(report: Report) -> str:
    """One line on what the clean builds came to."""
    if not report.proofs:
        return "not proved: nothing was built clean and tested again"
    wrong = [proof.role for proof in report.proofs if not proof.agrees]
    if wrong:
        return f"NOT proved: built clean, {' and '.join(wrong)} came to another verdict"
    roles = ", ".join(proof.role for proof in report.proofs)
    return f"proved: built clean and tested again, as found ({roles})"


def text(report: Report) -> str:
    """The report for a terminal of 100 columns, the culprit first."""
    parts = [list(_found(report)), list(_facts(report)), list(_table(report))]
    if report.excerpt.strip():
        parts.append(["console", *(f"  {cut(line, 98)}" for line in block(report.excerpt))])
    if report.commands:
        lines = (line for command in report.commands for line in block(command))
        parts.append(["to reproduce", *(f"  {line}" for line in lines)])
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _found(report: Report) -> Iterator[str]:
    if not report.culprits:
        state = "no culprit" if report.finished else "not finished"
        done = count(len(report.steps), "step")
        yield f"{state}: {count(report.remaining, 'commit')} in question after {done}"
        return
    if len(report.culprits) > 1:
        yield f"culprit: any of {len(report.culprits)}; those that were skipped leave it open"
    for commit in report.culprits:
        yield f"culprit: {short(commit)} {plain(report.subject(commit))}{_signed(report, commit)}"


def _signed(report: Report, commit: str) -> str:
    """Whose commit it is and when, as far as known, in brackets."""
    node = report.node(commit)
    facts = [fact for fact in (plain(node.author), day(node.date)) if fact] if node else []
    return f" ({', '.join(facts)})" if facts else ""


def _facts(report: Report) -> Iterator[str]:
    old, new = (plain(term) for term in report.terms)
    if report.culprits and report.probability:
        yield _labelled("sure", percent(report.probability))
    if report.culprits:
        yield _labelled("proof", verdict_of_proof(report))
    for proof in report.proofs:
        agrees = "as found" if proof.agrees else "NOT as found"
        words = f"{proof.role:<8} {short(proof.commit)} {plain(proof.verdict)}, {agrees}"
        why = f": {bare(proof.reason, proof.verdict)}" if proof.reason else ""
        yield cut(_labelled("", plain(f"{words} ({duration(proof.seconds)}){why}")), _COLUMNS)
    for at, line in enumerate(block(report.diffstat)):
        yield _labelled("" if at else "changes", line.strip())
    goods = " ".join(short(good) for good in report.good)
    yield _labelled("searched", f"{old} {goods}, {new} {short(report.bad)}{folded(report)}")
    if report.test or report.vm:
        test = " ".join(block(report.test))  # may be a whole script
        words = ": ".join(x for x in (plain(report.vm), test) if x)
        yield cut(_labelled("test", words), _COLUMNS)
    work = (("step", len(report.steps)), ("build", report.builds), ("boot", report.boots))
    steps, builds, boots = (count(n, noun) for noun, n in work)
    if report.build_seconds:
        builds += f" ({duration(report.build_seconds)})"
    yield _labelled("took", f"{duration(report.seconds)}: {steps}, {builds}, {boots}")
    if saving := saved(report):
        yield _labelled("saved", saving)
    for note in report.notes:
        yield _labelled("note", plain(note))


def folded(report: Report) -> str:
    """How many commits there were, to go behind the ends."""
    if not report.nodes:
        return ""
    spared = f", {report.folded:,} of them need no test" if report.folded else ""
    return f": {count(len(report.nodes), 'commit')}{spared}"


def saved(report: Report) -> str:
    """The time saved, in a sentence; nothing when it is not known."""
    if not report.full_build_seconds:
        return ""
    against = f"than full builds ({duration(report.full_build_seconds)}) at each step"
    less = "less" if report.saved_seconds >= 0 else "MORE"
    return f"{duration(abs(report.saved_seconds))} {less} {against}"


def _table(report: Report) -> Iterator[str]:
    if not report.steps:
        return
    wide = max(7, *(len(plain(step.verdict)) for step in report.steps))
    columns = "how          build    test   left  subject"
    yield f"steps\n   #  commit        {'verdict':<{wide}}  {columns}"
    for number, step in enumerate(report.steps, 1):
        build, test = (brief(x) for x in (step.build_seconds, step.test_seconds))
        line = f"{number:4}  {short(step.commit):<12}  {plain(step.verdict):<{wide}}  "
        line += f"{plain(step.how):<9} {build:>8} {test:>7} {step.remaining:6,}  "
        yield cut(line + plain(step.subject), _COLUMNS)
        world = f"world {step.world}" if step.world else ""
        reused = ": ".join(x for x in (step.rung, step.reused) if x)
        result = ": ".join(x for x in (step.outcome, bare(step.reason, step.outcome)) if x)
        for words in (result, "; ".join(x for x in (reused, world) if x), step.why):
            if words:
                yield cut(f"      {plain(words)}", _COLUMNS)


def _labelled(label: str, words: str) -> str:
    return f"  {label:<{_LABEL}} {words}"
