"""The accelerator is proved by a guest that answers, and the proof is remembered."""

from __future__ import annotations

import json
import os
import resource
import shutil
import stat
from pathlib import Path

import pytest

from labtasks.ground import process
from labtasks.vm import accelerator, qemu
from labtasks.vm.qemu import Arch

ARCHES: tuple[Arch, ...] = ("amd64", "aarch64")


def binary(arch: Arch) -> str:
    name = qemu.binary(arch)
    if not shutil.which(name):
        pytest.skip(f"{name} is missing")
    return process.which(name)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "labtasks" / "accelerators.json"


def test_the_boot_sector_is_one() -> None:
    sector = accelerator.boot_sector()
    assert len(sector) == 512
    assert sector.endswith(b"\x55\xaa")
    pointer = sector.index(b"\xbe") + 1  # mov si, imm16
    word = int.from_bytes(sector[pointer : pointer + 2], "little") - 0x7C00
    assert sector[word:].startswith(b"alive\0")


def test_the_flat_kernel_is_whole_instructions() -> None:
    code = accelerator.flat_kernel()
    assert len(code) % 4 == 0
    stores = [i for i in range(0, len(code), 4) if code[i : i + 4] == bytes.fromhex("20000039")]
    assert len(stores) == len("alive")


@pytest.mark.parametrize("arch", ARCHES)
def test_tcg_answers(arch: Arch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "_SECONDS", 120.0)  # the host may be busy
    proof = accelerator.prove(binary(arch), arch, "tcg")
    assert proof.works, proof.said


def test_what_qemu_refuses_does_not_work() -> None:
    proof = accelerator.prove(binary("amd64"), "amd64", "hvf")
    assert not proof.works or accelerator.candidate("amd64") == "hvf"
    assert proof.works or proof.said


def test_found_what_was_proved_and_remembered(cache: Path) -> None:
    binary("amd64")
    wanted = accelerator.candidate("amd64")
    found = accelerator.find("amd64")
    if wanted == "tcg":
        assert found == "tcg"
        pytest.skip("this host has no accelerator to prove")
    proof = accelerator.useful(process.which("qemu-system-x86_64"), "amd64", wanted)
    assert found == (wanted if proof.works else "tcg")
    before = cache.stat().st_mtime_ns
    started = _children()
    assert accelerator.find("amd64") == found
    assert _children() == started
    assert cache.stat().st_mtime_ns == before


def stub(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / "qemu-system-x86_64"
    path.write_text(f"#!/bin/sh\necho run >> {folder}/runs\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_another_qemu_is_asked_again(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told by a program in QEMU's place: it hangs, then a newer one answers."""
    if accelerator.candidate(_native()) != "kvm":
        pytest.skip("no /dev/kvm that could be opened")
    if _native() != "amd64":
        pytest.skip("the stub answers as an x86 guest does")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    stub(tmp_path / "bin", '[ "$1" = --version ] || exec sleep 60')
    assert accelerator.find("amd64") == "tcg"
    (entry,) = json.loads(cache.read_text()).values()
    assert "did not answer" in entry["said"]
    runs = (tmp_path / "bin" / "runs").read_text()
    assert accelerator.find("amd64") == "tcg"
    assert (tmp_path / "bin" / "runs").read_text() == runs
    stub(tmp_path / "bin", "echo alive; exit 33")
    assert accelerator.find("amd64") == "kvm"


def test_a_damaged_memory_is_no_memory(cache: Path) -> None:
    binary("amd64")
    cache.parent.mkdir(parents=True)
    cache.write_text("[not json")
    assert accelerator.find("amd64") in {"kvm", "hvf", "tcg"}


def test_other_processors_are_emulated() -> None:
    other: Arch = "aarch64" if accelerator.host_arch() == "amd64" else "amd64"
    assert accelerator.find(other) == "tcg"


def _children() -> tuple[int, int]:
    """What the commands that were run until now have cost: it grows with each."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_minflt, spent.ru_nvcsw


def _native() -> Arch:
    return "aarch64" if accelerator.host_arch() == "aarch64" else "amd64"


@pytest.mark.parametrize(("seconds", "works"), [(0.2, True), (0.8, True), (1.8, False)])
def test_one_that_is_slower_than_emulation_is_none(monkeypatch, seconds, works):
    def prove(_binary, _arch, which):
        took = 0.3 if which == "tcg" else seconds
        return accelerator.Proof(works=True, seconds=took)

    monkeypatch.setattr(accelerator, "prove", prove)
    found = accelerator.useful("qemu", "amd64", "kvm")
    assert found.works is works
    assert bool(found.said) is not works
