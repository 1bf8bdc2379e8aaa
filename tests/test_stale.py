"""What once came out stale, each in the smallest tree that shows it.

Two commits, `one` and `two`: the second is built with the first in the store, and then compared
with a clean build of itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Repo

from labtasks.build import builder
from labtasks.ground.error import UserError
from labtasks.key import widened
from labtasks.key.git import Repository
from labtasks.key.git_objects import TreeId
from labtasks.lab.lab import load

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


def test_globs_that_stand_for_a_trace_decide(make_lab, repo):
    """With what compilers leave: a recipe that is mended stops proving what it proved before."""
    recipe = RECIPE + 'depends = ["**/*.d"]\nunseen = ["nothing"]\n'
    repo.write("Makefile", "$(O)/a.o: a.c lds\n\tcc -MD -c -o $@ $< && cat lds >> $@\n")
    repo.write("a.c", "int a;\n")
    repo.write("lds", "1")
    repo.commit("one", tag="one")
    repo.write("lds", "2")
    repo.commit("two", tag="two")
    lab = make_lab(repo=repo, tracer="depend")
    (lab.directory / "tiny.toml").write_text(recipe)
    assert lab.doit("kernel:one", "kernel:two").rung("kernel", repo.short("two")) == "trace"
    (lab.directory / "tiny.toml").write_text(recipe.replace("nothing", "lds"))
    lab.doit("kernel:one", "kernel:two")
    lab.doit("verify", "kernel:two")


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


def test_inputs_found_at_once_are_all_remembered(make_lab, repo):
    for number in range(8):
        repo.write(f"d{number}/f", "")
    repo.commit("one", tag="one")
    lab = make_lab(repo=repo)
    (lab.directory / "tiny.toml").write_text(RECIPE.replace("steps", 'inputs = ["x"]\nsteps', 1))
    found = load(lab.directory)
    commit = found.repository.commit("one")

    def widen(number: int) -> None:
        widened.widen(found, "kernel", commit, [f"d{number}/f"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(widen, range(8)))
    assert widened.inputs(found, "kernel") == [f"d{number}" for number in range(8)]


def test_a_base_that_goes_while_it_is_wanted(built):
    """What somebody removes under a build is a refusal, no traceback; run again, it is built."""
    build = built.start("kernel:kernel-c")
    said = built.doit("clean", "world:base", "kernel:base", "src:base", code=None)
    text = build.communicate(timeout=60)[0]
    assert "Traceback" not in said.text + text
    built.doit("kernel:kernel-c")


def test_jobs_that_use_what_others_make_are_counted(make_lab, repo):
    repo.write(
        "Makefile",
        "$(O)/k: $(O)/a.o $(O)/b.o\n\tld -r -o $@ $^\n$(O)/%.o: %.c\n\tcc -c -o $@ $<\n",
    )
    repo.write("a.c", "int a;\n")
    repo.write("b.c", "int b;\n")
    repo.commit("one", tag="one")
    repo.write("a.c", "int a = 2;\n")
    repo.commit("two", tag="two")
    said = built_twice(make_lab, repo)
    assert said.lines(r"about 3 of 4 jobs")
    assert said.lines(r"built: 3 jobs")


def test_commits_that_git_forgot_hide_no_base(make_lab, repo):
    """However many artifacts of a history that was rewritten the store holds."""
    repo.write("Makefile", "$(O)/a.o: a.c\n\tcc -c -o $@ $<\n")
    repo.write("a.c", "int a;\n")
    repo.commit("one", tag="one")
    lab = make_lab(repo=repo)
    (lab.directory / "tiny.toml").write_text(RECIPE)
    lab.doit("kernel:one")
    for number in range(9):
        repo.git("checkout", "-q", "--detach", "one")
        repo.write("a.c", f"int a = {number};\n")
        lab.doit(f"kernel:{repo.commit('thrown away')}")
    repo.git("checkout", "-q", "one")
    repo.git("reflog", "expire", "--expire=now", "--all")
    repo.git("gc", "-q", "--prune=now")
    repo.write("a.c", "int a = 100;\n")
    repo.commit("two", tag="two")
    said = lab.doit("kernel:two")
    assert said.rung("kernel", repo.short("two")) == "incremental"
    assert lab.manifest("src", "two").rung == "incremental"


def test_a_tree_that_git_has_not_is_no_empty_difference(repo):
    repo.write("a.c", "int a;\n")
    repo.commit("one", tag="one")
    found = Repository(repo.path)
    one = found.commit("one").tree
    assert found.diff(one, one) == ()
    for pair in ((TreeId("1" * 40), one), (one, TreeId("1" * 40))):
        with pytest.raises(UserError, match="git has no tree"):
            found.diff(*pair)


@pytest.mark.skipif(not shutil.which("bmake"), reason="bmake is not installed")
def test_a_make_that_compares_whole_seconds(make_lab, repo):
    """The second build begins in the second in which the first one ended."""
    repo.write("Makefile", "all: $(O)/k\n$(O)/k: a b\n\tcat a b > $(O)/k\n")
    repo.write("a", "one\n")
    repo.write("b", "same\n")
    repo.commit("one", tag="one")
    repo.write("a", "two\n")
    repo.commit("two", tag="two")
    lab = make_lab(repo=repo)
    (lab.directory / "tiny.toml").write_text(RECIPE.replace("make -j{jobs}", "bmake"))
    said = lab.doit("kernel:one", "kernel:two")
    assert said.rung("kernel", repo.short("two")) == "incremental"
    lab.doit("verify", "kernel:two")


def test_what_a_build_wrote_ages_by_one_second(tmp_path):
    now = time.time_ns()
    for name, age in (("old", 5), ("new", 0)):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, ns=(now - age * 10**9,) * 2)
    (tmp_path / "twin").hardlink_to(tmp_path / "new")
    (tmp_path / "link").symlink_to("nowhere")
    linked = (tmp_path / "link").lstat().st_mtime_ns
    builder.aged(tmp_path, now - 3 * 10**9)
    ages = {p.name: (now - p.lstat().st_mtime_ns) / 10**9 for p in tmp_path.iterdir()}
    assert (ages["old"], ages["new"], ages["twin"]) == (5, 1, 1)
    assert linked - (tmp_path / "link").lstat().st_mtime_ns == 10**9


def test_a_store_whose_times_of_change_are_others_is_believed(make_lab, repo):
    """As after a copy to another disk: content is compared then, git's attribute files included,
    and files that git writes with other ends of lines than they are committed with.
    """
    repo.write("Makefile", "all: $(O)/k\n$(O)/k: a\n\tcp a $(O)/k\n")
    repo.write(".gitattributes", "*.txt text\n*.sln eol=crlf\n")
    repo.write("b.sln", "as it was\n")
    for name in ("one", "two"):
        repo.write("a", f"{name}\n")
        repo.write("c.sln", f"{name}\n")
        repo.commit(name, tag=name)
    lab = make_lab(repo=repo)
    (lab.directory / "tiny.toml").write_text(RECIPE)
    lab.doit("kernel:one", "kernel:two")
    for path in lab.store.layers.rglob("t/**/*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode & 0o7777)  # no change, and yet one to its inode
    lab.doit("verify", "kernel:two")  # a clean build looks at every file


def test_no_base_where_git_writes_files_by_other_rules(make_lab, repo):
    """Attributes that have no say in what is written do not count, unless others above have."""
    repo.write("Makefile", "all: $(O)/k\n$(O)/k: a\n\tcp a $(O)/k\n")
    repo.write("a", "as it was\n")
    repo.write(".gitattributes", "*.h diff=cpp\n")
    repo.commit("one", tag="one")
    repo.write(".gitattributes", "*.c diff=cpp\n")
    repo.commit("idle", tag="idle")
    repo.write(".gitattributes", "a eol=crlf\n")
    repo.commit("two", tag="two")
    repo.write("d/.gitattributes", "*.bat eol=crlf\n")
    repo.write(".gitattributes", "*.bat -text\n")
    repo.commit("three", tag="three")
    repo.write(".gitattributes", "*.c diff=cpp\n")  # what is below has a say again
    repo.commit("four", tag="four")
    lab = make_lab(repo=repo)
    (lab.directory / "tiny.toml").write_text(RECIPE)
    said = lab.doit("kernel:one", "kernel:idle", "kernel:two", "kernel:three", "kernel:four")
    ids = {
        ref: repo.git("rev-parse", "--short=12", ref).strip()
        for ref in ("idle", "two", "three", "four")
    }
    told = ": clean: git may write files by other rules than those of kernel:"
    assert said.lines(f"kernel:{ids['idle']}: is kernel:\\w+ .trace"), said.text
    assert said.lines(f"kernel:{ids['two']}{told}"), said.text
    assert said.lines(f"kernel:{ids['three']}{told}"), said.text
    assert said.lines(f"kernel:{ids['four']}{told}"), said.text


FOLDERS: tuple[dict[str, str | None], ...] = (
    {"d/x": "1", "d/e/y": "2", "f": "3"},
    {"d/x": None, "d/e/y": None, "d": "a file now"},
    {"d": None, "d/x": "1b", "d/z/q/r": "4"},
    {"f": None, "f/g/h": "5", "d/x": None, "d/x/y": "6"},
    {"d/x/y": None, "d/x": "7", "d/z/q/r": None, "d/z": "8"},
)
"""One commit after the other: files become folders, and folders files."""


@pytest.mark.parametrize("layers", ["overlay", "copy"])
def test_folders_become_files_and_files_folders(make_lab, repo, layers):
    lab = make_lab(repo=repo, driver="root" if layers == "overlay" else "copy")
    listed = "find . ! -type d -exec sha256sum {} + | sort; find . -type d | sort"
    recipe = 'about = "one list"\n[kernel]\nsteps = ["( LISTED ) > {obj}/k"]\n'
    (lab.directory / "tiny.toml").write_text(recipe.replace("LISTED", listed.replace("{}", "{{}}")))
    seen = []
    for number, step in enumerate(FOLDERS):
        for path, text in sorted(step.items(), key=lambda item: item[1] is not None):
            if text is None:
                repo.git("rm", "-q", path)
            else:
                repo.write(path, text)
        repo.commit(f"{number}", tag=f"v{number}")
        told = subprocess.run(
            ["sh", "-c", listed], cwd=repo.path, check=True, capture_output=True, text=True
        )
        seen.append([line for line in told.stdout.splitlines() if "./.git" not in line])
    refs = [f"v{number}" for number in range(len(FOLDERS))]
    lab.doit(*(f"kernel:{ref}" for ref in refs))
    for ref, expected in zip(refs, seen, strict=True):
        top = lab.store.layers / lab.manifest("kernel", ref).stack[0] / "t"
        assert (top / "k").read_text().splitlines() == expected, ref


OF_MODULES = """
about = "a kernel and its modules; make compares commands"
[kernel]
steps = ["make -s -j{jobs} O={obj}"]
outputs = ["kernel", "*.ko"]
checks_commands = "yes"
"""


def test_a_module_that_the_makefile_no_longer_names(make_lab, repo):
    """Its source is still there, no makefile lists a folder, and nobody links it: what the base
    has of it would stay an output.
    """
    rules = (
        "all: $(O)/kernel $(MODULES:%=$(O)/%.ko)\n"
        "$(O)/kernel: main.c\n\tcc -c -o $@ $<\n"
        "$(O)/%.ko: %.c\n\tcc -c -o $@ $<\n"
    )
    repo.write("Makefile", f"MODULES = a b\n{rules}")
    for name in ("main", "a", "b"):
        repo.write(f"{name}.c", f"int {name};\n")
    repo.commit("two modules", tag="one")
    repo.write("Makefile", f"MODULES = a\n{rules}")
    repo.commit("one module", tag="two")
    said = built_twice(make_lab, repo, OF_MODULES)
    assert said.rung("kernel", repo.short("two")) == "incremental then clean"
    assert "the rules differ, and make knows nothing of b.ko" in said.text


def test_modules_that_a_generated_list_no_longer_names(make_lab, repo):
    """As of a configuration: make reads what a command of its own writes."""
    repo.write(
        "Makefile",
        "all: $(O)/kernel modules\n"
        "$(O)/kernel: main.c\n\tcc -c -o $@ $<\n"
        "$(O)/auto.mk: config\n\tsed 's/^/MODULES += /' config > $@\n"
        "-include $(O)/auto.mk\n"
        "modules: $(MODULES:%=$(O)/%.ko)\n"
        "$(O)/%.ko: %.c\n\tcc -c -o $@ $<\n",
    )
    for name in ("main", "a", "b"):
        repo.write(f"{name}.c", f"int {name};\n")
    repo.write("config", "a\nb\n")
    repo.commit("two modules", tag="one")
    repo.write("config", "b\n")
    repo.commit("one module", tag="two")
    said = built_twice(make_lab, repo, OF_MODULES)
    assert said.rung("kernel", repo.short("two")) == "incremental then clean"


def test_what_is_made_beside_a_target_is_no_leftover(make_lab, repo):
    """Make looks at the target alone, and the rules have changed elsewhere."""
    rules = "$(O)/kernel: main.c\n\tcc -c -o $@ $< && nm $@ > $(O)/kernel.map\n"
    repo.write("Makefile", rules)
    repo.write("main.c", "int main;\n")
    repo.commit("a map", tag="one")
    repo.write("Makefile", f"{rules}clean:\n\trm $(O)/kernel\n")
    repo.commit("another target", tag="two")
    recipe = OF_MODULES.replace('"*.ko"', '"kernel.map"')
    said = built_twice(make_lab, repo, recipe)
    assert said.rung("kernel", repo.short("two")) == "incremental"


@pytest.mark.parametrize("compares", ["no", "yes"])
def test_a_stamp_that_hides_what_a_make_below_would_see(make_lab, repo, compares):
    """As where a tree builds others' packages: "done" depends on nothing, so make run once more
    makes nothing of what was removed.
    """
    repo.write(
        "Makefile",
        "$(O)/k: $(O)/.done\n\tcp $(O)/a.o $@\n$(O)/.done:\n\t$(MAKE) -f sub.mk\n\ttouch $@\n",
    )
    repo.write("sub.mk", "$(O)/a.o: a.c\n\tcc -c -o $@ $<\n")
    repo.write("a.c", "int one;\n")
    repo.commit("one", tag="one")
    repo.write("a.c", "int two;\n")
    repo.commit("two", tag="two")
    recipe = RECIPE + f'outputs = ["k"]\nchecks_commands = "{compares}"\n'
    said = built_twice(make_lab, repo, recipe)
    assert said.rung("kernel", repo.short("two")) == "incremental then clean"


def test_a_part_that_the_makefile_no_longer_names_is_asked_for_once(make_lab, repo):
    """It read a header that differs; that it is not made again hides nothing, since what was made
    of it was made without it. Nor is it looked for ever after.
    """
    rules = (
        "$(O)/k: $(OBJS:%=$(O)/%.o) Makefile\n\tld -r -o $@ $(OBJS:%=$(O)/%.o)\n"
        "$(O)/%.o: %.c h.h\n\tcc -c -o $@ $<\n"
    )
    repo.write("h.h", "")
    for name in "ab":
        repo.write(f"{name}.c", f'#include "h.h"\nint {name};\n')
    repo.write("Makefile", f"OBJS = a b\n{rules}")
    repo.commit("two objects", tag="one")
    repo.write("Makefile", f"OBJS = a\n{rules}")
    repo.write("h.h", "int h;\n")
    repo.commit("one object, another header", tag="two")
    repo.write("h.h", "int i;\n")
    repo.commit("a third header", tag="three")
    recipe = RECIPE + 'outputs = ["k"]\nchecks_commands = "yes"\n'
    lab = make_lab(repo=repo)
    (lab.directory / "tiny.toml").write_text(recipe)
    lab.doit("kernel:one")
    first, second = lab.doit("kernel:two"), lab.doit("kernel:three")
    assert first.rung("kernel", repo.short("two")) == "incremental"
    assert "once more" in first.text
    assert second.rung("kernel", repo.short("three")) == "incremental"
    assert "once more" not in second.text
    lab.doit("verify", "kernel:two", "kernel:three")


def test_a_make_that_the_tree_made_for_itself(make_lab, repo):
    """Under a name of its own, as build.sh does: its commands are jobs like any other make's."""
    repo.write("Makefile", "all: $(O)/a.o $(O)/b.o\n$(O)/%.o: %.c\n\tcc -c -o $@ $<\n")
    for name in "ab":
        repo.write(f"{name}.c", f"int {name};\n")
    repo.commit("one", tag="one")
    repo.write("a.c", "int a = 2;\n")
    repo.commit("two", tag="two")
    recipe = RECIPE.replace("make -j{jobs}", "cp $(command -v make) {obj}/nbmake; {obj}/nbmake -s")
    said = built_twice(make_lab, repo, recipe + 'outputs = ["*.o"]\n')
    assert said.rung("kernel", repo.short("two")) == "incremental"
    assert "about 2 of 3 jobs" in said.text  # cp is the other one
