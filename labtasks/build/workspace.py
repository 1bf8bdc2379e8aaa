"""The workspace a lab's builder gives: another machine's trees, or this one's.

Knows nothing of what is built in it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from labtasks.build.builder import Trees, Workspace
from labtasks.build.lane import Copy
from labtasks.build.overlay import Overlay
from labtasks.ground.error import InfraError, LostError, UserError
from labtasks.key import identity
from labtasks.lab.lab import Lab
from labtasks.site.site import Site
from labtasks.store.store import Store


@contextlib.contextmanager
def open_builder(lab: Lab, store: Store, name: str, trees: Trees) -> Iterator[Workspace]:
    """The workspace of the lab's builder, gone afterwards. A machine takes one build at a time."""
    if not lab.abroad:
        with open_workspace(lab, store, name, trees) as local:
            yield local
        return
    from labtasks.site.guest import Guest  # noqa: PLC0415 (only labs that build elsewhere)

    machine = lab.builder_vm or f"ssh-{lab.builder_ssh}"
    with (
        store.machine(machine, name),
        store.workspace(name, trees.uses) as scratch,
        _virtual(lab) if lab.builder_vm else _remote(lab) as site,
    ):
        yield Guest(
            layers=store.layers, scratch=scratch, trees=trees, recipe=lab.recipe,
            jobs=_jobs(lab) or site.cpus, site=site,
        )  # fmt: skip


def _jobs(lab: Lab) -> int:
    there = lab.ssh(lab.builder_ssh).jobs if lab.builder_ssh else 0
    return there or lab.settings.jobs


def _virtual(lab: Lab) -> contextlib.AbstractContextManager[Site]:
    """A disk of a virtual machine."""
    from labtasks.site.guest_disk import GuestDisk  # noqa: PLC0415
    from labtasks.vm import hotplug, vm  # noqa: PLC0415

    name = lab.builder_vm

    def disk(found: vm.Running) -> GuestDisk:
        to = vm.remote(lab, found, shared=True)
        return GuestDisk(what=f"vm {name}", to=to, cpus=lab.vm(name).cpus, state=found.state)

    return hotplug.lent(lab, name, disk)


@contextlib.contextmanager
def _remote(lab: Lab) -> Iterator[Site]:
    """A folder of another machine. One that is lost has some time to come back: nobody here can
    start it.
    """
    from labtasks.site.remote_folder import reached  # noqa: PLC0415

    name = lab.builder_ssh
    site = reached(lab, name)
    if identity.ask_again(lab):
        raise UserError(
            f"ssh {name}: its release or its tools are not what they were",
            hint="run it again: the keys are others now",
        )
    site.close()  # what a killed run left
    try:
        yield site
    except LostError:
        site.await_back(lab.ssh(name).wait)
        raise
    finally:
        with contextlib.suppress(InfraError):
            site.close()


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
