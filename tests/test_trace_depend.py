"""The readers of what compilers leave: make-style rules and kbuild's .cmd files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from labtasks.trace import trace_depend
from labtasks.trace.trace import DRIVER, Trace

KBUILD = """\
savedcmd_kernel/fork.o := gcc -c -o kernel/fork.o /mnt/src/kernel/fork.c

source_kernel/fork.o := /mnt/src/kernel/fork.c

deps_kernel/fork.o := \\
    $(wildcard include/config/MMU) \\
    $(wildcard include/config/SMP) \\
  /mnt/src/include/linux/slab.h \\
  arch/x86/include/generated/asm/x.h \\

kernel/fork.o: $(deps_kernel/fork.o)

$(deps_kernel/fork.o):
"""


def parse(*files: tuple[str, str]) -> Trace:
    links = {"obj/sys/K/machine": "/mnt/src/sys/amd64/include"}
    return trace_depend.parse(files, src="/mnt/src", obj="/mnt/obj", links=links)


def test_a_freebsd_depend_file() -> None:
    text = "a.o: /mnt/src/sys/kern/a.c machine/pcpu.h \\\n\topt_x.h /usr/include/y.h\n"
    trace = parse(("sys/K/.depend.a.o", text))
    job = trace.jobs["obj/sys/K/a.o"]
    assert job.reads == {
        "src/sys/kern/a.c",
        "src/sys/amd64/include/pcpu.h",
        "obj/sys/K/machine",
        "obj/sys/K/opt_x.h",
    }
    assert job.writes == {"obj/sys/K/a.o"}
    assert trace.jobs[DRIVER].listed == {"src/sys/kern", "src/sys/amd64/include"}
    assert list(trace.touched([("A", "src/sys/kern/b.c")])) == [DRIVER]


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("a.o: b.c", {"obj/d/b.c"}),
        ("a.o:b.c", set()),  # not a rule: a colon without a blank is part of a name
        ("a.o : b.c\\\n c.h", {"obj/d/b.c", "obj/d/c.h"}),
        ("a.o: b\\ c.h $$d.h e\\#f.h", {"obj/d/b c.h", "obj/d/$d.h", "obj/d/e#f.h"}),
        ("a.o: ../../src/x.c", {"src/x.c"}),
        ("a.o: b.c\nb.c:\n", {"obj/d/b.c"}),
        ("# a comment: x\na.o: b.c\r\n", {"obj/d/b.c"}),
        ("", set()),
    ],
)
def test_rules(text: str, reads: set[str]) -> None:
    assert {p for p in parse(("d/a.d", text)).reads if p != "obj/d/a.o"} == reads


def test_several_targets_and_a_compiler_that_ran_higher_up() -> None:
    trace = parse(
        ("d/x.d", "x.o x.lo: x.c\n"), ("e/y.d", "e/y.o: e/y.h\n"), ("K/e/z.d", "e/z.o: e/z.h\n")
    )
    assert set(trace.names) == {DRIVER, "obj/d/x.o", "obj/d/x.lo", "obj/e/y.o", "obj/K/e/z.o"}
    assert trace.jobs["obj/K/e/z.o"].reads == {"obj/K/e/z.h"}
    assert trace.jobs["obj/d/x.lo"].reads == {"obj/d/x.c"}
    assert trace.jobs["obj/e/y.o"].reads == {"obj/e/y.h"}


def test_what_exists_decides_where_a_relative_path_leads() -> None:
    text = "/mnt/obj/d/a.o: kern/a.c gen.h\n"
    there = {"src/kern/a.c", "obj/gen.h"}
    trace = trace_depend.parse(
        [("d/a.d", text)], src="/mnt/src", obj="/mnt/obj", exists=there.__contains__
    )
    assert trace.jobs["obj/d/a.o"].reads == there


def test_a_kbuild_file() -> None:
    trace = parse(("kernel/.fork.o.cmd", KBUILD), ("kernel/.built-in.a.cmd", "cmd_x := ar\n"))
    assert set(trace.names) == {DRIVER, "obj/kernel/fork.o"}
    job = trace.jobs["obj/kernel/fork.o"]
    options = {"obj/include/config/MMU", "obj/include/config/SMP"}
    assert job.reads == {
        "src/kernel/fork.c",
        "src/include/linux/slab.h",
        "obj/arch/x86/include/generated/asm/x.h",
        *options,
    }
    assert job.absent == options


@pytest.mark.skipif(shutil.which("cc") is None, reason="no cc on this machine")
def test_a_real_compiler(tmp_path: Path) -> None:
    src, obj = tmp_path / "src", tmp_path / "obj"
    src.mkdir()
    obj.mkdir()
    (src / "a b.h").write_text("")
    (src / "a.c").write_text('#include "a b.h"\n')
    command = ["cc", "-MD", "-MP", "-c", "-o", "a.o", str(src / "a.c")]
    subprocess.run(command, cwd=obj, check=True)
    text = (obj / "a.d").read_text()
    trace = trace_depend.parse([("a.d", text)], src=str(src), obj=str(obj))
    assert trace.jobs["obj/a.o"].reads == {"src/a.c", "src/a b.h"}
