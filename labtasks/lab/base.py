"""The image of a root file system that is installed onto or booted as it is, and what it contains.

It is never written. Its content is hashed once, not at every start. Knows nothing of installing.
"""

from __future__ import annotations

from pathlib import Path

from labtasks.ground import digest, memory
from labtasks.ground.digest import Digest
from labtasks.ground.error import UserError
from labtasks.lab.lab import Lab


def path_of(lab: Lab) -> Path:
    """The base image. Raises UserError when it is not there."""
    if not lab.settings.install.base:
        raise UserError(
            "it is installed onto no base", hint='base = "..." in [install] or the [vm.<name>]'
        )
    base = lab.path(lab.settings.install.base)
    if not base.is_file():
        raise UserError(
            f"[install] base: {base} is no file",
            hint="the image of a root file system, its path relative to the lab",
        )
    return base


def content_of(lab: Lab) -> Digest:
    """The base image's BLAKE3, remembered for as long as its size and time stay the same. Raises
    UserError when lab.toml says another.
    """
    path = path_of(lab)
    known = f"base-{digest.key_of([('path', str(path))])[:12]}.json"
    return _meant(_content(lab, path, known), lab.settings.install.digest, path, "[install]")


def of_vm(lab: Lab, vm: str) -> Path | None:
    """The image with the world of a VM that brings its own; None where the recipe's machine boots
    none, or the VM has none. Raises UserError when it is not there.
    """
    guest, image = lab.recipe.machine, lab.vm(vm).image
    texts = (*guest.steps, *guest.drives, *guest.arguments, guest.append) if guest else ()
    if not image or not any("{image}" in text for text in texts):
        return None
    path = lab.path(image)
    if not path.is_file():
        raise UserError(
            f"[vm.{vm}] image: {path} is no file",
            hint="the disk with the world, its path relative to the lab",
        )
    return path


def content_of_vm(lab: Lab, vm: str) -> Digest | None:
    """That image's BLAKE3, remembered likewise. Raises UserError."""
    path = of_vm(lab, vm)
    return content_of_image(lab, vm, path) if path else None


def content_of_image(lab: Lab, vm: str, path: Path) -> Digest:
    """The BLAKE3 of a VM's image, whatever it is for. Raises UserError as `content_of`."""
    return _meant(_content(lab, path, f"image-{vm}.json"), lab.vm(vm).digest, path, f"[vm.{vm}]")


def _meant(found: Digest, said: str, path: Path, table: str) -> Digest:
    if said and found != said:
        raise UserError(
            f"{table} digest: {path} is not the image that lab.toml means",
            hint=f'its BLAKE3 is "{found}": that as `digest`, or the image that was meant',
        )
    return found


def _content(lab: Lab, path: Path, name: str) -> Digest:
    about = [str(path), *memory.stamp(path)]
    size = path.stat().st_size
    return memory.once(lab.cache / name, about, lambda: digest.of_file(path, size))
