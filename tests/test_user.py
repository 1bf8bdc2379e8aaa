"""An ordinary user's builds: namespaces, leftovers of overlays, removal, all without root.

Root runs these in a mount namespace with a root folder that everybody may enter, because the
machine's own, or the home the interpreter lies in, may be closed to others.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Lab, Repo, Said, can_unshare, environment

USER = 1000
ALL_MAY_ENTER = """
set -e
mount --make-rprivate /
mount -t tmpfs -o mode=0755 tmpfs "$1"
new=$1 home=$2; shift 2
cd "$new"
mkdir mnt old user
mount --rbind "$home" user
for top in /*; do
    case $top in
    /mnt|/root) continue ;;
    esac
    if [ -L "$top" ]; then cp -a "$top" ".$top"
    elif [ -d "$top" ]; then mkdir ".$top"; mount --rbind "$top" ".$top"
    fi
done
while [ "$1" != -- ]; do
    [ -d ".$1" ] || mkdir -p ".$1"
    mount --rbind "$1" ".$1"
    shift
done
shift
pivot_root . old
umount -l old
cd /user/lab
exec setpriv --reuid USER --regid USER --clear-groups "$@"
""".replace("USER", str(USER))


@pytest.fixture
def as_user(world, make_lab, tmp_path):
    """A lab of an ordinary user's, and doit run by that user."""
    if os.geteuid() != 0:
        pytest.skip("not root: every other test runs as an ordinary user already")
    if not can_unshare("root") or not can_unshare("user"):
        pytest.skip("no mount namespaces here")
    shutil.copytree(world.repo.path, tmp_path / "repo", symlinks=True)
    lab: Lab = make_lab(repo=Repo(tmp_path / "repo"), tracer="auto", repository="../repo")
    (tmp_path / "root").mkdir()
    subprocess.run(["chown", "-R", str(USER), tmp_path], check=True)
    shown = sorted({str(ROOT), sys.prefix, sys.base_prefix})

    def doit(*words: str) -> Said:
        argv = ["unshare", "--mount", "sh", "-c", ALL_MAY_ENTER, "sh", str(tmp_path / "root")]
        inside = [str(tmp_path), *shown, "--", *lab.argv(*words)]
        done = subprocess.run(
            [*argv, *inside],
            env={**environment(), "HOME": "/user"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode in (126, 127) or "pivot_root:" in done.stdout:
            pytest.skip(f"no root folder for an ordinary user here: {done.stdout[:100]}")
        return Said(done.returncode, done.stdout)

    return lab, doit


def test_an_ordinary_user_builds(as_user, world):
    lab, doit = as_user
    said = doit("build:base")
    assert said.code == 0, said.text
    about = (lab.directory / "cache" / "namespace.json").read_text()
    assert '"user"' in about
    said = doit("build:kernel-c")
    assert said.code == 0, said.text
    assert said.rung("kernel", world.repo.short("kernel-c")) == "incremental"
    lab.at_rest()
    owners = {path.lstat().st_uid for path in (lab.directory / "cache").rglob("*")}
    assert owners == {USER}
    subprocess.run(["chown", "-R", "0", lab.repo.path], check=True)  # git asks whose it is
    for kind in ("world", "kernel"):
        assert lab.content(kind, "kernel-c") == world.oracle(kind, "kernel-c")


def test_what_an_overlay_leaves_is_removed_without_permissions(as_user):
    """The kernel's work folder may be entered by nobody; its owner removes it all the same."""
    lab, doit = as_user
    left = lab.directory / "cache" / "tmp" / "kernel-x.1.1" / "work" / "work"
    left.mkdir(parents=True)
    (left.parent.parent / "owner").touch()
    subprocess.run(["chown", "-R", str(USER), lab.directory / "cache"], check=True)
    left.chmod(0)
    said = doit("kernel:base")
    assert said.code == 0, said.text
    assert not Path(left.parent.parent).exists()
