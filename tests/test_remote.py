"""Builds on another machine: a real sshd on the loopback that keeps its own folders.

It is this machine, so its compilers are the oracle's; what differs is that nothing is shared but
the connection.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Lab, World, needs, processes, wait_for
from sshd import Sshd

from labtasks.lab.lab import load


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Sshd]:
    found = Sshd(tmp_path / "sshd")
    found.up()
    yield found
    found.down()


def lab_on(make_lab: Callable[..., Lab], host: Sshd, **more: object) -> Lab:
    needs("root", "strace")
    lab = make_lab(tracer="auto", builder="ssh:big")
    lab.configure(**on_big(host, **more))
    return lab


def on_big(host: Sshd, **more: object) -> dict[str, object]:
    return {"builder": "ssh:big", "tracer": "auto", "ssh.big": host.table(**more)}


def same_as_local(lab: Lab, world: World, rungs: dict[str, tuple[str, str]]) -> None:
    for commit, expected in rungs.items():
        said = lab.doit(f"build:{commit}")
        short = lab.repo.short(commit)
        assert (said.rung("world", short), said.rung("kernel", short)) == expected, said.text
        assert lab.content("kernel", commit) == world.oracle("kernel", commit)
    assert lab.content("world", "base") == world.oracle("world", "base")


RUNGS = {
    "base": ("clean", "clean"),
    "kernel-c": ("trace", "incremental"),
    "source-gone": ("trace", "incremental"),
}


def test_builds(make_lab: Callable[..., Lab], host: Sshd, world: World) -> None:
    """What is built there is what plain make builds here, on whatever rung; clones are kept."""
    lab = lab_on(make_lab, host)
    same_as_local(lab, world, RUNGS)
    assert lab.manifest("kernel", "kernel-c").tracer == "strace"
    assert len(lab.manifest("kernel", "kernel-c").stack) == 2
    (there,) = (host.folder / "there").iterdir()
    kept = [path.parent for path in there.glob("kept/*/chain") if path.read_text().split()]
    assert len(kept) == 3  # each but the first world lies over another
    assert not list(there.glob("build.*"))


def test_copies(make_lab: Callable[..., Lab], tmp_path: Path, world: World) -> None:
    """A machine without namespaces and without GNU's tools: copies, at its own /mnt."""
    host = Sshd(tmp_path / "sshd", path=bare_path(tmp_path), prefix=("unshare", "--mount"))
    host.up()
    try:
        lab = lab_on(make_lab, host)
        same_as_local(lab, world, RUNGS)
        (there,) = (host.folder / "there").iterdir()
        assert len(list(there.glob("kept/*"))) == 3  # of four: each is a whole copy
        assert not list(there.glob("build.*"))
    finally:
        host.down()
    assert not Path("/mnt/owner").exists()


@pytest.mark.parametrize("where", ["here", "there"])
def test_records_of_the_world_are_not_the_kernel_s(
    make_lab: Callable[..., Lab], host: Sshd, where: str
) -> None:
    """Where a build sees whole trees of objects, only what it wrote itself tells what it read."""
    lab = make_lab(driver="copy", tracer="depend")
    if where == "there":
        needs("root", "strace")
        lab.configure(**on_big(host) | {"tracer": "depend"})
    lab.doit("kernel:base", "kernel:kernel-c")
    for ref in ("base", "kernel-c"):
        trace = lab.store.trace(lab.manifest("kernel", ref))
        assert trace
        made = {path for path in trace.writes if path.startswith("obj/")}
        assert made
        assert not {path for path in made if path.startswith("obj/world/")}
    assert lab.manifest("kernel", "kernel-c").jobs < lab.manifest("kernel", "base").jobs


def bare_path(tmp_path: Path) -> str:
    """A folder with what POSIX has, bsdtar, mtree, and mounts; find without -printf."""
    tools = "cat chmod cp date env getconf grep head id kill ls mkdir mount mtree mv printf pwd rm"
    tools += " sh sleep strace sync tail touch true umount uname xargs"
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in (*tools.split(), "bsdtar"):
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is missing")
        (folder / ("tar" if name == "bsdtar" else name)).symlink_to(found)
    (folder / "find").write_text("#!/bin/sh\necho 'find: unknown: -printf' >&2\nexit 1\n")
    (folder / "find").chmod(0o755)
    return str(folder)


