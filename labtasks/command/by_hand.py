"""Verdicts that a person gives: on a commit, or, as git takes them, skips of a whole range.

All of them are looked at before the first one is written. Knows nothing of how commits are tested.
"""

from __future__ import annotations

from collections.abc import Sequence

from labtasks.bisect.journal import Journal
from labtasks.bisect.progress import State, Told
from labtasks.bisect.search import Verdict
from labtasks.command import bisect_status, objection
from labtasks.ground.error import Code, UserError, say
from labtasks.ground.words import count, short
from labtasks.key.git import CommitId
from labtasks.lab.lab import Lab


def told(lab: Lab, journal: Journal, word: str, refs: Sequence[str]) -> int:
    """Write verdicts down and say what is next; HEAD's where no ref is named. Raises UserError."""
    verdict = journal.state.begun().terms.verdict(word)
    said = [_said(lab, journal.state, verdict, ref) for ref in refs or ["HEAD"]]
    events = list(journal.events)
    for commits, _ in said:
        for commit in commits:
            one = Told(
                commit=commit, verdict=verdict, outcome=word, reason="said so", how="by hand"
            )
            objection.to_verdict(lab, events, one)
            events.append(one)
    for event in events[len(journal.events) :]:
        journal.add(event)
    for commits, name in said:
        who = f"{short(name)} is" if name in commits else f"{name}: {count(len(commits), 'commit')}"
        say(f"{who} {word}, said by hand")
    bisect_status.say_next(lab, journal.state)
    return Code.DONE


def _said(lab: Lab, state: State, verdict: Verdict, ref: str) -> tuple[list[CommitId], str]:
    """The commits that a word on a command line names, and their name. Raises UserError."""
    if ".." not in ref:
        commit = lab.repository.commit(ref)
        return [commit.id], commit.id
    if verdict is not Verdict.SKIP:
        raise UserError(f"{ref} is a range: only skip takes one", hint="name one commit")
    return _in_range(lab, state, ref), ref


def _in_range(lab: Lab, state: State, text: str) -> list[CommitId]:
    """The commits of `A..B`, oldest first, that are in the search and have no verdict yet: those
    that B descends from, and A does not. An end left out is HEAD, as in git. Raises UserError.
    """
    first, _, last = text.partition("..")
    if last.startswith(".") or ".." in last:
        raise UserError(f"{text} is no range that can be skipped", hint="A..B: not A, but B")
    repository, begin = lab.repository, state.begun()
    old, new = (repository.commit(name or "HEAD").id for name in (first, last))
    searched = begin.between(repository)
    judged = {begin.bad, *(told.commit for told in state.told)}
    found = [c for c in repository.between(new, [old]) if c in searched and c not in judged]
    if not found:
        raise UserError(
            f"no commit of {text} is in question without a verdict",
            hint="`doit bisect --status` says what was told; A..B has B in it, and not A",
        )
    return found[::-1]
