"""What is sent to another machine: listings of two families of systems, quoting for any shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import behind, can_unshare

from labtasks.site import listing, ssh

NAMES = ("plain", "a b", "new\nline", "#hash", "back\\slash", "tab\there", "é", "..x", "d/=y")


def listed(tree: Path, path: str) -> dict[str, str]:
    done = subprocess.run(
        ["/bin/sh", "-c", f"cd {tree} || exit 1{listing.SCRIPT}"],
        env={"PATH": path}, capture_output=True, check=True, timeout=20,
    )  # fmt: skip
    return listing.listed(done.stdout.decode(errors="surrogateescape"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree" / "d" / "empty").mkdir(parents=True)
    for name in NAMES:
        (tmp_path / "tree" / name).write_text(name)
    (tmp_path / "tree" / "d" / "deep" / "er").mkdir(parents=True)
    (tmp_path / "tree" / "d" / "deep" / "er" / os.fsdecode(b"not-utf8-\xff")).touch()
    (tmp_path / "tree" / "d" / "link").symlink_to("../a b")
    os.mkfifo(tmp_path / "tree" / "fifo")
    return tmp_path / "tree"


def test_both_families_list_the_same(tree: Path, tmp_path: Path) -> None:
    if not shutil.which("mtree"):
        pytest.skip("mtree is missing")
    bsd = tmp_path / "bin"
    bsd.mkdir()
    (bsd / "mtree").symlink_to(shutil.which("mtree") or "")
    gnu, other = listed(tree, os.environ["PATH"]), listed(tree, str(bsd))
    there = {str(p.relative_to(tree)) for p in tree.rglob("*")}
    assert gnu.keys() == other.keys() == there
    assert {p: f[0] for p, f in gnu.items()} == {p: f[0] for p, f in other.items()}
    assert [p for p, f in gnu.items() if f[0] == "l"] == ["d/link"]


@pytest.mark.parametrize("family", ["gnu", "bsd"])
def test_every_change_shows(tree: Path, tmp_path: Path, family: str) -> None:
    path = os.environ["PATH"]
    if family == "bsd":
        if not shutil.which("mtree"):
            pytest.skip("mtree is missing")
        path = str(tmp_path / "bin")
        Path(path).mkdir()
        (tmp_path / "bin" / "mtree").symlink_to(shutil.which("mtree") or "")
    before = listed(tree, path)
    info = (tree / "plain").stat()
    (tree / "a b").chmod(0o755)
    (tree / "#hash").write_text("#longer")
    os.utime(tree / "plain", ns=(info.st_atime_ns, info.st_mtime_ns + 1))
    (tree / "d" / "link").unlink()
    (tree / "d" / "link").symlink_to("../plain")
    (tree / "new\nline").unlink()
    after = listed(tree, path)
    files = {p for p in before.keys() | after.keys() if before.get(p, "") != after.get(p, "")}
    changed = {"a b", "#hash", "plain", "d/link", "new\nline"}
    assert {p for p in files if before[p][0] != "d"} == changed


@pytest.mark.parametrize("shell", ["sh", "dash", "bash", "csh", "tcsh", "busybox sh"])
def test_any_login_shell(shell: str) -> None:
    words = shell.split()
    if not shutil.which(words[0]):
        pytest.skip(f"{words[0]} is missing")
    text = "echo 'a  !b'\nprintf '%s\\n' \"$((1 + 1)) \\\\ 100%\" '`x` {y} \"z\"'"
    done = subprocess.run(
        [*words, "-c", ssh.shell(text)], capture_output=True, text=True, check=False, timeout=20
    )
    assert done.stdout == 'a  !b\n2 \\ 100%\n`x` {y} "z"\n', done.stderr


BUILDS = 'GuestDisk(what="vm x", to=to, cpus=1, state=Path(sys.argv[1])).lost("ssh ended")'
INSTALLS = 'explained(InfraError("vm x was lost"), Path(sys.argv[1]))'


@pytest.mark.skipif(not can_unshare("root"), reason="no mount namespace to be had")
@pytest.mark.parametrize(("lost", "kind"), [(BUILDS, "LostError"), (INSTALLS, "InfraError")])
def test_a_machine_whose_disks_cannot_grow_is_not_called_lost(
    tmp_path: Path, lost: str, kind: str
) -> None:
    ask = f"""\
import sys
from pathlib import Path
from labtasks.site.guest_disk import GuestDisk
from labtasks.site.ssh import Remote
from labtasks.ground.error import InfraError
from labtasks.vm.installer import explained
to = Remote(name="x", user="x", host="x", port=1, key=Path("x"), known_hosts=Path("x"))
error = {lost}
print(type(error).__name__, error)
"""
    (tmp_path.parent / "ask.py").write_text(ask)
    command = f"{sys.executable} {tmp_path.parent / 'ask.py'} {tmp_path}"
    text, _ = behind(tmp_path, f"mount -t tmpfs -o size=2m tmpfs {tmp_path}", command)
    assert f"{kind} vm x was lost" in text
    setup = f"mount -t tmpfs -o size=64k tmpfs {tmp_path}"
    text, _ = behind(tmp_path, setup, command)
    assert f"InfraError no space left while writing {tmp_path}" in text
    assert "hint: free some space" in text
