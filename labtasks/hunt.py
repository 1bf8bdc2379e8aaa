"""A bisect, from two ends to a proved culprit, with nobody at the keyboard.

    ends verified -> commits that cannot matter folded -> next by information per second ->
    built, booted, judged -> ... -> culprit -> culprit and parents built clean and tested again

Everything found is in the journal before the next step begins, so that a killed hunt goes on where
it was. The next builds are made while a test runs. Knows nothing of command lines or of reports.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

from labtasks import choice, graph, key, live, proof, prospect
from labtasks.ahead import Ahead
from labtasks.digest import Digest
from labtasks.error import InfraError, UserError, say
from labtasks.flaky import Series
from labtasks.git import Commit, CommitId
from labtasks.graph import Graph
from labtasks.journal import Journal
from labtasks.key import World
from labtasks.lab import Lab
from labtasks.outlook import Forecast
from labtasks.probe import Finding, Prober
from labtasks.progress import Culprit, Proof, Role, Start, State, Told
from labtasks.search import Search, Verdict
from labtasks.series import Decider
from labtasks.store import Store
from labtasks.view import View

_RECOVERS = 5.0
"""Seconds after which a host that failed is asked again."""


@dataclass(kw_only=True)
class Hunt:
    """One bisect under way. `prove` it in the end, by clean builds; `revert` the culprit on the bad
    end as well, and see that it is good.
    """

    lab: Lab
    store: Store
    journal: Journal
    prober: Prober
    decider: Decider
    prove: bool = True
    revert: bool = False
    ahead: Ahead | None = None
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
        """The commits between the ends, newest first, with their parents."""
        begin = self.begin
        return self.lab.repository.between(
            begin.bad, begin.goods, first_parent=begin.first_parent, paths=begin.paths
        )

    @cached_property
    def about(self) -> dict[CommitId, Commit]:
        """What these commits and their parents are."""
        everyone = {*self.parents, *(p for above in self.parents.values() for p in above)}
        return self.lab.repository.about([*everyone, *self._goods(), self.begin.bad])

    def run(self) -> State:
        """The whole bisect, or what is left of it. Raises UserError, InfraError."""
        with live.board(self.view.rows):
            self._verify_ends()
            while True:
                found = self._search()
                one = found.culprit and len(found.culprit.commits) == 1
                if found.culprit and not (one and self.prove and not self._prove(found.culprit)):
                    return self.state

    def folded(self) -> Graph:
        """The commits in question, those that cannot matter folded into their parents' classes."""
        if self._unfolded:
            return graph.graph(self.parents)
        own = self.prober.world is None
        idle = self.forecast.cannot_matter(self.parents, self.about, worlds=own)
        place = graph.graph(self.parents, idle)
        try:
            self.replayed(place)
        except UserError:  # what was found cannot be where these are folded
            say("bisect: the verdicts do not go with the commits that cannot matter: all count")
            return graph.graph(self.parents)
        return place

    @property
    def _unfolded(self) -> bool:
        """Whether a proof has shown that folding was wrong here."""
        for event in reversed(self.journal.events):
            if isinstance(event, Proof) and not event.agrees and event.role != "revert":
                return True
            if isinstance(event, Start):
                break
        return False

    def _verify_ends(self) -> None:
        """Both ends are what the person said. Raises UserError when one is not."""
        begin, told = self.begin, {t.commit: t for t in self.state.told}
        for known in told.values():
            self._recall(known)
        ends = [*((g, Verdict.GOOD) for g in self._goods()), (begin.bad, Verdict.BAD)]
        if self._believed:  # a fork is no end, and git too tests those
            ends = [(c, v) for c, v in ends if c not in (*begin.goods, begin.bad)]
        ends = [(c, v) for c, v in ends if c not in told or told[c].verdict is not v]
        for number, (commit, wanted) in enumerate(ends, 1):
            about, word = self.about[commit], begin.terms.word(wanted)
            if self.ahead:  # the next end is built while this one boots
                self.ahead.prepare((self.about[c] for c, _ in ends[number:][:1]), now=about)
            found = self._tested(about, why=f"the {word} end")
            pinned = isinstance(self.prober.world, Commit)
            if found is not wanted and commit == begin.bad and pinned:
                say(f"  not {word} on the pinned world: each commit on its own from here")
                self._unpin()
                found = self._tested(about, why=f"the {word} end")
            if found is not wanted:
                last = self.state.told[-1]
                console = last.facts.get("console", "")
                raise UserError(
                    f"{about.short} is not {word}: {last.reason}",
                    hint=f"the test must tell both ends apart; the console is {console}"
                    if console
                    else f"`doit kernel:{about.short}` says more; another end, or a step that "
                    "makes up for it",
                )

    @property
    def _believed(self) -> bool:
        """Whether the ends are what the person says, as git has it: only the proof tests them."""
        return self.begin.options.get("ends") == "believed"

    def _goods(self) -> list[CommitId]:
        """The good ends, and where a good one is no ancestor of the bad one, where they parted:
        if that were bad, the failure would have been mended on the good side, not made on this.
        """
        repository, begin = self.lab.repository, self.begin
        aside = [g for g in begin.goods if not repository.is_ancestor(g, begin.bad)]
        forks = [c for good in aside for c in repository.merge_bases(begin.bad, [good])]
        return list(dict.fromkeys((*begin.goods, *forks)))

    def _recall(self, told: Told) -> None:
        """Take up what an earlier run found: the kernel it built, and on which world."""
        world = told.facts.get("world", "")
        if told.commit == self.begin.bad:
            self.decider.learn(Series(fails=told.fails, passes=told.passes))
        if told.commit == self.begin.bad and world == told.commit[:12] and not self.prober.aligned:
            pinned = self.prober.world_for(self.about[told.commit])[0]
            if pinned:  # the rules had not asked for its own
                self._unpin()
        if world:
            own, repository = world == told.commit[:12], self.lab.repository
            base: World = "image" if world == "image" else None if own else repository.commit(world)
            want = key.wanted(self.lab, "kernel", self.about[told.commit], base)
            kernel = self.store.get(want.kind, want.key)
            if kernel:
                self.forecast.learn(kernel)
        if world == told.commit[:12] and told.digest:
            about = self.about[told.commit]
            if self.prober.world_for(about)[1]:  # its own world was built: others may fit it
                self.prober.aligned[about.id] = about

    def _unpin(self) -> None:
        """Each commit on its own world from here."""
        self.prober = replace(self.prober, world=None)
        if self.ahead:
            self.ahead.prober = self.prober

    def _search(self) -> State:
        """Test until nothing is left in question; the culprit is in the journal then."""
        place, knew = self.folded(), self.forecast.knows
        self._announce(place)
        while True:
            search = self.replayed(place)
            if search.done:
                break
            known = self._known(search)
            if known:
                self._tested(self.about[known], why="its verdict is known", search=search)
                continue
            best = choice.choose(search, self._price)
            if best is None:
                break
            why = self._why(search, best)
            if self.ahead and knew:
                beside = list(self._next_ones(search, best.root))
                self.view.build_ahead(beside)
                self.ahead.prepare(beside, now=self.about[best.commit])
            self._outlook(search, best.seconds)
            self._tested(self.about[best.commit], why=why, search=search)
            if self.forecast.knows and not knew:  # now it shows which commits cannot matter
                return self._search()
            left = self.replayed(place)
            to_come = prospect.text(left.expected_steps, self._outlook(left))
            say(f"  {left.remaining} left, {to_come}")
        sure, doubtful = self.decider.certainty(self.state, place, search.culprits())
        if doubtful:
            self._tested(self.about[doubtful], why=f"{sure:.0%} sure; this is the least certain")
            return self._search()
        if self.ahead:
            self.ahead.stop()
            self.view.build_ahead(())
        self.journal.add(Culprit(commits=search.culprits(), probability=round(sure, 4)))
        return self.state

    def _outlook(self, search: Search | None = None, next_one: float = 0.0) -> float:
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

    def _known(self, search: Search) -> CommitId | None:
        """A commit in question whose verdict is at hand, the best split first: whatever is known is
        told before anything is built, so that a search begun anew takes the same way.
        """
        held = {manifest.commit for manifest in self.store.all("install")}
        for one in search.candidates():
            there = one.weight and not one.skipped and one.commit in held
            if there and self.prober.known(self.about[one.commit]):
                return one.commit
        return None

    def _announce(self, place: Graph) -> None:
        total, classes = len(self.parents), len(place.parents)
        idle = f", {total - classes} of which cannot matter" if total > classes else ""
        say(f"bisect: {total} commits in question{idle}")

    def replayed(self, place: Graph) -> Search:
        """The search at this point, among some classes."""
        return self.decider.search(self.state, place)

    def _why(self, search: Search, best: choice.Choice) -> str:
        smaller = round(best.smaller * search.remaining)
        return f"splits {search.remaining} into {smaller} and {search.remaining - smaller}" + (
            f", expected to take {best.seconds:.0f} s" if best.seconds else ", and does not build"
        )

    def _price(self, commit: CommitId) -> float:
        """Seconds until a commit's verdict, 0 when it is known."""
        about = self.about[commit]
        if self.prober.known(about):
            return 0.0
        own = self.prober.world_for(about)[0] is None
        return self.forecast.seconds(about.tree, world=own)

    def _next_ones(self, search: Search, root: CommitId) -> Iterator[Commit]:
        """What will be tested after this one, the likelier first."""
        for one in choice.after(search, root, self._price):
            if one and one.seconds:
                yield self.about[one.commit]

    def _tested(self, commit: Commit, *, why: str, search: Search | None = None) -> Verdict:
        """Test a commit until it is decided, and write that down."""
        say(f"{commit.short} {commit.subject}")
        say(f"  {why}")
        if search:
            self.view.step(commit, len(self.state.told) + 1, search.expected_steps, why)
        else:
            self.view.turn(commit, why, "")
        run = partial(self._probed, commit)
        before = next((t for t in self.state.told if t.commit == commit.id), None)
        found, verdict, series = self.decider.decide(
            run,
            bad_end=commit.id == self.begin.bad,
            begun=Series(fails=before.fails, passes=before.passes) if before else Series(),
        )
        left = search.tell(commit.id, verdict).remaining if search else len(self.parents)
        self._write(found, verdict, series, why, left)
        return verdict

    def _probed(self, commit: Commit, number: int) -> Finding:
        """One run of a commit; later forecasts know what it built and how long it took."""
        try:
            found = self.prober.probe(commit, again=number)
        except InfraError as error:  # says nothing of the commit: a host may come to itself
            say(f"  the host failed: {error.message}; once more")
            time.sleep(_RECOVERS)
            found = self.prober.probe(commit, again=number)
        if found.kernel:
            self.forecast.learn(found.kernel)
        self.forecast.test_seconds = found.test_seconds or self.forecast.test_seconds
        return found

    def _write(
        self, found: Finding, verdict: Verdict, series: Series, why: str, left: int = 0
    ) -> None:
        kernel, told = found.kernel, found.verdict
        facts = {
            "why": why,
            "world": found.world,
            "rung": kernel.rung if kernel else "",
            "reused": kernel.why if kernel else "",
            "build_seconds": f"{found.build_seconds:.1f}",
            "test_seconds": f"{found.test_seconds:.1f}",
            "console": told.console if told else "",
            "remaining": str(left),
        }
        word = self.begin.terms.word(verdict)
        took = f"built in {found.build_seconds:.1f} s, " if found.build_seconds else ""
        took += f"tested in {found.test_seconds:.1f} s" if found.test_seconds else found.how
        say(f"  {word}: {found.reason} ({took})")
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
                facts=facts,
            )
        )

    def _prove(self, culprit: Culprit) -> bool:
        """Build the culprit and its parents clean and aligned, and test them again. False when
        that disagrees: the wrong verdicts are taken back, and the search goes on.
        """
        one = self.about[culprit.commits[0]]
        parents = [self.about[p] for p in self.parents.get(one.id, ())]
        agrees = self._proved(one, Verdict.BAD, "culprit")
        for parent in parents if agrees else ():
            agrees &= self._proved(parent, Verdict.GOOD, "parent")
        if agrees and self.revert:
            self._reverted(one)
        return agrees

    def _reverted(self, culprit: Commit) -> None:
        """The bad end without the culprit: it ought to be good again."""
        bad = self.about[self.begin.bad]
        with self.store.workspace("revert") as scratch:
            made = self.lab.repository.reverted(culprit.id, bad, scratch / "index")
        if made is None:
            say(f"revert: {culprit.short} cannot be taken back on {bad.short} without conflicts")
        else:
            self._proved(self.lab.repository.commit(made), Verdict.GOOD, "revert")

    def _proved(self, commit: Commit, wanted: Verdict, role: Role) -> bool:
        """Build one commit clean and test it again, unless that was done. What disagrees with the
        search is taken back.
        """
        if any(p.commit == commit.id and p.agrees for p in self.state.proofs):
            return True
        started = time.monotonic()
        say(f"proof: {commit.short} {commit.subject}: built clean, tested again")
        self.view.turn(commit, f"proof: {role}", "built clean, tested again")
        self._outlook()
        found, verdict, _ = self.decider.decide(proof.anew(self.prober, commit))
        same = verdict is wanted
        word = self.begin.terms.word(verdict)
        say(f"  {word}: {found.reason}{'' if same else ': this disagrees'}")
        self.journal.add(
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
        if not same and self._believed and commit.id in (*self.begin.goods, self.begin.bad):
            raise UserError(
                f"{commit.short} is not {self.begin.terms.word(wanted)}: {found.reason}",
                hint="--trust-ends took that for granted; begin without it, or further back",
            )
        if not same and role != "revert":
            self._correct(found, verdict)
        return same

    def _correct(self, found: Finding, verdict: Verdict) -> None:
        """What the clean build says stands; what was said of this commit before does not."""
        if any(told.commit == found.commit.id for told in self.state.told):
            self.journal.undo(found.commit.id, "a clean build says otherwise")
        self._write(found, verdict, Series(), "built clean")
