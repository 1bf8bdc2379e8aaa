"""What once came out stale, each in the smallest tree that shows it.

Two commits, `one` and `two`: the second is built with the first in the store, and then compared
with a clean build of itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import Repo

RECIPE = """
about = "one makefile"
[kernel]
steps = ["make -j{jobs} O={obj}"]
"""


@pytest.fixture
def repo(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.create()
    return repo


def built_twice(make_lab, repo, recipe=RECIPE, **settings):
    """Both commits, one after the other; what was said of the second."""
    lab = make_lab(repo=repo, **settings)
    (lab.directory / "tiny.toml").write_text(recipe)
    lab.doit("kernel:one")
    said = lab.doit("kernel:two")
    lab.doit("verify", "kernel:two")
    return said


def test_a_generated_list_that_loses_an_entry(make_lab, repo):
    repo.write(
        "Makefile",
        "all: $(O)/k\n"
        '$(O)/objs.mk: list\n\techo "$(O)/k:" `sed "s,.*,$(O)/&.o," list` > $@\n'
        "-include $(O)/objs.mk\n"
        "$(O)/k:\n\tld -r -o $@ $^\n"
        "$(O)/%.o: %.c\n\tcc -c -o $@ $<\n",
    )
    repo.write("a.c", "int a;\n")
    repo.write("b.c", "int b;\n")
    repo.write("list", "a\nb\n")
    repo.commit("two objects", tag="one")
    repo.write("list", "a\n")
    repo.commit("one object", tag="two")
    said = built_twice(make_lab, repo)
    assert said.rung("kernel", repo.short("two")) == "incremental then clean"


def test_what_compilers_leave_is_no_rule(make_lab, repo):
    """A dependency file that loses a header was written with its object."""
    repo.write("Makefile", "$(O)/a.o: a.c\n\tcc -MD -c -o $@ $<\n-include $(wildcard $(O)/*.d)\n")
    repo.write("h.h", "")
    repo.write("a.c", '#include "h.h"\nint a;\n')
    repo.commit("a header", tag="one")
    repo.write("a.c", "int a = 2;\n")
    repo.commit("none", tag="two")
    said = built_twice(make_lab, repo)
    assert said.rung("kernel", repo.short("two")) == "incremental"


def test_the_interpreter_of_a_script_is_read(make_lab, repo):
    recipe = RECIPE.replace("[kernel]", '[world]\nsteps = ["cc -o {obj}/interp w.c"]\n[kernel]')
    repo.write("Makefile", "$(O)/t: go.sh\n\t./go.sh > $@\n")
    repo.write("go.sh", "#!/mnt/obj/interp\n").chmod(0o755)
    text = '#include <stdio.h>\nint main(void) { puts("1"); }\n'
    repo.write("w.c", text)
    repo.commit("it says 1", tag="one")
    repo.write("w.c", text.replace("1", "2"))
    repo.commit("it says 2", tag="two")
    # without make's help: the target does not name the interpreter
    built_twice(make_lab, repo, recipe)


def test_a_link_of_the_host_into_the_trees(make_lab, repo):
    """What is read through it is read."""
    link = Path(f"/tmp/labtasks-test-{os.getpid()}")  # noqa: S108 (a name of its own)
    link.symlink_to("/mnt/src")
    recipe = RECIPE.replace("make -j{jobs} O={obj}", f"cc -c -o {{obj}}/a.o {link}/a.c")
    try:
        repo.write("a.c", "int a = 1;\n")
        repo.commit("one", tag="one")
        repo.write("a.c", "int a = 2;\n")
        repo.commit("two", tag="two")
        built_twice(make_lab, repo, recipe)
    finally:
        link.unlink()
