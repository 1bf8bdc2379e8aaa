"""`labtasks init`, and what doit shows of a lab."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import get_args, get_type_hints

import msgspec
import pytest
from conftest import ROOT, doit, environment
from tiny import RECIPE

from labtasks.command import main
from labtasks.lab import config, recipe
from labtasks.lab.settings import Settings

LINUX = ("--recipe", "linux", "--repository", "demo")


def labtasks(*words, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "labtasks.command.main", *map(str, words)],
        env=environment(), cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_init_documents_every_setting(tmp_path):
    assert main.main(["init", str(tmp_path / "lab")]) == 0
    text = (tmp_path / "lab" / "lab.toml").read_text()
    flat = " ".join(line.removeprefix("# ") for line in text.splitlines())
    hints = get_type_hints(Settings, include_extras=True)
    for name in Settings.__struct_fields__:
        assert f"{name} = " in flat or f"[{name}]" in flat
        meta = next(m for m in get_args(hints[name]) if isinstance(m, msgspec.Meta))
        assert meta.description in flat


def test_the_defaults_it_shows_are_the_defaults(tmp_path):
    """Every commented setting can be uncommented as it stands, and changes nothing."""
    assert main.main(["init", str(tmp_path / "lab"), *LINUX]) == 0
    path = tmp_path / "lab" / "lab.toml"
    plain = config.read(path, Settings)
    lines = path.read_text().splitlines()
    path.write_text(
        "\n".join(
            line.removeprefix("# ") if re.match(r"# \w+ = ", line) else line for line in lines
        )
    )
    full = config.read(path, Settings)
    assert msgspec.structs.replace(full, options={}) == plain


def test_what_init_writes_works(tmp_path):
    done = labtasks("init", tmp_path / "my lab")
    assert done.returncode == 0
    assert "doit build:HEAD" in done.stdout
    for words in (["list"], ["help", "explain"], ["list", "--all"]):
        listed = doit(tmp_path / "my lab", *words)
        assert listed.returncode == 0, listed.stderr
    again = labtasks("init", tmp_path / "my lab")
    assert again.returncode == 3
    assert "has a lab.toml already" in again.stderr
    assert "hint:" in again.stderr


@pytest.mark.parametrize(
    "words", [("--recipe", "linx"), ("--recipe", "none.toml"), ("--repository", "/nonexist")]
)
def test_init_refuses_what_is_not_there(tmp_path, words):
    done = labtasks("init", tmp_path / "lab", *words)
    assert done.returncode == 3
    assert "hint:" in done.stderr
    assert not (tmp_path / "lab").exists()


def test_init_finds_a_recipe_beside_a_lab_that_is_still_to_be_made(tmp_path, world):
    (tmp_path / "own.toml").write_text(RECIPE)
    words = ("--recipe", "../own.toml", "--repository", world.repo.path)
    done = labtasks("init", tmp_path / "lab", *words)
    assert done.returncode == 0, done.stderr
    assert doit(tmp_path / "lab", "explain", "kernel:HEAD").returncode == 0
    beside = labtasks("init", tmp_path / "other", "--recipe", "own.toml", *words[2:])
    assert beside.returncode == 3
    assert "relative to the lab" in beside.stderr


def test_init_takes_the_demo_s_repository_for_the_demo_alone(tmp_path):
    done = labtasks("init", tmp_path / "lab", "--recipe", "linux")
    assert done.returncode == 3
    assert "hint: --repository CLONE" in done.stderr
    assert not (tmp_path / "lab").exists()
    assert labtasks("init", tmp_path / "lab", *LINUX).returncode == 0


def test_list_needs_neither_git_nor_a_repository(make_lab, tmp_path):
    lab = make_lab()
    lab.configure(repository="nowhere")
    (tmp_path / "bin").mkdir()
    listed = doit(lab.directory, "list", PATH=str(tmp_path / "bin"))
    assert listed.returncode == 0, listed.stderr
    for kind in ("src", "toolchain", "world", "kernel", "build", "objfs"):
        assert f"{kind}:<ref>" in listed.stdout
    assert re.search(r"(?m)^boot +boot:<ref>:<vm>  boot what was installed", listed.stdout)


def test_git_missing(make_lab, tmp_path):
    lab = make_lab()
    (tmp_path / "bin").mkdir()
    done = doit(lab.directory, "build:HEAD", PATH=str(tmp_path / "bin"))
    assert done.returncode == 3
    assert "the command 'git' is missing" in done.stderr
    assert "apt-get install git" in done.stderr


def test_list_info_clean(built):
    short = built.repo.short("base")
    said = built.doit("list", "--all")
    assert said.lines(f"^kernel:{short} +clean, .* s, base")
    assert said.lines(r"^kernel +kernel:<ref> .*\(1 in the store\)")
    assert built.doit("info", "build:base").lines("status +: up-to-date")
    assert built.doit("info", "build:kernel-c", code=1).lines("^ +- not in the store")
    assert built.doit("clean", "-n", "build:base").lines("would remove build")
    said = built.doit("clean", "build:base")
    assert said.lines("removed build")
    assert not built.manifests("build")
    assert built.manifests("kernel")
    said = built.doit("build:base")
    assert not said.lines("built:")
    said = built.doit("clean", "-c", "build:base")
    assert {line.split()[1] for line in said.lines("^removed")} == {
        "src",
        "world",
        "kernel",
        "build",
    }
    assert not any(built.manifests(kind) for kind in ("src", "world", "kernel", "build"))
    assert built.doit("build:base").lines("^kernel:.*: clean: no base of its family")


def test_list_shows_each_artifact_of_a_commit(built):
    built.configure(options={"level": "1"}, tracer="strace")
    built.doit("world:base")
    said = built.doit("list", "--all")
    keys = {one.key[:4] for one in built.store.all("world")}
    lines = said.lines(rf"^world:{built.repo.short('base')} \([0-9a-f]{{4}}\) +clean, ")
    assert {line.split("(")[1][:4] for line in lines} == keys
    assert len(keys) == 2
    assert said.lines(r"^world +world:<ref> .*\(2 in the store\)")


def test_explain(built):
    said = built.doit("explain", "kernel:base")
    assert said.lines("in the store: digest")
    assert said.lines("rung +clean")
    assert said.lines("step 1 +make -j{jobs} -f sys/Makefile")
    said = built.doit("explain", "kernel:kernel-header")
    assert said.lines("would be: incremental: ")
    assert said.lines("obj/kernel/a.o read .*include/kern.h")
    assert said.lines("tree include: [0-9a-f]{40} -> [0-9a-f]{40}")
    assert not built.manifests("kernel").keys() - {built.repo.short("base")}
    built.configure(options={"level": "1"}, tracer="strace")
    said = built.doit("explain", "world:base")
    assert said.lines("^no artifact was built with these settings; ")
    assert said.lines("env LEVEL: 0 -> 1")


def test_explain_shows_the_artifact_that_was_weighed(built):
    """Make's rules differ from those of base, which is weighed; what was made last is not shown."""
    built.doit("world:world-c", "kernel:kernel-comment")
    short = built.repo.short("base")
    said = built.doit("explain", "kernel:makefile")
    assert said.lines(f"^would be: clean: make's own rules differ from those of kernel:{short}")
    assert said.lines("^  all jobs, about [1-9]")
    assert said.lines(f"^what differs from kernel:{short}:")
    assert said.lines("^  sys/Makefile$")
    assert not said.lines("no artifact was built with these settings|about 0 of")


