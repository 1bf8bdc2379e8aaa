"""`labtasks image debian <file>`: a Debian disk with compilers and sshd, for a build machine.

mmdebstrap makes the tree, the files in `images/debian` make of it what QEMU boots by itself: a
root disk, a kernel, and an initial RAM disk of a few megabytes. No systemd: it is up in seconds,
emulated too. Knows nothing of labs; it prints the lines for a lab.toml.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from labtasks.ground import digest, process, supervisor
from labtasks.ground.error import InfraError, UserError, say
from labtasks.lab.config import toml
from labtasks.vm import accelerator

DATA = Path(__file__).parents[1] / "images" / "debian"

PACKAGES = (
    "bash", "bc", "binutils", "bison", "bmake", "busybox-static", "e2fsprogs", "flex", "gcc",
    "git", "kmod", "libc6-dev", "make", "openssh-server", "python3-minimal", "rsync", "strace",
    "util-linux", "xz-utils",
)  # fmt: skip
"""What the recipes of this package need to build, and what a builder needs."""

_KERNELS = {"amd64": "linux-image-cloud-amd64", "aarch64": "linux-image-cloud-arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A disk as it is asked for. `size` is its own (it is sparse), `packages` are more of them,
    with commas between, `mirror` is where they come from.
    """

    suite: str = "bookworm"
    size: str = "8G"
    mirror: str = ""
    packages: str = ""

    @property
    def included(self) -> list[str]:
        """All packages that are named, each once."""
        more = self.packages.replace(",", " ").split()
        return sorted({*PACKAGES, *more})

    @property
    def name(self) -> str:
        """A name that another disk has not: of all that decides this one, but for the day."""
        files = [(path.name, path.read_text(encoding="utf-8")) for path in sorted(DATA.iterdir())]
        about = [("suite", self.suite), ("size", self.size), ("mirror", self.mirror), *files]
        about += [("package", one) for one in self.included]
        return f"debian-{self.suite}-{digest.key_of(about)[:12]}"


def ready(*commands: str) -> None:
    """Refuse what would not come to an end, before anything is done: somebody who is not root, a
    processor without a Debian kernel, missing commands, these besides. Raises UserError.
    """
    if os.geteuid() != 0:
        raise UserError("a root disk's files belong to root", hint="run it with sudo")
    if accelerator.host_arch() not in _KERNELS:
        raise UserError("no Debian kernel is known for this processor", hint="amd64 or aarch64")
    process.all_there("mmdebstrap", "mke2fs", *commands)


def debian(out: Path, wanted: Wanted) -> None:
    """Write <out>.img, .kernel and .initrd, and print the lines for a lab.toml. Raises as `ready`
    and `make`.
    """
    ready()
    out = out.absolute()
    out = out.with_suffix("") if out.suffix == ".img" else out
    if not out.parent.is_dir():
        raise UserError(f"{out.parent} is no folder", hint="make it first")
    make(out, wanted, log=out.with_name(f"{out.name}.log"))
    say(f"image: {out}.img. In lab.toml:\n")
    say(settings("build", Path(f"{out}.img"), memory=2048))


def make(out: Path, wanted: Wanted, *, log: Path) -> None:
    """Write <out>.img, .kernel and .initrd. Some minutes, most of them the network's. Raises
    InfraError when mmdebstrap fails.
    """
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        made = Path(scratch) / out.name
        env = {
            "PATH": process.PATH, "LC_ALL": "C", "FILES": str(DATA), "OUT": str(made),
            "SIZE": wanted.size, "KERNEL": _KERNELS[accelerator.host_arch()], "TMPDIR": scratch,
        }  # fmt: skip
        command = [
            process.which("mmdebstrap"), "--variant=minbase",
            f"--include={','.join(wanted.included)}",
            "--mode=root", "--format=null", "--dpkgopt=force-unsafe-io",
            '--aptopt=APT::Install-Recommends "false"', f'--customize-hook=sh {DATA}/hook "$1"',
            wanted.suite, "/dev/null", *([wanted.mirror] if wanted.mirror else []),
        ]  # fmt: skip
        say(f"image: mmdebstrap makes {wanted.suite}; the log is {log}")
        ended = supervisor.run(command, log=log, env=env)
        if ended.code:
            errors = [li for li in log.read_text(errors="replace").splitlines() if li[:2] == "E:"]
            raise InfraError(
                f"mmdebstrap failed: {errors[0] if errors else f'status {ended.code}'}",
                hint=f"the log is {log}",
            )
        for kind in ("kernel", "initrd", "img"):
            shutil.move(f"{made}.{kind}", f"{out}.{kind}")
    say(f"image: made in {ended.seconds:.0f} s")


def settings(name: str, image: Path, **more: str | int) -> str:
    """The lines of a lab.toml for a machine with such a disk, and more of them; the disk's kernel
    and initial RAM disk are found beside it.
    """
    arch = accelerator.host_arch()
    port = "ttyAMA0" if arch == "aarch64" else "ttyS0"
    other = {} if arch == "amd64" else {"arch": arch}
    append = f"console={port} quiet mitigations=off"
    lines = {**other, "image": str(image), "append": append, **more}
    return f"[vm.{name}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in lines.items())
