"""The machine that installs: disks plugged in and mounted there, steps run, all of it given back.

It runs Linux or FreeBSD, and is reached over ssh. Knows nothing of what is installed, nor of what
becomes of the disk.
"""

from __future__ import annotations

import contextlib
import errno
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labtasks.build.builder import attending
from labtasks.ground import process, supervisor
from labtasks.ground.error import InfraError
from labtasks.ground.space import is_full, no_space
from labtasks.lab import machine
from labtasks.lab.lab import Lab
from labtasks.site import ssh
from labtasks.site.site import END_STEP, LEADERS
from labtasks.site.ssh import Remote
from labtasks.store.store import Store
from labtasks.vm import hotplug, vm

_OBJFS, _DISK = "labobjfs", "labdest"
_HERE = "/var/run/lab"
DEST, OUT = f"{_HERE}/dest", f"{_HERE}/out"

_MOUNT = """\
set -e
{find}
bind() {{
	if [ "$(uname -s)" = Linux ]; then mount --bind "$1" "$2"; else mount -t nullfs "$1" "$2"; fi
}}
mkdir -p {here}/objfs {dest} {out} {home} {src} {obj} {files}
disk=$(find_disk {objfs})
mount -o ro "$disk" {here}/objfs
bind {here}/objfs/src {src}
bind {here}/objfs/obj {obj}
whole=$(find_disk {disk})
disk=$whole tries=0
while [ {partition} != 0 ] && [ "$disk" = "$whole" ]; do
	for one in "$whole"{partition} "$whole"p{partition} "$whole"s{partition}a "$whole"s{partition}
	do [ ! -e "$one" ] || {{ disk=$one; break; }}; done
	[ $tries -lt 50 ] || {{ echo "the base has no partition {partition}" >&2; exit 1; }}
	[ "$disk" != "$whole" ] || sleep 0.1
	tries=$((tries + 1))
done
mount -o noatime "$disk" {dest}
"""

_TIDY = """\
[ ! -f {here}/step ] || end_step {here}/step
tries=0
for at in {dest} {obj} {src} {here}/objfs; do
	while [ -d $at ] && mount | grep -q " on $(cd $at && pwd -P) "; do
		umount $at 2>/dev/null && continue
		[ $tries -lt 50 ] || {{ echo "$at is busy" >&2; exit 1; }}
		sleep 0.1; tries=$((tries + 1))
	done
done
rm -rf {here} {files}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """The machine, its folder and the way in, and `name`, which is installed there."""

    lab: Lab
    state: Path
    to: Remote
    name: str

    def run(self, script: str, *, data: bytes = b"") -> str:
        """Run shell text; what it prints. Raises InfraError when it fails."""
        answer = ssh.query(self.to, ssh.shell(script), data=data, timeout=600)
        if answer.code:
            raise InfraError(
                f"vm {self.to.name}: {answer.complaint}",
                hint=f"its console: {machine.serial_log(self.state)}",
            )
        return answer.text

    def mount(self, objfs: Path, disk: Path) -> None:
        """Plug both disks in and mount them."""
        hotplug.plug(self.state, _OBJFS, objfs, form="raw", read_only=True)
        hotplug.plug(self.state, _DISK, disk, form="qcow2")
        chosen = self.lab.settings.install
        names = self._names() | {"find": hotplug.FIND, "partition": str(chosen.partition)}
        self.run(_MOUNT.format(**names))
        for name, text in self.lab.recipe.files_of("install").items():
            where = shlex.quote(f"{self.lab.recipe.places.files}/{name}")
            self.run(f"cat >{where}", data=text.encode())

    def close(self) -> None:
        """End what still runs there, unmount both disks cleanly and take them out."""
        self.run(END_STEP + _TIDY.format(**self._names()))
        hotplug.unplug(self.state, _OBJFS, _DISK)

    def _names(self) -> dict[str, str]:
        places = self.lab.recipe.places
        return {
            "here": _HERE, "dest": DEST, "out": OUT, "home": f"{_HERE}/home", "objfs": _OBJFS,
            "disk": _DISK, "src": places.src, "obj": places.obj, "files": places.files,
        }  # fmt: skip

    def step(self, text: str, log: Path, *, echo: bool) -> supervisor.Ended:
        """Run one step as a build's are run. Raises InfraError when the machine is lost."""
        env = self._environment()
        argv = ssh.bound(self.to, self._script(["sh", "-e", "-c", text], env, alone=True))
        with log.open("a", encoding="utf-8") as out:
            out.write(f"+ {text}\n")
        ended = supervisor.run(argv, log=log, env={"PATH": process.PATH}, echo=echo)
        if ended.code == ssh.FAILED or ended.code < 0:
            raise self._lost()
        return ended

    def attended(self, argv: Sequence[str], prompt: str, *, terminal: bool) -> int:
        """Run a command on the person's own terminal, where the steps run; its status."""
        script = self._script(argv, attending(self._environment(), prompt), alone=False)
        code = ssh.attached(self.to, script, terminal=terminal)
        if code == ssh.FAILED:
            raise self._lost()
        return code

    def _environment(self) -> dict[str, str]:
        return self.lab.recipe.environment(f"{_HERE}/home")

    def _script(self, argv: Sequence[str], env: Mapping[str, str], *, alone: bool) -> str:
        """What the login shell there is given, for a command that `close` ends if it still runs."""
        command = ssh.scrubbed(argv, env, self.lab.recipe.places.src, alone=alone)
        step = f"{_HERE}/step"
        return ssh.shell(f"echo {LEADERS} >{step}; ({command}); code=$?; rm -f {step}; exit $code")

    def _lost(self) -> InfraError:
        return InfraError(
            f"vm {self.to.name} was lost while it installed {self.name}; nothing of it is kept",
            hint=f"run it again; its console: {machine.serial_log(self.state)}",
        )

    def fetch(self, into: Path) -> None:
        """Bring what the steps left in {out}."""
        archive = into.with_name("out.tar")
        argv = ssh.argv(self.to, f"tar -C {OUT} --format=posix -cf - .", pinned=True)
        answer = process.stream(argv, into=archive)
        if answer.code:
            raise InfraError(
                f"vm {self.to.name}: {answer.error.strip()}",
                hint=f"what the steps left in {{out}} did not come here; its console: "
                f"{self.state / 'console.log'}",
            )
        answer = process.query(["tar", "-xf", str(archive), "-C", str(into), "--no-same-owner"])
        if answer.code:
            raise InfraError(f"{archive}: {answer.error.strip()}", hint=f"is there room in {into}?")
        archive.unlink()


@contextlib.contextmanager
def held(lab: Lab, store: Store, name: str) -> Iterator[Guest]:
    """The machine that installs, held."""
    where = lab.settings.install.through

    def guest(found: vm.Running) -> Guest:
        to = vm.remote(lab, found, shared=True)
        return Guest(lab=lab, state=found.state, to=to, name=name)

    with store.machine(where, name), hotplug.lent(lab, where, guest) as found:
        try:
            yield found
        except InfraError as error:
            raise explained(error, found.state) from None


def explained(error: InfraError, state: Path) -> InfraError:
    """What a machine's failure comes from: one whose disks can grow no more stands still, and
    whatever is asked of it fails in its own way.
    """
    return no_space(OSError(errno.ENOSPC, "", str(state))) if is_full(state) else error
