"""Boot what was installed, run the lab's test in it, and judge what the console showed.

    root + kernel + test -> folder of the run -> QEMU -> console events, verdict -> outcome

Every run has a machine and a folder of its own: what it writes is forgotten, and runs of different
kernels go on side by side. Knows nothing of commits' order.
"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from labtasks import (
    accelerator,
    failure,
    layer,
    live,
    process,
    qcow2,
    qemu,
    ssh,
    supervisor,
    verdict,
    vm_files,
    way,
)
from labtasks.artifact import Request, produce
from labtasks.binding import late
from labtasks.error import InfraError, UserError, say
from labtasks.events import EventName
from labtasks.judge import Described, Ended, Judged, Outcome, described, judge
from labtasks.key import Wanted, root_under
from labtasks.lab import Lab
from labtasks.layer import LayerId
from labtasks.manifest import Manifest
from labtasks.qemu import Drive, Machine
from labtasks.recipe import Guest
from labtasks.store import Store
from labtasks.tester import Tester
from labtasks.verdict import Run, Verdict
from labtasks.watch import Watch

_TRIES = 3
"""How often a run is begun again when the host failed it."""


def verdict_on(
    lab: Lab, store: Store, want: Wanted, vm: str, request: Request, *, again: int = 0
) -> Verdict:
    """The verdict on an installed kernel, given before or now. `again` asks for one more run of the
    same contents: its number, counted from 1. A `retry` asks anew what was not good.

    Raises what building raises, UserError for a recipe without [machine], and InfraError when the
    host failed every try.
    """
    _machine_of(lab)
    install, root = installed(lab, store, want, request)
    inputs = verdict.inputs_of(lab, vm, root, install, again)
    key = verdict.key_of(inputs)
    name = f"test:{want.commit.short}:{vm}"
    with store.lock(verdict.KIND, key, name):
        found = verdict.get(store, key)
        if found and (found.outcome is Outcome.GOOD or not request.retry):
            return found
        trial = _trial(lab, store, want, vm, install, root, echo=request.echo)
        runs: list[Run] = []
        while len(runs) < lab.settings.test.repeats:
            runs.append(trial.run(name, verdict.home(store, key) / f"console.{len(runs)}"))
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
                command=trial.command,
                reproduce=f"doit test:{want.commit.id}:{vm}",
                seconds=round(sum(run.seconds for run in runs), 3),
                finished=time.time(),
            ),
        )


def boot(lab: Lab, store: Store, want: Wanted, vm: str, request: Request) -> Run:
    """Boot an installed kernel now, whatever is known of it; its verdict is not kept, its console
    is, as a log. Raises as `verdict_on`.
    """
    _machine_of(lab)
    install, root = installed(lab, store, want, request)
    trial = _trial(lab, store, want, vm, install, root, echo=request.echo)
    return trial.run(f"boot:{want.commit.short}:{vm}", store.log(f"console-{want.commit.short}"))


def _machine_of(lab: Lab) -> Guest:
    """What boots, refused before anything is built if a test cannot be what lab.toml says."""
    if lab.recipe.machine is None:
        raise UserError(
            f"recipe {lab.recipe.name} has no [machine]", hint="docs/recipes.md: test VMs"
        )
    described(lab.settings.test.bad, lab.settings.test.text)
    _ = lab.script
    way.refuse(lab)
    return lab.recipe.machine


def _trial(
    lab: Lab, store: Store, want: Wanted, vm: str, install: Manifest, root: Manifest | None,
    *, echo: bool,
) -> Trial:  # fmt: skip
    return Trial(
        lab=lab, store=store, guest=_machine_of(lab), vm=vm, root=_tree(store, root),
        boot=_tree(store, install), sha=want.commit.short,
        uses=tuple(one.stack[0] for one in (install, root) if one),
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


_NO_KERNEL = re.compile(r"invalid kernel header|[Ll]oad.*\b(kernel|multiboot|ELF)")
"""What QEMU says of a file that is no kernel to it: that is the commit's doing."""


