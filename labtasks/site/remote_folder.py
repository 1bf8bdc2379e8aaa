"""A folder of another machine in which a build is a guest: clones of trees, and mounts over them.

As root, or as anybody where Linux allows user namespaces, trees are overlays in a namespace of the
build's own. Root without them has copies, and the machine's own /mnt for one build at a time.
Nobody else can give builds the paths they must see. Knows nothing of what is built.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from labtasks.ground import atomic, namespace
from labtasks.ground.error import InfraError, UserError
from labtasks.ground.namespace import ROOT, Kind, Mount
from labtasks.lab.lab import Lab
from labtasks.site import reach, ssh
from labtasks.site.remote_script import CLEAR, COPIES, FOLDERS, HELLO, KEEP, OPEN, TRY
from labtasks.site.site import END_STEP, LEADERS, Site
from labtasks.site.ssh import shell
from labtasks.store.layer import LayerId

BOOT = "cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.boottime"
"""What differs after a restart: process ids of before mean nothing then."""

COPIES_KEPT = 3
"""Clones that stay where each is a whole copy."""


@dataclass(slots=True, kw_only=True)
class RemoteFolder(Site):
    """A build's folder below `home`, the lab's own folder there. `kept` are the clones it has,
    each with those it lies over, the newest first; `left` says that there is something to clear.
    """

    home: str
    kind: Kind
    kept: dict[LayerId, tuple[LayerId, ...]]
    left: bool
    build: str = field(default_factory=lambda: f"build.{os.urandom(6).hex()}")
    _lowers: tuple[LayerId, ...] = ()
    _entered: int = 0

    def open(self, scratch: Path, layers: Path, base: LayerId | None, first: str) -> str:
        del scratch
        gone = [name for name in self.kept if not (layers / name).exists()]
        self._lowers = (base, *self.kept[base]) if base and self.kind != "none" else ()
        self.left = True
        words = {"build": self.build, "base": base or "", "gone": " ".join(gone), "root": ROOT}
        return self._outside(first + OPEN + (COPIES if self.kind == "none" else FOLDERS), **words)

    def keeps(self, layers: Path, name: LayerId) -> bool:
        del layers
        return name in self.kept and all(below in self.kept for below in self.kept[name])

    def within(self, text: str) -> str:
        return self._inside(text, "")

    def step(self, text: str) -> str:
        return self._inside(text, f'echo {LEADERS} "$({BOOT})" >{self.build}/step && ')

    def _inside(self, text: str, lead: str) -> str:
        if self.kind == "none":
            return shell(f"cd {shlex.quote(self.home)} && {lead}cd / || exit 1\n{text}")
        if self.frozen:
            text = f"mount -o remount,ro,bind {ROOT}/src || exit 1\n{text}"
        mounts = self._mounts()
        work = " ".join(mount.work for mount in mounts if mount.work)
        lead += f"mkdir {work} && " if work else ""
        enter = shlex.join(namespace.argv(self.kind, mounts, ["sh", "-c", text], cwd="/"))
        # (exec: it dies with its parent, which must be the connection)
        return shell(f"cd {shlex.quote(self.home)} && {lead}exec {enter}")

    def _mounts(self) -> list[Mount]:
        self._entered += 1

        def tree(name: str) -> Mount:
            at, upper = f"{ROOT}/{name}", f"{self.build}/{name}"
            if not self._lowers or name not in ("src", "obj"):
                return Mount(at=at, upper=upper)
            lowers = tuple(f"kept/{one}/{name}" for one in self._lowers)
            work = f"{self.build}/work.{self._entered}.{name}"
            return Mount(at=at, upper=upper, lowers=lowers, work=work)

        return [tree(name) for name in ("src", "obj", "files", "out")]

    def freeze(self) -> None:
        if self.kind != "none":
            self.frozen = True  # every command finds it so
        else:
            text = f"[ $(uname -s) = Linux ] && mount --bind {ROOT}/src {ROOT}/src"
            text += f" && mount -o remount,ro,bind {ROOT}/src && echo frozen || :"
            self.frozen = bool(self.run(text))

    def detach(self) -> None:
        if self.frozen and self.kind == "none":
            self.run(f"umount {ROOT}/src")
        self.frozen = False

    def keep(self, layers: Path, scratch: Path, name: LayerId) -> None:
        del layers, scratch
        chain = " ".join(self._lowers)
        room = str(COPIES_KEPT) if self.kind == "none" else "1000000"
        self._outside(KEEP, build=self.build, name=name, chain=chain, room=room, root=ROOT)
        self.left = False

    def close(self) -> None:
        if not self.left:
            return
        self._outside(END_STEP + CLEAR, boot=BOOT, root=ROOT)

    def await_back(self, seconds: float) -> None:
        """Wait until a machine that was lost answers again, for so long at most."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            with contextlib.suppress(InfraError):
                ssh.query(self.to, "true", timeout=15)
                return
            time.sleep(0.5)

    def console(self) -> str:
        return f"`ssh -p {self.to.port} {self.to.user}@{self.to.host}` shows how it is there"

    def _outside(self, script: str, **words: str) -> str:
        """Run one of the scripts in the lab's folder there, with names for its variables."""
        names = "".join(f"{name}={shlex.quote(word)}\n" for name, word in words.items())
        return self.ask(shell(f"cd {shlex.quote(self.home)} || exit 1\n{names}{script}"))


