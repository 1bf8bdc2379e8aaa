"""`labtasks image debian <file>`: a Debian disk with compilers and sshd, for a build machine.

mmdebstrap makes the tree, the files in `images/debian` make of it what QEMU boots by itself: a
root disk, a kernel, and an initial RAM disk of a few megabytes. No systemd: it is up in seconds,
emulated too. Knows nothing of labs; it prints the lines for a lab.toml.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from labtasks import accelerator, process, supervisor
from labtasks.error import InfraError, UserError, say

DATA = Path(__file__).parent / "images" / "debian"

PACKAGES = (
    "bash", "bc", "binutils", "bison", "bmake", "busybox-static", "e2fsprogs", "flex", "gcc",
    "git", "kmod", "libc6-dev", "make", "openssh-server", "python3-minimal", "rsync", "strace",
    "util-linux", "xz-utils",
)  # fmt: skip
"""What the recipes of this package need to build, and what a builder needs."""

_KERNELS = {"amd64": "linux-image-cloud-amd64", "aarch64": "linux-image-cloud-arm64"}


def debian(
    out: Path, *, suite: str = "bookworm", size: str = "8G", mirror: str = "", packages: str = ""
) -> None:
    """Write <out>.img, .kernel and .initrd. Some minutes, most of them the network's.

    `size` is the disk's (it is sparse), `packages` more of them, with commas between. Raises
    UserError when a tool is missing, InfraError when mmdebstrap fails.
    """
    if os.geteuid() != 0:
        raise UserError("a root disk's files belong to root", hint="run it with sudo")
    if accelerator.host_arch() not in _KERNELS:
        raise UserError("no Debian kernel is known for this processor", hint="amd64 or aarch64")
    tool = process.which("mmdebstrap")
    process.which("mke2fs")
    out = out.absolute()
    out = out.with_suffix("") if out.suffix == ".img" else out
    if not out.parent.is_dir():
        raise UserError(f"{out.parent} is no folder", hint="make it first")
    wanted = ",".join([*PACKAGES, *packages.split(",")]).rstrip(",")
    log = out.with_name(f"{out.name}.log")
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        made = Path(scratch) / out.name
        env = {
            "PATH": process.PATH, "LC_ALL": "C", "FILES": str(DATA), "OUT": str(made),
            "SIZE": size, "KERNEL": _KERNELS[accelerator.host_arch()], "TMPDIR": scratch,
        }  # fmt: skip
        command = [
            tool, "--variant=minbase", f"--include={wanted}", "--mode=root", "--format=null",
            "--dpkgopt=force-unsafe-io",
            '--aptopt=APT::Install-Recommends "false"', f'--customize-hook=sh {DATA}/hook "$1"',
            suite, "/dev/null", *([mirror] if mirror else []),
        ]  # fmt: skip
        say(f"image: mmdebstrap makes {suite}; the log is {log}")
        ended = supervisor.run(command, log=log, env=env)
        if ended.code:
            errors = [li for li in log.read_text(errors="replace").splitlines() if li[:2] == "E:"]
            raise InfraError(
                f"mmdebstrap failed: {errors[0] if errors else f'status {ended.code}'}",
                hint=f"the log is {log}",
            )
        for kind in ("kernel", "initrd", "img"):
            shutil.move(f"{made}.{kind}", f"{out}.{kind}")
    say(f"image: {out}.img after {ended.seconds:.0f} s. In lab.toml:\n")
    say(settings(out))


def settings(out: Path) -> str:
    """The lines of a lab.toml for an image; its kernel and initial RAM disk are found beside it."""
    arch = accelerator.host_arch()
    port = "ttyAMA0" if arch == "aarch64" else "ttyS0"
    other = "" if arch == "amd64" else f'arch = "{arch}"\n'
    return (
        f'[vm.build]\n{other}image = "{out}.img"\n'
        f'append = "console={port} quiet mitigations=off"\nmemory = 2048\n'
    )