@dataclass(slots=True, kw_only=True)
class Trial:
    """One kernel on one world in one kind of machine, to be run once or several times. `root` and
    `boot` are folders with what was installed, `uses` the layers they are, which nobody removes
    while a machine runs on them; `sha` names the commit.
    """

    lab: Lab
    store: Store
    guest: Guest
    vm: str
    root: str
    boot: str
    sha: str
    uses: tuple[LayerId, ...]
    wanted: Described
    echo: bool
    command: list[str] = field(default_factory=list)

    def run(self, name: str, console: Path) -> Run:
        """One judged boot. What only the host did wrong is tried again. Raises InfraError."""
        for attempt in range(1, _TRIES + 1):
            started = time.monotonic()
            judged = self._once(console)
            seconds = round(time.monotonic() - started, 3)
            if judged.outcome is not Outcome.INFRASTRUCTURE:
                return Run(
                    outcome=judged.outcome,
                    reason=judged.reason,
                    seconds=seconds,
                    console=str(console),
                    mismatch=judged.mismatch,
                )
            say(f"{name}: the host failed ({judged.reason}), try {attempt} of {_TRIES}")
        raise InfraError(
            f"{name}: {judged.reason}",
            hint=f"the log is {console}; `doit bisect skip {self.sha}` goes past it",
        )

    def _once(self, console: Path) -> Judged:
        nonce = secrets.token_hex(8)
        with self.store.workspace("test", self.uses) as scratch:
            (scratch / "run").mkdir()
            tester = self._tester(scratch, console, nonce)
            names = self._names(scratch, nonce)
            self._prepare(scratch, names)
            machine = tester.dressed(self._machine(scratch, console, names))
            self.command = qemu.argv(machine)
            process.which(self.command[0])
            console.write_bytes(b"")
            watch = self._watch(tester, console)
            with live.doing(f"boot of {self.sha}", log=console):
                ended = self._run(tester, watch, scratch)
            watch.end()
            complaint = (scratch / "qemu.log").read_text(errors="replace").strip()
        how = Ended(
            status=ended.code,
            seconds=ended.seconds,
            console=watch.size,
            stopped=ended.stopped,
            timed_out=ended.timed_out,
            flooded=watch.flooded,
        )
        judged = judge(watch.events, watch.said, how, self.wanted)
        if tester.complaint and not watch.said.verdicts:
            judged = replace(judged, reason=f"{judged.reason} ({tester.complaint})")
        if complaint and judged.outcome is Outcome.INFRASTRUCTURE:
            last = complaint.splitlines()[-1]
            if not how.console and _NO_KERNEL.search(last):
                return replace(judged, outcome=Outcome.UNTESTABLE, reason=last)
            return replace(judged, reason=f"{judged.reason}: {last}")
        return judged

    def _tester(self, scratch: Path, console: Path, nonce: str) -> Tester:
        """Who runs the script. What it prints elsewhere than on the console lies beside that."""
        output = console.with_name(f"{console.name}.test")
        output.unlink(missing_ok=True)
        script = self.lab.script if self.lab.settings.test.run == "init" else ""
        (scratch / "test").write_text(script, encoding="utf-8")
        return way.tester(
            self.lab, vm=self.vm, sha=self.sha, folder=scratch, output=output,
            channel=scratch / "channel", nonce=nonce,
        )  # fmt: skip

    def _run(self, tester: Tester, watch: Watch, scratch: Path) -> supervisor.Ended:
        """Run QEMU until something decides the test, or the time is over."""

        def decided() -> bool:
            tester.step(watch)
            over = watch.decided()
            if over:
                tester.end(watch)
            return over

        try:
            return supervisor.run(
                self.command, log=scratch / "qemu.log", env={"PATH": process.PATH}, cwd=scratch,
                timeout=self.lab.settings.test.timeout, until=decided,
            )  # fmt: skip
        finally:
            tester.end(watch)

    def _watch(self, tester: Tester, console: Path) -> Watch:
        test = self.lab.settings.test
        return Watch(
            console=console,
            channel=tester.channel,
            rules=msgspec.structs.replace(self.lab.recipe.console, silence=test.silence),
            nonce=tester.nonce,
            limit=test.bytes,
            text=test.text if EventName.TEXT in test.bad else "",
            echo=self.echo,
            answered=tester.answers,
            beside=tester.output,
        )

    def _names(self, scratch: Path, nonce: str) -> Mapping[str, str]:
        """What the late names of the recipe stand for in this run. Only a test that init runs has
        the nonce from the machine: nobody else's verdict can come from there.
        """
        runner = self.lab.settings.test.run
        return {
            "root": self.root,
            "boot": self.boot,
            "run": str(scratch / "run"),
            "test": str(scratch / "test"),
            "nonce": nonce if runner == "init" else secrets.token_hex(8),
            "sha": self.sha,
            "way": runner,
            "key": str(ssh.public(vm_files.key_file(self.lab))),
            "jobs": str(self.lab.jobs),
        }

    def _prepare(self, scratch: Path, names: Mapping[str, str]) -> None:
        log = scratch / "prepare.log"
        quoted = {name: shlex.quote(value) for name, value in names.items()}
        for step in self.guest.steps:
            text = late(step, quoted)
            ended = supervisor.run(
                ["sh", "-e", "-c", text], log=log, env={"PATH": process.PATH}, cwd=scratch / "run"
            )
            if ended.code:
                error = failure.first_error(log, ()) or log.read_text(errors="replace").strip()
                raise InfraError(
                    f"the test VM could not be made ready: {error}", hint=f"the step: {text}"
                )

    def _machine(self, scratch: Path, console: Path, names: Mapping[str, str]) -> Machine:
        guest, vm = self.guest, self.lab.vm(self.vm)

        def drive(text: str) -> Drive:
            path = late(text, names)
            form = qcow2.format_of(Path(path))
            return Drive(file=path, format="fat" if Path(path).is_dir() else form)

        return Machine(
            arch=guest.arch,
            type=guest.type,
            accel=accelerator.choose(vm.accel, guest.arch),
            memory=vm.memory or guest.memory,
            cpus=vm.cpus,
            firmware=late(guest.firmware, names),
            kernel=late(guest.kernel, names),
            initrd=late(guest.initrd, names),
            append=late(guest.append, names),
            drives=tuple(drive(text) for text in guest.drives),
            serials=(f"file:{console}", f"file:{scratch / 'channel'}"),
            network=guest.network,
            arguments=(*(late(word, names) for word in guest.arguments), *vm.arguments),
        )
