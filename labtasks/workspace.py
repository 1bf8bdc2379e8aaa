"""The workspace a lab's builder gives: a guest's disk, or overlays or copies of this host."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from labtasks import namespace
from labtasks.builder import Trees, Workspace
from labtasks.error import InfraError
from labtasks.lab import Lab
from labtasks.lane import Copy
from labtasks.overlay import Overlay
from labtasks.store import Store


@contextlib.contextmanager
def open_builder(lab: Lab, store: Store, name: str, trees: Trees) -> Iterator[Workspace]:
    """The workspace of the lab's builder, gone afterwards. A machine takes one build at a time."""
    if not lab.builder_vm:
        with open_workspace(lab, store, name, trees) as local:
            yield local
        return
    from labtasks import vm  # noqa: PLC0415 (only labs that build in one)
    from labtasks.guest import Guest  # noqa: PLC0415
    from labtasks.guest_disk import GuestDisk  # noqa: PLC0415

    with store.machine(lab.builder_vm, name), store.workspace(name) as scratch:

        def up() -> GuestDisk:
            found = vm.raised(lab, lab.builder_vm)
            to = vm.remote(lab, found, shared=True)
            return GuestDisk(state=found.state, to=to, root=namespace.ROOT)

        disk = up()
        try:
            disk.unmount()  # what a killed run left
        except InfraError:
            vm.cut(lab, lab.builder_vm)
            disk = up()
        try:
            yield Guest(
                layers=store.layers, scratch=scratch, trees=trees, recipe=lab.recipe,
                jobs=lab.settings.jobs or lab.vm(lab.builder_vm).cpus, disk=disk,
            )  # fmt: skip
        finally:
            try:
                disk.unmount()
            except InfraError:
                vm.cut(lab, lab.builder_vm)


@contextlib.contextmanager
def open_workspace(lab: Lab, store: Store, name: str, trees: Trees) -> Iterator[Workspace]:
    """The workspace this host can give, gone afterwards. The lane of copies takes one at a time."""
    kind = lab.namespace
    with contextlib.ExitStack() as stack:
        if kind == "none":
            stack.enter_context(store.lane(name))
        scratch = stack.enter_context(store.workspace(name, trees.uses))
        if kind == "none":
            yield Copy(
                layers=store.layers, scratch=scratch, trees=trees, recipe=lab.recipe, jobs=lab.jobs
            )
        else:
            yield Overlay(
                layers=store.layers, scratch=scratch, trees=trees, recipe=lab.recipe,
                jobs=lab.jobs, kind=kind,
            )  # fmt: skip
