"""eitri and brokkr: the words they take, the order they keep, the table and the status."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys

import pytest
from conftest import ROOT, environment, processes, wait_for
from servers import hook
from test_interrupt import unique

from labtasks.command.eitri import HELP, Asked, Wish, parse
from labtasks.ground.error import UserError
from labtasks.lab.lab import load


def argv(name, *words):
    code = f"import sys; from labtasks.command.eitri import {name}; sys.exit({name}())"
    return [sys.executable, "-c", code, *words]


def run(lab, name, *words, code=0):
    done = subprocess.run(
        argv(name, *words), cwd=lab.directory, env=environment(), check=False, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    assert "Traceback" not in done.stdout
    return done.stdout


def rows(text):
    """The table's rows, split into columns."""
    return [line.split(maxsplit=5) for line in text.rpartition("\n\n")[2].splitlines()[1:]]


@pytest.mark.parametrize(
    ("name", "words", "asked"),
    [
        ("eitri", ["local/HEAD"], [("local", "HEAD", "")]),
        ("eitri", ["vm1/a/b=c", "local/v1"], [("vm1", "a/b=c", ""), ("local", "v1", "")]),
        ("brokkr", ["local/HEAD/test"], [("local", "HEAD", "test")]),
        ("brokkr", ["local/topic/x/test"], [("local", "topic/x", "test")]),
    ],
)
def test_words(name, words, asked):
    wishes = tuple(Wish(builder=b, ref=r, vm=v) for b, r, v in asked)
    assert parse(name, words) == Asked(wishes=wishes)


def test_options():
    asked = parse("eitri", ["-c", "world=origin/main", "local/HEAD", "echo=yes"])
    assert asked.options == ("world=origin/main", "echo=yes")
    assert asked.go_on


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("eitri", []),
        ("eitri", [""]),
        ("eitri", ["HEAD"]),
        ("eitri", ["/HEAD"]),
        ("eitri", ["local/"]),
        ("eitri", ["local/HEAD", "local/"]),
        ("eitri", ["--contineu", "local/HEAD"]),
        ("eitri", ["wrld=x", "local/HEAD"]),
        ("brokkr", ["local/HEAD"]),
        ("brokkr", ["local/HEAD/"]),
        ("brokkr", ["local//test"]),
        ("brokkr", ["/HEAD/test"]),
    ],
)
def test_wrong_words(name, words):
    with pytest.raises(UserError) as refused:
        parse(name, words)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("nobody/base", "no builder is called 'nobody'"),
        ("local/nowhere", "'nowhere' is not a commit"),
        ("lcal/base", "did you mean 'local'"),
    ],
)
def test_wrong_questions_begin_nothing(lab, word, message):
    text = run(lab, "eitri", "local/base", word, code=3)
    assert message in text
    assert "hint:" in text
    assert not lab.manifests("world")


def test_an_unknown_vm(lab):
    assert "no VM is called 'tset'" in run(lab, "brokkr", "local/base/tset", code=3)


def test_builds_in_order_with_a_table(built):
    built.repo.git("branch", "-f", "topic/a=b", "kernel-c")
    try:
        text = run(built, "eitri", "local/topic/a=b", "local/base")
    finally:
        built.repo.git("branch", "-D", "topic/a=b")
    first, second = rows(text)
    assert first[:4] == ["local", "topic/a=b", built.repo.short("kernel-c"), "incremental"]
    assert first[5] == "built"
    assert (second[1], second[3:5]) == ("base", ["same", "key"])
    assert second[5].endswith("was there")
    assert built.manifests("build").keys() >= {built.repo.short(r) for r in ("kernel-c", "base")}


def test_after_a_failure(built):
    text = run(built, "eitri", "local/broken", "local/docs", code=1)
    broken, docs = rows(text)
    assert broken[5].startswith("failed: sys/c.c:2:14: error: ")
    assert docs[3:] == ["-", "-", "not tried"]
    assert built.repo.short("docs") not in built.manifests("build")
    text = run(built, "eitri", "--continue", "local/broken", "local/docs", code=1)
    assert "known not to build" in text
    broken, docs = rows(text)
    assert broken[5].startswith("failed: sys/c.c:2:14: error: ")
    assert docs[5] == "built"


def test_interrupted(make_lab, kept):
    lab = make_lab()
    word = unique()
    lab.recipe(("make -j{jobs} -f bin/Makefile {trim}", f"sleep {word}"))
    one = subprocess.Popen(
        argv("eitri", "local/base", "local/docs"), cwd=lab.directory, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    kept.append(one)
    wait_for(lambda: processes(f"sleep {word}") or processes(f"sleep\0{word}"))
    one.send_signal(signal.SIGTERM)
    text, _ = one.communicate(timeout=120)
    assert one.returncode == 130
    assert "Traceback" not in text
    assert [row[-1].split()[-1] for row in rows(text)] == ["interrupted", "tried"]
    wait_for(lambda: not processes(f"sleep\0{word}"))


def test_help():
    for name in ("eitri", "brokkr"):
        done = subprocess.run(
            argv(name, "--help"), env=environment(), capture_output=True, text=True, check=True
        )
        assert done.stdout == HELP[name]
        assert all(f" {code} " in done.stdout for code in (0, 1, 3, 130))


def test_brokkr_installs_and_builds_first(tmp_path):
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("the demo's recipe wants qemu-system-x86_64")
    from labtasks.command import main  # noqa: PLC0415
    from labtasks.store.store import Store  # noqa: PLC0415

    assert main.main(["init", str(tmp_path / "lab")]) == 0
    done = subprocess.run(
        argv("brokkr", "local/good/test"), cwd=tmp_path / "lab", env=environment(), check=False,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = rows(done.stdout)
    assert (row[1], row[5]) == ("good/test", "installed")
    assert Store(tmp_path / "lab" / "cache").all("install")


def test_muninn_eitri(built):
    """The article's example: one message, with what matters."""
    eitri = built.directory / "eitri"
    code = "import sys; from labtasks.command.eitri import eitri; sys.exit(eitri())"
    eitri.write_text(f"#!/bin/sh\nexec '{sys.executable}' -c '{code}' \"$@\"\n")
    eitri.chmod(0o755)
    built.configure(tracer="strace", notify={"after_seconds": 0.01})
    with hook() as there:
        done = subprocess.run(
            [sys.executable, "-m", "labtasks.notice.muninn", "./eitri", "local/broken"],
            cwd=built.directory, env=environment(LABTASKS_NOTIFY=there.url, NO_PROXY="127.0.0.1"),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    (got,) = there.got
    assert got["title"].startswith("./eitri local/broken: failed with status 1")
    assert "error: expected expression" in got["message"].split("\n\n")[1]
    assert "not tried" not in got["message"]


def test_documented():
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for word in ("eitri local/", "brokkr local/", "LABTASKS_NOTIFY", "after_seconds", "128+N"):
        assert word in text


def test_which_names_are_builders(tmp_path):
    (tmp_path / "lab.toml").write_text(
        'repository = "demo"\nrecipe = "demo"\n[vm.farm]\nimage = "farm.img"\n[vm.test]\n'
    )
    lab = load(tmp_path)
    assert lab.built_by("local") is lab
    there = load(tmp_path, builder="farm")
    assert there.settings.builder == "vm:farm"
    assert there.built_by("farm") is there
    assert there.built_by("local").settings == lab.settings
    with pytest.raises(UserError, match="no builder is called 'test'"):
        lab.built_by("test")
