"""The ladder's truth table: for each change, which rung holds, and that nothing stale comes out.

Every row is a commit of its own on `base`. What the pipeline seals is compared, byte by byte and
mode by mode, with what plain make leaves of the same commit in an empty folder.
"""

from __future__ import annotations

import pytest

SAME, CUT, TRACE, INC, CLEAN = "same key", "cutoff", "trace", "incremental", "clean"

TRACED = {
    "nothing": (SAME, SAME),
    "docs": (TRACE, CUT),
    "world-tool-comment": (INC, CUT),
    "docs-folder": (TRACE, CUT),
    "arch": (TRACE, TRACE),
    "arch-header": (TRACE, TRACE),
    "syscalls": (TRACE, TRACE),
    "kernel-c": (TRACE, INC),
    "kernel-comment": (TRACE, INC),
    "kernel-header": (TRACE, INC),
    "earlier-header": (INC, INC),
    "shared-header": (INC, INC),
    "world-c": (INC, CUT),
    "world-motd": (INC, CUT),
    "world-tool": (INC, INC),
    "makefile": (TRACE, CLEAN),
    "unseen-file": (TRACE, "incremental then clean"),
    "listed-file": (TRACE, INC),
    "listed-gone": (TRACE, INC),
    "source-gone": (TRACE, INC),
    "source-renamed": (TRACE, INC),
    "program-gone": (INC, INC),  # make lists the folders it looks for files in
    "mode": (TRACE, INC),
    "mode-installed": (INC, CUT),
    "symlink": (TRACE, INC),
}
"""Change -> the rungs of world and kernel with strace, which sees everything."""

DEPEND = {
    "docs": (TRACE, CUT),
    "arch": (TRACE, TRACE),
    "kernel-c": (TRACE, INC),
    "kernel-header": (TRACE, INC),
    "shared-header": (INC, INC),
    "world-tool": (INC, INC),
    "listed-gone": (TRACE, CLEAN),  # sys/conf is among the files no dependency file shows
    "symlink": (TRACE, INC),
}
"""With what compilers leave, completed by the recipe's globs for what they do not show."""

UNTRACED = {
    "docs": (CLEAN, CUT),
    "kernel-c": (CLEAN, CLEAN),
    "world-c": (CLEAN, CLEAN),
    "nothing": (SAME, SAME),
}
"""Without a trace nobody knows which commands changed: nothing is proved by it, nor built on."""

BRIEF = ("docs", "arch", "kernel-c", "shared-header", "world-tool", "listed-gone")


def table(world, lab, rungs):
    """Build the changes one after the other, and list what is not as it should be."""
    said = lab.doit(*[f"build:{change}" for change in rungs])
    wrong = []
    for change in rungs:
        short = world.repo.short(change)
        got = tuple(said.rung(kind, short) for kind in ("world", "kernel"))
        if got != rungs[change]:
            wrong.append(f"{change}: {got}, not {rungs[change]}")
        for kind in ("world", "kernel"):
            ours, clean = lab.content(kind, change), world.oracle(kind, change)
            wrong += [
                f"{change}: STALE {kind} {path}: {ours.get(path)} is not {clean.get(path)}"
                for path in ours.keys() | clean.keys()
                if ours.get(path) != clean.get(path)
            ]
    assert not wrong, "\n".join(wrong) + "\n\n" + said.text
    return said


@pytest.mark.parametrize("part", range(3))
def test_overlay_as_root_with_strace(world, make_lab, part):
    changes = list(TRACED)
    third = changes[part * 9 : part * 9 + 9]
    table(world, make_lab(built=True), {change: TRACED[change] for change in third})


@pytest.mark.parametrize(
    ("driver", "tracer"), [("user", "strace"), ("copy", "strace"), ("root", "bpf"), ("copy", "bpf")]
)
def test_other_drivers_and_tracers(world, make_lab, driver, tracer):
    lab = make_lab(driver=driver, tracer=tracer, built=True)
    table(world, lab, {change: TRACED[change] for change in BRIEF})


@pytest.mark.parametrize("driver", ["root", "copy"])
def test_dependency_files(world, make_lab, driver):
    table(world, make_lab(driver=driver, tracer="depend", built=True), DEPEND)


def test_no_tracer(world, make_lab):
    table(world, make_lab(tracer="none", built=True), UNTRACED)
