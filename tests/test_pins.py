"""A kernel on another commit's world: forward is right, backward is refused, and what the two
disagree about is said.
"""

from __future__ import annotations


def test_a_newer_kernel_on_an_older_world(built):
    said = built.doit("build:kernel-c", "world=base")
    manifest = built.manifest("kernel", "kernel-c", "base")
    assert manifest.below == built.manifest("world", "base").stack
    assert not said.lines("note:")
    assert "world" not in {line.split(":")[0] for line in said.lines("built:")}


def test_an_older_kernel_is_refused(built):
    said = built.doit("kernel:base", "world=shared-header", code=1)
    assert said.lines("does not descend from world")
    assert said.lines("hint: .*force=yes")
    assert "Traceback" not in said.text


def test_force_overrides(built):
    built.doit("kernel:base", "world=shared-header", "force=yes")
    notes = built.manifest("kernel", "base", "shared-header").warnings
    assert any(note.startswith("forced: world") for note in notes)


def test_an_older_kernel_is_refused_although_a_trace_proves_it(built):
    """That the kernel's file would be the same does not make the newer world run on it."""
    said = built.doit("kernel:base", "world=world-c", code=1)
    assert said.lines("does not descend from world")


def test_versions_that_differ_are_said(built):
    said = built.doit("kernel:shared-header", "world=base")
    assert said.lines("note: include/param.h states 100 for the world, 101 here")
    assert said.lines("note: a test that fails on this pair is suspect")
    assert built.manifest("kernel", "shared-header", "base").warnings


def test_abi_paths_that_differ_are_said_even_if_no_file_was_read(built):
    said = built.doit("kernel:syscalls", "world=base")
    assert said.lines("note: ABI paths differ from the world's: sys/syscalls")


def test_the_pin_of_the_lab(make_lab):
    lab = make_lab(built=True, world="base")
    lab.doit("build:kernel-c")
    assert lab.manifest("kernel", "kernel-c", "base").below


TOOLCHAIN = """
[toolchain]
inputs = ["bin", "include"]
steps = ["make -f bin/Makefile {obj}/world/tool"]
outputs = ["world/tool"]
[kernel]
"""


def test_no_world_but_a_toolchain(make_lab):
    lab = make_lab()
    lab.recipe(("\n[kernel]\n", TOOLCHAIN))
    said = lab.doit("build:base", "world=image")
    assert (
        len(said.lines("note: nothing is known of the ABI of the image's world; .*100 here")) == 1
    )
    assert not said.lines("^world:")
    assert said.lines("^toolchain:.*built")
    assert lab.manifest("kernel", "base", "image").below
    said = lab.doit("build:world-c", "world=image")
    assert said.lines("^toolchain:.*trace")
    assert said.lines("^kernel:.*cutoff")


def test_no_world_at_all(make_lab):
    lab = make_lab(world="image")
    lab.recipe(
        ("make -j{jobs} -f sys/Makefile {trim}",
         "mkdir -p {obj}/kernel && cc -Iinclude -Isys/x86 -c -o {obj}/kernel/kernel sys/b.c"),
    )  # fmt: skip
    said = lab.doit("build:base")
    assert said.lines("^kernel:.*built")
    assert lab.manifest("kernel", "base", "image").below == []


def test_commands_that_are_told_name_the_world(built):
    """Without it another artifact would be meant."""
    said = built.doit("kernel:broken", "world=base", code=1)
    base = built.repo.short("base")
    assert said.lines(f"hint: `doit retry=yes world={base} kernel:")
    built.doit("kernel:kernel-c", "world=base")
    manifest = built.manifest("kernel", "kernel-c", "base")
    assert manifest.reproduce == f"doit world={base} kernel:{manifest.commit}"
