"""A lab's virtual machines, brought up and down.

A machine outlives the command that started it. Its folder is `cache/vm/<name>`; whether it runs is
never remembered there but asked: the process whose id QEMU wrote down, if it is that machine's.
So one left by a killed command is found again, and taken over or ended. Whoever starts, stops or
uses a machine holds its lock in the store. Knows nothing of what runs in it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labtasks.ground import process
from labtasks.ground.error import InfraError, UserError, say
from labtasks.key import guest_tools
from labtasks.lab import machine
from labtasks.lab.lab import Lab
from labtasks.lab.machine import Vm
from labtasks.site import ssh
from labtasks.site.ssh import Remote
from labtasks.store.store import Store
from labtasks.vm import accelerator, qemu, vm_files
from labtasks.vm.qmp import Monitor

_COMPLAINTS = (
    ("host forwarding rule", "the port is taken: ssh = true lets QEMU choose a free one"),
    ('"write" lock', "another QEMU has one of its disks open: `doit down` that one first"),
    ("cannot lock pid file", "another command has just started it: run this one again"),
    ("could not open", "image, kernel, initrd and disks are paths relative to the lab"),
    ("cannot set up guest memory", "set a smaller memory in lab.toml"),
    ("no space left", "free some space and run the command again"),
)
"""What QEMU says when it does not start, and what to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A machine that runs: QEMU's process id, its port on 127.0.0.1 for ssh (0: none)."""

    name: str
    state: Path
    pid: int
    port: int


def folder(lab: Lab, name: str) -> Path:
    """Where a machine's own files are. Raises UserError when a socket would not fit there."""
    state = lab.cache / "vm" / name
    machine.fitting(machine.serial(state), spare=13)  # ssh has a longer one
    return state


def find(lab: Lab, name: str) -> Running | None:
    """The machine, if it runs; whoever started it. Raises UserError for an unknown name."""
    vm, state = lab.vm(name), folder(lab, name)
    pid = _pid(state)
    if not pid:
        return None
    port = 0
    if vm.ssh is not False:
        with Monitor(machine.monitor(state)) as monitor:
            port = monitor.forwards().get(22, 0)
    return Running(name=name, state=state, pid=pid, port=port)


def running(lab: Lab, name: str) -> Running:
    """The machine, which must be up. Raises UserError when it is not."""
    found = find(lab, name)
    if found is None:
        if not lab.vm(name).image:
            raise UserError(
                f"vm {name} has no image: nobody can log in to it, not even while it is tested",
                hint=f"`doit echo=yes boot:<ref>:{name}` shows its console, which is kept as a log",
            )
        raise UserError(f"vm {name} is not up", hint=f"doit up:{name}")
    return found


def _pid(state: Path) -> int:
    """The process that is this machine, or 0. A process id may since be somebody else's: only
    one whose command line names this machine's files is taken for it.
    """
    try:
        pid = int(machine.pidfile(state).read_text())
    except (OSError, ValueError):
        return 0
    return pid if str(machine.pidfile(state)) in process.command_of(pid) else 0


def up(lab: Lab, store: Store, name: str) -> Running:
    """Bring a machine up, and wait until it can be reached. One that runs already is taken over;
    one that runs on another image, or does not answer, is ended first. Raises LabError.
    """
    with store.machine(name, f"up:{name}"):
        return raised(lab, name)


def raised(lab: Lab, name: str) -> Running:
    """`up` for those who hold the machine's lock."""
    vm, state = lab.vm(name), folder(lab, name)
    try:
        found = find(lab, name)
    except InfraError as error:
        say(f"vm {name}: {error.message}; it is ended")
        _end(state, 0.0)
        found = None
    if found and (other := vm_files.other_image(lab, name, vm, state)):
        _exchange(lab, name, other)
        found = None
    if found is None:
        found = _start(lab, name, vm, state)
        _wait_for_ssh(lab, vm, found)
    else:
        say(f"vm {name}: runs already (process {found.pid})")
        found = _reached(lab, vm, found)
    if found.port and name == lab.builder_vm:
        to = remote(lab, found, shared=True)
        guest_tools.learn(lab, lambda text: ssh.query(to, ssh.shell(text)).text.strip())
    return found


def _reached(lab: Lab, vm: Vm, found: Running) -> Running:
    """A machine that ran already; one that a killed run left hanging is begun anew, once. Not while
    somebody looks into it at its console.
    """
    try:
        _wait_for_ssh(lab, vm, found)
    except InfraError as error:
        if Store(lab.cache).visited(found.name):
            raise
        complaint = error.message.removeprefix(f"vm {found.name} ")
        cut(lab, found.name, f"it ran already and {complaint}")
        found = _start(lab, found.name, vm, found.state)
        _wait_for_ssh(lab, vm, found)
    return found


def _exchange(lab: Lab, name: str, other: str) -> None:
    """Bring down a machine that runs on another image than lab.toml names now: what it says of its
    tools would be taken for that one's.
    """
    if Store(lab.cache).visited(name):
        raise UserError(
            f"vm {name} runs on {other}, lab.toml names another image, and somebody is at its "
            "console",
            hint=f"`doit down:{name}` when nobody needs it any more",
        )
    say(f"vm {name}: runs on {other}, and lab.toml names another image: it is brought down")
    _end(folder(lab, name), lab.vm(name).stop)


