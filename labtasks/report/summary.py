"""A bisect's report as text for a terminal, and the sentences that a page has, too.

Words of commits and consoles are made harmless here. Knows the report, and nothing of bisects.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import islice

from labtasks.ground.words import (
    bare,
    block,
    brief,
    count,
    cut,
    day,
    duration,
    percent,
    plain,
    short,
)
from labtasks.report.report import Proof, Report

_COLUMNS = 100
_LABEL = 10
_LISTED = 20
"""Commits without a test that the text lists."""

_LINES = 3
"""Of one reason in the table of steps."""


def verdict_of_proof(report: Report) -> str:
    """One line on what the clean builds came to."""
    if not report.proofs:
        return "not proved: nothing was built clean and tested again"
    wrong = [role(report, proof) for proof in report.proofs if not proof.agrees]
    if wrong:
        return f"NOT proved: built clean, {' and '.join(wrong)} came to another verdict"
    roles = ", ".join(role(report, proof) for proof in report.proofs)
    return f"proved: built clean and tested again, as found ({roles})"


def role(report: Report, proof: Proof) -> str:
    """Why a commit is in the proof, in a word."""
    return report.culprit if proof.role == "culprit" else proof.role


def text(report: Report) -> str:
    """The report for a terminal of 100 columns, the culprit first."""
    parts = [list(_found(report)), list(_facts(report)), list(_less(report))]
    parts.append(list(_table(report)))
    if report.excerpt.strip():
        parts.append(["console", *(f"  {cut(line, 98)}" for line in block(report.excerpt))])
    if report.commands:
        lines = (line for command in report.commands for line in block(command))
        parts.append(["to reproduce", *(f"  {line}" for line in lines)])
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _found(report: Report) -> Iterator[str]:
    if not report.culprits:
        state = f"no {report.culprit}" if report.finished else "not finished"
        done = count(len(report.steps), "step")
        yield f"{state}: {count(report.remaining, 'commit')} in question after {done}"
        return
    named = "fixed by" if report.fixed else "culprit"
    if len(report.culprits) > 1:
        yield f"{named}: any of {len(report.culprits)}; those that were skipped leave it open"
    for commit in report.culprits:
        yield f"{named}: {short(commit)} {plain(report.subject(commit))}{_signed(report, commit)}"


def _signed(report: Report, commit: str) -> str:
    """Whose commit it is and when, as far as known, in brackets."""
    node = report.node(commit)
    facts = [fact for fact in (plain(node.author), day(node.date)) if fact] if node else []
    return f" ({', '.join(facts)})" if facts else ""


def _facts(report: Report) -> Iterator[str]:
    old, new = (plain(term) for term in report.terms)
    if report.culprits and report.probability:
        yield _labelled("sure", percent(report.probability))
    for at, line in enumerate(textwrap.wrap(calibrated(report), _COLUMNS - _LABEL - 3)):
        yield _labelled("" if at else "repeats", line)
    if report.culprits:
        yield _labelled("proof", verdict_of_proof(report))
    for line in report.refuted:
        yield _labelled("", plain(line))
    for proof in report.proofs:
        agrees = "as found" if proof.agrees else "NOT as found"
        words = f"{role(report, proof):<8} {short(proof.commit)} {plain(proof.verdict)}, {agrees}"
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


def calibrated(report: Report) -> str:
    """How a test that fails now and then was repeated, in a sentence; nothing where it was not."""
    found = report.calibration
    if not found:
        return ""
    words = f"the {plain(report.terms[1])} end failed in {found.fails} of {found.runs} runs, so "
    words += f"{count(found.needed, 'pass')} in a row clear a commit, for a chance of "
    words += f"{found.error * 100:g}% that a step is wrong; "
    words += f"{found.early} of {found.series} series were decided early"
    if report.culprits:
        words += f"; in the end {percent(report.probability)} sure of the {report.culprit}"
    return words


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


def _less(report: Report) -> Iterator[str]:
    """What spared work, and the commits that needed no test."""
    if report.savings:
        yield "less work"
    for sentence in report.savings:
        yield from _wrapped(plain(sentence), "  - ")
    idle = [node for node in report.nodes if node.state == "folded"]
    if idle:
        yield "  not tested:"
    for node in idle[:_LISTED]:
        yield cut(f"    {short(node.commit)}  {plain(node.subject)}", _COLUMNS)
    if len(idle) > _LISTED:
        yield f"    and {len(idle) - _LISTED:,} more, which report.json names"


def _wrapped(words: str, start: str) -> Iterator[str]:
    """Lines that fit; the first one begins with `start`, the others below its words."""
    lines = textwrap.wrap(words, _COLUMNS - len(start)) or [""]
    for at, line in enumerate(lines):
        yield cut((" " * len(start) if at else start) + line, _COLUMNS)


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
        world += f", {step.fit}: {step.fit_why}" if step.fit else ""
        reused = ": ".join(x for x in (step.rung, step.reused) if x)
        result = ": ".join(x for x in (step.outcome, bare(step.reason, step.outcome)) if x)
        spared = f"{step.how}: {step.spared}" if step.spared else ""
        for words in (step.why, result, step.counted, reused, world, spared):
            if words:
                yield from islice(_wrapped(plain(words), "      "), _LINES)


def _labelled(label: str, words: str) -> str:
    return f"  {label:<{_LABEL}} {words}"
