"""A kernel on trial: installed if need be, tested as often as the lab says, its verdict kept.

Knows nothing of commits' order, nor of how a machine comes to its verdict.
"""

from __future__ import annotations

import time

from labtasks.build import doubt
from labtasks.build.artifact import Request, produce
from labtasks.ground.error import UserError
from labtasks.key.key import Wanted, root_under
from labtasks.lab import base
from labtasks.lab.lab import Lab
from labtasks.lab.machine import Vm
from labtasks.lab.recipe import Guest
from labtasks.store import layer
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store
from labtasks.test import verdict, way
from labtasks.test.judge import Outcome, described
from labtasks.test.testbed import Testbed
from labtasks.test.verdict import Run, Verdict


def verdict_on(
    lab: Lab, store: Store, want: Wanted, vm: str, request: Request, *, again: int = 0
) -> Verdict:
    """The verdict on an installed kernel, given before or now. `again` asks for one more run of the
    same contents: its number, counted from 1. A `retry` asks anew what was not good.

    Raises what building raises, UserError for a recipe without [machine], and InfraError when the
    host failed every try.
    """
    guest = bootable(lab, want, vm)
    install, root = installed(lab, store, want, request)
    inputs = verdict.inputs_of(lab, vm, root, install, again)
    key = verdict.key_of(inputs)
    name = f"test:{want.commit.short}:{vm}"
    with store.lock(verdict.KIND, key, name):
        found = verdict.get(store, key)
        if found and (found.outcome is Outcome.GOOD or not request.retry):
            return found
        bed = _testbed(lab, store, want, vm, guest, install, root, echo=request.echo)
        runs: list[Run] = []
        while len(runs) < verdict.needed(lab):
            runs.append(bed.run(name, verdict.home(store, key) / f"console.{len(runs)}"))
            if runs[-1].outcome is not Outcome.GOOD:
                break
        return verdict.publish(
            store,
            Verdict(
                key=key,
                outcome=runs[-1].outcome,
                reason=runs[-1].reason,
                commit=want.commit.id,
                subject=want.commit.subject,
                vm=vm,
                inputs=list(inputs),
                runs=runs,
                command=bed.command,
                reproduce=f"doit {want.words}boot:{want.commit.id}:{vm}",
                seconds=round(sum(run.seconds for run in runs), 3),
                finished=time.time(),
            ),
        )


def boot(lab: Lab, store: Store, want: Wanted, vm: str, request: Request) -> Run:
    """Boot an installed kernel now, whatever is known of it; its verdict is not kept, its console
    is, as a log. Raises as `verdict_on`.
    """
    guest = bootable(lab, want, vm)
    install, root = installed(lab, store, want, request)
    bed = _testbed(lab, store, want, vm, guest, install, root, echo=request.echo)
    return bed.run(f"boot:{want.commit.short}:{vm}", store.log(f"console-{want.commit.short}"))


def bootable(lab: Lab, want: Wanted, vm: str) -> Guest:
    """What boots. Raises UserError, before anything is built, for a test that cannot be as lab.toml
    has it.
    """
    if lab.recipe.machine is None:
        raise UserError(
            f"recipe {lab.recipe.name} has no [machine]", hint="docs/recipes.md: test VMs"
        )
    described(lab.settings.test.bad, lab.settings.test.text)
    _ = lab.script
    way.refuse(lab)
    _refuse_ignored(lab, vm, lab.recipe.machine)
    refuse_rootless(lab, want, vm)
    return lab.recipe.machine


_COUNT = ("image", "memory", "cpus", "accel", "arguments")
"""What of a [vm.<name>] has a say in a test; the rest is the recipe's."""

_ELSEWHERE = {
    "digest": "it is that of an `image`",
    "system": "the recipe says what it builds",
    "disks": "drives in the recipe's [machine]",
    "serial": "arguments in the recipe's [machine]",
    "start": "timeout in [test] of lab.toml",
    "stop": "timeout in [test] of lab.toml",
    "seed": "seed in the recipe's [ssh]",
    "user": "user in the recipe's [ssh]",
    "ssh": "`run` and `ports` in [test] of lab.toml",
}
"""Where a test has what the other settings are about, if not by that name in [machine]."""


_BASE = ("base", "base_digest")
"""What of it has a say in an installation."""


def _refuse_ignored(lab: Lab, vm: str, guest: Guest) -> None:
    """Raises UserError for a setting that a test passes over, in a VM that is never brought up; one
    that says what holds anyway is let be.
    """
    chosen, usual = lab.vm(vm), Vm()
    if chosen.image:
        return
    for field in Vm.__struct_fields__:
        value, default = getattr(chosen, field), getattr(usual, field)
        if field not in (*_COUNT, *_BASE) and value not in (
            default,
            getattr(guest, field, default),
        ):
            where = f"{field} in the recipe's [machine], or an option of the recipe"
            raise UserError(
                f"[vm.{vm}] {field}: a test boots the recipe's machine, and passes over this",
                hint=f"{_ELSEWHERE.get(field, where)}; {', '.join(_COUNT)} count here",
            )


def refuse_rootless(lab: Lab, want: Wanted, vm: str) -> None:
    """Raises UserError where no world is built, and the VM has none of its own, or another than its
    digest says.
    """
    own = "root" in lab.recipe.parts and root_under(lab, want) is None
    if own and base.content_of_vm(lab, vm) is None:
        raise UserError(
            f"with world=image nothing is installed that vm {vm} could boot",
            hint=f'image = "..." in [vm.{vm}] of lab.toml, where the recipe\'s [machine] has '
            "{image}; or world=<ref>",
        )


def _testbed(
    lab: Lab, store: Store, want: Wanted, vm: str, guest: Guest, install: Manifest,
    root: Manifest | None, *, echo: bool,
) -> Testbed:  # fmt: skip
    """What is booted, which must be what was sealed: its verdict is kept. Raises UserError."""
    uses = tuple(name for one in (install, root) if one for name in one.stack)
    doubt.refuse_changed(store, *(((name,), None) for name in uses))
    return Testbed(
        lab=lab, store=store, guest=guest, vm=vm,
        root=_tree(store, root), image=None if root else base.of_vm(lab, vm),
        boot=_tree(store, install), sha=want.commit.short,
        uses=uses,
        wanted=described(lab.settings.test.bad, lab.settings.test.text), echo=echo,
    )  # fmt: skip


def installed(
    lab: Lab, store: Store, want: Wanted, request: Request
) -> tuple[Manifest, Manifest | None]:
    """An installed kernel and the root it boots with, made if need be; no root where the VM brings
    its own. Raises what building raises.
    """
    install = produce(lab, store, want, request)
    below = root_under(lab, want)
    return install, produce(lab, store, below, request) if below else None


def _tree(store: Store, manifest: Manifest | None) -> str:
    return str(layer.tree_of(store.layers, manifest.stack[0])) if manifest else ""
