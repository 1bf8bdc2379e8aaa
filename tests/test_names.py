"""File names that are no plain words, from git's tree to the sealed objects and the image."""

from __future__ import annotations

import os

import pytest
from conftest import Repo

from labtasks.bisect import gitlog
from labtasks.bisect.search import Verdict
from labtasks.key.git import CommitId, Repository

RECIPE = """
about = "copies its sources"
[env]
O = "{obj}"
[kernel]
inputs = ["sys"]
steps = ["make -f sys/Makefile"]
outputs = ["kernel/**"]
"""

MAKEFILE = """\
all:
	mkdir -p $(O)
	rm -rf $(O)/kernel; cp -a sys $(O)/kernel
"""

NAMES = {
    "several": [
        "a b  c",
        "gr\u00fc\u00dfe",
        "$(touch x) `y` 'z' \"w\" ;&|*?",
        "-rf",
        "a\\b",
        "#%:",
    ],
    "newline": ["new\nline"],
    "not utf-8": [os.fsdecode(b"caf\xe9")],
}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES.keys())
def test_names_survive(make_lab, tmp_path, names):
    repo = Repo(tmp_path / "repo")
    repo.create()
    repo.write("sys/Makefile", MAKEFILE)
    repo.write("sys/plain", "0\n")
    repo.commit("base", tag="base")
    for name in names:
        repo.write(f"sys/{name}", "1\n")
        repo.write(f"sys/in {name}/{name}", "2\n")
        (repo.path / f"sys/{name}.link").symlink_to(name)
    repo.commit("odd", tag="odd")
    for name in names:
        repo.write(f"sys/{name}", "3\n")
        (repo.path / f"sys/in {name}/{name}").unlink()
    repo.commit("odd changed and gone", tag="changed")
    lab = make_lab(repo=repo)
    (lab.directory / "tiny.toml").write_text(RECIPE)
    said = lab.doit("kernel:base", "kernel:odd", "kernel:changed")
    assert "Traceback" not in said.text
    for ref, text, inside in (("odd", "1\n", True), ("changed", "3\n", False)):
        tree = lab.store.layers / lab.manifest("kernel", ref).stack[0] / "t" / "kernel"
        for name in names:
            assert (tree / name).read_text() == text
            assert os.readlink(tree / f"{name}.link") == name
            assert (tree / f"in {name}" / name).exists() == inside


@pytest.mark.parametrize("odd", ["\f", "\v", "\x1c", "\x85", "\u2028", "\udcff"])
def test_subjects_that_hold_other_ends_of_lines(tmp_path, odd):
    repo = Repo(tmp_path / "repo")
    repo.create()
    (tmp_path / "message").write_bytes(f"one{odd}git bisect two".encode(errors="surrogateescape"))
    repo.git("commit", "-q", "--allow-empty", "-F", str(tmp_path / "message"))
    repository = Repository(repo.path)
    head = repository.commit("HEAD")
    told = repository.about([head.id])
    assert told[head.id].id == head.id
    log = gitlog.GitLog(told=((head.id, Verdict.BAD),))
    text = gitlog.write(log, {head.id: told[head.id].subject})
    assert gitlog.read(text, CommitId).told == log.told
