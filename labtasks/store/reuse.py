"""How much work a build may skip: the ladder below "same key", and the cheapest base.

    cutoff       same declared inputs, and a world of the same content: the same artifact
    trace        no file its build read differs: the same artifact
    incremental  clone the objects of the base that will cost least
    clean        an empty object tree

Pure: it decides, and others act. Knows nothing of builders, nor of how candidates are found.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from labtasks.ground.error import printable
from labtasks.ground.words import count
from labtasks.store.candidate import Candidate
from labtasks.store.manifest import Manifest

_UNKNOWN_RATE = 0.1
"""Seconds per job before anything was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The rung that holds, from which artifact, why, and the seconds it is expected to take,
    `work` of them in jobs. `weighed` is the likeliest of what was found to be no base.
    """

    rung: str
    why: str
    base: Candidate | None = None
    weighed: Candidate | None = None
    jobs: int = 0
    jobs_total: int = 0
    seconds: float = 0.0
    work: float = 0.0


def decide(found: Iterable[Candidate], unfit: str, rate: float, fixed: float) -> Decision:
    """The cheapest rung. `unfit` is why what else there is can be no base, `rate`: seconds per job,
    `fixed`: of a build that does nothing.
    """
    usable = list(found)
    for one in usable:
        if one.same_inputs:
            name = one.manifest.origin
            why = f"declared inputs as of {name}, and nothing it used below differs"
            return Decision(rung="cutoff", why=why, base=one)
    for one in usable:
        if one.proved:
            changed = count(len(one.changed_paths), "changed file")
            if one.changed_obj:
                changed += f" and {count(len(one.changed_obj), 'object')} below it"
            why = f"{changed} since {one.manifest.origin}, nothing of which its build read"
            return Decision(rung="trace", why=why, base=one)
    now = time.time()
    bases = [one for one in usable if one.manifest.newest < now + 2]  # a clock went back: not these
    if not bases:
        late = "every base has objects from the future"
        reason = late if usable else unfit or "no base of its family"
        return Decision(rung="clean", why=reason, weighed=usable[0] if usable else None)
    sound = [one for one in bases if not one.commands and not (one.trace and one.trace.problems)]
    if not sound:
        nearest = bases[0]
        rule = printable(nearest.commands[0] if nearest.commands else "(its trace has gaps)")
        why = f"make's own rules differ from those of {nearest.manifest.origin}: {rule}"
        total = nearest.manifest.jobs_total
        return Decision(rung="clean", why=why, weighed=nearest, jobs_total=total)
    bases = sound
    best = min(bases, key=lambda one: one.cost)
    total = best.manifest.jobs_total
    work = rate * (min(best.cost, total) if total else best.cost)
    return Decision(
        rung="incremental",
        why=_why(best),
        base=best,
        jobs=best.cost,
        jobs_total=total,
        seconds=fixed + work,
        work=work,
    )


def _why(best: Candidate) -> str:
    name = best.manifest.origin
    if best.touched is None:
        return f"{count(len(best.changed_src), 'file')} changed since {name}, which has no trace"
    seen = sorted({r for reasons in best.touched.values() for r in reasons})
    files = [r.partition("/")[2] for r in seen if "/" in r]
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"of what {name} read, these differ: {printable(', '.join(files[:3]))}{more}"


def learned(manifests: Iterable[Manifest]) -> tuple[float, float]:
    """Seconds per job, and of a build that does nothing, from what was built before."""
    built = [m for m in manifests if m.rung in ("clean", "incremental") and m.jobs]
    whole = [m.seconds / m.jobs for m in built if m.rung == "clean"]
    rate = sum(whole) / len(whole) if whole else _UNKNOWN_RATE
    steps = [m.seconds - rate * m.jobs for m in built if m.rung == "incremental"]
    return rate, max(0.0, min(steps, default=0.0))
