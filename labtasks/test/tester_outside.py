"""Who runs a test's script from outside: ssh sends it to the system, or it is started on this host.

    ssh    as soon as the system lets the lab in; what it prints is read back
    host   when the system is up, and where it has an sshd, when that answers; it is told the ports

Knows nothing of outcomes, nor of how the machine is run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from labtasks.ground import process
from labtasks.ground.error import InfraError
from labtasks.ground.supervisor import Child
from labtasks.lab import machine
from labtasks.lab.events import EventName
from labtasks.site import ssh
from labtasks.site.ssh import Remote
from labtasks.test.console import clean
from labtasks.test.tester import Tester, port, typed
from labtasks.test.watch import Watch
from labtasks.vm import qmp
from labtasks.vm.qemu import Drive, Forward, Machine

_AGAIN = 0.5
"""Seconds between two attempts to reach a system."""
_PATIENCE = 15.0
"""Seconds in which a system that accepts a connection must greet: an emulated one is slow."""
_LAST_WORDS = 5.0
"""Seconds that a script may still take when the machine has ended."""
_SHOWN = 64 << 10
"""Bytes of a script's output in which its words are looked for."""


@dataclass(slots=True, kw_only=True)
class _Running(Tester):
    """What runs the script as a process of this host."""

    _child: Child | None = None
    _ports: Mapping[int, int] = field(default_factory=dict)
    _next: float = 0.0
    _knock: socket.socket | None = None

    def guests(self) -> tuple[int, ...]:
        """The guest's ports that are reached from here."""
        login = self.lab.recipe.ssh
        return (login.port,) if login else ()

    def dressed(self, found: Machine) -> Machine:
        login = self.lab.recipe.ssh
        seed: tuple[Drive, ...] = ()
        if login and login.seed:
            public = ssh.public(self.lab.key_file).read_text(encoding="utf-8")
            for name, text in machine.seed_files(self.vm, login.user, public).items():
                (self.folder / "seed").mkdir(exist_ok=True)
                (self.folder / "seed" / name).write_text(text, encoding="utf-8")
            seed = (Drive(file=str(self.folder / "seed"), format="fat", label="CIDATA"),)
        return replace(
            found,
            serials=(found.serials[0], "null"),
            drives=(*found.drives, *seed),
            network=found.network or bool(self.guests()),
            forwards=tuple(Forward(host=0, guest=one) for one in self.guests()),
            monitor=machine.fitting(self.folder / "qmp"),
        )

    def due(self) -> bool:
        """Whether to try again. Each try asks for the ports that QEMU has taken."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + _AGAIN
        if not self._ports and self.guests():
            try:
                with qmp.Monitor(self.folder / "qmp", timeout=2.0) as monitor:
                    self._ports = monitor.forwards()
            except InfraError:  # QEMU has not come so far
                return False
        return True

    def greeted(self) -> bool:
        """Whether sshd answers. Nobody waits for that: QEMU accepts connections long before the
        guest does, and a slow guest may take seconds to say a word.
        """
        login = self.lab.recipe.ssh
        if self._knock is None:
            if login and self.due() and (here := self._ports.get(login.port)):
                with contextlib.suppress(OSError):
                    self._knock = socket.create_connection(("127.0.0.1", here), timeout=1)
                    self._knock.setblocking(False)
            return False
        try:
            said = self._knock.recv(4)
        except BlockingIOError:
            if time.monotonic() < self._next + _PATIENCE:
                return False
            said = b""
        except OSError:
            said = b""
        self._knock.close()
        self._knock = None
        return said == b"SSH-"

    def remote(self) -> Remote | None:
        """The way in over ssh. The host key is this run's: the system's disk is new."""
        login = self.lab.recipe.ssh
        if login is None:
            return None
        return Remote(
            name=self.vm, user=login.user, host="127.0.0.1", port=self._ports.get(login.port, 0),
            key=self.lab.key_file, known_hosts=self.folder / "known_hosts",
        )  # fmt: skip

    def end(self, watch: Watch) -> None:
        if self._child and self._child.alive():
            self._child.stop()
        if self._knock:
            self._knock.close()
            self._knock = None
        watch.busy = False
        if self.output.exists() and self.output.stat().st_size > watch.limit:
            os.truncate(self.output, watch.limit)


@dataclass(slots=True, kw_only=True)
class Sent(_Running):
    """Sends it over ssh as soon as the system lets the lab in."""

    _began: bool = False
    _from: int = 0

    def step(self, watch: Watch) -> None:
        if self._child is None:
            if not self._began and self.greeted():
                self._start()
            return
        over = not self._child.alive()  # asked first: what it says until then is read below
        self._listen()
        watch.busy = self._began and not over
        if not over:
            return
        self._child = None
        if not self._reported():
            lost = "the connection was lost: " if self._began else ""
            said = last_line(printed(self.output), self.nonce)
            self.complaint = f"ssh: {lost}{said}".rstrip(": ")

    def end(self, watch: Watch) -> None:
        child, self._child = self._child, None
        if child:
            _wait_for_last_words(watch, child)
            if child.alive():
                child.stop()
            self._listen()
            self._reported()  # the script may have been the one that switched off
        _Running.end(self, watch)

    def _listen(self) -> None:
        """Pass on that the script has begun."""
        if not self._began and f"VERDICT {self.nonce} ready" in printed(self.output, self._from):
            self._began, self.complaint = True, ""
            self.say("ready")

    def _reported(self) -> bool:
        """Pass on how the script ended, if it told."""
        said = printed(self.output)
        found = re.findall(rf"VERDICT {self.nonce} status (\d+)", said)
        if found:
            self._began, self.complaint = True, ""
            self.ended(int(found[-1]), last_line(said, self.nonce))
        return bool(found)

    def _start(self) -> None:
        to = self.remote()
        assert to  # noqa: S101 (`refuse` has seen to that)
        (self.folder / "script").write_text(self.lab.script, encoding="utf-8")
        argv = ssh.argv(to, command(self.lab.script, self.nonce), pinned=to.pinned)
        self._from = self.output.stat().st_size if self.output.exists() else 0
        self._child = Child(
            argv, log=self.output, cwd=self.folder, env={"PATH": process.PATH},
            data=self.folder / "script",
        )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Beside(_Running):
    """Runs it on this host."""

    _over: bool = False

    def guests(self) -> tuple[int, ...]:
        return (*_Running.guests(self), *self.lab.settings.test.ports)

    def dressed(self, found: Machine) -> Machine:
        dressed = _Running.dressed(self, found)
        return replace(dressed, serials=(port(self.folder, found.serials[0]), "null"))

    def step(self, watch: Watch) -> None:
        if self._over:
            return
        if self._child is None:
            if self._up(watch) and (self.greeted() if self.lab.recipe.ssh else self.due()):
                self._start(watch)
            return
        if not self._child.alive():
            self._report(watch)

    def end(self, watch: Watch) -> None:
        child = self._child
        if child is None:
            self.complaint = "its end came before the script could be started"
        elif not self._over:
            _wait_for_last_words(watch, child)
            if child.alive():
                self.complaint = "the script has not ended"
            else:
                self._report(watch)
        self._over = True
        _Running.end(self, watch)

    def _up(self, watch: Watch) -> bool:
        rules = self.lab.recipe.console
        named = {EventName.READY, EventName.LOGIN} & {*rules.lines, *rules.prompts}
        return watch.up or not named

    def _start(self, watch: Watch) -> None:
        script = self.folder / "script"
        script.write_text(self.lab.script, encoding="utf-8")
        script.chmod(0o700)
        argv = [*interpreter(self.lab.script), str(script)]
        cwd = self.folder / "home"
        cwd.mkdir()
        self._child = Child(argv, log=self.output, cwd=cwd, env=self._environment(watch.console))
        watch.busy = True
        self.say("ready")

    def _report(self, watch: Watch) -> None:
        """What the script found. One that fails on a system that has crashed says no more than that
        it has.
        """
        self._over, watch.busy = True, False
        watch.catch_up()  # what made it fail may have been said since the last look
        status = self._child.code() if self._child else 0
        said = last_line(printed(self.output), self.nonce)
        if status and watch.crashed:
            self.complaint = f"the script: {said or f'exit status {status}'}"
        else:
            self.ended(status, said)

    def _environment(self, console: Path) -> dict[str, str]:
        """What a script on the host is told; docs/machines.md has the list."""
        env = {
            "PATH": process.PATH, "HOME": str(self.folder / "home"), "LC_ALL": "C",
            "LAB_ADDRESS": "127.0.0.1", "LAB_VM": self.vm, "LAB_COMMIT": self.sha,
            "LAB_CONSOLE": str(console), "LAB_SERIAL": str(typed(self.folder)),
            "LAB_MONITOR": str(self.folder / "qmp"),
        }  # fmt: skip
        env |= {f"LAB_PORT_{guest}": str(here) for guest, here in self._ports.items()}
        if to := self.remote():
            env["LAB_SSH"] = shlex.join(ssh.argv(to, pinned=False))
        return env


def _wait_for_last_words(watch: Watch, child: Child) -> None:
    """Where the system went down in order a script may have seen to that, and go on."""
    in_order = any(event.name is EventName.SHUTDOWN for event in watch.events)
    ends = time.monotonic() + _LAST_WORDS
    while in_order and not watch.flooded and child.alive() and time.monotonic() < ends:
        time.sleep(0.02)


def interpreter(script: str) -> list[str]:
    """What starts a script: its own first line, or sh."""
    return [] if script.startswith("#!") else ["sh"]


def command(script: str, nonce: str) -> str:
    """What runs the script of ssh's standard input in the guest, whatever shell its user has."""
    file = f"/tmp/lab.{nonce}"  # noqa: S108 (in the guest)
    text = (
        f"umask 077; cat >{file} && chmod 700 {file} || exit 255; echo VERDICT {nonce} ready; "
        f"{' '.join([*interpreter(script), file])} </dev/null 2>&1; status=$?; "
        f"rm -f {file}; echo; echo VERDICT {nonce} status $status"
    )
    return f"sh -c {shlex.quote(text)}"


def printed(log: Path, start: int | None = None) -> str:
    """What a script has printed from some byte on, or the end of it."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _SHOWN) if start is None else start)
        return clean(file.read(_SHOWN)).decode(errors="replace")


def last_line(said: str, nonce: str) -> str:
    """The last line of a script's own."""
    lines = (line.strip() for line in reversed(re.split(r"[\r\n]", said)))
    return next((line for line in lines if line and nonce not in line), "")
