"""`[vm.<name>]` of lab.toml: a virtual machine as a person describes it.

Pure: it turns a description into qemu.Machine, given where the machine's own files are. Knows
nothing of how a machine is started, or of what runs in it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from labtasks.ground.error import UserError
from labtasks.lab.remote import System
from labtasks.vm import qemu
from labtasks.vm.qemu import Arch, Drive, Forward

Meta = msgspec.Meta

MEMORY = 1024
"""MiB of a machine whose description does not say."""


class Vm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[vm.<name>]`: the descriptions are its reference. Paths are relative to the lab."""

    image: Annotated[
        str,
        Meta(
            description="Its root disk: a raw image, or one called .qcow2. It is never written: "
            "the machine has a layer of its own over it. Empty for a test VM that boots what was "
            'installed, as the recipe says; with world = "image", the world that kernels boot on.'
        ),
    ] = ""
    digest: Annotated[
        str, Meta(description="The image's BLAKE3, checked before it is used; empty for no check.")
    ] = ""
    base: Annotated[
        str,
        Meta(
            description="The image that is installed onto for it, through a machine, instead of "
            "[install] base. It is never written."
        ),
    ] = ""
    base_digest: Annotated[
        str, Meta(description="That base's BLAKE3, checked before it is used; empty for no check.")
    ] = ""
    system: Annotated[
        System,
        Meta(description="What runs in one that builds or installs: Linux or FreeBSD."),
    ] = "Linux"
    arch: Annotated[
        Arch, Meta(description="Its processor: amd64, i386, aarch64, armv7 or riscv64.")
    ] = "amd64"
    type: Annotated[
        str, Meta(description="QEMU's machine type; empty for pc (amd64, i386) or virt.")
    ] = ""
    accel: Annotated[
        Literal["auto", "kvm", "hvf", "tcg"],
        Meta(description="How it is run: auto takes what is proved to work here, tcg emulates."),
    ] = "auto"
    memory: Annotated[
        int, Meta(description="Memory in MiB; 0 means what the recipe says, or 1024.", ge=0)
    ] = 0
    cpus: Annotated[int, Meta(description="Processors.", ge=1)] = 1
    firmware: Annotated[
        str,
        Meta(
            description='A UEFI image, "uefi" for the one that comes with QEMU, empty for the '
            "machine's own (aarch64 has none of its own: there empty means uefi)."
        ),
    ] = ""
    kernel: Annotated[
        str,
        Meta(
            description="A kernel for QEMU to load itself, instead of a boot loader. Where kernel, "
            "initrd and firmware are empty and X.kernel and X.initrd lie beside the image X.img, "
            "those are taken."
        ),
    ] = ""
    initrd: Annotated[str, Meta(description="The initial RAM disk for that kernel.")] = ""
    append: Annotated[str, Meta(description="The command line for that kernel.")] = ""
    disks: Annotated[
        list[str], Meta(description="More disks, as image files that the machine does write to.")
    ] = []
    ssh: Annotated[
        bool | int,
        Meta(
            description="Whether it is reached over ssh; a number is the port of 127.0.0.1 to "
            "reach it at, true lets QEMU take a free one."
        ),
    ] = True
    user: Annotated[str, Meta(description="Whom to log in as.", min_length=1)] = "root"
    seed: Annotated[
        bool,
        Meta(
            description="Attach a small disk CIDATA that gives cloud images (and those of "
            "`labtasks image`) their name and the lab's ssh key."
        ),
    ] = True
    serial: Annotated[
        int, Meta(description="How many serial ports; the first is the console.", ge=1, le=4)
    ] = 1
    start: Annotated[
        float, Meta(description="Seconds after which one that cannot be reached has failed.", gt=0)
    ] = 180.0
    stop: Annotated[
        float, Meta(description="Seconds a shutdown may take before the plug is pulled.", ge=0)
    ] = 30.0
    arguments: Annotated[list[str], Meta(description="More arguments for QEMU.")] = []


SOCKET = 103
"""Bytes that the path of a socket may have, on the system that allows the fewest."""


def fitting(path: Path, *, spare: int = 0) -> str:
    """The path of a socket; `spare` bytes may come behind it. Raises UserError when it is too long
    for one.
    """
    if len(os.fsencode(path)) + spare > SOCKET:
        raise UserError(
            f"{path}: the path is too long for a socket",
            hint="set `cache` in lab.toml to a shorter path",
        )
    return str(path)


def monitor(state: Path) -> Path:
    """The socket of QEMU's monitor in a machine's folder."""
    return state / "qmp"


def pidfile(state: Path) -> Path:
    """The file with QEMU's process id."""
    return state / "pid"


def serial(state: Path, number: int = 0) -> Path:
    """The socket of a serial port."""
    return state / f"serial{number}"


def serial_log(state: Path, number: int = 0) -> Path:
    """What a serial port has said since the machine was started."""
    return state / ("console.log" if number == 0 else f"serial{number}.log")


def disk(state: Path) -> Path:
    """The layer over the root image."""
    return state / "root.qcow2"


def seed(state: Path) -> Path:
    """The folder shown to the guest as the disk CIDATA."""
    return state / "seed"


def seed_files(name: str, user: str, key: str) -> dict[str, str]:
    """What cloud-init (Linux) and nuageinit (FreeBSD) read at a machine's first boot."""
    users = f"user: {user}\ndisable_root: false\n" if user != "root" else "disable_root: false\n"
    config = f"#cloud-config\n{users}ssh_authorized_keys:\n  - {key.strip()}\n"
    return {
        "meta-data": f"instance-id: {name}\nlocal-hostname: {name}\n",
        "user-data": config,
    }


def compose(
    vm: Vm, *, name: str, state: Path, lab: Path, accel: str, firmware: str
) -> qemu.Machine:
    """The machine of a description: its files in `state`, the person's relative to `lab`."""

    def path(text: str) -> str:
        return str((lab / Path(text).expanduser()).absolute()) if text else ""

    port = 0 if isinstance(vm.ssh, bool) else vm.ssh
    drives = [Drive(file=str(disk(state)), format="qcow2", throw_away=False)]
    if vm.seed:
        drives.append(Drive(file=str(seed(state)), format="fat", label="CIDATA"))
    for extra in vm.disks:
        form: Literal["raw", "qcow2"] = "qcow2" if extra.endswith(".qcow2") else "raw"
        drives.append(Drive(file=path(extra), format=form, throw_away=False))
    serials = [
        f"unix:{_text(serial(state, n))},server=on,wait=off,logfile={_text(serial_log(state, n))}"
        for n in range(vm.serial)
    ]
    return qemu.Machine(
        name=name, arch=vm.arch, type=vm.type, accel=accel, cpus=vm.cpus,
        memory=vm.memory or MEMORY, firmware=firmware, kernel=path(vm.kernel),
        initrd=path(vm.initrd), append=vm.append,
        drives=tuple(drives), serials=tuple(serials), network=True,
        forwards=(Forward(host=port, guest=22),) if vm.ssh is not False else (),
        monitor=str(monitor(state)), pidfile=str(pidfile(state)), reboot=True,
        arguments=tuple(vm.arguments),
    )  # fmt: skip


def _text(path: Path) -> str:
    return str(path).replace(",", ",,")
