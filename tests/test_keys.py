"""Keys: the same for the same inputs wherever and whenever they are asked for, another one for
each input that differs.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtasks.ground import digest, memory
from labtasks.ground.error import UserError, printable
from labtasks.key.key import path_of, wanted
from labtasks.lab import lab

pairs = st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), max_size=4)


@given(pairs, pairs)
def test_no_two_lists_collide(one, other):
    assert (digest.key_of(one) == digest.key_of(other)) == (one == other)


@given(st.text(max_size=6), st.data())
def test_where_a_text_is_cut_matters(text, data):
    """("ab", "c") is not ("a", "bc")."""
    cut, other = data.draw(st.tuples(*[st.integers(0, len(text))] * 2))
    same = digest.key_of([(text[:cut], text[cut:])]) == digest.key_of(
        [(text[:other], text[other:])]
    )
    assert same == (cut == other)


NAMED = ("make -j{jobs} -f sys/", ": {files}/tiny.conf; make -j{jobs} -f sys/")
"""A kernel's step that names the recipe's file."""


def key(lab, kind="kernel", ref="base"):
    assert lab.store
    return lab.want(kind, ref).key


def test_the_same_everywhere(make_lab):
    one = make_lab("one")
    other = make_lab("a longer name", jobs=7, cache="elsewhere", depth=3)
    assert key(one) == key(one)
    (other.directory / "elsewhere").mkdir()
    assert key(one) == other.want("kernel", "base").key


def test_comments_and_helpers_do_not_count(make_lab):
    """What a recipe says to people, how errors look, what traces need: no reason to build."""
    lab = make_lab()
    before = key(lab)
    lab.recipe(
        ("a tiny system", "a small system"),
        ("How hard the compiler tries.", "Effort."),
        ("[env]", "# a remark\n[env]"),
        ('unseen = ["bin/', 'unseen = ["sbin/'),
    )
    assert key(lab) == before


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda lab: lab.configure(options={"level": 1}), id="option"),
        pytest.param(lambda lab: lab.configure(options={"trim": True}), id="option with choices"),
        pytest.param(lambda lab: lab.recipe(("conf one", "conf two")), id="file"),
        pytest.param(lambda lab: lab.recipe(('O = "{obj}"', 'O = "{obj}"\nP = "1"')), id="env"),
        pytest.param(lambda lab: lab.recipe(("sys/Makefile {trim}", "sys/Makefile")), id="step"),
        pytest.param(lambda lab: lab.recipe(('"kernel/kernel"', '"kernel/*"')), id="outputs"),
        pytest.param(lambda lab: lab.recipe(("cc --version", "cc -dumpversion")), id="identity"),
        pytest.param(lambda lab: lab.configure(layers="copy"), id="places"),
    ],
)
def test_each_setting_counts(make_lab, change):
    lab = make_lab()
    lab.recipe(NAMED)
    before = key(lab)
    change(lab)
    assert key(lab) != before


@pytest.mark.parametrize(
    ("step", "counts"),
    [
        (": {files}/tiny.conf", {"tiny.conf"}),
        (": {files}/tiny.conf {files}/other", {"tiny.conf", "other"}),
        (": {files}", {"tiny.conf", "other"}),
        (": {files}/other {files}", {"tiny.conf", "other"}),
        (": {files}/$name", {"tiny.conf", "other"}),
        (": {files}/nobody", {"tiny.conf", "other"}),
        (":", set()),
    ],
)
def test_a_file_counts_where_it_is_named_or_all_are(make_lab, step, counts):
    """A kernel's configuration is no reason to build a world."""
    lab = make_lab()
    lab.recipe(
        ("make -j{jobs} -f sys/", f"{step}; make -j{{jobs}} -f sys/"),
        ("[files]", '[files]\n"other" = "1"'),
    )
    labels = {label for label, _ in lab.want("kernel", "base").inputs}
    assert {label for label in labels if label.startswith("file ")} == {
        f"file {name}" for name in counts
    }
    before = key(lab, "world")
    lab.recipe(("conf one", "conf two"))
    assert key(lab, "world") == before


def test_a_file_that_does_not_count_is_not_there(make_lab):
    lab = make_lab()
    lab.recipe(
        ("make -j{jobs} -f bin/Makefile {trim}",
         ": {files}/other; ls /mnt/*les; mkdir -p {obj}/world; : >{obj}/world/made"),
        ("[files]", '[files]\n"other" = "1"'),
    )  # fmt: skip
    lab.doit("world:base")
    said = lab.logs("world")[0].read_text().splitlines()
    assert "other" in said
    assert "tiny.conf" not in said


