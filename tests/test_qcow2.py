"""The images are what QEMU takes for its own, and cost nothing."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtasks.ground.error import UserError
from labtasks.vm import accelerator, qcow2


@given(size=st.integers(0, 1 << 50))
def test_the_size_is_kept(size: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "x.qcow2"
    qcow2.create(path, size=size)
    assert qcow2.size_of(path, "qcow2") == size


def test_a_chain_shows_what_lies_below(tmp_path: Path) -> None:
    """A guest boots from the image at the bottom of a chain, and writes to none of it."""
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86_64 is missing")
    below = tmp_path / "odd, name 100%.img"
    below.write_bytes(accelerator.boot_sector().ljust(1 << 20, b"\0"))
    for n in range(5):
        path = tmp_path / f"{n}.qcow2"
        qcow2.create(path, below=below)
        below = path
    argv = accelerator.probe_argv("qemu-system-x86_64", "amd64", "tcg", str(below))
    words = [word.replace("format=raw", "format=qcow2") for word in argv]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    assert b"alive" in done.stdout, done.stderr


def test_a_new_image_is_instant_and_small(tmp_path: Path) -> None:
    below = tmp_path / "big.img"
    with below.open("wb") as file:
        file.truncate(1 << 40)
    started = time.process_time()  # by this process alone
    qcow2.create(tmp_path / "x.qcow2", below=below)
    assert time.process_time() - started < 0.2
    assert (tmp_path / "x.qcow2").stat().st_blocks * 512 <= 1 << 20


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.qcow2").write_bytes(b"not an image")
    with pytest.raises(UserError, match="is no qcow2 image"):
        qcow2.create(tmp_path / "b.qcow2", below=tmp_path / "a.qcow2")
    assert not (tmp_path / "b.qcow2").exists()


def test_a_packed_image_shows_the_same_over_what_lies_below(tmp_path: Path) -> None:
    if not shutil.which("qemu-io"):
        pytest.skip("no qemu-io: it is of qemu-utils")
    below, image = tmp_path / "below.qcow2", tmp_path / "image.qcow2"
    qcow2.create(below, size=64 << 20)
    for path, writes in (
        (below, ["write -P 1 0 8M"]),
        (image, ["write -P 2 1M 6M", "write -z 2M 64k", "discard 3M 64k"]),
    ):
        if path is image:
            qcow2.create(image, below=below)
        subprocess.run(
            ["qemu-io", "-d", "unmap", *[word for text in writes for word in ("-c", text)], path],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    before, size = _content(image, tmp_path), image.stat().st_blocks
    assert before.count(b"\2") > 5 << 20
    qcow2.pack(image, below=below)
    assert _content(image, tmp_path) == before
    assert image.stat().st_blocks < size / 10
    assert not list(tmp_path.glob("*.new"))


def test_an_image_that_cannot_be_packed_stays(tmp_path: Path) -> None:
    image = tmp_path / "image.qcow2"
    image.write_bytes(b"not an image")
    qcow2.pack(image, below=tmp_path / "none.qcow2")
    assert image.read_bytes() == b"not an image"


def _content(image: Path, scratch: Path) -> bytes:
    raw = scratch / "raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True, timeout=60)
    return raw.read_bytes()
