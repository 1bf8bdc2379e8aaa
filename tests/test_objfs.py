"""The obj-fs as an image: what is in it is what was built."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from labtasks.build import objfs

needs_image_tools = pytest.mark.skipif(
    not (shutil.which("mke2fs") and shutil.which("debugfs")), reason="e2fsprogs is missing"
)


def debugfs(image, request):
    done = subprocess.run(["debugfs", "-R", request, image], capture_output=True, check=True)
    return done.stdout


@needs_image_tools
@pytest.mark.parametrize("driver", ["root", "copy"])
def test_the_image_holds_both_trees(make_lab, driver):
    lab = make_lab(driver=driver, built=True)
    lab.doit("objfs:kernel-c")
    manifest = lab.manifest("objfs", "kernel-c")
    image = lab.store.home("objfs", manifest.key) / "objfs.img"
    assert debugfs(image, "cat /src/docs/guide") == b"read me\n"
    assert debugfs(image, "cat /src/sys/c.c") == b"int c = 1;\nint more = 1;\n"
    kernel = debugfs(image, "cat /obj/kernel/kernel")
    (path,) = (lab.store.layers / lab.manifest("kernel", "kernel-c").stack[0]).glob(
        "t/kernel/kernel"
    )
    assert kernel == path.read_bytes()
    assert debugfs(image, "cat /obj/world/etc/motd") == b"welcome\n"
    assert b'Fast link dest: "x86"' in debugfs(image, "stat /src/sys/machine")
    assert b".git" not in debugfs(image, "ls /src")
    assert "built" not in lab.doit("objfs:kernel-c").text
    assert (
        subprocess.run(["e2fsck", "-fn", image], capture_output=True, check=False).returncode == 0
    )
    lab.at_rest()


@needs_image_tools
@pytest.mark.parametrize("pattern", ["k*/t/kernel/c.o", "w*/t/world/etc/motd", "s*/t/docs/guide"])
def test_a_sealed_file_changed_by_hand_is_in_no_image(make_lab, pattern):
    lab = make_lab(built=True)
    (path,) = lab.store.layers.glob(pattern)
    path.write_text("somebody's\n")
    said = lab.doit("objfs:base", code=1)
    assert said.lines(f"sealed file changed by hand: {path}")
    assert not list(lab.store.cache.glob("artifacts/objfs/*/objfs.img"))
    lab.at_rest()


def test_a_missing_tool_is_named(make_lab):
    lab = make_lab(built=True)
    lab.configure(image="ufs", tracer="strace")
    if shutil.which("makefs"):
        pytest.skip("makefs is here")
    said = lab.doit("objfs:base", code=1)
    assert said.lines("the command 'makefs' is missing")
    assert said.lines("hint: .*makefs")


@pytest.mark.skipif(not shutil.which("makefs"), reason="makefs is missing")
def test_a_ufs_image_holds_the_files(make_lab):
    lab = make_lab(built=True)
    lab.configure(image="ufs", tracer="strace")
    lab.doit("objfs:base")
    image = lab.store.home("objfs", lab.manifest("objfs", "base").key) / "objfs.img"
    data = image.read_bytes()
    assert data[8192 + 1372 : 8192 + 1376] == (0x011954).to_bytes(4, "little")  # UFS1's magic
    assert b"read me\n" in data
    assert b"welcome\n" in data


def test_sizes_are_whole_mebibytes_with_room():
    size = objfs.image_size({})
    assert size % (1 << 20) == 0
    assert size >= 16 << 20


def test_command_lines_quote():
    assert "'/a b/i'" in objfs.image_command("ext4", "/r", "/a b/i", 1 << 20)
    assert " 256" in objfs.image_command("ext4", "/r", "/i", 1 << 20)
    assert f"-M {1 << 20}" in objfs.image_command("ufs", "/r", "/i", 1 << 20)
