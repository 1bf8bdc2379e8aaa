"""[disk] of the shipped recipes: bound, and their shell text run on this host with a program in
make's place. What really installs and boots is in test_debian_lab.py and test_linux_debian.py.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from labtasks.ground import process
from labtasks.ground.error import UserError
from labtasks.lab import recipe
from labtasks.lab.binding import Bound, Places, bind, late

SYSTEMS = {"demo": "Linux", "linux": "Linux", "freebsd": "FreeBSD"}

MAKE = """#!/bin/sh
for word; do case $word in
DESTDIR=*) dest=${word#*=} ;;
INSTKERNNAME=*) name=${word#*=} ;;
installworld)
	mkdir -p "$dest/boot/lua" "$dest/boot/defaults"
	echo new >"$dest/boot/loader_lua.efi" ;;
distribution) mkdir -p "$dest/etc"; echo rc >"$dest/etc/rc" ;;
installkernel) mkdir -p "$dest/boot/$name"; echo kernel >"$dest/boot/$name/kernel" ;;
esac; done
"""


def bound(name: str, places: Places, **settings: str) -> Bound:
    path = recipe.find(name, Path())
    system = SYSTEMS[name]
    written = recipe.on_disk(recipe.load(path), path, system)
    return bind(written, path=path, settings=settings, system=system, places=places, files={})


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for name in ("src/sys/amd64/conf", "obj", "files", "dest", "out", "run", "bin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "src" / "sys" / "amd64" / "conf" / "GENERIC.hints").write_text("hints")
    (tmp_path / "bin" / "make").write_text(MAKE)
    (tmp_path / "bin" / "make").chmod(0o755)
    return Places(src=f"{tmp_path}/src", obj=f"{tmp_path}/obj", files=f"{tmp_path}/files")


def run(where: Path, steps: tuple[str, ...], code: int = 0) -> str:
    """Run steps as a machine does; the names that are filled in late are folders of `where`."""
    names = {name: str(where / name) for name in ("dest", "out", "run", "test")}
    names |= {
        "boot": str(where / "out"),
        "sha": "0123abc",
        "jobs": "1",
        "nonce": "n",
        "way": "init",
    }
    said = ""
    for step in steps:
        done = subprocess.run(
            ["sh", "-e", "-c", late(step, names)], cwd=where, capture_output=True, text=True,
            env={"PATH": f"{where / 'bin'}:{process.PATH}"}, check=False,
        )  # fmt: skip
        said += done.stdout + done.stderr
        assert done.returncode == code, said
    return said


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_is_bound(name: str, places: Places) -> None:
    found = bound(name, places)
    assert "{sha}" in "".join(found.parts["install"].steps)
    assert found.machine
    assert "{boot}/disk.qcow2" in found.machine.drives


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_kernel_alone_gets_its_own_name(name: str, places: Places) -> None:
    text = "".join(bound(name, places).kernel_alone)
    assert "{sha}" in text
    assert "{out}/" in text
    assert "installworld" not in text


@pytest.mark.parametrize(("name", "other"), [("linux", "FreeBSD"), ("freebsd", "Linux")])
def test_a_machine_of_another_kind_is_refused(name: str, other: str) -> None:
    path = recipe.find(name, Path())
    with pytest.raises(UserError, match=f"{name} installs through a .*, not a {other} one"):
        recipe.on_disk(recipe.load(path), path, other)


def test_freebsd_s_world_and_kernel(tmp_path: Path, places: Places) -> None:
    found = bound("freebsd", places, loader_conf='a="b"')
    (tmp_path / "dest" / "boot" / "kernel.known").mkdir(parents=True)
    run(tmp_path, found.parts["install"].steps)
    assert sorted(p.name for p in (tmp_path / "dest" / "boot").glob("kernel.*")) == [
        "kernel.0123abc",
        "kernel.known",
    ]
    script = (tmp_path / "dest" / "etc" / "rc.lab").read_text()
    assert "say ready\n{ sh /mnt/test; echo $? > /tmp/status; }" in script
    assert (tmp_path / "dest" / "etc" / "rc").exists()
    assert found.machine
    (tmp_path / "test").write_text("true\n")
    run(tmp_path, found.machine.steps)
    esp = tmp_path / "run" / "esp"
    conf = (esp / "boot" / "loader.conf").read_text()
    for line in ('kernel="kernel.0123abc"', 'vfs.root.mountfrom="ufs:/dev/vtbd1"', 'a="b"'):
        assert f"{line}\n" in conf
    assert (esp / "EFI" / "BOOT" / "BOOTX64.EFI").read_text() == "new\n"
    assert (esp / "boot" / "kernel.0123abc" / "kernel").exists()
    assert (esp / "boot" / "device.hints").read_text() == "hints"
    assert (esp / "test").read_text() == "true\n"


def test_freebsd_s_kernel_alone(tmp_path: Path, places: Places) -> None:
    """The toolchain brings the loader; the world is the disk's own."""
    found = bound("freebsd", places)
    (tmp_path / "obj" / "loader" / "lua").mkdir(parents=True)
    (tmp_path / "obj" / "loader" / "loader_lua.efi").write_text("toolchain's\n")
    (tmp_path / "dest" / "etc").mkdir()
    (tmp_path / "dest" / "etc" / "rc").write_text("its own")
    run(tmp_path, found.parts["install"].steps)
    assert (tmp_path / "dest" / "etc" / "rc").read_text() == "its own"
    assert not (tmp_path / "dest" / "boot" / "loader_lua.efi").exists()
    assert (tmp_path / "out" / "loader" / "loader_lua.efi").read_text() == "toolchain's\n"