def test_explain_of_what_is_put_together(built):
    said = built.doit("explain", "build:kernel-header")
    for kind in ("world", "kernel"):
        assert said.lines(f"^{kind}:{built.repo.short('kernel-header')}")
    assert said.lines("^would be: trace: ")
    assert said.lines("^would be: incremental: ")


def test_explain_shows_all_lines_of_a_step(built):
    built.recipe(("make -j{jobs} -f sys/Makefile {trim}", "true\\nmake -j{jobs} -f sys/Makefile"))
    said = built.doit("explain", "kernel:base")
    assert said.lines("^  step 1 +true$")
    assert said.lines("^ +make -j{jobs} -f sys/Makefile$")
    assert said.lines("^  step 1:$")
    assert said.lines(r"^    \+ true$")


def test_the_log_on_the_terminal(make_lab):
    lab = make_lab()
    said = lab.doit("world:base", "echo=yes")
    assert said.lines("cc -O0 .*-o /mnt/obj/world/hello bin/hello.c")


def test_jobs_are_no_part_of_what_was_built(built):
    built.configure(jobs=1, tracer="strace")
    assert not built.doit("build:base").lines("built")


def test_dodo_py_is_a_table_of_contents():
    text = (ROOT / "labtasks" / "dodo.py").read_text()
    assert text.count("def task_") == 12


def test_init_takes_paths_from_the_lab_or_from_here(tmp_path):
    """A folder that is called as a shipped recipe is none."""
    subprocess.run(["git", "init", "-q", tmp_path / "freebsd"], check=True)
    (tmp_path / "my.toml").write_bytes((recipe.SHIPPED / "demo.toml").read_bytes())
    chosen = [("freebsd", "my.toml"), ("../freebsd", "../my.toml"), ("freebsd", "freebsd")]
    for name, (clone, wanted) in zip("abc", chosen, strict=True):
        done = labtasks("init", name, "--repository", clone, "--recipe", wanted, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        said = config.read(tmp_path / name / "lab.toml", Settings)
        assert said.repository == "../freebsd"
        assert said.recipe == ("freebsd" if wanted == "freebsd" else "../my.toml")