def test_lost(make_lab: Callable[..., Lab], host: Sshd, world: World) -> None:
    """A connection that is lost in mid-build takes the build with it, which is tried once more; one
    that does not come back is an error with a hint. A killed doit leaves nothing there.
    """
    lab = lab_on(make_lab, host, wait=1)
    go = lab.directory / "go"
    slow = f'steps = ["echo begun; [ -e {go} ] || sleep 987.0417", "make -j{{jobs}} -f bin'
    lab.recipe(('steps = ["make -j{jobs} -f bin', slow))

    def begun() -> bool:
        return any("\nbegun\n" in path.read_text() for path in lab.logs("world"))

    def lost(act: Callable[[], None] | None, code: int, *, seconds: float = 90) -> str:
        for path in lab.logs("world"):
            path.unlink()
        with lab.start("world:base") as build:
            wait_for(begun, seconds=seconds)
            (act or build.kill)()
            said, _ = build.communicate(timeout=seconds)
        assert build.returncode == code, said
        return said

    lost(None, -signal.SIGKILL)
    said = lost(host.down, 1)
    assert said.count("is tried once more") == 1
    assert "refused\n  hint: is it up, and is sshd running in it?" in said
    host.up()

    def cut() -> None:
        go.touch()  # the next try ends
        host.cut()

    said = lost(cut, 0)
    assert "ssh big was lost in mid-build (ssh ended); it is tried once more" in said
    assert lab.content("world", "base") == world.oracle("world", "base")
    (there,) = (host.folder / "there").iterdir()
    assert not list(there.glob("build.*"))
    wait_for(lambda: not processes("sleep 987.0417"))


def test_refused(make_lab: Callable[..., Lab], host: Sshd) -> None:
    """What a machine can have against us is said at once, with what to do about it."""
    lab = lab_on(make_lab, host)
    lab.doit("world:base")
    known = lab.directory / "cache" / "ssh" / "big" / "known_hosts"
    host.down()
    lab.doit("world:base")  # it is there: nobody is asked
    said = lab.doit("kernel:base", code=1).text
    assert "big: ssh: connect to host 127.0.0.1" in said
    assert "hint: is it up, and is sshd running in it?" in said

    host.keygen("host")
    host.up()
    said = lab.doit("kernel:base", code=1).text
    assert "big: its host key is not the one seen at first\n  hint: if that is meant" in said
    pin = host.public("host")
    host.keygen("stranger")
    lab.configure(**on_big(host, host_key=pin, key=str(host.folder / "stranger")))
    assert "big: root is not let in" in lab.doit("kernel:base", code=1).text
    assert known.read_text() == f"big {pin}\n"


def test_settings(make_lab: Callable[..., Lab], tmp_path: Path) -> None:
    """What is wrong with the words is said without asking any machine."""
    lab = make_lab(builder="ssh:bog", **{"ssh.big": {"host": "127.0.0.1", "port": 9}})
    said = lab.doit("build:base", code=3).text
    assert "no machine is called 'bog'\n  hint: did you mean 'big'?" in said
    lab.configure(builder="ssh:big", **{"ssh.big": {"host": "x", "key": str(tmp_path / "none")}})
    assert f"ssh big: {tmp_path}/none is missing" in lab.doit("build:base", code=3).text
    lab.configure(**{"ssh.big": {"host": "x", "prot": 9}})
    assert "unknown key 'prot' in [ssh" in lab.doit("build:base", code=3).text
    lab.configure(**{"ssh.big": {"host": "x"}})
    assert load(lab.directory).built_by("big").settings.builder == "ssh:big"  # as eitri asks
    said = lab.doit("builder=bigg", "build:base", code=3).text
    assert "no builder is called 'bigg'\n  hint: did you mean 'big'?" in said