def test_freebsd_cross_built_is_not_installed_there(tmp_path: Path, places: Places) -> None:
    (tmp_path / "obj" / "bmake-install").mkdir()
    steps = bound("freebsd", places).parts["install"].steps[:1]
    assert "ERROR: it was cross-built" in run(tmp_path, steps, 1)


def test_linux_s_modules_lie_where_its_release_says(tmp_path: Path, places: Places) -> None:
    obj = tmp_path / "obj"
    (obj / "include" / "config").mkdir(parents=True)
    (obj / "include" / "config" / "kernel.release").write_text("6.1-lab\n")
    (obj / "drivers" / "a b").mkdir(parents=True)
    (obj / "drivers" / "a b" / "one.ko").write_text("module")
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        (obj / name).write_text("x")
    (tmp_path / "bin" / "depmod").write_text(f"#!/bin/sh\necho $* >{tmp_path}/said\n")
    (tmp_path / "bin" / "depmod").chmod(0o755)
    steps = bound("linux", places).parts["install"].steps
    (modules,) = (step for step in steps if "modules.order" in step)
    run(tmp_path, (modules,))
    below = tmp_path / "dest" / "lib" / "modules" / "6.1-lab"
    assert (below / "kernel" / "drivers" / "a b" / "one.ko").read_text() == "module"
    assert (below / "modules.builtin").exists()
    assert (tmp_path / "said").read_text() == f"-b {tmp_path}/dest 6.1-lab\n"


@pytest.mark.parametrize(("boots", "initrd"), [("initrd", "{run}/initrd"), ("disk", "")])
def test_linux_s_script_is_on_a_disk(
    tmp_path: Path, places: Places, boots: str, initrd: str
) -> None:
    found = bound("linux", places, boots=boots).machine
    assert found
    assert found.initrd == initrd
    (tmp_path / "out" / "gen_init_cpio").write_text('#!/bin/sh\ncat "$3"\n')
    (tmp_path / "out" / "gen_init_cpio").chmod(0o755)
    (tmp_path / "test").write_text("")
    run(tmp_path, found.steps)
    disk = (tmp_path / "run" / "script").read_bytes()
    assert (disk.strip(b"\n\0"), len(disk)) == (b"", 512)
    (tmp_path / "test").write_text("syscall:0-10")
    run(tmp_path, found.steps)
    disk = (tmp_path / "run" / "script").read_bytes()
    assert (disk.rstrip(b"\n\0"), len(disk)) == (b"syscall:0-10", 512)
    assert "file /script" in (tmp_path / "run" / "initrd").read_text()