def reached(lab: Lab, name: str) -> RemoteFolder:
    """Log in and see what the machine has. Raises UserError when it can give builds no paths of
    their own, InfraError when it does not answer.
    """
    to, about = reach.remote(lab, name), lab.ssh(name)
    folder = about.folder.removeprefix("~/")
    proofs = "".join(TRY.format(kind, shlex.join(namespace.proof(kind))) for kind in _KINDS)
    names = f"folder={shlex.quote(folder)}\nlab={_mark(lab, name)}\n"
    answer = ssh.query(to, shell(names + HELLO + proofs + 'echo "kind $kind"\n'), timeout=60)
    if answer.code:
        raise InfraError(
            f"ssh {name}: its folder {about.folder} cannot be used: {answer.error.strip()}",
            hint=f"`folder` in [ssh.{name}]",
        )
    facts: dict[str, str] = {}
    kept: dict[LayerId, tuple[LayerId, ...]] = {}
    for line in answer.text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "kept":
            one, *below = map(LayerId, rest.split())
            kept[one] = tuple(below)
        else:
            facts[word] = rest
    return RemoteFolder(
        what=f"ssh {name}", to=to, cpus=int(facts.get("cpus") or 1), home=facts["home"],
        kind=_kind(name, about.system, facts), kept=kept, left="left" in facts,
    )  # fmt: skip


def _kind(name: str, system: str, facts: dict[str, str]) -> Kind:
    if facts["system"] != system:
        raise UserError(
            f"ssh {name}: it runs {facts['system']}, lab.toml says {system}",
            hint=f"`system` in [ssh.{name}]",
        )
    for kind in _KINDS:
        if facts["kind"] == kind:
            return kind
    if facts["user"] != "0":
        raise UserError(
            f"ssh {name}: a user who is not root gets no mounts of his own there, and builds "
            f"must see {ROOT}/src and {ROOT}/obj",
            hint='user = "root", or on Linux allow user namespaces '
            "(sysctl kernel.unprivileged_userns_clone=1)",
        )
    return "none"


_KINDS: Sequence[Kind] = ("root", "user")


def _mark(lab: Lab, name: str) -> str:
    """The lab's folder there: several labs may build on one machine."""
    file = reach.state(lab, name) / "mark"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(file, os.urandom(8).hex().encode())
    return file.read_text(encoding="utf-8")
