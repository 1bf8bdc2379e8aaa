"""Installing through a machine, as far as it needs none: what decides an installation, and what is
refused. A real machine installs in test_debian.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from conftest import environment, wait_for
from msgspec import structs

from labtasks.build import failure
from labtasks.command import main
from labtasks.command.tasks import Options, Session
from labtasks.ground.error import InfraError, UserError
from labtasks.key import key
from labtasks.key.key import Wanted
from labtasks.lab import base, demo
from labtasks.lab import lab as labs
from labtasks.lab.binding import late
from labtasks.store import layer
from labtasks.store.manifest import Manifest
from labtasks.test import trial
from labtasks.vm import hotplug, install, installer, vm
from labtasks.vm.qmp import Monitor

TEXT = """
repository = "../repo"
recipe = "demo"
[install]
through = "build"
base = "root.img"
[vm.build]
image = "sector.img"
ssh = false
memory = 32
accel = "tcg"
[vm.ta]
"""


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("repo") / "demo"
    demo.create(path)
    return path


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("t") / "lab"
    (folder.parent / "repo").symlink_to(repo)
    assert main.main(["init", str(folder)]) == 0
    (folder / "lab.toml").write_text(TEXT)
    (folder / "root.img").write_bytes(bytes(1 << 20))
    # cli; hlt; jmp to hlt: a guest that does nothing at no cost
    sector = bytes.fromhex("fa f4 eb fd").ljust(510, b"\0") + b"\x55\xaa"
    (folder / "sector.img").write_bytes(sector.ljust(1 << 20, b"\0"))
    yield folder
    if pid := vm._pid(folder / "cache" / "vm" / "build"):
        os.kill(pid, signal.SIGKILL)


def want(lab: Path) -> Wanted:
    found = labs.load(lab)
    (lab / "cache").mkdir(exist_ok=True)
    return key.wanted(found, "install", found.repository.commit("HEAD"), None)


def change(lab: Path, old: str, new: str) -> None:
    text = (lab / "lab.toml").read_text()
    assert old in text
    (lab / "lab.toml").write_text(text.replace(old, new))


def test_what_decides_an_installation(lab: Path) -> None:
    first = want(lab)
    labels = [label for label, _ in first.inputs]
    assert {"base", "through", "partition", "kernel"} <= {*labels}
    assert key.root_under(labs.load(lab), first) is None
    assert want(lab).key == first.key
    os.utime(lab / "root.img")  # its time is not its content
    assert want(lab).key == first.key
    (lab / "root.img").write_bytes(bytes(1 << 20) + b"more")
    assert want(lab).key != first.key
    change(lab, 'base = "root.img"', 'base = "root.img"\npartition = 2')
    assert dict(want(lab).inputs)["partition"] == "2"
    change(lab, 'through = "build"', 'through = ""')
    here = want(lab)
    assert "base" not in dict(here.inputs)
    assert key.root_under(labs.load(lab), here)


def test_a_vm_has_a_base_of_its_own(lab: Path) -> None:
    (lab / "other.img").write_bytes(b"x" * (1 << 20))
    with (lab / "lab.toml").open("a") as file:
        file.write('[vm.tb]\nbase = "other.img"\n')
    found = labs.load(lab)
    (lab / "cache").mkdir()
    session = Session(lab=found, store=install.Store(found.cache), options=Options())
    wants = [session.want("install", f"HEAD{vm}") for vm in ("", ":ta", ":tb")]
    assert wants[0].key == wants[1].key != wants[2].key
    assert dict(wants[2].inputs)["base"] == base.content_of(found.onto("tb"))
    assert base.path_of(found.onto("tb")) == lab / "other.img"
    for name in ("ta", "tb"):  # one is not hashed again because of the other
        assert (
            base.content_of(found.onto(name))
            == dict(session.want("install", f"HEAD:{name}").inputs)["base"]
        )
    assert len(list((lab / "cache").glob("base-*.json"))) == 2
    trial.bootable(found, wants[2], "tb")  # it is not a setting that a test passes over
    session.ask("install:HEAD:tb")
    assert str(wants[2].key) in session.tasks["install"]["HEAD:tb"]["targets"][0]
    named = [failure.typed(found.onto(name), wants[2]) for name in ("", "ta", "tb")]
    assert named == [f"{wants[2].name}:{vm}" for vm in ("ta", "ta", "tb")]
    change(lab, 'base = "other.img"', 'base = "other.img"\nbase_digest = "00"')
    again = labs.load(lab).onto("tb")
    with pytest.raises(UserError, match="is not the image that"):
        base.content_of(again)
    change(lab, 'base = "root.img"', "")
    assert base.path_of(labs.load(lab).onto("tb")) == lab / "other.img"
    again = labs.load(lab).onto("ta")
    with pytest.raises(UserError, match="onto no base"):
        base.path_of(again)
    change(lab, 'through = "build"', "")
    with pytest.raises(UserError, match="nothing is installed through a machine"):
        labs.load(lab)


def test_the_base_is_hashed_once(lab: Path) -> None:
    found = labs.load(lab)
    (lab / "cache").mkdir()
    known = base.content_of(found)
    times = (lab / "root.img").stat()
    (lab / "root.img").write_bytes(bytes((1 << 20) - 1) + b"x")
    os.utime(lab / "root.img", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert base.content_of(found) == known  # nobody looked
    os.utime(lab / "root.img")
    assert base.content_of(found) != known


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('base = "root.img"', 'base = "root.img"\ndigest = "00"', "root.img is not the image that"),
        ('"build"\nbase', '"bild"\nbase', "no VM is called 'bild'\n  hint: did you mean 'build'"),
        ('"build"\nbase', '"ta"\nbase', "vm ta has no image"),
        ('base = "root.img"', "", "takes a base"),
        ('base = "root.img"', 'base = "no.img"', "no.img is no file"),
        ('recipe = "demo"', 'recipe = "own.toml"', "recipe own has no [disk]"),
        ('recipe = "demo"', 'recipe = "demo"\nimage = "ufs"', "an image that Linux mounts"),
        ("[install]", "[install]\ntrough = 1", "did you mean 'through'"),
    ],
)
def test_mistakes_are_refused(lab: Path, old: str, new: str, said: str) -> None:
    (lab / "own.toml").write_text('about = "no disk"\n[kernel]\nsteps = ["true"]\n')
    change(lab, old, new)
    done = subprocess.run(
        [sys.executable, "-m", "doit", "install:HEAD:ta"], cwd=lab, env=environment(),
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3
    assert said in done.stdout + done.stderr
    assert "hint: " in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_step_installs_beside_the_base_s_kernel(lab: Path) -> None:
    (step,) = labs.load(lab).recipe.parts["install"].steps
    text = late(step, {"dest": "/d", "out": "/o", "sha": "123456789abc"})
    assert "INSTKERNNAME=kernel.123456789abc" in text
    assert "{" not in text.replace("${", "")


def test_a_root_with_that_world_is_cloned(lab: Path) -> None:
    """One that differs in its kernel alone; of several, one that lies on no other."""
    found, wanted = labs.load(lab), want(lab)
    store = install.Store(found.cache)
    same = Manifest.of(
        wanted.on[0], digest="1", stack=["k"], rung="clean", below_digest="the world"
    )

    def seal(sealed: Manifest) -> None:
        for name in sealed.stack:
            (store.layers / name / "t").mkdir(parents=True, exist_ok=True)
            layer.write_entries(store.layers / name, [])
        where = store.manifest_path(sealed.kind, sealed.key)
        where.parent.mkdir(parents=True)
        where.write_bytes(msgspec.json.encode(sealed))

    def root(letter: str, stack: list[str], **changed: str) -> Manifest:
        inputs = [(label, changed.get(label, text)) for label, text in wanted.inputs]
        made = Manifest.of(wanted, digest="2", stack=stack, rung="clean")
        return structs.replace(made, key=64 * letter, inputs=inputs)

    def chosen() -> list[str]:
        one = install._root(found, store, wanted, same)
        return one.stack if one else []

    seal(root("a", ["r"], base="another"))
    assert chosen() == []
    seal(root("b", ["r"]))
    assert chosen() == []  # whose kernel is not known, nor its world
    seal(same)
    assert chosen() == ["r"]
    seal(root("c", ["s", "r"]))
    assert chosen() == ["r"]
    assert install._root(found, store, wanted, structs.replace(same, below_digest="2")) is None


def test_what_a_root_had_besides_is_linked(tmp_path: Path) -> None:
    root, tree = tmp_path / "root", tmp_path / "tree"
    for folder, name in ((root, "kernel"), (root, "disk"), (tree, "kernel")):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(folder.name)
    (root / "tree" / "dev").mkdir(parents=True)
    (root / "tree" / "init").symlink_to("/sbin/init")
    install._complete(root, tree)
    assert (tree / "kernel").read_text() == "tree"
    assert (tree / "disk").samefile(root / "disk")
    assert (tree / "tree" / "init").readlink() == Path("/sbin/init")
    assert (tree / "tree" / "dev").is_dir()


def test_disks_are_plugged_in_and_out(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guest of 512 bytes never lets go of one: that is said, and not waited for for ever."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86_64 is missing")
    monkeypatch.setattr(hotplug, "_PATIENCE", 2.0)
    monkeypatch.chdir(lab)
    subprocess.run(
        [sys.executable, "-m", "doit", "up:build"], cwd=lab, env=environment(), check=True,
        timeout=60,
    )  # fmt: skip
    state = lab / "cache" / "vm" / "build"
    hotplug.plug(state, "labtest", lab / "root.img", form="raw", read_only=True)
    with Monitor(state / "qmp") as monitor:
        nodes = {n["node-name"]: n for n in monitor.execute("query-named-block-nodes")}
    assert nodes["labtest"]["ro"]
    hotplug.unplug(state, "another")
    with pytest.raises(InfraError, match="in use"):
        hotplug.unplug(state, "labtest")
    with pytest.raises(InfraError, match="refuses blockdev-add"):
        hotplug.plug(state, "missing", lab / "none.img", form="raw")


def test_a_machine_that_nobody_can_enter(lab: Path) -> None:
    """Without ssh nothing can be installed: refused before a disk is plugged in."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86_64 is missing")
    found = labs.load(lab)
    store = install.Store(found.cache)
    with pytest.raises(UserError, match="has no ssh"), installer.held(found, store, "install"):
        pass
    wait_for(lambda: bool(vm._pid(lab / "cache" / "vm" / "build")))
