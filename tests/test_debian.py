"""A Debian machine made from nothing: its disk, its first boot, its end, and builds in it.

The disk is made once: some minutes in all, emulated. Left out without root, mmdebstrap, QEMU, or
a way to Debian's packages; LABTASKS_DEBIAN names one that was made before (its files without their
endings), LABTASKS_LONG lets a whole day of eitri and brokkr run.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Lab, Repo, Said, World, environment, programs, wait_for
from debian import needed
from servers import hook

from labtasks.command import main
from labtasks.ground import digest
from labtasks.lab.recipe import SHIPPED
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store
from labtasks.vm import hotplug, vm

pytestmark = pytest.mark.timeout(3600)
"""A busy host takes ten minutes for what an idle one does in two."""

MACHINE = """
[vm.build]
image = "{0}.img"
kernel = "{0}.kernel"
initrd = "{0}.initrd"
append = "console=ttyS0 mitigations=off"
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh Debian; the path of its files without their endings. LABTASKS_DEBIAN names one that
    was made before.
    """
    if os.environ.get("LABTASKS_DEBIAN"):
        return Path(os.environ["LABTASKS_DEBIAN"])
    needed()
    path = tmp_path_factory.mktemp("disk") / "debian"
    assert main.main(["image", "debian", str(path), "--size", "4G"]) == 0
    return path


@pytest.fixture
def debian(disk: Path, tmp_path: Path) -> Iterator[Path]:
    """A lab whose machine `build` runs it."""
    assert main.main(["init", str(tmp_path / "lab")]) == 0
    with (tmp_path / "lab" / "lab.toml").open("a") as file:
        file.write(MACHINE.format(disk))
    yield tmp_path / "lab"
    doit(tmp_path / "lab", "down:build", code=None)


@pytest.fixture
def remote(disk: Path, make_lab: Callable[..., Lab]) -> Iterator[Lab]:
    """A lab of the tiny system that builds in the machine."""
    lab = make_lab(tracer="auto", builder="vm:build")
    with (lab.directory / "lab.toml").open("a") as file:
        file.write(MACHINE.format(disk))
    yield lab
    doit(lab.directory, "down:build", code=None)


def doit(lab: Path, *words: str, code: int | None = 0) -> Said:
    done = subprocess.run(
        [sys.executable, "-m", "doit", *words],
        cwd=lab, env=environment(), capture_output=True, text=True, check=False, timeout=900,
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
    assert "its host key is not the one seen at first\n  hint: " in said
    known.write_text(text)
    assert doit(debian, "up:build").lines("runs already")


def test_builds(remote: Lab, world: World) -> None:
    """What is built in the guest is what plain make builds, on whatever rung."""
    assert "hint: doit up:build" in remote.doit("build:base", code=3).text
    remote.doit("up:build", timeout=900)
    for commit, rungs in {
        "base": ("clean", "clean"),
        "kernel-c": ("trace", "incremental"),
        "source-gone": ("trace", "incremental"),
    }.items():
        said = remote.doit(f"build:{commit}", timeout=900)
        short = remote.repo.short(commit)
        assert (said.rung("world", short), said.rung("kernel", short)) == rungs, said.text
        assert remote.content("kernel", commit) == world.oracle("kernel", commit)
    assert remote.content("world", "base") == world.oracle("world", "base")
    layers = remote.directory / "cache" / "layers"
    step = remote.manifest("kernel", "kernel-c").stack
    assert len(step) == 2
    assert (layers / step[0] / "disk.qcow2").stat().st_blocks * 512 < 1 << 20

    _shown_in_a_shell(remote)
    remote.recipe(
        ("make -j{jobs} -f sys/Makefile", "head -c1 /dev/zero >/dev/full; make -f sys/Makefile")
    )
    full = remote.doit("kernel:base", code=1, timeout=900).text
    assert "no space left in vm:build" in full
    assert "hint: more room there; in a VM, /tmp is its memory" in full


def _shown_in_a_shell(remote: Lab) -> None:
    """A failure prints what fails again there; objects are shown, and what is written goes."""
    failed = remote.doit("kernel:broken", code=1, timeout=900)
    (line,) = failed.lines("^  again: ")
    words = line.partition("doit ")[2].split()
    said = remote.doit(*words, code=2, timeout=900).text
    (told,) = re.findall(r"^kernel:\w+: step 1 of 1: status 2: (.*)$", said, re.MULTILINE)
    assert told in failed.text
    text = "pwd; ls /mnt/obj/kernel/kernel /mnt/obj/world/tool; touch /mnt/obj/mine; exit 5"
    said = remote.doit("shell", "kernel:base", text, code=5, timeout=900).text
    assert said.split()[-3:] == ["/mnt/src", "/mnt/obj/kernel/kernel", "/mnt/obj/world/tool"]
    text = "test ! -e /mnt/obj/mine"
    remote.doit("shell", "kernel:base", text, timeout=900)
    assert "/mnt" not in doit(remote.directory, "ssh", "build", "mount").text


def test_kills(remote: Lab, world: World) -> None:
    """doit is killed: the next build has nothing of its remains. The machine is killed: the same
    doit starts it again and builds once more.
    """
    remote.doit("up:build", timeout=900)
    log = remote.directory / "cache" / "logs"

    def compiles() -> bool:
        return any("cc " in p.read_text() for p in log.glob("world-*"))

    with remote.start("world:base") as build:
        wait_for(compiles, seconds=300)
        build.kill()
        build.communicate()
    assert not remote.manifests("world")
    for path in log.glob("world-*"):
        path.unlink()
    with remote.start("world:base") as build:
        wait_for(compiles, seconds=300)
        pid = vm._pid(remote.directory / "cache" / "vm" / "build")
        assert pid
        os.kill(pid, signal.SIGKILL)
        said, _ = build.communicate(timeout=900)
    assert build.returncode == 0, said
    assert "was lost in mid-build (ssh ended); it is tried once more" in said
    assert said.count("vm build: started") == 1
    assert remote.content("world", "base") == world.oracle("world", "base")


SUBJECT = """
about = "a Debian that is tested"
[kernel]
inputs = ["."]
steps = ["cp {0}.kernel {{obj}}/kernel"]
[install]
inputs = []
steps = ["mkdir {{obj}}/boot; cp {{obj}}/kernel {{obj}}/boot/"]
outputs = ["boot/*"]
[machine]
kernel = "{{boot}}/boot/kernel"
initrd = "{0}.initrd"
append = "console=ttyS0 mitigations=off"
drives = ["{0}.img"]
memory = 512
[ssh]
seed = true
[shell]
prompt = 'root@[^ ]*# '
[console.lines]
ready = ['^rc: ready']
panic = ['Kernel panic - not syncing: (.*)']
shutdown = ['reboot: Power down']
[console.prompts]
mountroot = ['^mountroot: ']
"""
"""Its kernel is copied, its disk is booted as it is: what is tested here is the way in."""


@pytest.mark.parametrize(
    ("run", "script", "outcome", "reason"),
    [
        ("ssh", "uname -s; test -b /dev/vda", "good", "good: Linux"),
        ("ssh", "read line; echo got $line; exit 3", "bad", "bad: got"),
        ("ssh", "echo c >/proc/sysrq-trigger; sleep 60", "other-failure", "panic: sysrq"),
        ("console", '#\t`tab`\necho "on $(uname)"; exit 125', "untestable", "skip: on Linux"),
        ("host", 'eval "$LAB_SSH uname -n"', "good", "good: ta"),
    ],
)
def test_ways(
    disk: Path,
    tmp_path_factory: pytest.TempPathFactory,
    run: str,
    script: str,
    outcome: str,
    reason: str,
) -> None:
    """A script sent to a real system, typed on its console, or entering it from the host."""
    tmp_path = tmp_path_factory.mktemp("ways")  # short: sockets are in there
    repo = Repo(tmp_path / "repo")
    repo.create()
    repo.write("file", "one")
    repo.commit("one")
    lab = tmp_path / "lab"
    assert main.main(["init", str(lab), "--repository", str(repo.path)]) == 0
    (lab / "my.toml").write_text(SUBJECT.format(disk))
    (lab / "script").write_text(script)
    text = f'repository = "../repo"\nrecipe = "my.toml"\n[test]\nscript = "script"\nrun = "{run}"\n'
    (lab / "lab.toml").write_text(f"{text}silence = 100\ntimeout = 200\n[vm.ta]\n")
    doit(lab, "test:HEAD", code=None)
    (path,) = (lab / "cache" / "artifacts" / "verdict").glob("*/verdict.json")
    found = json.loads(path.read_text())
    assert found["outcome"] == outcome, found
    assert found["reason"].startswith(reason), found


THROUGH = """
repository = "demo"
recipe = "demo"
[install]
through = "build"
base = "../root.img"
[options]
kenv = "test=libctest"
[vm.ta]
"""


def test_installs_through(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """World and kernel onto a clone of a base root; the base and its kernel stay as they are."""
    tmp_path = tmp_path_factory.mktemp("through")
    base, lab = tmp_path / "root.img", tmp_path / "lab"
    (tmp_path / "tree" / "boot" / "kernel").mkdir(parents=True)
    (tmp_path / "tree" / "boot" / "kernel" / "kernel").write_text("known to be good")
    _image(base, tmp_path / "tree", "64M")
    before = digest.of_file(base, base.stat().st_size)
    assert main.main(["init", str(lab)]) == 0
    (lab / "lab.toml").write_text(THROUGH + MACHINE.format(disk))
    try:
        said = doit(lab, "test:HEAD:ta")
        assert said.lines("through vm build, onto"), said.text
        assert said.lines("good: all tests passed")
        (made,) = Store(lab / "cache").all("install")
        tree = lab / "cache" / "layers" / made.stack[0] / "t"
        shown = _inside(lab, tree / "disk.qcow2", "cat /x/boot/kernel/kernel; ls /x/boot /x/bin")
        assert "known to be good" in shown
        assert f"kernel.{made.commit[:12]}" in shown
        assert "uname" in shown
        assert digest.of_file(base, base.stat().st_size) == before
        assert not doit(lab, "install:HEAD:ta").lines("through vm")
        text = "cat /var/run/lab/dest/boot/kernel/kernel; touch /var/run/lab/dest/mine; exit 5"
        assert "known to be good" in doit(lab, "shell", "install:HEAD:ta", text, code=5).text
        doit(lab, "shell", "install:HEAD", "test ! -e /var/run/lab/dest/mine")

        _a_kernel_alone(lab, made)
        assert digest.of_file(base, base.stat().st_size) == before

        # doit is killed, then the machine: nothing is kept, and the next run goes on
        (lab / "cache" / "artifacts" / "install" / made.key / "manifest.json").unlink()
        for victim in ("doit", "machine"):
            with subprocess.Popen(
                [sys.executable, "-m", "doit", "install:HEAD:ta"], cwd=lab, env=environment(),
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            ) as install:  # fmt: skip
                logs = lab / "cache" / "logs"
                before_it = len(list(logs.glob("install-*")))
                wait_for(lambda: len(list(logs.glob("install-*"))) > before_it, seconds=120)  # noqa: B023
                if victim == "doit":
                    install.kill()
                else:
                    os.kill(vm._pid(lab / "cache" / "vm" / "build"), signal.SIGKILL)
                text, _ = install.communicate()
            if victim == "machine":
                assert "was lost while it installed" in text, text
            assert not Store(lab / "cache").all("install")

        _a_step_fails(lab)
        (tmp_path / "tree" / "filler").write_bytes(os.urandom(1_650_000))
        base.unlink()
        _image(base, tmp_path / "tree", "3M")
        said = doit(lab, "install:HEAD:ta", code=1)
        assert "no room on the root disk" in said.text, said.text
        assert "hint: a larger base" in said.text
        assert doit(lab, "ssh", "build", "mount").lines("/run/lab") == []
    finally:
        doit(lab, "down:build", code=None)


def _a_step_fails(lab: Path) -> None:
    """What is printed then is typed as it stands, and fails in the same way."""
    text = (SHIPPED / "demo.toml").read_text()
    assert "rm -rf {out}/tree/boot" in text
    (lab / "my.toml").write_text(text.replace("rm -rf {out}/tree/boot", "exit 3 #"))
    settings = (lab / "lab.toml").read_text()
    (lab / "lab.toml").write_text(settings.replace('recipe = "demo"', 'recipe = "my.toml"'))
    said = doit(lab, "install:HEAD:ta", code=1)
    assert re.search(r"install:\w+ is not installed: exit status 3$", said.text, re.MULTILINE)
    (line,) = said.lines("^  again: ")
    again = doit(lab, *line.partition("doit ")[2].split(), code=3)
    assert again.lines(r"^install:\w+: step 1 of 1: status 3$"), again.text
    (lab / "lab.toml").write_text(settings)


def _a_kernel_alone(lab: Path, made: Manifest) -> None:
    """The same world under another kernel: that alone is installed, beside the first."""
    said = doit(lab, "test:HEAD~2:ta")
    assert said.lines(f"the kernel alone, onto {made.name}"), said.text
    assert said.lines("good: all tests passed")
    other = Store(lab / "cache").all("install")[0]
    assert (other.rung, other.stack[1:]) == ("incremental", made.stack)
    above = lab / "cache" / "layers" / other.stack[0] / "t"
    shown = _inside(lab, above / "disk.qcow2", "ls /x/boot")
    for one in (made, other):
        assert f"kernel.{one.commit[:12]}" in shown
    (lab / "cache" / "artifacts" / "install" / other.key / "manifest.json").unlink()


BESIDE = """
repository = "demo"
recipe = "demo"
tracer = "depend"
[install]
through = "inst"
base = "../root.img"
[vm.ta]
"""


@pytest.mark.skipif(
    not os.environ.get("LABTASKS_LONG"), reason="LABTASKS_LONG is not set: ten minutes, emulated"
)
def test_eitri_and_brokkr(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The article's day: builds in a machine, one of them broken, and who is told; an installation
    from the first's obj fs, through another machine, while the next is being built.
    """
    tmp_path = tmp_path_factory.mktemp("eitri")
    lab = tmp_path / "lab"
    (tmp_path / "tree" / "boot").mkdir(parents=True)
    _image(tmp_path / "root.img", tmp_path / "tree", "64M")
    assert main.main(["init", str(lab)]) == 0
    machine = MACHINE.format(disk)
    text = BESIDE + machine + machine.replace("vm.build", "vm.inst")
    (lab / "lab.toml").write_text(text)
    programs(tmp_path / "bin")
    good, broken, mended, after = (f"bad~{n}" for n in (19, 18, 16, 15))

    def start(*words: str, url: str = "") -> subprocess.Popen[str]:
        path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
        return subprocess.Popen(
            words, cwd=lab, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=environment(PATH=path, LABTASKS_NOTIFY=url, NO_PROXY="127.0.0.1"),
        )  # fmt: skip

    def ended(one: subprocess.Popen[str], code: int) -> tuple[str, list[list[str]]]:
        """What it said, and its table's rows."""
        said, _ = one.communicate(timeout=900)
        assert one.returncode == code, said
        lines = said.rpartition("\n\n")[2].splitlines()[1:]
        return said, [re.split(" {2,}", line, maxsplit=5) for line in lines]

    try:
        # the machine was never up: eitri brings it up
        with hook() as there:
            words = ("-c", *(f"build/{ref}" for ref in (good, broken, mended)))
            said, rows = ended(start("muninn", "eitri", *words, url=there.url), 1)
        assert said.count("vm build: started") == 1
        assert [row[1] for row in rows] == [good, broken, mended]
        assert [row[5].partition(":")[0] for row in rows] == ["built", "failed", "built"]
        (got,) = there.got
        assert got["title"].startswith("eitri -c ")
        assert "failed with status 1" in got["title"]
        assert "sys/mstats.h: No such file" in got["message"].split("\n\n")[1]

        # two at once: that one builds must not keep the other from installing
        with start("eitri", f"build/{after}", f"build/{broken}") as build:
            logs = lab / "cache" / "logs"
            wait_for(lambda: any(logs.glob("*-c67e1b0*")), seconds=120)
            said, rows = ended(start("brokkr", f"build/{good}/ta"), 0)
            assert "through vm inst, onto" in said, said
            assert rows[0][5] == "installed"
            _, rows = ended(build, 1)
        assert rows[0][5] == "built"
        assert rows[1][5].startswith("failed: ")

        several = (f"build/{ref}/ta" for ref in (good, broken, mended))
        _, rows = ended(start("brokkr", "-c", *several), 1)
        assert [row[5].partition(":")[0] for row in rows] == ["was there", "failed", "installed"]
        assert doit(lab, "builder=build", f"test:{mended}:ta").lines("good: all tests passed")
    finally:
        doit(lab, "down:build", "down:inst", code=None)


def _image(path: Path, tree: Path, size: str) -> None:
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, path, size], check=True)


def _inside(lab: Path, image: Path, command: str) -> str:
    """What a command says of a disk, mounted at /x in the machine."""
    state = lab / "cache" / "vm" / "build"
    hotplug.plug(state, "seen", image, form="qcow2", read_only=True)
    mounted = f"mount -o ro $(find_disk seen) /x && {{ {command}; }}"
    said = doit(lab, "ssh", "build", f"{hotplug.FIND}mkdir -p /x; {mounted}; umount /x").text
    hotplug.unplug(state, "seen")
    return said
