"""How far a bisect is: for a person, and as `git bisect log` has it.

Knows a journal's state, and nothing of how it goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from labtasks.bisect import choice, forecast, gitlog, graph, prospect, search
from labtasks.bisect.progress import Start, State
from labtasks.bisect.series import Decider
from labtasks.ground.error import Code, UserError, say
from labtasks.ground.words import count, short
from labtasks.key.git import CommitId
from labtasks.lab.lab import Lab
from labtasks.store.store import Store


def git_log(lab: Lab, found: State) -> str:
    """What was found, as git writes it: its last line names the culprit."""
    log = found.git_log()
    culprits = found.culprit.commits if found.culprit else ()
    about = lab.repository.about([*(commit for commit, _ in log.told), *culprits])
    return gitlog.write(log, {c: a.subject for c, a in about.items()}, culprits)


def status(lab: Lab, store: Store, found: State) -> int:
    """Say how far a bisect is; DONE when its culprit is named."""
    begin = found.begun()
    about = lab.repository.about([t.commit for t in found.told])
    for told in found.told:
        word = begin.terms.word(told.verdict)
        say(f"{word:<5} {short(told.commit)} {about[told.commit].subject} ({told.reason})")
    if found.folded and found.folded.commits:
        many = count(len(found.folded.commits), "commit")
        say(f"no test for {many}: {found.folded.reason}")
    if found.end:
        say(f"ended: {found.end.reason}")
    if not found.culprit:
        if found.end:
            say("no culprit")
        elif found.refused:
            word = begin.new if found.refused.commit == begin.bad else begin.old
            say(f"{short(found.refused.commit)} is not {word}: the test must tell both ends apart")
            say("`doit bisect` tests it again; --good REF --bad REF begins another search")
        else:
            _say_prospect(store, found)
            say_next(lab, found)
        return Code.NO
    _say_culprits(lab, begin, found.culprit.commits)
    for proof in found.proofs:
        what = "agrees" if proof.agrees else "disagrees"
        say(f"proof: {short(proof.commit)} built clean and tested again: {what} ({proof.reason})")
    return Code.DONE if len(found.culprit.commits) == 1 else Code.NO


def say_next(lab: Lab, found: State) -> None:
    """Say which commit splits best what is left, for those who test by hand, and is none of those
    that need no test; the culprit, where nothing is left. Builds have no say in it: what `doit
    bisect` takes next may be cheaper.
    """
    begin, repository = found.begun(), lab.repository
    looked = _searched(found, begin.between(repository))
    best = choice.choose(looked)
    if best:
        subject = repository.about([best.commit])[best.commit].subject
        say("no culprit yet: `doit bisect` goes on")
        say(f"{looked.remaining} left; next by hand: {best.commit} {subject}")
        return
    _say_culprits(lab, begin, looked.culprits())
    say("not proved yet: `doit bisect` goes on")


def _say_culprits(lab: Lab, begin: Start, culprits: Sequence[CommitId]) -> None:
    about = lab.repository.about(culprits)
    for commit in culprits:
        say(f"{begin.terms.named}: {commit} {about[commit].subject}")
    if len(culprits) > 1:
        say("skipped commits leave these in question; any of them may be it")


def _searched(found: State, parents: graph.Parents) -> search.Search:
    """The search with the commits folded that the journal says were; with none where verdicts or a
    proof do not go with that.
    """
    decider = Decider.of(found.begun())
    if found.folded and all(proof.agrees for proof in found.proofs):
        with contextlib.suppress(UserError):
            return decider.search(found, graph.graph(parents, found.folded.commits))
    return decider.search(found, graph.graph(parents))


def _say_prospect(store: Store, found: State) -> None:
    """What is to come, as far as the journal and the store tell; nothing after a person's word,
    which is not counted there.
    """
    counted = found.told and "remaining" in found.told[-1].facts
    remaining = prospect.left(found) if counted else 0
    if remaining:
        clean = forecast.clean_seconds(store, worlds=prospect.own_worlds(found))
        time = prospect.seconds(found, clean=clean, prove=True)
        say(f"{remaining} left, {prospect.text(search.expected(remaining), time)}")
