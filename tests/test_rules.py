"""What counts as make's rules, and what as a command of a recipe that leaves nothing.

Real makes under strace, several jobs at once and one: first the trace of one build, then two
commits built one after the other, the second compared with a clean build of itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Repo

from labtasks.build.builder import STRACE
from labtasks.trace import trace_strace
from labtasks.trace.trace import CHECK, DRIVER, Trace
from labtasks.trace.trace_calls import Calls

ASKS = {
    "bmake": "ASKED != cat asked\n.if !empty(ASKED:M2)\n.endif\nLATE = ${:!cat late!}\n",
    "make": "ASKED := $(shell cat asked)\nLATE = $(shell cat late)\n",
}
"""How a makefile asks a command: when it is read, and when a recipe is about to run."""

MAKEFILE = """
all: $(O)/made $(O)/sub $(O)/never $(O)/shown ends
$(O)/made: given
	cp given $(O)/made
	echo $(LATE)
$(O)/sub: FORCE
	X=`cat told` && $(MAKE) -f sub.mk X=$$X
	grep -q after-it after || :
$(O)/never: FORCE
	@grep -q x tested && $(MAKE) -f never.mk || :
$(O)/shown: FORCE
	cat shown
	touch $(O)/shown
ends: $(O)/made
	cmp -s checked $(O)/made || :
	test -f missing && cp missing $(O)/copied || :
