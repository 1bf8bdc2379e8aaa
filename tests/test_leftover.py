"""What an incremental build would leave as it was and a clean one would not: each case in the
smallest tree that shows it, built commit after commit, and then compared with plain make.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from conftest import Content, Repo, _facts, needs, stack_content

from labtasks.store import layer
from labtasks.trace.trace import Job, Trace

RECIPE = """
about = "one makefile"
[kernel]
steps = ["make -j{jobs} O={obj}"]
"""

SPLIT = "mkdir -p $(O)/out; for n in `cat list`; do echo $$n > $(O)/out/$$n; done"

MENDED, CLEAN = "incremental", "incremental then clean"
"""What such a step comes to: make runs once more, or all is built clean."""

CASES: dict[str, tuple[str, dict[str, str | None], dict[str, str | None], str]] = {
    # a job that made a file once, and does not any more
    "fewer files of one command": (
        f"$(O)/stamp: list\n\t{SPLIT}; touch $@\n",
        {"list": "a\nb\nc\n"}, {"list": "b\nc\n"}, CLEAN,
    ),
    "another name for the command": (
        f"all: FORCE\n\t{SPLIT}\nFORCE:\n", {"list": "a\nb\n"}, {"list": "c\n"}, CLEAN,
    ),
    "a command that leaves nothing now": (
        f"all: FORCE\n\t{SPLIT}\nFORCE:\n", {"list": "a\n"}, {"list": ""}, CLEAN,
    ),
    "the command itself reads what it left": (
        f"$(O)/all: list\n\t{SPLIT}; cat $(O)/out/* > $@\n",
        {"list": "a\nb\n"}, {"list": "b\n"}, CLEAN,
    ),
    "a header that only some commits have": (
        ("$(O)/x: cfg\n\tif grep -q foo cfg; then cat cfg > $(O)/foo.h; fi; cat cfg > $@; "
         "[ ! -f $(O)/foo.h ] || cat $(O)/foo.h >> $@\n"),
        {"cfg": "foo\n"}, {"cfg": "bar\n"}, CLEAN,
    ),
    "made once, from what differs": (
        "all: FORCE\n\t[ -f $(O)/gen.h ] || cp gen $(O)/gen.h; cat other > $(O)/aaa\nFORCE:\n",
        {"gen": "1\n", "other": ""}, {"gen": "2\n"}, CLEAN,
    ),
    "by a line that make does not know to run": (
        f"$(O)/stamp: list\n\t{SPLIT}\n\ttouch $@\n",
        {"list": "a\nb\nc\n"}, {"list": "a\n"}, CLEAN,
    ),
    "an unchanged product is left alone": (
        ("$(O)/x: FORCE\n\tsed s/#.*// in > $@.new; cmp -s $@.new $@ || cp $@.new $@; rm $@.new\n"
         "FORCE:\n"),
        {"in": "a#1\n"}, {"in": "a#2\n"}, MENDED,
    ),
    # a job that read what was made anew, and of which make knows nothing
    "an order-only prerequisite": (
        ("$(O)/x.o: x.c | $(O)/gen.h\n\tcc -I$(O) -c -o $@ x.c\n"
         "$(O)/gen.h: cfg\n\techo '#define V' `cat cfg` > $@\n"),
        {"x.c": "#include <gen.h>\nint x = V;\n", "cfg": "1\n"}, {"cfg": "2\n"}, MENDED,
    ),
    "it reads objects alone, and another job is new": (
        ("all: $(O)/x $(patsubst %,$(O)/%,$(wildcard *.in))\n$(O)/gen: cfg\n\tcp cfg $@\n"
         "$(O)/x: | $(O)/gen\n\tcat $(O)/gen > $@\n$(O)/%: %\n\tcp $< $@\n"),
        {"cfg": "1\n"}, {"cfg": "2\n", "new.in": "\n"}, MENDED,
    ),
    "a tool that was built before": (
        ("all:\n\t$(MAKE) $(O)/tool\n\t$(MAKE) $(O)/out\n"
         "$(O)/tool: tool.sh\n\tcp tool.sh $@\n$(O)/out: in\n\tsh $(O)/tool < in > $@\n"),
        {"tool.sh": "cat\n", "in": "x"}, {"tool.sh": "tr x y\n"}, MENDED,
    ),
    "a temporary file of an earlier line": (
        (
            "$(O)/x: | $(O)\n\tsort d/* > $@.tmp\n\tcmp -s $@.tmp $@ || cp $@.tmp $@\n"
            "\trm -f $@.tmp\n"
        ),
        {"d/a": "1"}, {"d/a": "2"}, MENDED,
    ),
    "a folder of objects that is listed": (
        ("S = $(wildcard d/*)\n$(O)/idx: $(S:%=$(O)/%)\n\tls $(O)/d > $@\n"
         "$(O)/d/%: d/%\n\tmkdir -p $(O)/d; cp $< $@\n"),
        {"d/a": "1", "d/b": "2"}, {"d/b": None}, MENDED,
    ),
    "a folder that a job of a source that is gone made first": (
        ("S = $(wildcard d/*)\n$(O)/idx: $(S:%=$(O)/%)\n\tls $(O)/d > $@\n"
         "$(O)/d/%: d/%\n\tmkdir -p $(O)/d; cp $< $@\n$(O)/d/a: $(filter %/b,$(S:%=$(O)/%))\n"),
        {"d/a": "1", "d/b": "2"}, {"d/b": None}, MENDED,
    ),
    "a new file that reads the same": (
        ("OBJ = $(patsubst %.c,$(O)/%.o,$(wildcard *.c))\nall: $(O)/gen $(OBJ)\n"
         "$(O)/gen: gen.sh\n\tsort h.h > $@\n$(O)/%.o: %.c\n\tcc -c -o $@ $<\n"),
        {"a.c": "int a;\n", "h.h": "#define A 1\n", "gen.sh": ""},
        {"h.h": "#define A 2\n", "b.c": '#include "h.h"\nint b = A;\n'}, CLEAN,
    ),
    # a file that is made of several pieces
    "what one command writes on is written on twice": (
        ("all: $(O)/s1 $(O)/s2\n$(O)/s1: a\n\tcat a > $(O)/k; touch $@\n"
         "$(O)/s2: b $(O)/s1\n\tcat b >> $(O)/k; touch $@\n"),
        {"a": "a\n", "b": "b\n"}, {"b": "b2\n"}, CLEAN,
    ),
    "by one command alone": (
        "$(O)/k: a\n\tcat a >> $@\n", {"a": "a\n"}, {"a": "b\n"}, CLEAN,
    ),
    "removed, and made by a part of them only": (
        ("all: $(O)/s1 $(O)/s2\n$(O)/s1: a\n\tcat a > $(O)/k; touch $@\n"
         "$(O)/s2: b $(O)/s1\n\tcat b d/* >> $(O)/k; touch $@\n"),
        {"a": "a\n", "b": "b\n", "d/1": "1\n"}, {"b": "b2\n", "d/2": "2\n"}, CLEAN,
    ),
}  # fmt: skip
"""Makefile, files, what the second commit changes, and how that is built."""


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "repo")
    repo.create()
    return repo


def change(repo: Repo, files: dict[str, str | None]) -> None:
    for path, text in files.items():
        if text is None:
            (repo.path / path).unlink()
        else:
            repo.write(path, text)


def plain(repo: Repo, ref: str, top: Path) -> Content:
    """What make leaves of a commit in an empty folder."""
    src, obj = top / "src", top / "obj"
    src.mkdir(parents=True)
    obj.mkdir()
    repo.git("archive", "-o", str(top / "tar"), ref)
    subprocess.run(["tar", "-xf", top / "tar", "-C", src], check=True)
    env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    command = ["sh", "-e", "-c", f"umask 022; make O={obj}"]
    subprocess.run(command, cwd=src, env=env, stdout=subprocess.DEVNULL, check=True)
    paths = (p for p in obj.rglob("*") if p.is_symlink() or not p.is_dir())
    return {str(p.relative_to(obj)): _facts(p) for p in paths}


def shown(lab, ref: str) -> Content:
    stack = lab.manifest("kernel", ref).stack
    layers = lab.store.layers
    tops = {p.name for name in stack for p in (layers / name / "t").iterdir()}
    return stack_content(layers, stack, tuple(tops))


@pytest.mark.parametrize("case", CASES)
def test_left_as_it_was(make_lab, repo, tmp_path, case):
    makefile, first, second, rung = CASES[case]
    repo.write("Makefile", makefile)
    change(repo, first)
    repo.commit("one", tag="one")
    change(repo, second)
    repo.commit("two", tag="two")
    lab = make_lab(repo=repo)
    (lab.directory / "tiny.toml").write_text(RECIPE)
    said = lab.doit("kernel:one", "kernel:two")
    assert said.rung("kernel", repo.short("two")) == rung, said.text
    assert shown(lab, "two") == plain(repo, "two", tmp_path / "plain"), said.text


TOOL = (
    "all:\n\t$(MAKE) $(O)/tool\n\t$(MAKE) $(O)/out $(O)/2 $(O)/3\n"
    "$(O)/tool: tool.sh\n\tcp tool.sh $@\n$(O)/%: in | $(O)/tool\n\tsh $(O)/tool > $@\n"
)


@pytest.mark.parametrize(
    ("trusted", "many", "rung", "text"),
    [
        ("", 1000, "incremental", "b"),
        ('trusted_tools = ["tool"]\n', 1000, "incremental", "a"),
        ("", 0, "incremental then clean", "b"),  # most of the build, once more: rather clean
    ],
)
def test_a_tool_that_the_build_makes(make_lab, repo, trusted, many, rung, text):
    repo.write("Makefile", TOOL)
    for name in ("a", "b"):
        change(repo, {"tool.sh": f"echo {name}\n", "in": ""})
        repo.commit(name, tag=name)
    lab = make_lab(repo=repo)
    (lab.directory / "tiny.toml").write_text(RECIPE + trusted)
    (lab.directory / "sitecustomize.py").write_text(
        f"from labtasks.build import leftover\nleftover._MANY = {many}\n"
    )
    said = lab.doit("kernel:a", "kernel:b", env={"PYTHONPATH": str(lab.directory)})
    assert said.rung("kernel", repo.short("b")) == rung, said.text
    stack = lab.manifest("kernel", "b").stack
    assert layer.find(lab.store.layers, stack, "out").read_text() == f"{text}\n", said.text


@pytest.mark.parametrize("driver", ["root", "copy"])
def test_once_more_until_nothing_is_outdated(make_lab, repo, tmp_path, driver):
    """A chain of order-only prerequisites: each step makes the next one outdated."""
    needs(driver, "strace")
    makefile = "all: $(O)/3\n$(O)/0: in\n\tcp in $@\n"
    for n in (1, 2, 3):
        makefile += f"$(O)/{n}: | $(O)/{n - 1}\n\tcat $(O)/{n - 1} > $@; echo {n} >> $@\n"
    repo.write("Makefile", makefile)
    for name in ("one", "two"):
        repo.write("in", name)
        repo.commit(name, tag=name)
    lab = make_lab(repo=repo, driver=driver)
    (lab.directory / "tiny.toml").write_text(RECIPE)
    said = lab.doit("kernel:one", "kernel:two")
    assert said.rung("kernel", repo.short("two")) == "incremental", said.text
    assert len(said.lines("once more")) == 3, said.text
    assert shown(lab, "two") == plain(repo, "two", tmp_path / "plain")


def test_what_a_job_left_alone_stays_its_own() -> None:
    """However often it found that it was as it should be."""
    made = Job(
        reads=frozenset({"src/a", "obj/x"}),
        absent=frozenset({"obj/x"}),
        writes=frozenset({"obj/x"}),
    )
    again = Job(reads=frozenset({"src/a", "obj/x"}), writes=frozenset({"obj/s"}))
    old = Trace(
        {"obj/s": Job(writes=made.writes | {"obj/s"}, reads=made.reads, absent=made.absent)}
    )
    joined = old.joined(Trace({"obj/s": again})).joined(Trace({"obj/s": again}))
    assert joined.jobs["obj/s"].writes == {"obj/s", "obj/x"}
    assert joined.jobs["obj/s"].absent == {"obj/x"}
    assert joined.makers("obj/x") == {"obj/s"}
    gone = old.joined(Trace({"obj/s": Job(writes=frozenset({"obj/s"}))}))
    assert gone.jobs["obj/s"].writes == {"obj/s"}
    assert gone.makers("obj/x") == frozenset()
