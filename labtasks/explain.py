"""Why an artifact is what it is: the inputs of its key, the rung that held, or what differs.

The inputs printed are the list that is hashed. Knows nothing of doit.
"""

from __future__ import annotations

from collections.abc import Iterator

from labtasks import artifact
from labtasks.candidate import Candidate
from labtasks.error import printable
from labtasks.key import Wanted
from labtasks.lab import Lab
from labtasks.manifest import Manifest
from labtasks.store import Store

_SHOWN = 12


def explain(lab: Lab, store: Store, want: Wanted) -> Iterator[str]:
    """The explanation, line by line."""
    yield f"{want.kind}:{want.commit.id}  {want.commit.subject}"
    yield f"key {want.key}, over"
    for label, value in want.inputs:
        yield f"  {label:<28} {(value.splitlines() or [''])[0]}"
    found = store.get(want.kind, want.key)
    if found:
        yield from _held(found)
        return
    failure = store.failure(want.kind, want.key)
    if failure:
        yield f"does not build: {failure.error}"
        yield f"  log {failure.log}"
        return
    yield "not in the store"
    if want.kind in lab.recipe.parts:
        yield from _ahead(lab, store, want)


def _held(found: Manifest) -> Iterator[str]:
    yield f"in the store: digest {found.digest}"
    yield f"  rung         {found.rung}{f' from {found.base}' if found.base else ''}"
    yield f"  because      {found.why}"
    if found.steps:
        yield f"  took         {found.seconds:.1f} s, {found.jobs} of {found.jobs_total} jobs ran"
        yield f"  traced by    {found.tracer}"
    for step in found.steps:
        yield f"  step         {step.seconds:.1f} s  {step.text}"
    for note in found.warnings:
        yield f"  note         {note}"
    yield f"  layers       {' '.join(found.stack)}"
    if found.below:
        yield f"  on           {' '.join(found.below)}"
    if found.log:
        yield f"  log          {found.log}"


def _ahead(lab: Lab, store: Store, want: Wanted) -> Iterator[str]:
    base = store.get(want.base.kind, want.base.key) if want.base else None
    if want.base and not base:
        yield f"  {want.base.name} is not in the store either: it comes first"
        first = artifact.decide(lab, store, want.base, None)
        yield f"  {want.base.name} would be: {first.rung}: {first.why}"
        if first.rung not in ("cutoff", "trace") or first.base is None:
            others = store.all(want.kind)
            if others:
                yield f"what differs from {others[0].name}:"
                yield from _inputs(want, others[0])
            return
        base = first.base.manifest
    decision = artifact.decide(lab, store, want, base)
    yield f"would be: {decision.rung}: {decision.why}"
    if decision.jobs_total:
        yield f"  about {decision.jobs} of {decision.jobs_total} jobs, {decision.seconds:.0f} s"
    if decision.base:
        yield from _differences(want, decision.base)
    else:
        others = store.all(want.kind)
        if others:
            yield from _other_family(want, others[0])


def _differences(want: Wanted, base: Candidate) -> Iterator[str]:
    yield f"what differs from {base.manifest.name}:"
    yield from _inputs(want, base.manifest)
    touched = base.touched or {}
    for job, reasons in list(touched.items())[:_SHOWN]:
        files = printable(", ".join(r.partition("/")[2] or r for r in reasons))
        yield f"  {printable(job) or '(the build driver)'} read {files}"
    if len(touched) > _SHOWN:
        yield f"  and {len(touched) - _SHOWN} more"
    if base.touched is None:
        yield from (f"  {printable(path)}" for path in base.changed_src[:_SHOWN])


def _other_family(want: Wanted, other: Manifest) -> Iterator[str]:
    yield f"no artifact was built with these settings; what differs from {other.name}:"
    yield from _inputs(want, other)


def _inputs(want: Wanted, other: Manifest) -> Iterator[str]:
    before, now = dict(other.inputs), dict(want.inputs)
    for label in dict.fromkeys((*now, *before)):
        if before.get(label) != now.get(label):
            yield f"  {label}: {before.get(label, 'absent')} -> {now.get(label, 'absent')}"