def _start(lab: Lab, name: str, vm: Vm, state: Path) -> Running:
    state.mkdir(parents=True, exist_ok=True)
    chosen = accelerator.choose(vm.accel, vm.arch)
    vm_files.prepare_disk(lab, name, vm, state)
    if vm.seed:
        vm_files.write_seed(lab, name, vm, state)
    for number in range(vm.serial):
        machine.serial_log(state, number).unlink(missing_ok=True)
    vm = vm_files.with_kernel(vm, lab)
    composed = machine.compose(
        vm,
        name=name,
        state=state,
        lab=lab.directory,
        accel=chosen,
        firmware=vm_files.firmware(vm, lab),
    )
    process.which(qemu.binary(vm.arch))
    answer = process.query(qemu.argv(composed), cwd=state)
    if answer.code:
        complaint = answer.error.lower()
        hints = (hint for part, hint in _COMPLAINTS if part in complaint)
        other = f"QEMU was given what [vm.{name}] in lab.toml says"
        raise InfraError(f"vm {name} does not start: {answer.complaint}", hint=next(hints, other))
    found = find(lab, name)
    if found is None:
        raise InfraError(f"vm {name} ended at once", hint=f"the console is {_console(state)}")
    say(f"vm {name}: started (process {found.pid}, {chosen})")
    return found


def remote(lab: Lab, found: Running, *, shared: bool = False) -> Remote:
    """How to reach a machine; `shared` lets commands share one connection, which an emulated
    guest takes seconds to make. Raises UserError when it has no ssh.
    """
    vm = lab.vm(found.name)
    if not found.port:
        raise UserError(
            f"vm {found.name} has no ssh", hint=f"ssh = true in [vm.{found.name}], then "
            f"`doit down:{found.name} up:{found.name}`",
        )  # fmt: skip
    return Remote(
        name=found.name, user=vm.user, host="127.0.0.1", port=found.port,
        key=ssh.make_key(lab.key_file), known_hosts=vm_files.known_hosts(found.state),
        control=found.state / "ssh" if shared else None,
    )  # fmt: skip


def _wait_for_ssh(lab: Lab, vm: Vm, found: Running) -> None:
    """Wait for sshd's greeting, then log in: QEMU accepts connections long before the guest. Not
    for a machine without ssh.
    """
    if not found.port:
        return
    to = remote(lab, found, shared=True)
    started = time.monotonic()
    said = ""
    while time.monotonic() - started < vm.start:
        if not _pid(found.state):
            raise InfraError(
                f"vm {found.name} has ended while it was awaited",
                hint=f"the console is {_console(found.state)}",
            )
        if ssh.greets(to.port, _patience(time.monotonic() - started)):
            try:
                ssh.query(to, "true", timeout=30)
            except InfraError as error:  # sshd is there and does not do its work yet
                said = f": {error.message}"
            else:
                say(f"vm {found.name}: ready after {time.monotonic() - started:.1f} s")
                return
        time.sleep(0.1)
    raise InfraError(
        f"vm {found.name} cannot be reached over ssh after {vm.start:.0f} s{said}",
        hint=f"a larger `start` in [vm.{found.name}], where the host is slow; the console is "
        f"{_console(found.state)}; it is still up: `doit console {found.name}`",
    )


def _patience(waited: float) -> float:
    """Seconds for a greeting, more the longer it was waited for: on a busy host an emulated guest
    takes many, and a connection that is given up costs it as much as one that is not.
    """
    return max(2.0, min(waited / 3, 30.0))


def _console(state: Path) -> Path:
    return machine.serial_log(state)


def down(lab: Lab, store: Store, name: str) -> bool:
    """Bring a machine down: by its power button, by QEMU, by a signal, whatever helps first.

    False when it did not run. Raises LabError.
    """
    with store.machine(name, f"down:{name}"):
        vm, state = lab.vm(name), folder(lab, name)
        if not _pid(state):
            say(f"vm {name}: is not up")
            return False
        started = time.monotonic()
        how = _end(state, vm.stop)
        say(f"vm {name}: {how} after {time.monotonic() - started:.1f} s")
        return True


def cut(lab: Lab, name: str, why: str = "it does not give its disk back") -> None:
    """End a machine at once: it is in a state nobody can use, and `why`."""
    say(f"vm {name}: {why}: it is ended")
    if _pid(folder(lab, name)):
        _end(folder(lab, name), 0.0)


def _end(state: Path, patience: float) -> str:
    """End a machine's QEMU; how it went. One whose monitor is silent is not asked twice."""
    listens = True

    def ask(command: str) -> None:
        nonlocal listens
        if not listens:
            return
        try:
            with Monitor(machine.monitor(state), timeout=3.0) as monitor:
                monitor.execute(command)
        except InfraError:
            listens = command == "quit"  # which may leave no time for an answer

    def kill() -> None:
        pid = _pid(state)
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGKILL)

    rungs: tuple[tuple[str, float, Callable[[], None]], ...] = (
        ("shut down", patience, lambda: ask("system_powerdown")),
        ("switched off", 5.0, lambda: ask("quit")),
        ("killed", 5.0, kill),
    )
    for name, seconds, act in rungs:
        if seconds > 0:
            act()
        wait = seconds if listens or act is kill else 0.0
        if _gone(state, wait):
            _clear(state)
            return name
    raise InfraError(
        f"QEMU does not end (process {_pid(state)})", hint="it may wait for a disk that hangs"
    )


def _gone(state: Path, seconds: float) -> bool:
    """Whether QEMU ends within some seconds."""
    ends = time.monotonic() + seconds
    while _pid(state):
        if time.monotonic() >= ends:
            return False
        time.sleep(0.02)
    return True


def _clear(state: Path) -> None:
    """What a killed QEMU leaves."""
    machine.pidfile(state).unlink(missing_ok=True)
    machine.monitor(state).unlink(missing_ok=True)
    (state / "ssh").unlink(missing_ok=True)
    for path in state.glob("serial[0-9]"):
        path.unlink(missing_ok=True)
