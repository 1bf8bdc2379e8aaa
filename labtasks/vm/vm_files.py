"""The files a machine needs before it starts: its disk over the image, its seed, its firmware.

Knows nothing of whether it runs.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import msgspec

from labtasks.ground import process
from labtasks.ground.error import UserError, say
from labtasks.lab import base, machine
from labtasks.lab.lab import Lab
from labtasks.lab.machine import Vm
from labtasks.site import ssh
from labtasks.vm import qcow2, qemu

_UEFI = {
    "amd64": ("OVMF/OVMF_CODE.fd", "qemu/edk2-x86_64-code.fd"),
    "aarch64": ("AAVMF/AAVMF_CODE.fd", "qemu/edk2-aarch64-code.fd"),
}
"""UEFI images below a `share` folder: Debian's own packages, and what QEMU brings."""


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The image below a machine's disk, as it was when the disk was made."""

    path: str
    size: int
    mtime: int


def prepare_disk(lab: Lab, name: str, vm: Vm, state: Path) -> None:
    """The layer over the image: kept from start to start, made anew over another image."""
    below, old = _named(lab, name, vm), _known(state)
    if below == old and machine.disk(state).exists():
        return
    if old is not None:
        say(f"vm {name}: another image, so a new disk over it")
    _memory(state).unlink(missing_ok=True)
    known_hosts(state).unlink(missing_ok=True)  # another system has other keys
    qcow2.create(machine.disk(state), below=Path(below.path))
    _memory(state).write_bytes(msgspec.json.encode(below))


def other_image(lab: Lab, name: str, vm: Vm, state: Path) -> str:
    """The image below a machine's disk, if it is not the one that lab.toml names now; else "".
    Raises UserError when that one is not there, or not what its digest says.
    """
    below, old = _named(lab, name, vm), _known(state)
    return "" if below == old else old.path if old else "an unknown image"


def with_kernel(vm: Vm, lab: Lab) -> Vm:
    """A machine as described, with the kernel and the initial RAM disk that lie beside its image
    where it names neither them nor a firmware.
    """
    image = lab.path(vm.image)
    kernel, initrd = image.with_suffix(".kernel"), image.with_suffix(".initrd")
    if vm.kernel or vm.initrd or vm.firmware or not (kernel.is_file() and initrd.is_file()):
        return vm
    return msgspec.structs.replace(vm, kernel=str(kernel), initrd=str(initrd))


def _named(lab: Lab, name: str, vm: Vm) -> Base:
    """The image that lab.toml names, as it is now; compared with its digest where that is said."""
    if not vm.image:
        raise UserError(
            f"vm {name} has no disk of its own: it boots what was installed",
            hint=f"`doit test:<ref>:{name}`, or set `image` in [vm.{name}]",
        )
    image = lab.path(vm.image)
    try:
        info = image.stat()
    except OSError as error:
        raise UserError(
            f"vm {name}: {image}: {error.strerror}", hint=f"`image` in [vm.{name}] of lab.toml"
        ) from None
    if vm.digest:
        base.content_of_image(lab, name, image)
    return Base(path=str(image), size=info.st_size, mtime=info.st_mtime_ns)


def _known(state: Path) -> Base | None:
    """The image below the disk that is there."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(_memory(state).read_bytes(), type=Base)
    return None


def _memory(state: Path) -> Path:
    return state / "base.json"


def write_seed(lab: Lab, name: str, vm: Vm, state: Path) -> None:
    """The folder that the guest sees as the disk CIDATA: its name, and the lab's public key."""
    public = ssh.public(ssh.make_key(lab.key_file)).read_text(encoding="utf-8")
    shutil.rmtree(machine.seed(state), ignore_errors=True)
    machine.seed(state).mkdir()
    for file, text in machine.seed_files(name, vm.user, public).items():
        (machine.seed(state) / file).write_text(text, encoding="utf-8")


def firmware(vm: Vm, lab: Lab) -> str:
    """The UEFI image to start with; "" for none. Raises UserError when there is none here."""
    if vm.firmware not in ("", "uefi"):
        return str(lab.path(vm.firmware))
    if vm.firmware == "" and (vm.arch != "aarch64" or vm.kernel):
        return ""
    binary = Path(process.which(qemu.binary(vm.arch)))
    shares = (binary.parent.parent / "share", binary.resolve().parent.parent / "share")
    for share in (*shares, Path("/usr/share")):
        for name in _UEFI.get(vm.arch, ()):
            if (share / name).exists():
                return str(share / name)
    package = {"amd64": "ovmf", "aarch64": "qemu-efi-aarch64"}.get(vm.arch)
    hint = f"on Debian: apt-get install {package}" if package else "name its file in `firmware`"
    raise UserError("no UEFI image is installed", hint=hint)


def known_hosts(state: Path) -> Path:
    """The file with the one host key that a machine had at its first boot."""
    return state / "known_hosts"
