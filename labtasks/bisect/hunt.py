"""A bisect, from two ends to a proved culprit, with nobody at the keyboard.

    ends verified -> commits that cannot matter folded -> next by information per second ->
    built, booted, judged -> ... -> culprit -> culprit and parents built clean and tested again

Everything found is in the journal before the next step begins, so that a killed hunt goes on where
it was. The next builds are made while a test runs. Knows nothing of command lines or of reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from labtasks.bisect import choice, graph, proof, prospect
from labtasks.bisect.ahead import Ahead
from labtasks.bisect.case import Case
from labtasks.bisect.graph import Graph
from labtasks.bisect.progress import Culprit, Folded, Proof, State, Told, latest
from labtasks.bisect.search import Search, Verdict
from labtasks.ground import live
from labtasks.ground.error import UserError, say
from labtasks.ground.words import count, short
from labtasks.key import key
from labtasks.key.git import Commit, CommitId
from labtasks.key.key import World
from labtasks.store.manifest import Manifest
from labtasks.test.rates import Series

_WORTH = 1.0
"""Seconds that a build must be expected to take to be made ahead: another doit has to start, beside
a test.
"""


@dataclass(kw_only=True)
class Hunt(Case):
    """A case that is searched. `revert`: in the end the culprit is taken back on the bad end, which
    must be good then. `ahead` builds what will be tested next.
    """

    revert: bool = False
    ahead: Ahead | None = None
    _upcoming: Callable[[], Iterable[Commit]] = field(default=tuple, init=False)
    _prices: dict[CommitId, float] = field(default_factory=dict, init=False)
    _installed: set[str] = field(default_factory=set, init=False)

    def meanwhile(self, kernel: Manifest | None) -> None:
        """Two builds at once would take as long as one after the other, and the one that is needed
        would be late: so the next ones begin when it is done.
        """
        super().meanwhile(kernel)
        if not self.ahead or not self.forecast.knows:
            return
        upcoming, self._upcoming = self._upcoming, tuple  # a series asks once
        if beside := list(upcoming()):
            self.view.build_ahead(beside)
            self.ahead.prepare(beside)

    def run(self) -> State:
        """The whole bisect, or what is left of it. Raises UserError, InfraError."""
        with live.board(self.view.rows):
            self._verify_ends()
            while True:
                culprit = self._search().culprit
                if culprit and self._settled(culprit):
                    return self.state

    def folded(self) -> Graph:
        """The commits in question, those that cannot matter folded into their parents' classes."""
        place = self._folding()
        if place is None:
            say("bisect: the verdicts do not go with the commits that cannot matter: all count")
        return place or graph.graph(self.parents)

    def _folding(self) -> Graph | None:
        """The same; None where what was found cannot be with these folded."""
        if self._unfolded:
            return graph.graph(self.parents)
        own = self.prober.world is None
        idle = self.forecast.cannot_matter(self.parents, self.about, worlds=own)
        place = graph.graph(self.parents, idle)
        try:
            self.replayed(place)
        except UserError:
            return None
        return place

    def as_folded(self) -> Graph:
        """The same as the search has it, which was written down when it began."""
        known = self.state.folded
        return graph.graph(self.parents, known.commits) if known else self.folded()

    @property
    def _unfolded(self) -> bool:
        """Whether a proof has shown that folding was wrong here."""
        proofs = (event for event in latest(self.journal.events) if isinstance(event, Proof))
        return any(not proof.agrees and proof.role != "revert" for proof in proofs)

    def _verify_ends(self) -> None:
        """Both ends are what the person said. Raises UserError when one is not."""
        begin, told = self.begin, {t.commit: t for t in self.state.told}
        for known in told.values():
            self._recall(known)
        ends = [*((g, Verdict.GOOD) for g in self.goods()), (begin.bad, Verdict.BAD)]
        if not self.decider.repeats:  # the bad end tells how often a good one must pass
            ends.reverse()
        if self.believed:  # a fork is no end, and git too tests those
            ends = [(c, v) for c, v in ends if c not in (*begin.goods, begin.bad)]
            for commit in (*begin.goods, begin.bad):  # what is built of them tells what matters
                self._learn(commit, self.prober.world_for(self.about[commit])[0])
        ends = [(c, v) for c, v in ends if c not in told or told[c].verdict is not v]
        for number, (commit, wanted) in enumerate(ends, 1):
            about, word = self.about[commit], begin.terms.word(wanted)
            if self.ahead:  # the next end is built while this one boots
                self.ahead.prepare((self.about[c] for c, _ in ends[number:][:1]), now=about)
            self._upcoming = self._first_ones if number == len(ends) else tuple
            found = self.test(about, why=f"the {word} end")
            self._upcoming = tuple
            if found is not wanted and commit == begin.bad and self._on_pinned():
                say(f"  not {word} on the pinned world: each commit on its own from here")
                self._unpin()
                found = self.test(about, why=f"the {word} end", afresh=True)
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

    def _on_pinned(self) -> bool:
        """Whether the last test ran on the pinned world, of a recipe that has one, and not on the
        commit's own.
        """
        last = self.state.told[-1]
        own = last.facts.get("world") == short(last.commit)
        return (
            isinstance(self.prober.world, Commit) and "world" in self.lab.recipe.parts and not own
        )

    def _recall(self, told: Told) -> None:
        """Take up what an earlier run found: the kernel it built, and on which world."""
        world = told.facts.get("world", "")
        own = world == short(told.commit)
        if told.commit == self.begin.bad:
            self.decider.learn(Series(fails=told.fails, passes=told.passes))
        if told.commit == self.begin.bad and own and not self.prober.aligned:
            pinned = self.prober.world_for(self.about[told.commit])[0]
            if pinned:  # the rules had not asked for its own
                self._unpin()
        runs = max(1, told.fails + told.passes)
        tested = float(told.facts.get("test_seconds", 0)) / runs * self.decider.expected_runs
        self.forecast.test_seconds = tested or self.forecast.test_seconds
        if world:
            commit = self.lab.repository.commit
            base: World = "image" if world == "image" else None if own else commit(world)
            self._learn(told.commit, base)
        if own and told.digest:
            about = self.about[told.commit]
            if self.prober.world_for(about)[1]:  # its own world was built: others may fit it
                self.prober.aligned[about.id] = about

    def _learn(self, commit: CommitId, world: World) -> None:
        """What a commit's kernel on this world tells, if the store has it."""
        want = key.wanted(self.lab, "kernel", self.about[commit], world)
        if kernel := self.store.get(want.kind, want.key):
            self.forecast.learn(kernel)

    def _unpin(self) -> None:
        """Each commit on its own world from here."""
        why = "the bad end is not bad on the pinned one"
        self.prober = replace(self.prober, world=None, because=why)
        if self.ahead:
            self.ahead.stop()
            self.view.build_ahead(())
            self.ahead.prober = self.prober

    def _search(self) -> State:
        """Test until nothing is left in question; the culprit is in the journal then."""
        place, knew = self.folded(), self.forecast.knows
        self._announce(place)
        while True:
            search = self.replayed(place)
            if search.done:
                break
            self._look_again()
            known = self._known(search)
            if known:
                self.test(self.about[known], why="its verdict is known", search=search)
                if self._shows_otherwise(place, known, knew=knew):
                    return self.state
                continue
            best = choice.choose(search, self._price, self._sound())
            if best is None:
                break
            why = self._why(search, best)
            if self.ahead:
                self.ahead.prepare((), now=self.about[best.commit])
                self.view.build_ahead(())
            self.outlook(search, best.seconds)
            self._upcoming = partial(self._next_ones, search, best, knew=knew)
            self.test(self.about[best.commit], why=why, search=search)
            self._upcoming = tuple
            if self._shows_otherwise(place, best.commit, knew=knew):
                return self.state
            left = self.replayed(place)
            to_come = prospect.text(left.expected_steps, self.outlook(left))
            say(f"  {left.remaining} left, {to_come}")
        sure, doubtful = self.decider.certainty(self.state, place, search.culprits())
        if doubtful:
            self.test(self.about[doubtful], why=f"{sure:.0%} sure; this is the least certain")
            return self.state
        if self.ahead:
            self.ahead.stop()
            self.view.build_ahead(())
        self.journal.add(Culprit(commits=search.culprits(), probability=round(sure, 4)))
        return self.state

    def _shows_otherwise(self, place: Graph, tested: CommitId, *, knew: bool) -> bool:
        """Whether what was built now tells otherwise which commits cannot matter: the first trace,
        or one that shows that a build reads what a commit of its own class changed.
        """
        if not knew:
            return self.forecast.knows
        root = place.place[tested]
        folded = {c: self.parents[c] for c in place.members[root] if c != root} if root else {}
        own = self.prober.world is None
        idle = self.forecast.cannot_matter(folded, self.about, worlds=own)
        if folded.keys() <= idle:
            return False
        more = count(len(folded.keys() - idle), "commit")
        say(f"bisect: what was built read what {more} without a test changed: these count now")
        return True

    def _known(self, search: Search) -> CommitId | None:
        """A commit in question whose verdict is at hand, the best split first: whatever is known is
        told before anything is built, so that a search begun anew takes the same way.
        """
        for one in search.candidates():
            there = one.weight and not one.skipped and one.commit in self._installed
            if there and self.prober.known(self.about[one.commit]):
                return one.commit
        return None

    def _announce(self, place: Graph) -> None:
        """Say how many commits count, and why others do not; write down which."""
        idle = tuple(commit for commit, root in place.place.items() if root != commit)
        before = self.state.folded
        if idle != (before.commits if before else ()):
            own = self.prober.world is None
            why = self.forecast.why_idle(worlds=own) if idle else "verdicts spoke against folding"
            self.journal.add(Folded(commits=idle, reason=why))
        spared = f", {len(idle)} of which cannot matter" if idle else ""
        say(f"bisect: {count(len(self.parents), 'commit')} in question{spared}")
        if idle and self.state.folded:
            say(f"  {self.state.folded.reason}")

    def replayed(self, place: Graph) -> Search:
        """The search at this point, among some classes."""
        return self.decider.search(self.state, place)

    def _why(self, search: Search, best: choice.Choice) -> str:
        smaller = round(best.smaller * search.remaining)
        split = f"splits {search.remaining} into {smaller} and {search.remaining - smaller}"
        if not best.seconds:
            return f"{split}, and what comes of it is known: that costs nothing"
        if not self.forecast.knows:
            return f"{split}; how long a build takes is not known yet"
        why = f"{split}: {best.told()}"
        if best.testable < 1:
            why += f"; {best.testable:.0%} likely to be testable"
        other = best.instead
        return f"{why}; the best split, {short(other.commit)}: {other.told()}" if other else why

    def _price(self, commit: CommitId) -> float:
        """Seconds until a commit's verdict: a test's where it is built, 0 when it is known."""
        if commit not in self._prices:
            about = self.about[commit]
            own = self.prober.world_for(about)[0] is None
            if self.prober.known(about):
                self._prices[commit] = 0.0
            elif commit in self._installed and self.prober.ready(about):
                self._prices[commit] = self.forecast.test_seconds
            else:
                self._prices[commit] = self.forecast.seconds(about.tree, world=own)
        return self._prices[commit]

    def _sound(self) -> frozenset[CommitId]:
        """Commits that can be tested whatever lies beside them, for they were built: where none
        that was built could not be tested.
        """
        skips = [told for told in self.state.told if told.verdict is Verdict.SKIP]
        if not skips or any(told.digest for told in skips):
            return frozenset()
        return frozenset(CommitId(made.commit) for made in self.store.all("kernel"))

    def _first_ones(self) -> Iterator[Commit]:
        """What the search begins with, if the ends are what they are said to be."""
        self._look_again()
        if place := self._folding():
            search = self.replayed(place)
            best = choice.choose(search, self._price, self._sound())
            if best and not self._known(search):
                yield from self._worth_it([best])

    def _next_ones(self, search: Search, best: choice.Choice, *, knew: bool) -> Iterator[Commit]:
        """What will be tested after this one, the likelier first. The first trace tells which of
        what is left cannot matter.
        """
        self._look_again()
        root: CommitId | None = best.root
        if not knew and (place := self._folding()):
            search, root = self.replayed(place), place.place[best.commit]
        if root in search.testable:
            yield from self._worth_it(
                choice.prepared(search, replace(best, root=root), self._price)
            )

    def _worth_it(self, some: Iterable[choice.Choice]) -> Iterator[Commit]:
        for one in some:
            if one.seconds > self.forecast.test_seconds + _WORTH:
                yield self.about[one.commit]

    def _look_again(self) -> None:
        """See what is installed by now, and price anew: what was built makes others cheaper."""
        self._installed = {made.commit for made in self.store.all("install")}
        self._prices.clear()

    def _settled(self, culprit: Culprit) -> bool:
        """Whether it stays. What clean builds say otherwise stands, and the search goes on."""
        if len(culprit.commits) > 1 or not self.prove:
            return True
        return proof.prove(self, self.about[culprit.commits[0]], revert=self.revert)
