"""A culprit's and its parents' kernels built clean, each on its own world, and booted anew: how a
bisect ends.

No incremental kernel, pinned world or inherited verdict can then have decided. A world is made as
any other, incrementally where that holds, and clean where it is what changed.
Knows nothing of how the culprit was found.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from labtasks.bisect.case import Case
from labtasks.bisect.probe import Finding, Prober
from labtasks.bisect.progress import Proof, Role
from labtasks.bisect.search import Verdict
from labtasks.build.artifact import produce
from labtasks.ground.digest import Digest
from labtasks.ground.error import BuildError, UserError, say
from labtasks.ground.words import labelled
from labtasks.key import key
from labtasks.key.git import Commit
from labtasks.key.key import Wanted, World
from labtasks.test.judge import Outcome
from labtasks.test.rates import Series


def prove(case: Case, culprit: Commit, *, revert: bool) -> bool:
    """Build a culprit and its parents clean and aligned, and test them again; with `revert`, the
    bad end without it, too. False when that disagrees: the wrong verdicts are taken back.
    """
    above = case.above(culprit.id)
    about = case.lab.repository.about(above)
    parents = [about[p] for p in above]
    agrees = _proved(case, culprit, Verdict.BAD, "culprit")
    for parent in parents if agrees else ():
        agrees &= _proved(case, parent, Verdict.GOOD, "parent")
    if agrees and revert:
        _reverted(case, culprit)
    return agrees


def _reverted(case: Case, culprit: Commit) -> None:
    """The bad end without the culprit: it ought to be good again."""
    bad = case.about[case.begin.bad]
    with case.store.workspace("revert") as scratch:
        made = case.lab.repository.reverted(culprit.id, bad, scratch / "index")
    if made is None:
        say(f"revert: {culprit.short} cannot be taken back on {bad.short} without conflicts")
    else:
        _proved(case, case.lab.repository.commit(made), Verdict.GOOD, "revert")


def _named(case: Case, role: Role) -> str:
    return "fix" if role == "culprit" and case.begin.fixed else role


def _proved(case: Case, commit: Commit, wanted: Verdict, role: Role) -> bool:
    """Build one commit clean and test it again, unless that was done. What disagrees with the
    search is taken back.
    """
    if any(p.commit == commit.id and p.agrees for p in case.state.proofs):
        return True
    started = time.monotonic()
    say(f"proof: {commit.short} {commit.subject}: built clean, tested again")
    case.view.turn(commit, f"proof: {_named(case, role)}", "built clean, tested again")
    case.outlook()
    found, verdict, _ = case.decider.decide(anew(case.prober, commit))
    same = verdict is wanted
    word = case.begin.terms.word(verdict)
    say(f"  {labelled(word, found.reason)}{'' if same else ': this disagrees'}")
    case.journal.add(
        Proof(
            commit=commit.id,
            role=role,
            verdict=verdict,
            agrees=same,
            reason=found.reason,
            digest=found.kernel.digest if found.kernel else Digest(""),
            seconds=round(time.monotonic() - started, 3),
        )
    )
    if not same and case.believed and commit.id in (*case.begin.goods, case.begin.bad):
        raise UserError(
            f"{commit.short} is not {case.begin.terms.word(wanted)}: {found.reason}",
            hint="--trust-ends took that for granted; begin without it, or further back",
        )
    if not same and role == "parent" and case.begin.paths and commit.id not in case.parents:
        _refuse_paths(case, commit, found, verdict)
    if not same and role != "revert":
        _correct(case, found, verdict)
    return same


def _refuse_paths(case: Case, parent: Commit, found: Finding, verdict: Verdict) -> None:
    """A culprit's parent that touches none of the paths in question has no place in the search:
    what it says otherwise cannot be searched on. Raises UserError.
    """
    again = "begin another bisect without them, or with others (`doit bisect --reset` first)"
    if verdict is Verdict.BAD:
        word = case.begin.terms.word(verdict)
        raise UserError(
            f"the culprit is not among these paths: {parent.short} is {word}, too", hint=again
        )
    raise UserError(
        f"nothing proves that the culprit is among these paths: its parent {parent.short} cannot "
        f"be tested: {found.reason}",
        hint=f"--no-proof names the culprit all the same; or {again}",
    )


def _correct(case: Case, found: Finding, verdict: Verdict) -> None:
    """What the clean build says stands; what was said of this commit before does not."""
    if any(told.commit == found.commit.id for told in case.state.told):
        case.journal.undo(found.commit.id, "a clean build says otherwise")
    case.write(found, verdict, Series(), "built clean")


def anew(prober: Prober, commit: Commit) -> Callable[[int], Finding]:
    """Build a commit without anything reused but its world by proof; what tests it then. Where each
    commit had its own world, that may be to blame, and is built clean as well. What is sealed and
    not reproduced by a clean build is replaced. Where the commit's own world does not build, the
    search's stays below it. Raises UserError, InfraError.
    """
    world = _aligned(prober, commit)
    why = prober.because if world is prober.world else "a proof's worlds are the commits' own"
    own = replace(prober, world=world, because=why)
    try:
        kernel = key.wanted(prober.lab, "kernel", commit, own.world)
        if prober.world is None and kernel.base:
            _clean(own, kernel.base, commit)
            kernel = key.wanted(prober.lab, "kernel", commit, own.world)  # inputs may be new
        _clean(own, kernel, commit)
    except BuildError as error:
        said = Finding(
            commit=commit,
            outcome=Outcome.UNTESTABLE,
            reason=error.message.splitlines()[0],
            how="built clean",
        )
        return lambda _number: said  # what is sealed of it came from an incremental build
    # numbers below zero: no run of a series has them, so none of those answers
    return lambda number: own.probe(commit, again=-1 - number)


def _clean(own: Prober, want: Wanted, commit: Commit) -> None:
    """Build one part clean; what was made of another content is forgotten."""
    lab, store = own.lab, own.store
    before = store.get(want.kind, want.key)
    made = produce(lab, store, want, replace(own.request, clean=True, retry=True))
    if before is None or before.digest == made.digest:
        return
    say(f"{want.name}: the clean build differs from what was sealed, and replaces it")
    install = key.wanted(lab, "install", commit, own.world)
    on_world = (*install.on, key.root_under(lab, install)) if want.kind != "kernel" else ()
    store.forget_all((one.kind, one.key) for one in (install, *on_world) if one)


def _aligned(prober: Prober, commit: Commit) -> World:
    """The commit's own world; where that does not build, the one that the search used."""
    want = key.wanted(prober.lab, "kernel", commit, None)
    if want.base is None or not isinstance(prober.world, Commit):
        return prober.world
    try:
        produce(prober.lab, prober.store, want.base, prober.request)
    except BuildError as error:
        say(f"  its own world does not build: {error.message.splitlines()[0]}")
        return prober.world_for(commit)[0]
    return None
