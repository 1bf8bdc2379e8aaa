"""A workspace in a virtual machine: the steps run in the guest, what they leave comes to the host.

The guest builds on a disk of its own, cloned from that of the layer below (guest_disk). What
differs afterwards is streamed to the host once and becomes a layer like any other, so all that
follows a build need not know where it was made. The disk is kept in the layer, for clones.
Knows nothing of how the machine is started.
"""

from __future__ import annotations

import os
import shlex
import sys
import tarfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from labtasks import layer, process, ssh
from labtasks.builder import Workspace, wait_past
from labtasks.error import InfraError, UserError
from labtasks.guest_disk import GuestDisk
from labtasks.layer import Entry, LayerId
from labtasks.process import Ended
from labtasks.recipe import Places
from labtasks.source import EPOCH

_SKEW = 2.0
"""Seconds by which the guest's clock may differ from the host's."""

_LIST = "find . -mindepth 1 -printf '%P\\0%y %m %s %T@ %l\\0'"

DISK, ABOUT = "disk.qcow2", "disk.json"


class Shows(msgspec.Struct, frozen=True, kw_only=True):
    """What a kept disk shows: the source tree and the object tree of these stacks."""

    src: tuple[LayerId, ...]
    obj: tuple[LayerId, ...]


@dataclass(slots=True, kw_only=True)
class Guest(Workspace):
    """Trees on a disk of the machine `disk` is plugged into."""

    disk: GuestDisk
    _before: dict[str, str] = field(default_factory=dict)
    _seen: dict[str, Path | None] = field(default_factory=dict)

    def places(self) -> Places:
        return self.recipe.places

    def out(self) -> str:
        return f"{self.disk.root}/out"

    def home(self) -> str:
        return f"{self.disk.root}/home"

    def prepare(self, log: Path) -> None:
        if self.recipe.in_tree:
            raise UserError(
                "a build in a VM keeps objects apart from the sources",
                hint='builder = "local", or a recipe without in_tree',
            )
        base = self._base()
        image = self.scratch / DISK
        self.disk.mount(image, base[0] if base else None)
        trees, places = self.trees, self.places()
        self._set_clock()
        self._send_tree(trees.src, places.src, base[1].src if base else ())
        if base is None:
            self._send_tree((*trees.obj, *trees.flat, *trees.below), places.obj, ())
        sent = [
            (f"{self.disk.root}/files/{n}", self.scratch / "files" / n) for n in self.recipe.files
        ]
        self._send([(at.removeprefix("/"), path) for at, path in sent], "/")
        self._before = self._under()
        wait_past(trees.newest)
        self.remove(trees.remove_obj, log)
        self._each("touch -h -c", places.obj, trees.touch_obj)
        self._each("touch -h -c", places.src, trees.touch_src)
        self.disk.run(
            f"mount --bind {places.src} {places.src} && mount -o remount,ro,bind {places.src}"
        )

    def _base(self) -> tuple[Path, Shows] | None:
        """The kept disk that shows exactly the objects this build starts from."""
        whole = (*self.trees.obj, *self.trees.below)
        if not whole or self.trees.flat:
            return None
        folder = self.layers / whole[0]
        try:
            shows = msgspec.json.decode((folder / ABOUT).read_bytes(), type=Shows)
        except (OSError, msgspec.DecodeError):
            return None
        known = all((self.layers / name / "files").exists() for name in shows.src)
        return (folder / DISK, shows) if shows.obj == whole and known else None

    def _set_clock(self) -> None:
        """Give the guest the host's time: make compares what either has dated."""
        said = self.disk.run(f"date -s @{time.time():.3f} >/dev/null; date +%s.%N")
        skew = float(said) - time.time()
        if abs(skew) > _SKEW:
            raise InfraError(
                f"vm {self.disk.to.name}: its clock is {skew:+.0f} s off and cannot be set",
                hint="log in as root, or mend the clock in the guest",
            )

    def _send_tree(self, stack: Sequence[LayerId], at: str, there: Sequence[LayerId]) -> None:
        """Make a tree of the guest show `stack`; it shows `there` now."""
        new = layer.shown(self.layers, stack)
        old = layer.shown(self.layers, there)
        gone = [p for p in old if p not in new or new[p].type != old[p].type]
        self._each("rm -rf", at, gone)
        homes: dict[str, LayerId] = {}
        for name in stack:
            for entry in layer.entries(self.layers, name):
                homes.setdefault(entry.path, name)
        differ = [p for p, e in new.items() if _content(e) != _content(old.get(p))]
        self._send([(p, layer.tree_of(self.layers, homes[p]) / p) for p in sorted(differ)], at)

    def _send(self, files: Iterable[tuple[str, Path]], at: str) -> None:
        files = list(files)
        if not files:
            return
        archive = self.scratch / "send.tar"
        with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
            for name, path in files:
                tar.add(path, arcname=name, recursive=False, filter=_of_root)
        command = f"tar -xpf - -C {shlex.quote(at)}"
        self._ask(command, data=archive)
        archive.unlink()

    def _ask(self, command: str, *, data: Path | None = None, into: Path | None = None) -> None:
        """Run a command with a file as its input or its output."""
        argv = ssh.argv(self.disk.to, command, pinned=True)
        answer = process.stream(argv, data=data, into=into)
        if answer.code == ssh.FAILED:
            raise self.disk.lost(ssh.last_words(answer.error))
        if answer.code:
            raise InfraError(
                f"vm {self.disk.to.name}: {command.split(maxsplit=1)[0]}: {answer.error.strip()}"
            )

    def _each(self, command: str, tree: str, paths: Sequence[str]) -> None:
        if paths:
            names = b"".join(os.fsencode(p) + b"\0" for p in paths)
            self.disk.run(f"cd {tree} && xargs -0 {command} --", data=names)

    def _listed(self) -> dict[str, str]:
        """Every path of the object tree, and what tells whether it changed."""
        text = self.disk.run(f"cd {self.places().obj} && {_LIST}")
        words = text.split("\0")[:-1]
        return dict(zip(words[::2], words[1::2], strict=True))

    def _under(self) -> dict[str, str]:
        """What lies under the new layer. A flattened stack does not: of it, what `below` shows
        unchanged, and what that shows and the stack had removed.
        """
        listed = self._listed()
        if not self.trees.flat:
            return listed
        below = layer.merged(self.layers, self.trees.below)
        whole = layer.merged(self.layers, (*self.trees.flat, *self.trees.below))
        same = {p: f for p, f in listed.items() if p in below and whole[p] == below[p]}
        return same | {p: "" for p in below if p not in listed}

    def remove(self, paths: Sequence[str], log: Path) -> None:
        del log
        one = 'for p; do [ -d "$p" ] && [ ! -L "$p" ] || rm -f "$p"; done'
        self._each(f"sh -c {shlex.quote(one)} sh", self.places().obj, paths)

    def inside(self, argv: Sequence[str], cwd: str) -> tuple[Sequence[str], Path]:
        env = [f"{name}={value}" for name, value in self.environment().items()]
        command = shlex.join(["env", "-i", *env, *argv])
        # 255 is what ssh says when the machine is gone
        text = (
            f"echo $$ >/run/step; umask 022; cd {shlex.quote(cwd)} || exit 1; "
            f"{command} </dev/null; code=$?; [ $code = 255 ] && code=254; exit $code"
        )
        # a killed doit must not leave a client behind that holds the connection
        lead = ["setpriv", "--pdeathsig", "KILL"] if sys.platform == "linux" else []
        return [*lead, *ssh.argv(self.disk.to, text, pinned=True)], self.scratch

    def launch(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        cwd: str = "",
        timeout: float | None = None,
        until: Callable[[], bool] | None = None,
        echo: bool = False,
    ) -> Ended:
        # (super() without arguments does not work in a class with slots)
        ended = Workspace.launch(self, argv, log, cwd=cwd, timeout=timeout, until=until, echo=echo)
        if ended.code == ssh.FAILED:
            raise self.disk.lost("ssh ended")
        if any(word.startswith(f"{self.out()}/") for word in argv):
            self._fetch(self.out(), ["."], self.scratch / "out")
        return ended

    def shown(self, path: str) -> Path | None:
        tree, _, rest = path.partition("/")
        if tree == "src":
            return layer.find(self.layers, self.trees.src, rest)
        if path not in self._seen:
            self._seen[path] = self._shown_now(rest)
        return self._seen[path]

    def _shown_now(self, path: str) -> Path | None:
        """A copy of an object as it is now in the guest."""
        there = f"{self.places().obj}/{path}"
        if not self.disk.run(f"[ -f {shlex.quote(there)} ] && echo yes || :").strip():
            return None
        self._fetch(self.places().obj, [path], self.scratch / "seen")
        return self.scratch / "seen" / path

    def _fetch(self, tree: str, paths: Sequence[str], into: Path) -> None:
        """Copy paths of the guest into a folder, times and modes kept."""
        self.disk.run("cat >/run/paths", data=b"".join(os.fsencode(p) + b"\0" for p in paths))
        archive = self.scratch / "fetch.tar"
        recursion = "" if paths == ["."] else "--no-recursion "
        self._ask(
            f"tar -C {tree} --format=posix {recursion}--null -T /run/paths -cf -", into=archive
        )
        into.mkdir(parents=True, exist_ok=True)
        answer = process.query(["tar", "-xpf", str(archive), "-C", str(into), "--no-same-owner"])
        if answer.code:
            raise InfraError(f"what the guest sent cannot be unpacked: {answer.error.strip()}")
        archive.unlink()

    def objects(self) -> Path:
        into = self.scratch / "objects"
        layer.remove(into)
        self._fetch(self.places().obj, ["."], into)
        return into

    def harvest(self) -> list[Entry]:
        folder = self.scratch / "layer"
        now = self._listed()
        differ = [p for p, fact in now.items() if _changed(self._before.get(p), fact)]
        (folder / "t").mkdir(parents=True)
        if differ:
            self._fetch(self.places().obj, differ, folder / "t")
        found = [e for e in layer.scan(folder / "t") if not self._only_touched(folder, e)]
        kinds = {p: fact[0] for p, fact in now.items()}
        gone = [
            p for p in self._before
            if p not in now and (kinds.get(str(Path(p).parent)) == "d" or "/" not in p)
        ]  # fmt: skip
        for path in gone:
            (folder / "t" / path).parent.mkdir(parents=True, exist_ok=True)
            layer.whiteout(folder / "t" / path)
        found += [Entry(path, "w", 0, 0, "", 0, 0) for path in gone]
        layer.write_entries(folder, found)
        self._keep(folder)
        return found

    def _only_touched(self, folder: Path, entry: Entry) -> bool:
        """What was touched and not changed is no part of what was built: it goes."""
        if entry.path not in self.trees.touch_obj:
            return False
        before = layer.merged(self.layers, self.trees.below).get(entry.path)
        same = before is not None and _content(before) == _content(entry)
        if same:
            (folder / "t" / entry.path).unlink()
        return same

    def _keep(self, folder: Path) -> None:
        """The disk into the layer, its sources as old as those of any checkout."""
        src = self.places().src
        self.disk.run(f"umount {src}")
        self._each(f"touch -h -c -d @{EPOCH // 10**9}", src, self.trees.touch_src)
        self.disk.unmount()
        if not self.trees.flat:
            (self.scratch / DISK).rename(folder / DISK)

    def sealed_as(self, stack: Sequence[LayerId]) -> None:
        """Say in the layer what its disk shows, once the layer has its name."""
        shows = Shows(src=self.trees.src, obj=(*stack, *self.trees.below))
        folder = self.scratch / "layer"
        if (folder / DISK).exists():
            (folder / ABOUT).write_bytes(msgspec.json.encode(shows))

    def strays(self) -> list[str]:
        return []  # the sources cannot be written


def _content(entry: Entry | None) -> tuple[str, str, int]:
    return (entry.type, entry.digest, entry.mode) if entry else ("", "", 0)


def _changed(before: str | None, now: str) -> bool:
    """Directories are compared by being there; their times change with what is in them."""
    return before is None or ((now[0] != "d" or before[0:1] != "d") and before != now)


def _of_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
