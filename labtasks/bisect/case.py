"""A bisect's case: what is asked, what was found, and one commit tested and written down.

Everything found is in the journal before the next step begins. Knows nothing of which commit is
next.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property, partial

from labtasks.bisect import prospect
from labtasks.bisect.forecast import Forecast
from labtasks.bisect.journal import Journal
from labtasks.bisect.probe import Finding, Prober
from labtasks.bisect.progress import Start, State, Told
from labtasks.bisect.search import Search, Verdict
from labtasks.bisect.series import Decider
from labtasks.bisect.view import View
from labtasks.ground.digest import Digest
from labtasks.ground.error import InfraError, say
from labtasks.ground.words import labelled
from labtasks.key.git import Commit, CommitId
from labtasks.lab.lab import Lab
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store
from labtasks.test.rates import Series

_RECOVERS = 5.0
"""Seconds after which a host that failed is asked again."""


@dataclass(kw_only=True)
class Case:
    """One bisect: its journal, and what tests a commit and decides. `prove`: its culprit is built
    clean in the end.
    """

    lab: Lab
    store: Store
    journal: Journal
    prober: Prober
    decider: Decider
    prove: bool = True
    forecast: Forecast = field(init=False)
    view: View = field(default_factory=View)

    def __post_init__(self) -> None:
        self.forecast = Forecast(self.lab, self.store)

    @property
    def state(self) -> State:
        """What the journal says so far."""
        return self.journal.state

    @cached_property
    def begin(self) -> Start:
        """The bisect's start."""
        return self.state.begun()

    @cached_property
    def parents(self) -> dict[CommitId, tuple[CommitId, ...]]:
        """The commits between the ends, newest first, with their parents, but for what a good
        commit beside them clears.
        """
        begin = self.begin
        found = begin.between(self.lab.repository)
        told = [t.commit for t in self.state.told if t.verdict is Verdict.GOOD]
        aside = [c for c in told if c not in found and c not in self.goods()]
        goods = (*begin.goods, *aside)
        return begin.between(self.lab.repository, goods) if aside else found

    @cached_property
    def about(self) -> dict[CommitId, Commit]:
        """What these commits and their parents are."""
        everyone = {*self.parents, *(p for above in self.parents.values() for p in above)}
        return self.lab.repository.about([*everyone, *self.goods(), self.begin.bad])

    @property
    def believed(self) -> bool:
        """Whether the ends are what the person says, as git has it: only the proof tests them."""
        return self.begin.options.get("ends") == "believed"

    def goods(self) -> list[CommitId]:
        """The good ends, and where a good one is no ancestor of the bad one, where they parted:
        if that were bad, the failure would have been mended on the good side, not made on this.
        """
        repository, begin = self.lab.repository, self.begin
        aside = [g for g in begin.goods if not repository.is_ancestor(g, begin.bad)]
        forks = [c for good in aside for c in repository.merge_bases(begin.bad, [good])]
        return list(dict.fromkeys((*begin.goods, *forks)))

    def above(self, culprit: CommitId) -> tuple[CommitId, ...]:
        """A commit's parents in git, which may touch none of the paths in question; with
        `--first-parent` the first.
        """
        found = self.lab.repository.parents(culprit)
        return found[:1] if self.begin.first_parent else found

    def outlook(self, search: Search | None = None, next_one: float = 0.0) -> float:
        """Show how much is to come; the seconds to the end, 0 where nobody knows."""
        time_left = prospect.seconds(
            self.state,
            clean=self.forecast.clean_build(worlds=self.prober.world is None),
            steps=search.expected_steps if search else 0.0,
            next_one=next_one,
            prove=self.prove,
        )
        self.view.left = search.remaining if search else 0
        self.view.expect(time_left)
        return time_left

    def test(
        self, commit: Commit, *, why: str, search: Search | None = None, afresh: bool = False
    ) -> Verdict:
        """Test a commit until it is decided, and write that down. `afresh`: its runs so far were of
        something else.
        """
        say(f"{commit.short} {commit.subject}")
        say(f"  {why}")
        if search:
            self.view.step(commit, len(self.state.told) + 1, search.expected_steps, why)
        else:
            self.view.turn(commit, why, "")
        run = partial(self._probed, commit)
        told = () if afresh else self.state.told
        before = next((t for t in told if t.commit == commit.id), None)
        found, verdict, series = self.decider.decide(
            run,
            bad_end=commit.id == self.begin.bad,
            begun=Series(fails=before.fails, passes=before.passes) if before else Series(),
        )
        left = search.tell(commit.id, verdict).remaining if search else len(self.parents)
        self.write(found, verdict, series, why, left)
        return verdict

    def meanwhile(self, kernel: Manifest | None) -> None:
        """What is done while a commit that is built now is booted: later forecasts know of it."""
        if kernel:
            self.forecast.learn(kernel)

    def _probed(self, commit: Commit, number: int) -> Finding:
        """One run of a commit; later forecasts know how long a test takes."""
        try:
            found = self.prober.probe(commit, again=number, built=self.meanwhile)
        except InfraError as error:  # says nothing of the commit: a host may come to itself
            say(f"  the host failed: {error.message}; once more")
            time.sleep(_RECOVERS)
            found = self.prober.probe(commit, again=number, built=self.meanwhile)
        if found.verdict:
            self.forecast.test_seconds = found.verdict.seconds * self.decider.expected_runs
        return found

    def write(
        self, found: Finding, verdict: Verdict, series: Series, why: str, left: int = 0
    ) -> None:
        """Say what was found, and put it into the journal. `left`: commits still in question."""
        kernel, told = found.kernel, found.verdict
        counted = self.decider.told(series, bad_end=found.commit.id == self.begin.bad)
        counted = counted or (told.counted if told else "")
        said = {
            "why": why,
            "remaining": str(left),
            "needed": str(self.decider.needed),
            "counted": counted,
        }
        word = self.begin.terms.word(verdict)
        say(f"  {labelled(word, found.reason)} ({_took(found)})")
        if counted:
            say(f"  {counted}")
        self.journal.add(
            Told(
                commit=found.commit.id,
                verdict=verdict,
                outcome=found.outcome,
                reason=found.reason,
                digest=kernel.digest if kernel else Digest(""),
                seconds=round(found.build_seconds + found.test_seconds, 3),
                how=found.how,
                fails=series.fails,
                passes=series.passes,
                facts={**_facts(found), **said},
            )
        )


def _facts(found: Finding) -> dict[str, str]:
    """What the journal keeps of a finding besides its verdict, for the report."""
    kernel, told = found.kernel, found.verdict
    return {
        "world": found.world,
        "fit": found.fit,
        "fit_why": found.fit_why,
        "source": found.source,
        "spared": found.spared,
        "rung": kernel.rung if kernel else "",
        "reused": kernel.why if kernel else "",
        "finished": f"{kernel.finished:.3f}" if kernel else "",
        "compiled": f"{kernel.seconds:.3f}" if kernel else "",
        "build_seconds": f"{found.build_seconds:.1f}",
        "test_seconds": f"{found.test_seconds:.1f}",
        "console": told.console if told else "",
    }


def _took(found: Finding) -> str:
    """How long a finding took, or what spared that."""
    built, tested = found.build_seconds, found.test_seconds
    how = f"{found.how}: {found.spared}" if found.spared else found.how
    if tested:
        how = f"tested in {tested:.1f} s"
    elif built and how == "tested":
        how = "not tested"
    return f"built in {built:.1f} s, {how}" if built else how
