"""A Debian machine made from nothing: its disk, its first boot, and its end.

One long test, because the disk is made once. Some two minutes; left out without root,
mmdebstrap, QEMU, or a way to Debian's packages.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Said, environment

from labtasks import main

MACHINE = """
[vm.build]
image = "{0}.img"
kernel = "{0}.kernel"
initrd = "{0}.initrd"
append = "console=ttyS0"
"""


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lab whose machine `build` runs a fresh Debian."""
    if os.geteuid() != 0:
        pytest.skip("only root makes a root disk")
    for tool in ("mmdebstrap", "mke2fs", "qemu-system-x86_64", "ssh"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is missing")
    try:
        socket.create_connection(("deb.debian.org", 80), timeout=5).close()
    except OSError as error:
        pytest.skip(f"Debian's packages cannot be reached: {error}")
    folder = tmp_path_factory.mktemp("debian")
    assert main.main(["init", str(folder / "lab")]) == 0
    packages = ["image", "debian", str(folder / "disk"), "--size", "4G"]
    assert main.main(packages) == 0
    with (folder / "lab" / "lab.toml").open("a") as file:
        file.write(MACHINE.format(folder / "disk"))
    yield folder / "lab"
    doit(folder / "lab", "down:build", code=None)


def doit(lab: Path, *words: str, code: int | None = 0) -> Said:
    done = subprocess.run(
        [sys.executable, "-m", "doit", *words],
        cwd=lab, env=environment(), capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    said = Said(done.returncode, done.stdout + done.stderr)
    assert code in (None, said.code), said.text
    return said


def test_debian(debian: Path) -> None:
    log = debian / "cache" / "vm" / "build" / "console.log"
    doit(debian, "up:build")
    compiled = "echo 'int main(void) { return 42; }' > /tmp/a.c && cc -o /tmp/a /tmp/a.c && /tmp/a"
    doit(debian, "ssh", "build", compiled, code=42)
    assert doit(debian, "ssh", "build", "A=b; echo $A $(hostname)").lines("^b build$")
    assert "rc: ready" in log.read_text(errors="replace")

    doit(debian, "ssh", "build", "touch /kept; sync")
    assert doit(debian, "down:build").lines("shut down after")
    said = log.read_text(errors="replace")
    assert "Power down" in said

    known = debian / "cache" / "vm" / "build" / "known_hosts"
    text = known.read_text()
    doit(debian, "up:build")  # the same disk and the same key
    assert known.read_text() == text
    assert "recovery" not in log.read_text(errors="replace")
    doit(debian, "ssh", "build", "test -e /kept")

    mine = (debian / "cache" / "vm" / "id_ed25519.pub").read_text().split()[1]
    known.write_text(f"build ssh-ed25519 {mine}\n")
    said = doit(debian, "ssh", "build", "true", code=3).text
    assert "its host key is not the one seen at its first boot\n  hint: " in said
    known.write_text(text)
    assert doit(debian, "up:build").lines("runs already")
