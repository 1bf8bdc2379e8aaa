"""Whether a build and a boot would work here, one finding after the other.

Each is looked at by doing it: a namespace entered, a file traced, a guest started. Knows nothing
of what is built or booted afterwards.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from pathlib import Path

from labtasks.care import checkup
from labtasks.care.checkup import Finding
from labtasks.ground import namespace, process
from labtasks.ground.error import LabError
from labtasks.ground.words import size
from labtasks.key import identity
from labtasks.lab.lab import Lab
from labtasks.lab.machine import Vm
from labtasks.site import remote_folder
from labtasks.store.store import Store
from labtasks.trace import recorder, tracing
from labtasks.vm import accelerator, qemu, vm

_ROOM = 5 * 10**9
"""Bytes of free space below which a build of a whole system may not fit."""


def examine(lab: Lab, store: Store) -> Iterator[Finding]:
    """Everything there is to look at, the host first."""
    yield _asked(
        "repository",
        lambda: f"{lab.repository.git_dir}, HEAD {lab.repository.commit('HEAD').short}",
    )
    recipe = _asked("recipe", lambda: lab.recipe.name)
    yield recipe
    if recipe.well:  # what a wrong one asks for is not known
        yield _asked("tools", lambda: _tools(lab))
        yield _asked("builder", lambda: _builder(lab))
    yield _room(store)
    yield from _linux(lab)
    if recipe.well:
        yield from _strace(lab)
        yield from _boots(lab)
    for name, machine in lab.settings.vm.items():
        if machine.image:
            yield from _machine(lab, name, machine)
    for name in lab.settings.ssh:
        yield from _remote(lab, name)


def _asked(what: str, look: Callable[[], str]) -> Finding:
    """What a look at something says; a refusal is a finding with its hint as the remedy."""
    try:
        return Finding(what=what, well=True, said=look())
    except LabError as error:
        return Finding(what=what, well=False, said=error.message, remedy=error.hint)


def _tools(lab: Lab) -> str:
    identity.check_tools(lab)
    return f"all {len(lab.recipe.tools)} that the recipe names are here"


def _builder(lab: Lab) -> str:
    return "; ".join(text.splitlines()[0] for _, text in identity.builder(lab) if text)


def _room(store: Store) -> Finding:
    free = store.free_bytes()
    return Finding(
        what="disk space",
        well=free > _ROOM,
        said=f"{size(free)} free at {store.cache}",
        remedy="`doit gc --quota 20GB`, or another `cache` in lab.toml",
        needed=free < _ROOM / 10,
    )


def _linux(lab: Lab) -> Iterator[Finding]:
    if platform.system() != "Linux":
        return
    kind = namespace.kind_here(lab.cache)
    yield Finding(
        what="namespaces and overlays",
        well=kind != "none",
        said={"root": "as root", "user": "as an ordinary user", "none": "none: copies in a lane"}[
            kind
        ],
        remedy="as root they always work; sysctl kernel.unprivileged_userns_clone=1 for others",
        needed=False,
    )
    found, doubt = recorder.standing(), recorder.distrusted()
    yield Finding(
        what="bpf",
        well=found.works,
        said=f"not used for an hour: {doubt}" if found.works and doubt else found.said,
        remedy=found.remedy,
        needed=False,
    )


def _strace(lab: Lab) -> Iterator[Finding]:
    if platform.system() != "Linux":
        return
    works = tracing.strace_works(lab.recipe.tool_path)
    yield Finding(
        what="strace",
        well=works,
        said="follows what a build reads" if works else "missing, or not allowed here",
        remedy="apt-get install strace; in a container, allow ptrace",
        needed=False,
    )


def _boots(lab: Lab) -> Iterator[Finding]:
    guest = lab.recipe.machine
    if guest is None:
        return
    binary = qemu.binary(guest.processor)
    yield _asked("emulator", lambda: process.which(binary))
    yield _asked("accelerator", lambda: _accelerated(guest.processor))
    if guest.firmware:
        there = Path(guest.firmware).exists()
        yield Finding(
            what="firmware", well=there, said=guest.firmware,
            remedy="apt-get install ovmf qemu-efi-aarch64, or set the recipe's option",
        )  # fmt: skip


def _accelerated(arch: qemu.Arch) -> str:
    found = accelerator.find(arch)
    if found == "tcg" and Path("/dev/kvm").exists():
        return "tcg: /dev/kvm is here, and a guest under it does not answer in time"
    return found


def _machine(lab: Lab, name: str, machine: Vm) -> Iterator[Finding]:
    image = lab.path(machine.image)
    yield Finding(
        what=f"vm {name}", well=image.exists(), said=f"image {image}",
        remedy="`labtasks image debian <file>` makes one, or mend `image` in lab.toml",
    )  # fmt: skip
    try:
        running = vm.find(lab, name)
    except LabError as error:
        yield Finding(what=f"vm {name}", well=False, said=error.message, remedy=error.hint)
        return
    if running is None:
        yield Finding(what=f"vm {name}", well=True, said="is down", needed=False)
        return
    try:
        to = vm.remote(lab, running)
    except LabError as error:
        yield Finding(
            what=f"vm {name}: ssh", well=False, said=error.message, remedy=error.hint, needed=False
        )
        return
    yield from checkup.examine(to, f"vm {name}")


def _remote(lab: Lab, name: str) -> Iterator[Finding]:
    """What a machine of [ssh.<name>] can give to a build, and how it is."""
    try:
        site = remote_folder.reached(lab, name)
    except LabError as error:
        yield Finding(what=f"ssh {name}", well=False, said=error.message, remedy=error.hint)
        return
    trees = {"root": "overlays", "user": "overlays, as an ordinary user", "none": "copies"}
    said = f"{site.cpus} processors, {trees[site.kind]} in {site.home}"
    yield Finding(what=f"ssh {name}", well=True, said=said)
    yield from checkup.examine(site.to, f"ssh {name}", site.home)
