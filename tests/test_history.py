"""Back and forth through history, from one state to the next: what comes out is never stale.

Before each step everything that was built is forgotten but the last step's, so each build stands
on the one before, whichever way in history that is, and often within the same second.
"""

from __future__ import annotations

import random

import pytest
from conftest import Lab

from labtasks.store import layer

STATES = (
    "base", "kernel-c", "kernel-header", "shared-header", "world-tool", "listed-file",
    "listed-gone", "source-gone", "source-renamed", "mode-installed", "symlink",
    "earlier-header", "program-gone", "docs", "arch-header",
)  # fmt: skip


def forget_all_but(lab: Lab, ref: str) -> None:
    """Leave of worlds, kernels and builds only those of one commit."""
    for kind in ("world", "kernel", "build"):
        keep = lab.want(kind, ref).key
        for folder in (lab.directory / "cache" / "artifacts" / kind).iterdir():
            if folder.name != keep:
                layer.remove(folder)


def step(world, lab: Lab, ref: str, before: str) -> str:
    forget_all_but(lab, before)
    said = lab.doit(f"build:{ref}")
    for kind in ("world", "kernel"):
        assert lab.content(kind, ref) == world.oracle(kind, ref), f"{before} -> {ref}\n{said.text}"
    return said.text


@pytest.mark.parametrize(
    ("driver", "depth", "steps", "seed"),
    [("root", 24, 4, 1), ("root", 2, 4, 2), ("user", 3, 2, 3), ("copy", 2, 2, 4)],
)
def test_a_random_walk(world, make_lab, driver, depth, steps, seed):
    lab = make_lab(driver=driver, built=True, depth=depth)
    walk = random.Random(seed)  # noqa: S311 (which walk it is must not change)
    before = "base"
    for _ in range(steps):
        ref = walk.choice([s for s in STATES if s != before])
        step(world, lab, ref, before)
        assert len(lab.manifest("kernel", ref).stack) <= depth + 1
        before = ref


def test_a_world_that_changes_twice_under_one_kernel(world, make_lab):
    """What a kernel's build touched of its world must not stay above the next world."""
    lab = make_lab(built=True)
    before = "base"
    for ref in ("world-tool", "world-tool-again", "base"):
        step(world, lab, ref, before)
        before = ref


def test_one_base_serves_many_steps(world, make_lab):
    """Going on from a flattened tree: three steps, each on the one before, two layers at most."""
    lab = make_lab(built=True, depth=2)
    before = "base"
    for ref in ("kernel-c", "kernel-comment", "kernel-header"):
        assert "incremental on" in step(world, lab, ref, before)
        before = ref


def test_verify_agrees(make_lab):
    lab = make_lab(built=True)
    lab.doit("kernel:kernel-c")
    said = lab.doit("verify", "kernel:kernel-c", "world:kernel-c")
    assert len(said.lines(r": equal: \d+ files? the same")) == 2


def test_verify_of_a_build(make_lab):
    said = make_lab(built=True).doit("verify", "build:base")
    names = [line.partition(":")[0] for line in said.lines(r": equal: \d+ files? the same")]
    assert names == ["world", "kernel"]


def test_verify_finds_what_differs(make_lab):
    """A build that draws lots is not what it was: the file is named, and the status is 1."""
    lab = make_lab()
    lab.recipe(
        (
            "make -j{jobs} -f sys/Makefile {trim}",
            "mkdir {obj}/kernel; date +%N > {obj}/kernel/kernel",
        )
    )
    said = lab.doit("verify", "kernel:base", code=1)
    assert said.lines("differs: kernel/kernel")
    assert said.lines("NOT equal")
