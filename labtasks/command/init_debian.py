"""`labtasks init --debian`: what a lab in Debian machines needs besides its lab.toml.

The disk of its machines is made once for all labs, in the user's cache folder, and named by what
decides it; the root that a test VM's disks are clones of is made in the lab. Knows nothing of how
a lab.toml is written, nor of what is done in the machines.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from labtasks.ground import digest, memory, process
from labtasks.ground.error import InfraError, say
from labtasks.lab import recipe
from labtasks.lab.recipe import Recipe
from labtasks.lab.tools import package_on
from labtasks.store import locks
from labtasks.vm import accelerator, image, qemu

BASE = "root.img"
"""The root that is installed onto, in a lab's folder: empty but for what mke2fs makes."""

IMAGE_SIZE = "2G"
"""Of the machines' disk: builds have disks of their own, and every lab takes its BLAKE3."""

BASE_SIZE = "512M"
"""Its size; it is sparse."""

_MOST = 4
"""Processors of a machine that builds, at most."""


def ready(found: Recipe, path: Path) -> None:
    """Refuse what would not come to an end, before anything is done: what `image.ready` does, and a
    recipe that does not install onto a disk through a Linux machine. Raises UserError.
    """
    recipe.on_disk(found, path, "Linux")
    emulator = qemu.binary(qemu.arch(accelerator.host_arch()))
    image.ready(emulator, "ssh", "ssh-keygen", "git")


def image_of(found: Recipe, *, suite: str, mirror: str, packages: str) -> image.Wanted:
    """The machines' disk: with the tools that the recipe names, and more packages."""
    tools_of = filter(None, (package_on(one, "Linux") for one in found.tools.values()))
    named = (*tools_of, packages.replace(",", " "))
    return image.Wanted(suite=suite, size=IMAGE_SIZE, mirror=mirror, packages=" ".join(named))


def disk(wanted: image.Wanted) -> Path:
    """The machines' disk: the one that an earlier lab had made, or a new one. Some minutes, most
    of them the network's. Of two at once, one makes it. Raises LabError.
    """
    home = memory.folder() / "images"
    home.mkdir(parents=True, exist_ok=True)
    made = home / wanted.name
    with locks.held(home / f"{wanted.name}.lock", f"making {made}"):
        if made.is_dir():
            say(f"image: {made} is here already")
        else:
            for left in home.glob(f".{wanted.name}.*"):  # of a run that was killed
                shutil.rmtree(left)
            with tempfile.TemporaryDirectory(dir=home, prefix=f".{wanted.name}.") as scratch:
                folder = Path(scratch) / "made"
                folder.mkdir()
                image.make(folder / "debian", wanted, log=home / f"{wanted.name}.log")
                os.sync()  # a name for what is on disk, not for what would have been
                folder.rename(made)
    return made / "debian.img"


def base(directory: Path) -> None:
    """Write the root that is installed onto, whole or not at all. Raises InfraError."""
    scratch = directory / f"{BASE}.new"
    scratch.unlink(missing_ok=True)
    argv = [process.which("mke2fs"), "-q", "-F", "-t", "ext4", str(scratch), BASE_SIZE]
    answer = process.query(argv)
    if answer.code:
        raise InfraError(f"{scratch}: {answer.complaint}", hint="is there room?")
    scratch.rename(directory / BASE)


def settings() -> dict[str, str]:
    """What lab.toml says besides, by "key" or "table.key": where it builds and installs."""
    emulated = accelerator.find(qemu.arch(accelerator.host_arch())) == "tcg"
    where = {"builder": "vm:build", "install.through": "inst", "install.base": BASE}
    # strace costs an emulated machine most; what compilers leave says what was read, too
    return {**where, "tracer": "depend"} if emulated else where


def machines(found: Path) -> str:
    """The tables of a lab's machines: one builds, one installs, one is tested."""
    content = digest.of_file(found, found.stat().st_size)
    cpus = min(_MOST, os.cpu_count() or 1)
    build = image.settings("build", found, digest=content, memory=2048, cpus=cpus)
    return "\n".join(
        [build, image.settings("inst", found, digest=content, memory=512), "[vm.test]\n"]
    )
