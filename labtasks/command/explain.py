"""Why an artifact is what it is: the inputs of its key, the rung that held, or what differs.

The inputs printed are the list that is hashed. What is put together from others is explained by
those, and a verdict by what was booted. Knows nothing of doit.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from labtasks.build import artifact
from labtasks.ground.error import printable
from labtasks.ground.words import count, labelled, short
from labtasks.key.key import Inputs, Wanted, root_under
from labtasks.lab.lab import Lab
from labtasks.store.candidate import Candidate
from labtasks.store.manifest import Manifest
from labtasks.store.reuse import Decision
from labtasks.store.store import Store
from labtasks.test import verdict
from labtasks.test.verdict import Verdict

_SHOWN = 12
_COMPOSED = ("build", "objfs")


def explain(lab: Lab, store: Store, want: Wanted) -> Iterator[str]:
    """The explanation, line by line."""
    yield f"{want.kind}:{want.commit.id}  {want.commit.subject}"
    yield from _key(want.key, want.inputs)
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
    for part in _parts(want):
        yield ""
        yield from explain(lab, store, part)


def explain_test(lab: Lab, store: Store, want: Wanted, vm: str) -> Iterator[str]:
    """Likewise for the verdict on an installation: its key is over what was installed, so that must
    be there first.
    """
    yield f"test:{want.commit.id}:{vm}  {want.commit.subject}"
    below = root_under(lab, want)
    install = store.get(want.kind, want.key)
    root = store.get(below.kind, below.key) if below else None
    if install is None or (below and root is None):
        yield "not tested: what it boots is not in the store"
        parts = [part for part in (want.on[0].base, want.on[0], below) if part]
        for part in [p for p in parts if not store.get(p.kind, p.key)] or [want]:
            yield ""
            yield from explain(lab, store, part)
        return
    inputs = verdict.inputs_of(lab, vm, root, install)
    key = verdict.key_of(inputs)
    yield from _key(key, inputs)
    if found := verdict.get(store, key):
        yield from _judged(store, found)
        return
    yield "not tested"
    if held := verdict.every(store):
        nearest = min(held, key=lambda one: (len(list(_inputs(inputs, one.inputs))), -one.finished))
        yield f"what differs from test:{short(nearest.commit)}:{nearest.vm}, {nearest.outcome}:"
        yield from _inputs(inputs, nearest.inputs)


def _key(key: str, inputs: Inputs) -> Iterator[str]:
    yield f"key {key}, over"
    for label, value in inputs:
        yield from _lines(f"  {label:<28} ", value)


def _judged(store: Store, found: Verdict) -> Iterator[str]:
    yield f"tested: {labelled(found.outcome, printable(found.reason))}"
    yield f"  booted       {short(found.commit)} {found.subject}"
    yield f"  took         {found.seconds:.1f} s, {count(len(found.runs), 'boot')}"
    yield f"  console      {verdict.home(store, found.key) / found.console}"


def _parts(want: Wanted) -> Iterator[Wanted]:
    """The world and the kernel of what is only put together from them."""
    while want.kind in _COMPOSED:
        want = want.on[0]
        if want.kind == "kernel":
            yield from (one for one in (want.base, want) if one)


def _lines(label: str, value: str) -> Iterator[str]:
    """A value behind its label: each further line of it below the first one."""
    first, *more = value.strip("\n").splitlines() or [""]
    yield f"{label}{first}".rstrip()
    yield from (f"{' ' * len(label)}{line}".rstrip() for line in more)


def _held(found: Manifest) -> Iterator[str]:
    yield f"in the store: digest {found.digest}"
    yield f"  rung         {found.rung}{f' from {found.base}' if found.base else ''}"
    yield f"  because      {found.why}"
    if found.steps:
        yield f"  took         {found.seconds:.1f} s, {found.jobs} of {found.jobs_total} jobs ran"
        yield f"  traced by    {found.tracer}"
    for step in found.steps:
        yield from _lines(f"  step         {step.seconds:.1f} s  ", step.text)
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
        under = want.base.base
        held = store.get(under.kind, under.key) if under else None
        first = artifact.decide(lab, store, want.base, held)
        yield f"  {want.base.name} would be: {first.rung}: {first.why}"
        if first.rung not in ("cutoff", "trace") or first.base is None:
            yield from _others(store, want)
            return
        base = first.base.manifest
    decision = artifact.decide(lab, store, want, base)
    yield from _decided(decision)
    if decision.base:
        yield from _differences(want, decision.base)
    elif decision.weighed:
        yield from _differences(want, decision.weighed)
    else:
        yield from _others(store, want)


def _decided(decision: Decision) -> Iterator[str]:
    yield f"would be: {decision.rung}: {decision.why}"
    total = decision.jobs_total
    if decision.rung == "clean" and total:
        yield f"  all jobs, about {total}"
    elif total:
        yield f"  about {decision.jobs} of {total} jobs, {decision.seconds:.0f} s"


def _differences(want: Wanted, one: Candidate) -> Iterator[str]:
    """What stands between what is wanted and an artifact that was weighed, by job and by file."""
    yield f"what differs from {one.manifest.name}:"
    yield from _inputs(want.inputs, one.manifest.inputs)
    jobs = list((one.touched or {}).items())
    for job, reasons in jobs[:_SHOWN]:
        files = printable(", ".join(r.partition("/")[2] or r for r in reasons))
        yield f"  {printable(job) or '(the build driver)'} read {files}"
    if len(jobs) > _SHOWN:
        yield f"  and {len(jobs) - _SHOWN} more"
    if one.touched is None or one.commands:
        changed = sorted(one.changed_paths)
        yield from (f"  {printable(path)}" for path in changed[:_SHOWN])
        if len(changed) > _SHOWN:
            yield f"  and {len(changed) - _SHOWN} more files"


def _others(store: Store, want: Wanted) -> Iterator[str]:
    """What differs from the nearest artifact, where none was weighed: the one with the fewest
    other inputs, and of these the nearest in time.
    """
    held = store.all(want.kind)
    if not held:
        return
    family = [one for one in held if one.family == want.family]
    nearest = min(
        family or held,
        key=lambda one: (
            len(list(_inputs(want.inputs, one.inputs))),
            abs(one.date - want.commit.date),
        ),
    )
    none = "" if family else "no artifact was built with these settings; "
    yield f"{none}what differs from {nearest.name}:"
    yield from _inputs(want.inputs, nearest.inputs)


def _inputs(wanted: Inputs, others: Iterable[tuple[str, str]]) -> Iterator[str]:
    before, now = dict(others), dict(wanted)
    for label in dict.fromkeys((*now, *before)):
        old, new = before.get(label, "absent"), now.get(label, "absent")
        if old == new:
            continue
        if "\n" not in f"{old}{new}":
            yield f"  {label}: {old} -> {new}"
            continue
        yield f"  {label}:"
        lines = difflib.ndiff(old.splitlines(), new.splitlines())
        yield from (f"    {line}" for line in lines if line[0] in "+-")
