"""What spared a bisect work, and what did not let it, each with its reason in a sentence.

Counts what the steps of a report say. Knows nothing of how anything came about.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from labtasks.ground.words import count, plain
from labtasks.report.report import Step

_REASONS = 3
"""Different reasons for one saving that are told; the steps have them all."""

_RUNGS = {
    "incremental": "built on the objects of another, where make ran what the changed files reach",
    "trace": "not built: nothing that another one's build read differs (trace)",
    "cutoff": "not built: the inputs of another one, on a world of the same content (cutoff)",
}


_FITS = {
    "reused": "on the pinned world",
    "lent": "on another commit's world that fits",
    "aligned": "on a world of its own, aligned",
    "own": "on a world of its own",
    "image": "on the VM's own world",
}


def told(steps: Sequence[Step], folded: int, why_folded: str) -> Iterator[str]:
    """The sentences. `folded` commits needed no test, for the reason `why_folded`."""
    if folded:
        yield f"{count(folded, 'commit')} not tested: {plain(why_folded)}"
    for fit, words in _FITS.items():
        yield from _counted([s for s in steps if _fit(s) == fit], "step", words, "fit_why")
    for rung, words in _RUNGS.items():
        made = [step for step in steps if step.rung == rung]
        if made:
            yield f"{count(len(made), 'kernel')} {words}"
    for how, words in (("inherited", "inherited"), ("known", "known, and taken for nothing")):
        yield from _counted([s for s in steps if s.how == how], "verdict", words, "spared")


def _fit(step: Step) -> str:
    """How it came to its world: one that was aligned for another commit was not built for this."""
    lent = step.fit == "aligned" and step.world != step.commit[: len(step.world)]
    return "lent" if lent else step.fit


def _counted(steps: Sequence[Step], noun: str, words: str, reason: str) -> Iterator[str]:
    """How many for which reason, the commonest ones first."""
    reasons = Counter(getattr(step, reason) for step in steps).most_common()
    for why, number in reasons[:_REASONS]:
        yield f"{count(number, noun)} {words}{f': {plain(why)}' if why else ''}"
    rest = sum(number for _, number in reasons[_REASONS:])
    if rest:
        yield f"{count(rest, noun)} {words}, each for another reason"
