"""Install through a machine: what was built on a read-only disk, a clone of the base on another.

    obj-fs image + clone of the base image -> steps over ssh -> unmounted -> sealed layer

The base image is never written: the clone is a qcow2 over it, in the sealed layer. Where a sealed
root has the kernel's world already, the clone is one of that root, and the kernel alone is
installed, beside those that are there. Knows nothing of how the build came to be, nor of what
boots the disk.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from labtasks.build import doubt, failure
from labtasks.ground import digest
from labtasks.ground.digest import Digest, Key
from labtasks.ground.error import BuildError, UserError, say
from labtasks.key.key import Wanted
from labtasks.lab import base as base_image
from labtasks.lab.binding import late
from labtasks.lab.lab import Lab
from labtasks.lab.recipe import Part
from labtasks.store import layer
from labtasks.store.manifest import Failure, Manifest, Step
from labtasks.store.store import Store
from labtasks.vm import installer, qcow2

DISK = "disk.qcow2"
"""The installed root in its layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one is installed: on a clone of the disk `below`, by these steps; `root` is the sealed
    one that has the kernel's world already, if one does.
    """

    below: Path
    steps: tuple[str, ...]
    root: Manifest | None = None


def plan(lab: Lab, store: Store, want: Wanted, kernel: Manifest, *, clean: bool) -> Plan:
    """How it is installed now, onto the base if all is to be made `clean`. Raises UserError."""
    root = None if clean else _root(lab, store, want, kernel)
    below = disk_of(store, root) if root else base_image.path_of(lab)
    texts = lab.recipe.kernel_alone if root else lab.recipe.parts[want.kind].steps
    names = {
        "dest": installer.DEST, "out": installer.OUT, "sha": want.commit.short,
        "jobs": str(lab.jobs),
    }  # fmt: skip
    return Plan(below=below, steps=tuple(late(text, names) for text in texts), root=root)


@contextlib.contextmanager
def opened(
    lab: Lab, store: Store, want: Wanted, objfs: Path, *, below: Path, tree: Path
) -> Iterator[installer.Guest]:
    """The machine that installs, with the obj fs and a clone, made in `tree`, of the disk `below`
    mounted in it. Raises LabError.
    """
    qcow2.create(tree / DISK, below=below)
    with installer.held(lab, store, want.name) as guest:
        guest.mount(objfs, tree / DISK)
        yield guest


def install(
    lab: Lab, store: Store, want: Wanted, kernel: Manifest, objfs: Path, *, echo: bool, clean: bool
) -> Manifest:
    """Install a kernel and its world, of which `objfs` is the image, onto a clone of the base; the
    kernel alone onto a clone of a root that has that world, unless all is to be made `clean`.

    Raises BuildError when a step fails, UserError when the base is full, InfraError when the
    machine did not do its part.
    """
    part = lab.recipe.parts[want.kind]
    chosen = plan(lab, store, want, kernel, clean=clean)
    root = chosen.root
    onto = f"the kernel alone, onto {root.origin}" if root else f"onto {chosen.below}"
    log = store.log(f"{want.kind}-{want.commit.short}")
    started = time.monotonic()
    say(f"{want.name}: through vm {lab.settings.install.through}, {onto}")
    with store.workspace(want.kind) as scratch:
        tree = scratch / "layer" / "t"
        tree.mkdir(parents=True)
        with opened(lab, store, want, objfs, below=chosen.below, tree=tree) as guest:
            steps = _run(guest, store, want, chosen.steps, log, echo=echo)
            guest.fetch(tree)
            guest.close()  # unmounted cleanly, or nothing is sealed
        if root:
            _complete(_layer_of(store, root), tree)
        found = layer.scan(tree)
        layer.write_entries(scratch / "layer", found)
        manifest = Manifest.of(
            want, digest=_digest(lab, want, kernel, part), built_as=want.name,
            stack=[layer.new_id(want.kind), *(root.stack if root else [])],
            rung="incremental" if root else "clean", base=root.name if root else "",
            why=_why(root) if root else f"onto a clone of {chosen.below}",
            steps=steps, seconds=round(time.monotonic() - started, 3),
            bytes=sum(e.size for e in found), log=str(log), host=platform.node(),
        )  # fmt: skip
        store.publish(manifest, tree=scratch / "layer")
    say(f"{want.name}: installed: {manifest.seconds:.1f} s, digest {manifest.digest[:12]}")
    return manifest


def _root(lab: Lab, store: Store, want: Wanted, kernel: Manifest) -> Manifest | None:
    """The sealed root that is as this one would be, but for its kernel: of those that lie on the
    fewest others, the newest. Raises UserError when it was changed by hand.
    """
    if not lab.recipe.kernel_alone:
        return None
    able = [
        found
        for found in store.all(want.kind)
        if _beside_kernel(found.inputs) == _beside_kernel(want.inputs)
        and _world(store, found) == kernel.below_digest
        and len(found.stack) < lab.settings.depth
    ]
    if not able:
        return None
    root = min(able, key=lambda found: len(found.stack))
    doubt.refuse_changed(store, (root.stack, None))
    return root


def _beside_kernel(inputs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What decides an installation, but for the kernel."""
    return [(label, text) for label, text in inputs if label != "kernel"]


