"""The store survives what happens to it: kills, full disks, hands, two runs at once."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shlex
import shutil
import subprocess
import threading
import time

import filelock
import pytest
from conftest import behind, environment, processes, wait_for

from labtasks.ground.error import UserError
from labtasks.store import layer, locks, store


def marked(lab, word):
    """Make every step carry a word by which its processes are known."""
    lab.recipe(("make -j{jobs}", f": {word}; make -j{{jobs}}"))
    return lab


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["one", "two at once"])
def test_killed_at_any_moment(world, make_lab, kept, words):
    """Whatever was under way is gone; what was sealed stays, and the next run goes on from it."""
    lab = marked(make_lab(), word := f"KILLED{os.getpid()}x{len(words)}")
    refs = ("build:base", "build:world-tool")
    moments = random.Random(7)  # noqa: S311 (no secret)
    for _ in range(5):
        run = lab.start(*words, *refs)
        kept.append(run)
        time.sleep(moments.uniform(0.15, 1.2))
        run.kill()
        wait_for(lambda: not processes(word))
    wait_for(lambda: not any(map(locks.taken, lab.store.cache.glob("tmp/*/owner"))))
    said = lab.doit(*words, *refs)
    lab.at_rest()
    for ref in ("base", "world-tool"):
        for kind in ("world", "kernel"):
            assert lab.content(kind, ref) == world.oracle(kind, ref), said.text


def test_doits_database_is_dispensable(built):
    for path in built.directory.glob(".doit.db*"):
        path.unlink()
    said = built.doit("build:base")
    assert not said.lines("built|clean:|incremental")
    assert len(built.logs("kernel")) == 1


def test_a_commit_that_does_not_build_is_remembered(built):
    said = built.doit("build:broken", code=1)
    assert said.lines("the incremental build is not taken")
    assert said.lines(r"does not build: .*error: expected expression")
    assert said.lines("again: .*doit shell --steps kernel:")
    logs = len(built.logs("kernel"))
    assert logs > 1
    said = built.doit("build:broken", code=1)
    assert said.lines("is known not to build: .*error:")
    assert said.lines("hint: `doit retry=yes kernel:")
    assert len(built.logs("kernel")) == logs
    built.doit("kernel:broken", "retry=yes", code=1)
    assert len(built.logs("kernel")) > logs
    built.at_rest()
    assert "does not build" in built.doit("explain", "kernel:broken").text


def test_inputs_that_no_commit_has_decide_nothing(make_lab):
    """Without a trace, each commit's kernel would be the first one's."""
    lab = make_lab(tracer="none")
    lab.recipe(('inputs = ["sys", "include"]', 'inputs = ["syss", "includ"]'))
    said = lab.doit("kernel:base", code=1)
    assert said.lines("no input of .kernel. is in the sources: syss includ$")
    assert said.lines("hint: paths below the root of the repository")
    assert not lab.logs("kernel")
    lab.recipe(('"includ"', '"include"'))  # one is enough: commits differ in what they have
    lab.doit("kernel:base")


def test_outputs_that_match_nothing_are_no_kernel(built):
    """Their digest would be one constant: any other kernel's verdict would be this one's."""
    built.recipe(("kernel/kernel", "kernel/kernal"))
    for ref in ("base", "kernel-c"):
        said = built.doit(f"kernel:{ref}", code=1)
        assert said.lines("no file is an output: kernel/kernal")
        assert said.lines("hint: outputs in .kernel.")
        key = built.want("kernel", ref).key
        assert not built.store.get("kernel", key)
        assert not built.store.failure("kernel", key)
    built.at_rest()


def test_a_killed_compiler_is_no_fact_about_the_commit(built):
    built.recipe(("make -j{jobs} -f sys/Makefile {trim}", "kill -KILL $$"))
    said = built.doit("kernel:base", code=1)
    assert said.lines("was killed")
    assert not built.store.failure("kernel", built.want("kernel", "base").key)


def alter(path, how):
    info = path.stat()
    text = path.read_bytes()
    if how == "longer":
        path.write_bytes(text + b"\n")
    else:  # the same size, and the old time put back
        path.write_bytes(text[:-2] + bytes([text[-2] ^ 1]) + text[-1:])
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


@pytest.mark.parametrize("how", ["longer", "time put back"])
@pytest.mark.parametrize(
    ("pattern", "kind"), [("k*/t/kernel/c.o", "kernel"), ("s*/t/sys/c.c", "src")]
)
def test_a_sealed_file_changed_by_hand_is_named(world, built, pattern, kind, how):
    (path,) = built.store.layers.glob(pattern)
    alter(path, how)
    said = built.doit("kernel:kernel-header", code=1)
    assert said.lines(f"sealed file changed by hand: {re.escape(str(path))}")
    hint = re.search(r"hint: `doit (clean [^`]*)`", said.text)
    assert hint
    assert f"{kind}:" in hint[1]
    built.at_rest()
    built.doit(*hint[1].split())
    built.doit("kernel:kernel-header")
    assert built.content("kernel", "kernel-header") == world.oracle("kernel", "kernel-header")


def test_a_sealed_kernel_changed_by_hand_is_not_verified(built):
    (path,) = built.store.layers.glob("k*/t/kernel/kernel")
    alter(path, "time put back")
    said = built.doit("verify", "kernel:base", code=3)
    assert said.lines(f"sealed file changed by hand: {re.escape(str(path))}")
    assert not said.lines("equal")
    built.doit("clean", "kernel:base")
    assert built.doit("verify", "kernel:base").lines(": equal:")


def test_a_layer_changed_by_hand_and_read_by_nobody_is_in_nobodys_way(built):
    (path,) = built.store.layers.glob("s*/t/docs/guide")
    path.write_text("what somebody scribbled\n")
    built.doit("kernel:kernel-c")


@pytest.mark.parametrize("text", [b"", b'{"kind": "ker'])
def test_a_damaged_manifest_is_none(world, built, text):
    path = built.store.manifest_path("kernel", built.want("kernel", "base").key)
    path.write_bytes(text)
    said = built.doit("kernel:base")
    assert said.lines("^kernel:.* built:")
    assert built.content("kernel", "base") == world.oracle("kernel", "base")


def test_a_damaged_trace_proves_nothing(world, built):
    for path in built.store.cache.glob("artifacts/*/*/trace"):
        path.write_bytes(path.read_bytes()[:-7])
    said = built.doit("build:kernel-c")
    assert said.rung("kernel", world.repo.short("kernel-c")) == "clean"
    assert built.content("kernel", "kernel-c") == world.oracle("kernel", "kernel-c")


def test_half_a_layer_is_in_nobodys_way(world, lab):
    """What a kill between a layer's rename and its manifest's leaves behind."""
    (lab.store.layers / "k0123456789abcde" / "t" / "kernel").mkdir(parents=True)
    home = lab.store.home("kernel", lab.want("kernel", "base").key)
    home.mkdir(parents=True)
    (home / "trace").write_bytes(b"half a tra")
    (home / "manifest.json.1.new").write_bytes(b"{")
    lab.doit("build:base")
    assert lab.content("kernel", "base") == world.oracle("kernel", "base")


def test_a_layer_that_is_gone(world, built):
    """Somebody removed a folder of the cache: said in a line, not in a traceback."""
    (gone,) = built.store.layers.glob("k*")
    layer.remove(gone)
    said = built.doit("build:kernel-c", code=None)
    assert "Traceback" not in said.text
    assert said.code == 0 or said.lines("hint:")
    if said.code == 0:
        assert built.content("kernel", "kernel-c") == world.oracle("kernel", "kernel-c")


def test_sweep_keeps_what_is_referred_to(built, monkeypatch):
    monkeypatch.setattr(store, "_YOUNG", 0.0)
    built.doit("kernel:kernel-c")
    stack = built.manifest("kernel", "kernel-c").stack
    own = built.store
    own.forget("kernel", built.want("kernel", "base").key)
    assert {p.name for p in own.layers.glob("k*")} == set(stack)
    own.forget("build", built.want("build", "base").key)
    own.forget("kernel", built.want("kernel", "kernel-c").key)
    assert not list(own.layers.glob("k*"))
    assert list(own.layers.glob("w*"))


needs_unshare = pytest.mark.skipif(
    "not __import__('conftest').can_unshare('root')", reason="no mount namespace to be had"
)


@needs_unshare
@pytest.mark.parametrize("room", ["48k", "150k", "200k"])
def test_no_space_left(make_lab, room):
    """In the checkout, while building, while sealing: said, and nothing half done is believed."""
    lab = make_lab(tracer="none")
    doit = " ".join([*lab.argv("build:base")])
    text, codes = behind(
        lab.directory,
        f"mount -t tmpfs -o size={room} tmpfs cache",
        doit,
        "mount -o remount,size=64m cache",
        doit,
        f"{doit} | grep -c -- '^-- '",
    )
    assert "Traceback" not in text
    assert codes[0] in (1, 3), text
    assert "no space left" in text
    assert "hint: free some space" in text
    assert codes[2] == 0, text
    assert "known not to build" not in text
    assert text.rstrip().splitlines()[-2] == "4", text


@needs_unshare
def test_a_cache_that_cannot_be_written(make_lab):
    lab = make_lab()
    text, codes = behind(
        lab.directory, "mount -t tmpfs -o ro tmpfs cache", " ".join(lab.argv("build:base"))
    )
    assert codes == [3]
    assert "cannot be written" in text
    assert "hint: set `cache` in lab.toml" in text
    assert "Traceback" not in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_without_permission(lab):
    (lab.directory / "cache").chmod(0o500)
    said = lab.doit("build:base", code=3)
    assert said.lines("cannot be written")


def test_two_runs_build_once(make_lab, kept):
    """The first one builds until the second one waits for it."""
    lab = make_lab()
    go = lab.directory / "go"
    held = f"until [ -e {go} ]; do sleep 0.1; done; make -j{{jobs}} -f bin/Makefile"
    lab.recipe(("make -j{jobs} -f bin/Makefile", held))
    runs = [lab.start("build:base", PYTHONUNBUFFERED="1") for _ in range(2)]
    kept += runs
    seen = ["", ""]

    def waits() -> bool:
        for number, run in enumerate(runs):
            os.set_blocking(run.stdout.fileno(), False)
            with contextlib.suppress(BlockingIOError):
                seen[number] += os.read(run.stdout.fileno(), 1 << 16).decode()
        return "waiting for " in "".join(seen)

    wait_for(waits)
    go.touch()
    for run in runs:
        os.set_blocking(run.stdout.fileno(), True)
    texts = [said + run.communicate(timeout=60)[0] for said, run in zip(seen, runs, strict=True)]
    assert [run.returncode for run in runs] == [0, 0], texts
    both = "\n".join(texts)
    for kind in ("world", "kernel"):
        assert len(re.findall(rf"^{kind}:\w+: built:", both, re.MULTILINE)) == 1, both
    assert re.search(r"waiting for (world|src):\w+ \(process \d+, since", both)
    lab.at_rest()


def test_two_refs_at_once(world, lab):
    lab.doit("-n", "2", "build:kernel-c", "build:world-tool")
    for ref in ("kernel-c", "world-tool"):
        for kind in ("world", "kernel"):
            assert lab.content(kind, ref) == world.oracle(kind, ref)
    lab.at_rest()


def test_two_names_of_one_commit(world, lab):
    said = lab.doit("kernel:base", f"kernel:{world.repo.short('base')}", "kernel:base~0")
    assert len(said.lines("^kernel:.*built:")) == 1


def test_a_cache_that_was_copied(world, built, tmp_path):
    """To another disk, with a tool that keeps modes and times: still sealed, still a base."""
    subprocess.run(["cp", "-a", built.directory / "cache", tmp_path / "moved"], check=True)
    layer.remove(built.directory / "cache")
    shutil.move(tmp_path / "moved", built.directory / "cache")
    said = built.doit("build:kernel-c")
    assert said.rung("kernel", world.repo.short("kernel-c")) == "incremental"


def test_a_folder_is_its_owners_from_the_first_moment(tmp_path, monkeypatch):
    """Another process clears up just when it is made."""
    flock = locks._flock

    def late(file):
        monkeypatch.setattr(locks, "_flock", flock)
        locks.clear_dead(tmp_path)
        return flock(file)

    monkeypatch.setattr(locks, "_flock", late)
    with locks.scratch(tmp_path, "kernel") as path:
        assert path.is_dir()
        assert locks.taken(path / "owner")
        locks.clear_dead(tmp_path)
        assert path.is_dir()
    assert not path.exists()


def test_who_waits_is_told_for_whom_as_soon_as_that_is_known(tmp_path, capfd):
    """Whoever has just taken a lock has not yet written down what for."""
    lock, said = tmp_path / "a.lock", []

    def take():
        with locks.held(lock, "me"):
            pass

    def told():
        said.append(capfd.readouterr().err)
        return "waiting for somebody" in "".join(said)

    with filelock.FileLock(lock):
        waiting = threading.Thread(target=take)
        waiting.start()
        time.sleep(0.2)
        assert not told()
        lock.with_suffix(".owner").write_text("somebody")
        wait_for(told)
    waiting.join(20)
    assert not waiting.is_alive()


def test_dead_owners_folders_go(built):
    """A folder of a run that was killed is removed by the next one that builds."""
    scratch = built.store.cache / "tmp" / "kernel-0.1.2"
    (scratch / "obj" / "deep").mkdir(parents=True)
    (scratch / "owner").touch()
    (scratch / "obj" / "deep").chmod(0)
    (scratch.parent / "somebodys").touch()  # no folder, and nobody's business
    built.doit("kernel:kernel-c")
    (scratch.parent / "somebodys").unlink()
    built.at_rest()
    scratch.mkdir()
    (scratch / "owner").touch()
    built.store.sweep()
    built.at_rest()


@pytest.mark.parametrize(
    ("words", "status"),
    [("status", 0), ("explain kernel:base", 3), ("verdict nothing", 128), ("kernel:kernel-c", 0)],
)
def test_who_reads_along_may_stop(built, words, status):
    """No traceback, to `git bisect run` no bad commit; and a build goes on."""
    script = f'sleep 1; {shlex.join(built.argv(*words.split()))}; echo "status $?" >&2'
    done = subprocess.run(
        ["sh", "-c", f"({script}) | true"], cwd=built.directory, env=environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert "Broken pipe" not in done.stderr
    assert f"status {status}" in done.stderr, done.stderr


def test_a_lock_that_cannot_be_made_is_refused_in_words(tmp_path):
    """Root may write anywhere, but not into a folder that is a file."""
    (tmp_path / "locks").write_text("")
    with (
        pytest.raises(UserError, match="cannot be written to"),
        locks.held(tmp_path / "locks" / "gc.lock", "gc"),
    ):
        pass
