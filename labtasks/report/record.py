"""From a bisect's journal to its report: what was found, with git's and the store's own words.

Knows nothing of how a report looks.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from labtasks.bisect import progress
from labtasks.bisect.hunt import Hunt
from labtasks.bisect.progress import Start, Told, latest
from labtasks.bisect.search import Search, Verdict
from labtasks.ground.words import short
from labtasks.key.git import CommitId
from labtasks.report import page, savings, spent
from labtasks.report.report import Calibration, Node, Proof, Report, State, Step
from labtasks.test.console import clean

_PAUSE = 60.0
"""Seconds between two findings that deciding and folding may take."""

_AROUND = 12
"""Lines of a console before the failure that are shown, and after it."""


def write(hunt: Hunt) -> Report:
    """The report so far, as report.txt, .json and .html beside the journal."""
    found = record(hunt)
    page.write(hunt.journal.path.parent, found)
    return found


def record(hunt: Hunt) -> Report:
    """The report of a bisect, finished or not."""
    state, begin = hunt.state, hunt.begin
    culprits = state.culprit.commits if state.culprit else ()
    place = hunt.as_folded()
    search = hunt.replayed(place)
    steps = tuple(_step(hunt, told) for told in state.told)
    message, diffstat = hunt.lab.repository.describe(culprits[0]) if culprits else ("", "")
    idle, why_idle = len(hunt.parents) - len(place.parents), _why_idle(hunt)
    full, work = hunt.forecast.full_build, spent.of(hunt.store, hunt.journal.events)
    waited = sum(step.build_seconds for step in steps)
    whole = state.end or (culprits and (state.proofs or not hunt.prove or len(culprits) > 1))
    return Report(
        repository=str(hunt.lab.repository.git_dir),
        good=begin.goods,
        bad=begin.bad,
        terms=(begin.terms.old, begin.terms.new),
        fixed=begin.fixed,
        vm=begin.vm,
        test=begin.test or hunt.lab.settings.test.script,
        culprits=culprits,
        probability=state.culprit.probability if state.culprit else 0,
        calibration=_calibration(hunt),
        diffstat=diffstat,
        message=message,
        steps=steps,
        proofs=tuple(_proofs(hunt)),
        refuted=tuple(_refuted(hunt)),
        nodes=tuple(_nodes(hunt, search, culprits)),
        started=begin.time,
        seconds=round(_working(hunt), 1),
        builds=work.builds,
        boots=work.boots,
        build_seconds=work.seconds,
        folded=idle,
        savings=tuple(savings.told(steps, idle, why_idle)),
        full_build_seconds=round(full, 1),
        saved_seconds=round(full * len(steps) - waited, 1) if full else 0,
        excerpt=_excerpt(state.told, Verdict.GOOD if begin.fixed else Verdict.BAD),
        commands=tuple(_commands(hunt, culprits)),
        finished=bool(whole),
    )


def _working(hunt: Hunt) -> float:
    """Seconds from the start to what was found last, without the time in which nobody searched:
    an event's own seconds count, and what lies between two of them up to a minute.
    """
    return sum(
        min(after.time - before.time, getattr(after, "seconds", 0.0) + _PAUSE)
        for before, after in pairwise(latest(hunt.journal.events))
    )


def _step(hunt: Hunt, told: Told) -> Step:
    facts = told.facts
    return Step(
        commit=told.commit,
        subject=hunt.about[told.commit].subject if told.commit in hunt.about else "",
        verdict=hunt.begin.terms.word(told.verdict),
        outcome=told.outcome,
        reason=told.reason,
        how=told.how,
        why=facts.get("why", ""),
        rung=facts.get("rung", ""),
        reused=facts.get("reused", ""),
        source=facts.get("source", ""),
        spared=facts.get("spared", ""),
        digest=told.digest,
        fails=told.fails,
        passes=told.passes,
        counted=facts.get("counted", ""),
        **_world(hunt, told),
        build_seconds=float(facts.get("build_seconds", 0)),
        test_seconds=float(facts.get("test_seconds", 0)),
        remaining=int(facts.get("remaining", 0)),
        console=facts.get("console", ""),
    )


def _calibration(hunt: Hunt) -> Calibration | None:
    """How often the bad end failed, and what that asked of the other commits; None where nobody
    asked to find out.
    """
    ends = [told for told in hunt.state.told if told.commit == hunt.begin.bad and told.fails]
    if hunt.begin.options.get("repeats") != "auto" or not ends:
        return None
    others = [told for told in hunt.state.told if told is not ends[-1] and told.fails + told.passes]
    early = [t for t in others if t.fails + t.passes < int(t.facts.get("needed", 0))]
    return Calibration(
        fails=ends[-1].fails,
        runs=ends[-1].fails + ends[-1].passes,
        needed=int(ends[-1].facts.get("needed", 0)),
        error=hunt.decider.error,
        series=len(others),
        early=len(early),
    )


def _world(hunt: Hunt, told: Told) -> dict[str, str]:
    """On which world it ran and why; nothing where the recipe builds none."""
    names = ("world", "fit", "fit_why") if "world" in hunt.lab.recipe.parts else ()
    return {name: told.facts.get(name, "") for name in names}


def _why_idle(hunt: Hunt) -> str:
    """Why the commits that were not tested need no test."""
    return hunt.state.folded.reason if hunt.state.folded else ""


def _proofs(hunt: Hunt) -> list[Proof]:
    return [
        Proof(
            commit=proof.commit,
            subject=hunt.lab.repository.commit(proof.commit).subject,
            role=proof.role,
            verdict=hunt.begin.terms.word(proof.verdict),
            agrees=proof.agrees,
            reason=proof.reason,
            seconds=proof.seconds,
        )
        for proof in hunt.state.proofs[_last_named(hunt) :]
    ]


def _refuted(hunt: Hunt) -> Iterator[str]:
    """Who was named before, and whose clean build spoke against it."""
    named, final = "", hunt.state.proofs[_last_named(hunt) :]
    every = (event for event in latest(hunt.journal.events) if isinstance(event, progress.Proof))
    for proof in every:
        if proof in final:
            break
        named = proof.commit if proof.role == "culprit" else named
        if not proof.agrees:
            who = "it" if proof.commit == named else f"its {proof.role} {short(proof.commit)}"
            word = hunt.begin.terms.word(proof.verdict)
            yield f"{short(named)} was named before: built clean, {who} is {word}"


def _last_named(hunt: Hunt) -> int:
    """Where the proof of the commit begins that is named in the end."""
    proofs = hunt.state.proofs
    return max((n for n, proof in enumerate(proofs) if proof.role == "culprit"), default=0)


def _nodes(hunt: Hunt, search: Search, culprits: tuple[CommitId, ...]) -> list[Node]:
    tested = {told.commit: (n, told.verdict) for n, told in enumerate(hunt.state.told, 1)}
    return [
        Node(
            commit=commit,
            parents=above,
            subject=hunt.about[commit].subject,
            author=hunt.about[commit].author,
            date=hunt.about[commit].date,
            state=_state(search, commit, culprits, tested.get(commit)),
            step=tested[commit][0] if commit in tested else None,
            why=_why_idle(hunt) if search.graph.place[commit] != commit else "",
        )
        for commit, above in hunt.parents.items()
    ]


def _state(
    search: Search,
    commit: CommitId,
    culprits: tuple[CommitId, ...],
    tested: tuple[int, Verdict] | None,
) -> State:
    if commit in culprits:
        return "culprit"
    if tested:
        words: dict[Verdict, State] = {
            Verdict.GOOD: "good", Verdict.BAD: "bad", Verdict.SKIP: "skip",
        }  # fmt: skip
        return words[tested[1]]
    root = search.graph.place[commit]
    if root != commit:
        return "folded"
    return "open" if root in search.open else "cleared"


def _excerpt(told: tuple[Told, ...], failing: Verdict) -> str:
    """The console around the last failure, or "" where there is none."""
    bad = [t for t in told if t.verdict is failing and t.facts.get("console")]
    if not bad:
        return ""
    try:
        data = Path(bad[-1].facts["console"]).read_bytes()
    except OSError:
        return ""
    lines = clean(data).decode(errors="replace").replace("\r", "").splitlines()
    words = bad[-1].reason.split(": ", 1)[-1]
    at = next((n for n, line in enumerate(lines) if words and words in line), len(lines))
    return "\n".join(lines[max(0, at - _AROUND) : at + _AROUND])


def _commands(hunt: Hunt, culprits: tuple[CommitId, ...]) -> list[str]:
    """What shows it again, by hand."""
    begin = hunt.begin
    goods = " ".join(f"--good {short(good)}" for good in begin.goods)
    words = [goods, f"--bad {short(begin.bad)} --vm {begin.vm}"]
    words += ["--fixed"] * begin.fixed + ["--first-parent"] * begin.first_parent
    words += _chosen(begin)
    words += [shlex.quote(path) for path in begin.paths]
    commands = [f"doit bisect {' '.join(words)}"]
    if begin.test and culprits:
        commands.append(
            f"# doit test: needs script = {shlex.quote(begin.test)} in lab.toml's [test]"
        )
    for culprit in culprits[:1]:
        above = hunt.above(culprit)
        commands += [f"doit test:{short(c)}:{begin.vm}" for c in (culprit, *above)]
        commands.append(f"doit explain kernel:{short(culprit)}")
        commands.append(f"git -C {hunt.lab.repository.git_dir} show {short(culprit)}")
    return commands


def _chosen(begin: Start) -> list[str]:
    """How it was tested and built, as words of a command line."""
    chosen = begin.options
    words = [f"--test {shlex.quote(begin.test)}"] if begin.test else []
    if chosen.get("repeats", "1") not in ("", "1"):
        words.append(f"--repeats {chosen['repeats']}")
    words += ["--trust-ends"] * (chosen.get("ends") == "believed")
    return words + [
        f"{name}={shlex.quote(chosen[name])}" for name in ("world", "builder") if chosen.get(name)
    ]
