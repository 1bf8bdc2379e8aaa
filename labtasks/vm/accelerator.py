"""Which accelerator QEMU may use on this host: kvm, hvf, or tcg, and the proof of it.

`/dev/kvm` can exist, open and accept a machine whose guest then hangs in its first instructions.
So a guest of a few instructions is started: it prints a word and switches itself off, or the
accelerator does not work. One that takes much longer than emulation is none either: kernels never
get through their boot there. The answer is remembered per host, in the user's own cache.
Knows nothing of labs or their machines.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, cast

from labtasks.ground import memory, process
from labtasks.vm import qemu
from labtasks.vm.qemu import Arch

Accelerator = Literal["kvm", "hvf", "tcg"]

_MEMORY = "accelerators.json"
_WORD = b"alive"
_SECONDS = 2.0
"""How long the guest may take; it needs 0.3 s, most of them the firmware's."""

_QUICK = 0.5
"""Seconds within which an answer leaves no doubt; most are QEMU's own and the firmware's."""

_SLOWER = 3.0
"""How many times the seconds of an emulated guest one that was not so quick may have taken."""

_DOUBTFUL = 24 * 3600.0
"""Seconds after which a refusal is proved again: the host may only have been busy."""

_MAGIC_EXIT = 0x10
"""What the guest writes to isa-debug-exit; QEMU's status is then twice that and one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One accelerator tried: whether its guest answered, and in how many seconds or why not."""

    works: bool
    seconds: float
    said: str = ""


def boot_sector() -> bytes:
    """512 bytes for an x86: print the word on the debug console (port 0xe9), leave by 0xf4."""
    code = bytes.fromhex(
        "fa fc"  # cli; cld
        "31c0 8ed8"  # ds = 0
        "be1a7c"  # si = the word, at 0x7c1a
        "bae900"  # dx = 0xe9
        "ac 84c0 7403 ee ebf8"  # until a zero byte: out dx, al
        f"baf400 b0{_MAGIC_EXIT:02x} ee"  # out 0xf4, al
    )
    sector = code + _WORD + b"\0"
    return sector.ljust(510, b"\0") + b"\x55\xaa"


def flat_kernel() -> bytes:
    """Code for the aarch64 machine `virt`: print the word on its pl011, switch off by PSCI."""
    words = [0xD2A12001]  # movz x1, #0x900, lsl #16: the pl011
    for char in _WORD:
        words += [0x52800000 | char << 5, 0x39000020]  # movz w0, #char; strb w0, [x1]
    # w0 = 0x84000008, SYSTEM_OFF; hvc #0; b .
    words += [0x52800100, 0x72B08000, 0xD4000002, 0x14000000]
    return b"".join(word.to_bytes(4, "little") for word in words)


def probe_argv(binary: str, arch: Arch, accelerator: Accelerator, image: str) -> list[str]:
    """The command line of the proof; `image` holds `boot_sector` or `flat_kernel`."""
    common = [
        binary, "-accel", accelerator, "-nodefaults", "-no-user-config", "-display", "none",
        "-m", "64", "-no-reboot",
    ]  # fmt: skip
    if arch == "amd64":
        return [
            *common, "-machine", "pc", "-drive", f"file={image},format=raw,if=ide,readonly=off",
            "-debugcon", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x01",
        ]  # fmt: skip
    cpu = "max" if accelerator == "tcg" else "host"
    return [*common, "-machine", "virt", "-cpu", cpu, "-kernel", image, "-serial", "stdio"]


def prove(binary: str, arch: Arch, accelerator: Accelerator) -> Proof:
    """Start the tiny guest. A refusal of QEMU's is a "no" like a guest that does not answer."""
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "image"
        image.write_bytes(boot_sector() if arch == "amd64" else flat_kernel())
        started = time.monotonic()
        argv = probe_argv(binary, arch, accelerator, str(image))
        answer = process.query(argv, timeout=_SECONDS)
    seconds = time.monotonic() - started
    expected = 2 * _MAGIC_EXIT + 1 if arch == "amd64" else 0
    works = answer.code == expected and _WORD in answer.output
    said = "" if works else (answer.error.strip().splitlines() or ["it was silent"])[-1]
    if answer.timed_out:
        said = f"the guest did not answer within {_SECONDS:.0f} s"
    return Proof(works=works, seconds=seconds, said=said)


def useful(binary: str, arch: Arch, accelerator: Accelerator) -> Proof:
    """`prove`, with a "no" also where the guest answers much later than an emulated one does."""
    proof = prove(binary, arch, accelerator)
    if not proof.works or proof.seconds <= _QUICK:
        return proof
    emulated = prove(binary, arch, "tcg")
    if not emulated.works or proof.seconds <= _SLOWER * emulated.seconds:
        return proof
    slow = f"a guest answers after {proof.seconds:.1f} s, emulated after {emulated.seconds:.1f} s"
    return replace(proof, works=False, said=slow)


def host_arch() -> str:
    """The processor of this machine, as qemu.Arch has it."""
    name = platform.machine()
    return {"x86_64": "amd64", "arm64": "aarch64"}.get(name, name)


def candidate(arch: Arch) -> Accelerator:
    """The accelerator that this host would have for a guest, if it works; tcg always does."""
    if arch != host_arch() or arch not in ("amd64", "aarch64"):  # no guest here proves others
        return "tcg"
    if platform.system() == "Darwin":
        return "hvf"
    return "kvm" if os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"


def find(arch: Arch) -> Accelerator:
    """The best accelerator that is proved to work for guests of `arch` here.

    Some two seconds the first time on a host whose accelerator hangs, else a file's reading.
    Raises UserError when QEMU is missing.
    """
    wanted = candidate(arch)
    if wanted == "tcg":
        return wanted
    binary = process.which(qemu.binary(arch))
    about = [wanted, platform.node(), platform.release(), *memory.stamp(Path(binary))]
    known = memory.recall(_MEMORY)
    entry = known.get(binary)
    if isinstance(entry, dict) and entry.get("about") == about and _still_true(entry):
        return cast("Accelerator", entry["accelerator"])
    proof = useful(binary, arch, wanted)
    found: Accelerator = wanted if proof.works else "tcg"
    entry = {
        "about": about, "accelerator": found, "when": time.time(), "said": proof.said,
    }  # fmt: skip
    memory.remember(_MEMORY, {**known, binary: entry})
    return found


@cache
def version(arch: Arch) -> str:
    """What the emulator says of its version. Raises UserError when it is missing."""
    binary = process.which(qemu.binary(arch))
    return process.query([binary, "--version"]).text.partition("\n")[0]


def choose(asked: Literal["auto", "kvm", "hvf", "tcg"], arch: Arch) -> Accelerator:
    """What a person asked for, "auto" proved. Raises UserError when QEMU is missing."""
    return find(arch) if asked == "auto" else asked


def _still_true(entry: dict[str, object]) -> bool:
    when = entry.get("when")
    fresh = isinstance(when, float) and time.time() - when < _DOUBTFUL
    return entry.get("accelerator") != "tcg" or fresh
