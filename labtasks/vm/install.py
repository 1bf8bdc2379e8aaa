"""Install through a machine: what was built on a read-only disk, a clone of the base on another.

    obj-fs image + clone of the base image -> steps over ssh -> unmounted -> sealed layer

The base image is never written: the clone is a qcow2 over it, in the sealed layer. Where a sealed
root has the kernel's world already, the clone is one of that root, and the kernel alone is
installed, beside those that are there. The machine that installs runs Linux or FreeBSD. Knows
nothing of how the build came to be, nor of what boots the disk.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labtasks.build import doubt, failure
from labtasks.ground import digest, process, supervisor
from labtasks.ground.digest import Digest, Key
from labtasks.ground.error import BuildError, InfraError, UserError, say
from labtasks.key.key import Wanted
from labtasks.lab import base as base_image
from labtasks.lab import machine
from labtasks.lab.binding import late
from labtasks.lab.lab import Lab
from labtasks.lab.recipe import Part
from labtasks.site import ssh
from labtasks.site.site import END_STEP, LEADERS
from labtasks.site.ssh import Remote
from labtasks.store import layer
from labtasks.store.manifest import Failure, Manifest, Step
from labtasks.store.store import Store
from labtasks.vm import hotplug, qcow2, vm

DISK = "disk.qcow2"
"""The installed root in its layer."""

_OBJFS, _DISK = "labobjfs", "labdest"
_HERE = "/var/run/lab"
_DEST, _OUT = f"{_HERE}/dest", f"{_HERE}/out"

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
    """The machine that installs: its folder, and the way in."""

    lab: Lab
    state: Path
    to: Remote

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
            "here": _HERE, "dest": _DEST, "out": _OUT, "home": f"{_HERE}/home", "objfs": _OBJFS,
            "disk": _DISK, "src": places.src, "obj": places.obj, "files": places.files,
        }  # fmt: skip

    def step(self, text: str, log: Path, *, echo: bool) -> supervisor.Ended:
        """Run one step as a build's are run."""
        recipe = self.lab.recipe
        env = recipe.environment(f"{_HERE}/home")
        command = ssh.scrubbed(["sh", "-e", "-c", text], env, recipe.places.src)
        script = (
            f"echo {LEADERS} >{_HERE}/step; ({command}); code=$?; rm -f {_HERE}/step; exit $code"
        )
        argv = ssh.bound(self.to, ssh.shell(script))
        with log.open("a", encoding="utf-8") as out:
            out.write(f"+ {text}\n")
        return supervisor.run(argv, log=log, env={"PATH": process.PATH}, echo=echo)

    def fetch(self, into: Path) -> None:
        """Bring what the steps left in {out}."""
        archive = into.with_name("out.tar")
        argv = ssh.argv(self.to, f"tar -C {_OUT} --format=posix -cf - .", pinned=True)
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
def _guest(lab: Lab, store: Store, name: str) -> Iterator[Guest]:
    """The machine that installs, held."""
    where = lab.settings.install.through

    def guest(found: vm.Running) -> Guest:
        return Guest(lab=lab, state=found.state, to=vm.remote(lab, found, shared=True))

    with store.machine(where, name), hotplug.lent(lab, where, guest) as found:
        yield found


def install(
    lab: Lab, store: Store, want: Wanted, kernel: Manifest, objfs: Path, *, echo: bool, clean: bool
) -> Manifest:
    """Install a kernel and its world, of which `objfs` is the image, onto a clone of the base; the
    kernel alone onto a clone of a root that has that world, unless all is to be made `clean`.

    Raises BuildError when a step fails, UserError when the base is full, InfraError when the
    machine did not do its part.
    """
    part = lab.recipe.parts[want.kind]
    root = None if clean else _root(lab, store, want, kernel)
    base = _layer_of(store, root) / DISK if root else base_image.path_of(lab)
    onto = f"the kernel alone, onto {root.origin}" if root else f"onto {base}"
    log = store.log(f"{want.kind}-{want.commit.short}")
    started = time.monotonic()
    say(f"{want.name}: through vm {lab.settings.install.through}, {onto}")
    with store.workspace(want.kind) as scratch:
        tree = scratch / "layer" / "t"
        tree.mkdir(parents=True)
        qcow2.create(tree / DISK, below=base)
        with _guest(lab, store, want.name) as guest:
            guest.mount(objfs, tree / DISK)
            texts = lab.recipe.kernel_alone if root else part.steps
            steps = _run(guest, store, want, texts, log, echo=echo)
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
            why=_why(root) if root else f"onto a clone of {base}",
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
    guest: Guest, store: Store, want: Wanted, texts: Iterable[str], log: Path, *, echo: bool
) -> list[Step]:
    """Run the steps in the machine; how long each took."""
    names = {"dest": _DEST, "out": _OUT, "sha": want.commit.short, "jobs": str(guest.lab.jobs)}
    steps = []
    for step in texts:
        text = late(step, names)
        ended = guest.step(text, log, echo=echo)
        steps.append(Step(text=text, seconds=round(ended.seconds, 3)))
        if ended.code:
            _failed(guest, store, want, text, log, ended.code)
    return steps


def _failed(guest: Guest, store: Store, want: Wanted, step: str, log: Path, code: int) -> None:
    where = guest.to.name
    if code == ssh.FAILED or code < 0:
        raise InfraError(
            f"vm {where} was lost while it installed {want.name}; nothing of it is kept",
            hint=f"run it again; its console: {machine.serial_log(guest.state)}",
        )
    error = failure.first_error(log, guest.lab.recipe.errors) or f"exit status {code}"
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
        f"{want.name} is not installed: {error}\n  log: {log}\n  step: {step}",
        hint=f"`doit retry=yes echo=yes {want.words}{want.name}` installs it again",
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