def _world(store: Store, root: Manifest) -> str:
    """The digest of the world that a root has; empty when its kernel is no longer known."""
    kernel = store.get("kernel", Key(dict(root.inputs)["kernel"]))
    return kernel.below_digest if kernel else ""


def _why(root: Manifest) -> str:
    return f"the kernel alone, onto a clone of {root.origin}'s root, which has that world"


def disk_of(store: Store, root: Manifest) -> Path:
    """The disk of a sealed installation."""
    return _layer_of(store, root) / DISK


def _layer_of(store: Store, root: Manifest) -> Path:
    return layer.tree_of(store.layers, root.stack[0])


def _complete(root: Path, tree: Path) -> None:
    """Link what the steps did not leave beside a disk, and those of its root's did."""
    for name in sorted({*os.listdir(root)} - {*os.listdir(tree)}):
        source = root / name
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, tree / name, symlinks=True, copy_function=os.link)
        else:
            os.link(source, tree / name, follow_symlinks=False)


def _run(
    guest: installer.Guest, store: Store, want: Wanted, texts: Iterable[str], log: Path,
    *, echo: bool,
) -> list[Step]:  # fmt: skip
    """Run the steps in the machine; how long each took."""
    steps = []
    for text in texts:
        ended = guest.step(text, log, echo=echo)
        steps.append(Step(text=text, seconds=round(ended.seconds, 3)))
        if ended.code:
            _failed(guest.lab, store, want, text, log, ended.code)
    return steps


def _failed(lab: Lab, store: Store, want: Wanted, step: str, log: Path, code: int) -> NoReturn:
    error = failure.first_error(log, lab.recipe.errors) or f"exit status {code}"
    if full := failure.full(log):
        raise UserError(
            f"{want.name}: no room on the root disk: {full}",
            hint=f"a larger base in [install], or a smaller world; the log is {log}",
        )
    found = Failure(
        commit=want.commit.id, error=error, log=str(log), step=step, finished=time.time()
    )
    store.remember(want.kind, want.key, found)
    raise BuildError(
        f"{want.name} is not installed: {error}\n  log: {log}\n  again: {failure.again(lab, want)}",
        hint=f"`doit retry=yes echo=yes {failure.typed(lab, want)}` installs it again",
    )


def _digest(lab: Lab, want: Wanted, kernel: Manifest, part: Part) -> Digest:
    """What decides the disk's content: a file system made twice has other bytes."""
    pairs = [
        ("base", base_image.content_of(lab)),
        ("partition", str(lab.settings.install.partition)),
        ("kernel", kernel.digest),
        ("below", kernel.below_digest),
        *((f"step {number}", text) for number, text in enumerate(part.steps)),
        *((f"kernel {number}", text) for number, text in enumerate(lab.recipe.kernel_alone)),
        *((label, text) for label, text in want.inputs if label.startswith("tree ")),
    ]
    return Digest(digest.key_of(pairs))
