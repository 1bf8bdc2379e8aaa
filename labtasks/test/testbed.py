"""Boot what was installed, run the lab's test in it, and judge what the console showed.

    root + kernel + test -> folder of the run -> QEMU -> console events, verdict -> outcome

Every run has a machine and a folder of its own: what it writes is forgotten, and runs of different
kernels go on side by side. Knows nothing of builds, nor of what is done with a verdict.
"""

from __future__ import annotations

import errno
import re
import secrets
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from labtasks.build import failure
from labtasks.ground import live, process, supervisor
from labtasks.ground.error import InfraError, say
from labtasks.ground.space import is_full, no_space
from labtasks.lab.binding import late
from labtasks.lab.events import EventName
from labtasks.lab.lab import Lab
from labtasks.lab.recipe import Guest
from labtasks.site import ssh
from labtasks.store.layer import LayerId
from labtasks.store.store import Store
from labtasks.test import way
from labtasks.test.judge import Described, Ended, Judged, Outcome, judge
from labtasks.test.tester import Tester
from labtasks.test.verdict import Run
from labtasks.test.watch import Watch
from labtasks.vm import accelerator, qcow2, qemu
from labtasks.vm.qemu import Drive, Machine

_TRIES = 3
"""How often a run is begun again when the host failed it."""

_NO_KERNEL = re.compile(r"invalid kernel header|[Ll]oad.*\b(kernel|multiboot|ELF)")
"""What QEMU says of a file that is no kernel to it: that is the commit's doing."""


@dataclass(slots=True, kw_only=True)
class Testbed:
    """One kernel on one world in one kind of machine, to be run once or several times. `root` and
    `boot` are folders with what was installed, `uses` the layers they are, which nobody removes
    while a machine runs on them; `image` is the VM's own world, where no root was installed; `sha`
    names the commit.
    """

    lab: Lab
    store: Store
    guest: Guest
    vm: str
    root: str
    boot: str
    image: Path | None
    sha: str
    uses: tuple[LayerId, ...]
    wanted: Described
    echo: bool
    command: list[str] = field(default_factory=list)
    _full: str = ""

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
        self._full = ""
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
        if self._full and judged.outcome is not Outcome.GOOD:
            raise no_space(OSError(errno.ENOSPC, "", self._full))
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
            self._full = self._full or self._filled()
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
            try:
                watch.catch_up()
            finally:
                tester.end(watch)

    def _filled(self) -> str:
        """A file system that the machine writes to and that is full: what it does then says nothing
        of the commit. To be asked while it runs: what it threw away goes with it.
        """
        places = (str(self.store.cache), qemu.TEMPORARY)
        return next((place for place in places if is_full(Path(place))), "")

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
            "image": str(self.image or ""),
            "test": str(scratch / "test"),
            "nonce": nonce if runner == "init" else secrets.token_hex(8),
            "sha": self.sha,
            "way": runner,
            "key": str(ssh.public(self.lab.key_file)),
            "jobs": str(self.lab.jobs),
        }

    def _prepare(self, scratch: Path, names: Mapping[str, str]) -> None:
        log, limit = scratch / "prepare.log", self.lab.settings.test.timeout
        quoted = {name: shlex.quote(value) for name, value in names.items()}
        for step in self.guest.steps:
            text = late(step, quoted)
            ended = supervisor.run(
                ["sh", "-e", "-c", text], log=log, env={"PATH": process.PATH},
                cwd=scratch / "run", timeout=limit,
            )  # fmt: skip
            if ended.timed_out:
                raise InfraError(
                    f"the test VM was not ready after {limit:g} s, [test] timeout",
                    hint=f"the step: {text}",
                )
            if ended.code:
                error = failure.first_error(log, ()) or log.read_text(errors="replace").strip()
                raise InfraError(
                    f"the test VM could not be made ready: {error}", hint=f"the step: {text}"
                )

    def _machine(self, scratch: Path, console: Path, names: Mapping[str, str]) -> Machine:
        guest, vm = self.guest, self.lab.vm(self.vm)

        def drive(text: str) -> Drive:
            path = Path(late(text, names))
            path = path.resolve() if path.is_symlink() else path
            return Drive(file=str(path), format="fat" if path.is_dir() else qcow2.format_of(path))

        return Machine(
            arch=guest.processor,
            type=guest.type,
            accel=accelerator.choose(vm.accel, guest.processor),
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
