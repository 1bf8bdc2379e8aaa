"""What a bisect found, as a structure that is kept as JSON.

Knows nothing of how commits are built, tested or chosen: whoever searches fills it in. Nor of how
it is shown: words of commits and consoles are in it as their authors wrote them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from labtasks.ground.error import printable

State = Literal["good", "bad", "skip", "folded", "cleared", "open", "culprit"]
"""Of a commit in the history. `folded` needs no test, `cleared` is out of question by the verdict
on another one, `open` is in question still.
"""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict, in the order in which they were found.

    `verdict` is one of the report's terms, or skip; `outcome` what the test came to and `reason`
    why; `how` is tested, known, inherited (from the commit `source`), by hand or imported; `spared`
    says why nothing was booted, `why` why this commit was chosen. `rung` and `reused` say what its
    kernel was made from, `digest` what it is; `world` on which world it ran, `fit` how that came
    (reused, aligned, own, image) and `fit_why` why.
    `fails` and `passes` count the runs of a repeated test, `counted` says what they came to.
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
    digest: str = ""
    world: str = ""
    fit: str = ""
    fit_why: str = ""
    source: str = ""
    spared: str = ""
    fails: int = 0
    passes: int = 0
    counted: str = ""
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


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Of a test that fails now and then: the bad end failed in `fails` of `runs` runs. So `needed`
    passes in a row clear a commit, for a chance of `error` that a step is wrong; `early` of the
    `series` of other commits were decided by fewer.
    """

    fails: int
    runs: int
    needed: int
    error: float
    series: int = 0
    early: int = 0


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

    `terms` are the words for as before and changed; `fixed`: what mended a failure is looked for.
    `culprits` is one commit, or all that skipped
    ones leave open; `probability` is that of their being right, `calibration` says how often the
    test failed, where that was found out. `diffstat` and `message` are the
    culprit's. `builds` are those of toolchains, worlds and kernels, made ahead or failed, too, and
    `build_seconds` what they took; `boots` are runs of tests. `nodes` has the newest first,
    children before parents. `full_build_seconds` is what one build of everything takes;
    `saved_seconds` is the time this took less than such a build at each step; `savings` say in
    sentences what spared work, and why. `refuted` says who was named before, and what the proof
    of that came to. `excerpt` is the console around the failure, `commands` show it again.
    """

    repository: str
    good: tuple[str, ...]
    bad: str
    terms: tuple[str, str] = ("good", "bad")
    fixed: bool = False
    vm: str = ""
    test: str = ""
    culprits: tuple[str, ...] = ()
    probability: float = 0
    calibration: Calibration | None = None
    diffstat: str = ""
    message: str = ""
    steps: tuple[Step, ...] = ()
    proofs: tuple[Proof, ...] = ()
    refuted: tuple[str, ...] = ()
    nodes: tuple[Node, ...] = ()
    started: float = 0
    seconds: float = 0
    builds: int = 0
    boots: int = 0
    build_seconds: float = 0
    folded: int = 0
    full_build_seconds: float = 0
    saved_seconds: float = 0
    savings: tuple[str, ...] = ()
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
    def culprit(self) -> str:
        """What the commit that is looked for is called."""
        return "fix" if self.fixed else "culprit"

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


def _text_only(value: object) -> object:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {key: _text_only(one) for key, one in value.items()}
    return [_text_only(one) for one in value] if isinstance(value, list | tuple) else value
