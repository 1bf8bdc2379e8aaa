"""A mount namespace for one command: its own /mnt, where every build finds the same paths.

Only Linux has this, as root or, in a user namespace, as anybody; `kind_here` proves it by doing
it. The rest of the module is pure: it turns a list of mounts into a command line. Knows nothing
of what is built.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from labtasks.ground import memory, process

ROOT = "/mnt"
"""An existing folder of every Linux, covered by a tmpfs inside the namespace."""

Kind = Literal["root", "user", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One mount at `at`: `lowers` (newest first) under `upper`, or `upper` alone bound there.

    Lower names are relative to the working directory of the namespace: the kernel takes one page
    of options, and sixty absolute paths would not fit.
    """

    at: str
    upper: str
    lowers: tuple[str, ...] = ()
    work: str = ""


def script(mounts: Sequence[Mount]) -> str:
    """Shell text that makes the mounts, run in the directory that holds the lowers."""
    lines = [f"mount -t tmpfs -o mode=0755 tmpfs {ROOT}", f"mkdir {ROOT}/home"]
    for mount in mounts:
        at, upper = shlex.quote(mount.at), shlex.quote(mount.upper)
        lines.append(f"mkdir -p {at}")
        if mount.lowers:
            options = f"lowerdir={':'.join(mount.lowers)},upperdir={mount.upper}"
            options += f",workdir={mount.work},userxattr,volatile"
            lines.append(f"mount -t overlay overlay -o {shlex.quote(options)} {at}")
        else:
            lines.append(f"mount --bind {upper} {at}")
    return "\n".join(lines)


def argv(kind: Kind, mounts: Sequence[Mount], command: Sequence[str], *, cwd: str) -> list[str]:
    """The command line that runs `command` in `cwd` behind the mounts.

    Everything it starts lives in a process namespace and dies with it; it dies with its parent.
    """
    inner = f"set -e\n{script(mounts)}\ncd {shlex.quote(cwd)}\n{shlex.join(command)}"
    user = ["unshare", "--user", "--map-root-user"] if kind == "user" else []
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return [*user, "setpriv", "--pdeathsig", "KILL", *own, "sh", "-c", inner]


def proof(kind: Kind) -> list[str]:
    """The command line that proves a kind: in a folder with the folders a, b, up, work and the file
    a/f it leaves a whiteout in up.
    """
    mount = Mount(at=f"{ROOT}/t", upper="up", lowers=("a", "b"), work="work")
    return argv(kind, [mount], ["rm", "f"], cwd=f"{ROOT}/t")


def kind_here(cache: Path) -> Kind:
    """How this host gives namespaces with overlays; proved once per kernel, then remembered."""
    if platform.system() != "Linux":
        return "none"
    about = [platform.release(), os.geteuid()]
    return memory.once(cache / "namespace.json", about, lambda: _prove(cache))


def _prove(cache: Path) -> Kind:
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        return "none"
    import tempfile  # noqa: PLC0415 (once per kernel)

    kinds: tuple[Kind, ...] = ("root", "user") if os.geteuid() == 0 else ("user",)
    for kind in kinds:
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            for name in ("a", "b", "up", "work"):
                (Path(scratch) / name).mkdir()
            (Path(scratch) / "a" / "f").touch()
            worked = process.query(proof(kind), cwd=Path(scratch)).code == 0
            worked = worked and (Path(scratch) / "up" / "f").is_char_device()
            # a work folder left by the kernel has no permissions for anybody
            for left in (Path(scratch) / "work").glob("*"):
                left.chmod(0o700)
        if worked:
            return kind
    return "none"
