"""A virtual machine as data, and the QEMU command line that it comes to.

Pure: nothing is started here, no port is taken and no file looked at. Knows nothing of labs,
recipes or tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from labtasks.ground.error import UserError

Arch = Literal["amd64", "i386", "aarch64", "armv7", "riscv64"]
ARCHES: tuple[Arch, ...] = get_args(Arch)

_BINARY = {
    "amd64": "qemu-system-x86_64", "i386": "qemu-system-i386",
    "aarch64": "qemu-system-aarch64", "armv7": "qemu-system-arm",
    "riscv64": "qemu-system-riscv64",
}  # fmt: skip

_TYPE = {"amd64": "pc", "i386": "pc", "aarch64": "virt", "armv7": "virt", "riscv64": "virt"}
"""The machine model where nobody chose one."""

_CPU = {"riscv64": "rv64"}
"""The emulated processor where it is not "max": QEMU 7 has no such for every architecture."""

_GENERIC = ("pc", "q35", "microvm", "virt")
"""Models that take any processor, by the beginnings of their names; a board has its own."""

_PORTS = {"pc": 4, "virt": 1}
"""Serial ports that a machine has of its own, where more are put on PCI cards."""


def arch(name: str) -> Arch:
    """An architecture by its name. Raises UserError."""
    found = next((known for known in ARCHES if known == name), None)
    if found is None:
        raise UserError(f"no processor is called {name!r}", hint=f"one of: {', '.join(ARCHES)}")
    return found


TEMPORARY = "/var/tmp"  # noqa: S108 (QEMU's choice; nothing of ours is put there)
"""Where QEMU puts what is thrown away, if its environment names no other place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A disk: an image, or a folder shown as a FAT file system (`format` "fat") with a `label`.

    What the guest writes to a `throw_away` disk is forgotten when it ends; it lies in TEMPORARY,
    and when there is no room the guest is told. With any other disk it stands still then: its work
    does not fail for a reason of the host's.
    """

    file: str
    format: Literal["raw", "qcow2", "fat"] = "raw"
    throw_away: bool = True
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """A port of 127.0.0.1 that leads to one of the guest; 0 lets QEMU choose a free one."""

    host: int
    guest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Everything that decides a virtual machine. `memory` is in MiB.

    `firmware` is the path of a UEFI image, "" for the machine's own or for a kernel loaded by
    QEMU itself. `serials` are QEMU character devices, the console first. `monitor` is the path of
    the QMP socket; without one there is no way in. With a `pidfile` QEMU goes on in the background
    as soon as the machine runs.
    """

    name: str = ""
    arch: Arch = "amd64"
    type: str = ""
    accel: str = "tcg"
    memory: int = 512
    cpus: int = 1
    firmware: str = ""
    kernel: str = ""
    initrd: str = ""
    append: str = ""
    drives: tuple[Drive, ...] = ()
    serials: tuple[str, ...] = ("stdio",)
    network: bool = False
    forwards: tuple[Forward, ...] = ()
    monitor: str = ""
    pidfile: str = ""
    reboot: bool = False
    arguments: tuple[str, ...] = ()


def binary(arch: Arch) -> str:
    """The emulator of an architecture."""
    return _BINARY[arch]


def argv(machine: Machine) -> list[str]:
    """The command line of a machine."""
    model = machine.type or _TYPE[machine.arch]
    generic = model.startswith(_GENERIC)
    emulated = _CPU.get(machine.arch, "max")
    cpu = "host" if machine.accel in ("kvm", "hvf") else emulated  # what the processor really has
    words = [
        binary(machine.arch), "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", model, "-accel", machine.accel, *(["-cpu", cpu] if generic else []),
        "-m", str(machine.memory), "-smp", str(machine.cpus),
    ]  # fmt: skip
    if machine.name:
        words += ["-name", _text(machine.name)]
    if not machine.reboot:
        words.append("-no-reboot")
    if machine.firmware:
        words += ["-drive", f"if=pflash,format=raw,readonly=on,file={_text(machine.firmware)}"]
    for option, value in (
        ("-kernel", machine.kernel),
        ("-initrd", machine.initrd),
        ("-append", machine.append),
    ):
        words += [option, value] if value else []
    for number, drive in enumerate(machine.drives):
        words += _drive(number, drive)
    for number, serial in enumerate(machine.serials):
        words += _serial(machine, number, serial)
    if machine.network:
        words += _network(machine)
    if machine.monitor:
        words += ["-qmp", f"unix:{_text(machine.monitor)},server=on,wait=off"]
    if machine.pidfile:
        words += ["-pidfile", machine.pidfile, "-daemonize"]
    return [*words, *machine.arguments]


def _serial(machine: Machine, number: int, serial: str) -> list[str]:
    """A serial port. On a card it has no -serial: newer QEMUs would make a port of virt's own of a
    second one.
    """
    board = (machine.type or _TYPE[machine.arch]).partition("-")[0]
    if number < _PORTS.get(board, number + 1):
        return ["-serial", serial]
    kind, _, rest = serial.partition(":")
    way = {"file": f"file,path={_text(rest)}", "unix": f"socket,path={rest}"}.get(kind, kind)
    return ["-chardev", f"{way},id=port{number}", "-device", f"pci-serial,chardev=port{number}"]


def _drive(number: int, drive: Drive) -> list[str]:
    name = f"disk{number}"
    if drive.label:
        folder = f"file.driver=vvfat,file.dir={_text(drive.file)},file.label={drive.label}"
        source = f"format=raw,readonly=on,{folder}"
    elif drive.format == "fat":
        source = f"format=raw,readonly=on,file=fat:{_text(drive.file)}"
    else:
        keep = "snapshot=on,werror=report" if drive.throw_away else "snapshot=off"
        source = f"format={drive.format},{keep},file={_text(drive.file)}"
    return ["-drive", f"if=none,id={name},{source}", "-device", f"virtio-blk-pci,drive={name}"]


def _network(machine: Machine) -> list[str]:
    ports = "".join(f",hostfwd=tcp:127.0.0.1:{f.host}-:{f.guest}" for f in machine.forwards)
    return ["-netdev", f"user,id=net0{ports}", "-device", "virtio-net-pci,netdev=net0,romfile="]


def _text(value: str) -> str:
    """A value inside of a comma-separated option: a comma in it is doubled."""
    return value.replace(",", ",,")