def test_a_file_of_the_lab_replaces_the_recipes(make_lab):
    lab = make_lab()
    lab.recipe(NAMED)
    before = key(lab)
    (lab.directory / "mine").write_text("conf one")
    lab.configure(files={"tiny.conf": "mine"})
    assert key(lab) == before
    (lab.directory / "mine").write_text("conf of mine")
    assert key(lab) != before


def test_the_tree_counts_where_it_is_declared(make_lab):
    lab = make_lab()
    lab.recipe(("[world]\n", '[world]\ninputs = ["bin", "include"]\n'))
    base, docs, arch, program = (key(lab, ref=r) for r in ("base", "docs", "arch", "world-c"))
    assert base == docs
    assert len({base, arch, program}) == 3
    assert key(lab, "world") == key(lab, "world", "arch") != key(lab, "world", "world-c")


def test_the_compiler_counts(make_lab, tmp_path):
    lab = make_lab()
    tool = tmp_path / "labs-own-cc"
    lab.recipe(("cc --version", f"{tool} --version"))
    tool.write_text("#!/bin/sh\necho version 1\n")
    tool.chmod(0o755)
    before = key(lab)
    assert key(lab) == before
    tool.write_text("#!/bin/sh\necho version 2.0\n")
    assert key(lab) != before


def test_the_compiler_asked_is_the_one_that_builds(make_lab, tmp_path, monkeypatch):
    """Steps run with a scrubbed PATH; a `cc` of the person's own is neither used nor asked."""
    lab = make_lab()
    before = key(lab)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "cc").write_text("#!/bin/sh\necho my own\n")
    (tmp_path / "bin" / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    assert key(lab) == before


def test_the_shell_of_the_person_does_not_count(make_lab):
    """No variable of the person's environment reaches a step."""
    lab = make_lab()
    lab.recipe(
        ("make -j{jobs} -f bin/Makefile {trim}",
         "env | sort; mkdir -p {obj}/world; : >{obj}/world/made; umask"),
    )  # fmt: skip
    lab.doit("world:base", env={"CFLAGS": "-DSURPRISE", "MAKEFLAGS": "-k", "SURPRISE": "1"})
    log = lab.logs("world")[0].read_text()
    assert "SURPRISE" not in log
    assert "MAKEFLAGS" not in log
    names = {line.partition("=")[0] for line in log.splitlines() if "=" in line}
    told = {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "SHELL", "O", "LEVEL", "PWD", "_"}
    told.add("CCACHE_NODIRECT")
    assert names <= told | {"OLDPWD", "SHLVL"}
    assert "0022" in log


def test_an_undeclared_input_joins_the_key(world, make_lab):
    """Read once, it counts from then on; before, nobody could have known."""
    lab = make_lab()
    lab.recipe(
        ("[world]\n", '[world]\ninputs = ["bin", "include"]\n'),
        ("sys/Makefile {trim}", "sys/Makefile {trim} && cp docs/guide {obj}/kernel/guide"),
        ('"kernel/kernel"', '"kernel/kernel", "kernel/guide"'),
    )
    assert key(lab) == key(lab, ref="docs")
    said = lab.doit("build:base")
    assert said.lines("note: reads outside its declared inputs join its key: .*docs")
    assert "built" not in lab.doit("build:base").text
    assert key(lab) != key(lab, ref="docs")
    said = lab.doit("kernel:docs")
    assert said.rung("kernel", world.repo.short("docs")) in ("incremental", "clean")
    stack = lab.manifest("kernel", "docs").stack
    guide = lab.store.layers / stack[0] / "t" / "kernel" / "guide"
    assert guide.read_text() == "read me\nmore\n"
    assert lab.doit("verify", "kernel:docs").lines(": equal:")


def test_an_undeclared_input_whose_name_is_odd(make_lab):
    made = make_lab()
    made.recipe(("[world]\n", '[world]\ninputs = ["bin", "my dir"]\n'))
    odd = os.fsdecode(b"caf\xe9")
    memory.write(made.directory / "cache" / "widened.json", {"tiny.world": [odd, "a b"]})
    found = lab.load(made.directory)
    inputs = wanted(found, "world", found.repository.commit("base"), None).inputs
    paths = [path for label, _ in inputs if (path := path_of(label))]
    assert paths == ["bin", "my dir", printable(odd), "a b"]


def test_a_version_s_pattern_without_a_group_is_refused(make_lab):
    made = make_lab()
    made.recipe((r"VERSION (\d+)", r"VERSION \d+"))
    with pytest.raises(UserError, match="has no group"):
        _ = lab.load(made.directory).recipe


def test_a_cache_in_the_home_folder(make_lab, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    made = make_lab(cache="~/cache")
    assert lab.load(made.directory).cache == tmp_path / "cache"