FORCE:
"""
FILES = (
    "asked",
    "late",
    "checked",
    "tested",
    "given",
    "told",
    "after",
    "shown",
    "below",
    "never.mk",
)
MAKES = [["make"], ["make", "-j2"], ["make", "-j2", "-Otarget"], ["bmake"], ["bmake", "-j2"]]


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "repo")
    repo.create()
    return repo


def missing(*tools: str) -> None:
    """Skip what this machine cannot do."""
    for tool in tools:
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine")
    probe = [*STRACE, "-o", os.devnull, "true"]
    if subprocess.run(probe, capture_output=True, timeout=20, check=False).returncode:
        pytest.skip("strace cannot trace here")


def checked(trace: Trace) -> set[str]:
    """What commands that left nothing looked at."""
    return {p for n in trace.names if n.startswith(CHECK) for p in trace.jobs[n].looked_at}


@pytest.mark.parametrize("make", MAKES, ids=" ".join)
def test_rules_and_checks(make: list[str], tmp_path: Path) -> None:
    missing("strace", *make[:1])
    src, obj = tmp_path / "src", tmp_path / "obj"
    src.mkdir()
    obj.mkdir()
    for name in FILES:
        (src / name).write_text("x\n")
    (src / "Makefile").write_text(ASKS[make[0]] + MAKEFILE)
    (src / "never.mk").write_text("all:\n")
    (src / "sub.mk").write_text(
        "$(O)/sub: FORCE\n\tcmp -s below $@ || :\n\techo $(X) > $@\nFORCE:\n"
    )
    for path in src.iterdir():
        os.utime(path, (946684800, 946684800))
    command = [*STRACE, "-o", str(tmp_path / "log"), *make, f"O={obj}"]
    subprocess.run(
        command, cwd=src, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60
    )  # into one pipe, as the log of a build
    trace = trace_strace.parse(tmp_path / "log", Calls(src=str(src), obj=str(obj), cwd=str(src)))
    assert trace.problems == ()
    rules = {p.removeprefix("src/") for p in trace.rules if p.startswith("src/")}
    assert rules >= {"Makefile", "sub.mk", "asked", "late", "told", "never.mk"}
    assert "tested" in rules  # whether never.mk is made is decided by it
    assert rules.isdisjoint({"given", "checked", "after", "shown", "below", "missing"})
    assert checked(trace) >= {"src/checked", "src/missing"}
    seen = trace.touched([("M", "src/checked")])
    assert all(name.startswith(CHECK) for name in seen)
    assert seen
    assert trace.touched([("M", "src/given")]).keys() == {DRIVER, "obj/made"}  # make looks at it
    assert DRIVER in trace.touched([("M", "src/asked")])
    assert not trace.downstream(seen)


RECIPE = """
about = "one makefile"
[kernel]
steps = ["{make} O={{obj}}"]
"""
INSTALL = (
    "all:\n"
    '\tif ! grep -q -f version $(O)/gen.h; then sed "s/^/v/" version > $(O)/gen.h; fi\n'
    # as install -C does: a header that is the same already is left alone
    "\tmkdir -p $(O)/include\n"
    "\tcmp -s $(O)/gen.h $(O)/include/gen.h || cp $(O)/gen.h $(O)/include/gen.h\n"
    "\tcmp -s $(O)/gen.h $(O)/include/gen.h || cp $(O)/gen.h $(O)/include/gen.h\n"
    "\tcmp -s a.h $(O)/include/a.h || cp a.h $(O)/include/a.h\n"
)
"""A header made from a version and installed, twice, by commands that always run."""
FORGETS = (
    "all: $(O)/made\n"
    "$(O)/made: given\n"
    "\tif grep -q please asked; then cp given $(O)/more; fi\n"
    "\tcp given $(O)/made\n"
)
"""A target that does not say that it looks at `asked`."""
LOOKS = FORGETS.replace("grep -q please asked", "test -f docs/wanted")
TELLS = "X := $(shell cat asked)\n$(O)/made:\n\techo $(X) > $(O)/made\n"
TELLS_BMAKE = TELLS.replace(":= $(shell cat asked)", "!= cat asked")
SUB = "all:\n\tX=`cat asked` && $(MAKE) -f sub.mk X=$$X && touch $(O)/done\n"
CASES = [
    ("make -j2", INSTALL, "version", "incremental"),
    ("bmake", INSTALL, "version", "incremental"),
    ("bmake -j2", INSTALL, "a.h", "incremental"),
    ("make -j2", INSTALL, "docs/new", "trace"),
    ("make -j2", FORGETS, "asked", "incremental then clean"),
    ("bmake", FORGETS, "asked", "incremental then clean"),
    ("make -j2", LOOKS, "docs/wanted", "incremental then clean"),
    ("make -j2", TELLS, "asked", "clean"),
    ("bmake -j2", TELLS_BMAKE, "asked", "clean"),
    ("make", SUB, "asked", "clean"),
    ("bmake -j2", SUB, "asked", "clean"),
]


@pytest.mark.parametrize(
    ("make", "makefile", "changed", "rung"), CASES, ids=[f"{c[0]}: {c[2]}, {c[3]}" for c in CASES]
)
def test_a_change_that_a_command_saw(make_lab, repo, make, makefile, changed, rung):
    missing(make.split()[0])
    repo.write("Makefile", makefile)
    repo.write("sub.mk", "$(O)/made:\n\techo $(X) > $(O)/made\n")
    for name in ("version", "a.h", "asked", "given", "docs/old"):
        repo.write(name, "1\n")
    repo.commit("one", tag="one")
    repo.write(changed, "please2\n")
    repo.commit("two", tag="two")
    lab = make_lab(repo=repo)
    (lab.directory / "tiny.toml").write_text(RECIPE.format(make=make))
    said = lab.doit("kernel:one", "kernel:two")
    assert said.rung("kernel", repo.short("two")) == rung, said.text
    if rung == "incremental":
        lab.doit("verify", "kernel:two")


def test_an_answer_that_is_in_no_command(make_lab, repo):
    repo.write("Makefile", "X := $(shell cat asked)\n$(O)/made: asked\n\tcp asked $(O)/made\n")
    repo.write("asked", "1\n")
    repo.commit("one", tag="one")
    repo.write("asked", "2\n")
    repo.commit("two", tag="two")
    lab = make_lab(repo=repo)
    recipe = RECIPE.format(make="make") + 'no_rules = ["as*"]\n'
    (lab.directory / "tiny.toml").write_text(recipe)
    said = lab.doit("kernel:one", "kernel:two")
    assert said.rung("kernel", repo.short("two")) == "incremental", said.text
    lab.doit("verify", "kernel:two")
