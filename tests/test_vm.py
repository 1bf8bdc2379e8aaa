"""Machines go up and down, are found again after their starter was killed, and are never shared.

Most of these run a guest of 512 bytes that does nothing; the last one a whole Debian.
"""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from conftest import Said, behind, can_unshare, environment, wait_for

from labtasks.command import main
from labtasks.ground import digest, process
from labtasks.ground.error import InfraError
from labtasks.key import guest_tools
from labtasks.lab import lab as labs
from labtasks.lab import machine
from labtasks.lab.machine import Vm
from labtasks.store.store import Store
from labtasks.vm import image, qemu, vm, vm_files
from labtasks.vm.qmp import Monitor, forwards

TINY = '[vm.{}]\nimage = "sector.img"\nssh = {}\nmemory = 32\nstop = 0.5\naccel = "tcg"\n'


class Lab:
    """A folder with a lab.toml, and doit in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, text: str) -> None:
        with (self.folder / "lab.toml").open("a") as file:
            file.write(f"\n{text}\n")

    def replace(self, old: str, new: str) -> None:
        path = self.folder / "lab.toml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "doit", *words]

    def doit(self, *words: str, code: int = 0, data: str = "") -> Said:
        done = subprocess.run(
            self.argv(*words), cwd=self.folder, env=environment(), input=data,
            capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip
        said = Said(done.returncode, done.stdout + done.stderr)
        assert said.code == code, said.text
        return said

    @property
    def lab(self) -> labs.Lab:
        return labs.load(self.folder)

    def pid(self, name: str) -> int:
        return vm._pid(self.folder / "cache" / "vm" / name)


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if not shutil.which("qemu-system-x86_64"):
        pytest.skip("qemu-system-x86_64 is missing")
    folder = tmp_path_factory.mktemp("vm") / "lab"  # short: sockets are in there
    assert main.main(["init", str(folder)]) == 0
    made = Lab(folder)
    made.replace("\n[vm]\n", "\n")
    # cli; hlt; jmp to hlt: a guest that does nothing at no cost
    sector = bytes.fromhex("fa f4 eb fd").ljust(510, b"\0") + b"\x55\xaa"
    (folder / "sector.img").write_bytes(sector.ljust(1 << 20, b"\0"))
    yield made
    for state in (folder / "cache" / "vm").glob("*"):
        if pid := made.pid(state.name):
            os.kill(pid, signal.SIGKILL)


def test_up_and_down(lab: Lab) -> None:
    lab.add(TINY.format("ta", "false"))
    lab.doit("up:ta")
    pid = lab.pid("ta")
    assert pid
    said = lab.doit("up:ta")
    assert said.lines(f"runs already .process {pid}")
    lab.doit("down:ta")
    assert not lab.pid("ta")
    assert not process.command_of(pid)
    assert lab.doit("down:ta").lines("is not up")
    assert not list((lab.folder / "cache" / "vm" / "ta").glob("serial?"))


def test_both_in_one_command_and_listed(lab: Lab) -> None:
    lab.add(TINY.format("ta", "false") + TINY.format("tb", "false"))
    lab.doit("up:ta", "up:tb")
    assert lab.pid("ta") != lab.pid("tb")
    lab.doit("down:ta", "down:tb")
    assert lab.doit("list", "--all").lines("up:ta  .*amd64, 32 MiB")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("up:tb",), "'tb'\n  hint: did you mean 'ta'? lab.toml has a table [vm.<name>]"),
        (("up:",), "up: names no machine"),
        (("down",), "down: names no machine"),
        (("ssh", "ta"), "vm ta is not up\n  hint: doit up:ta"),
        (("ssh",), "which machine?"),
        (("console", "nn"), "no VM is called 'nn'"),
    ],
)
def test_wrong_names(lab: Lab, words: tuple[str, ...], part: str) -> None:
    lab.add(TINY.format("ta", "false"))
    assert part in lab.doit(*words, code=3).text


@pytest.mark.parametrize("visit", ["ssh", "console"])
def test_nobody_enters_a_test_vm(lab: Lab, visit: str) -> None:
    lab.add("[vm.tt]")
    said = lab.doit(visit, "tt", code=3).text
    assert "vm tt has no image: nobody can log in to it, not even while it is tested" in said
    assert "hint: `doit echo=yes boot:<ref>:tt` shows its console" in said


def test_the_starter_is_killed(lab: Lab) -> None:
    """At moments spread over a start: the next `up` has a machine, and only one."""
    lab.add(TINY.format("ta", "false"))
    for delay in (0.05, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.8):
        starter = subprocess.Popen(
            lab.argv("up:ta"), cwd=lab.folder, env=environment(), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.kill(starter.pid, signal.SIGKILL)
        starter.wait()
        lab.doit("up:ta")
        wait_for(lambda: _machines(lab) == [lab.pid("ta")])  # one that came too late ends
        lab.doit("down:ta")
        wait_for(lambda: not _machines(lab))


def _machines(lab: Lab) -> list[int]:
    mark = str(lab.folder / "cache" / "vm")
    pids = (int(p) for p in os.listdir("/proc") if p.isdigit())
    found = ((pid, process.command_of(pid)) for pid in pids)
    return [pid for pid, words in found if words and "qemu" in words[0] and mark in " ".join(words)]


def test_one_that_hangs_is_ended(lab: Lab) -> None:
    lab.add(TINY.format("ta", "false"))
    lab.doit("up:ta")
    pid = lab.pid("ta")
    os.kill(pid, signal.SIGSTOP)
    lab.doit("down:ta")
    assert not process.command_of(pid)


def test_one_that_was_killed_is_started_again(lab: Lab) -> None:
    lab.add(TINY.format("ta", "false"))
    lab.doit("up:ta")
    pid = lab.pid("ta")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not process.command_of(pid))
    lab.doit("up:ta")
    assert lab.pid("ta") not in (0, pid)


def test_a_process_id_of_somebody_else(lab: Lab) -> None:
    """A stale pidfile names a process that is not ours: it is not touched."""
    lab.add(TINY.format("ta", "false"))
    state = lab.folder / "cache" / "vm" / "ta"
    state.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as other:
        (state / "pid").write_text(str(other.pid))
        assert lab.doit("down:ta").lines("is not up")
        lab.doit("up:ta")
        lab.doit("down:ta")
        assert other.poll() is None
        other.kill()


def test_ports_are_of_the_loopback_and_qemus_choice(lab: Lab) -> None:
    lab.add(TINY.format("ta", "true") + "start = 0.2\n" + TINY.format("tb", "true"))
    said = lab.doit("up:ta", code=1)  # nobody in there speaks ssh
    assert said.lines("cannot be reached over ssh after 0 s")
    assert said.lines(r"hint: .*console is \S+/console.log")
    with Monitor(machine.monitor(lab.folder / "cache" / "vm" / "ta")) as monitor:
        usernet = monitor.human("info usernet")
    assert "127.0.0.1" in usernet
    (port,) = forwards(usernet).values()
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        pass
    text = (lab.folder / "lab.toml").read_text().rpartition("ssh = true")
    (lab.folder / "lab.toml").write_text(f"{text[0]}ssh = {port}{text[2]}")
    said = lab.doit("up:tb", code=1)
    assert said.lines("hint: the port is taken")
    assert not lab.pid("tb")


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('image = "sector.img"', "", "hint: `doit test:<ref>:ta`, or set `image` in [vm.ta]"),
        ("sector.img", "none.img", "No such file or directory"),
        ("memory = 32", 'digest = "00"\nmemory = 32', "is not the image that lab.toml means"),
        ("memory = 32", 'kernel = "none"\nmemory = 32', "hint: image, kernel, initrd and disks"),
        ("memory = 32", 'arguments = ["-nonsense"]\nmemory = 32', "invalid option"),
        ("memory = 32", "memory = 3000000000", "hint: "),
    ],
)
def test_what_cannot_start(lab: Lab, old: str, new: str, part: str) -> None:
    lab.add(TINY.format("ta", "false"))
    lab.replace(old, new)
    said = lab.doit("up:ta", code=1)
    assert part in said.text, said.text
    assert not lab.pid("ta")


@pytest.mark.skipif(not can_unshare("root"), reason="no mount namespace to be had")
@pytest.mark.parametrize("full", ["cache", "."])
def test_no_room_for_its_disk(lab: Lab, full: str) -> None:
    """The cache is full, or the lab it is in: said, and nothing half written is left."""
    lab.add(TINY.format("ta", "false"))
    (lab.folder / "cache").mkdir(exist_ok=True)
    lab.doit("list")
    lab.doit("down:ta")
    doit = " ".join(lab.argv("up:ta"))
    text, codes = behind(
        lab.folder,
        f"(cd ..; mkdir -p full; mount -t tmpfs -o size=4m tmpfs full; cp -a lab/{full}/. full; "
        f"mount --move full lab/{full}); cd $PWD; cat /dev/zero >{full}/filler 2>/dev/null",
        doit,
        "find . -name '*.new' | wc -l",
    )
    assert "Traceback" not in text, text
    assert "no space left" in text
    assert "hint: free some space" in text
    assert codes[0] in (1, 3), text
    assert text.splitlines()[-2] == "0", text


def test_the_image_is_never_written_and_checked(lab: Lab) -> None:
    path = lab.folder / "sector.img"
    known = digest.of_file(path, path.stat().st_size)
    lab.add(TINY.format("ta", "false") + f'digest = "{known}"\n')
    lab.doit("up:ta", "down:ta")
    layer = lab.folder / "cache" / "vm" / "ta" / "root.qcow2"
    before = layer.stat().st_ino
    lab.doit("up:ta", "down:ta")
    assert layer.stat().st_ino == before
    assert digest.of_file(path, path.stat().st_size) == known
    path.write_bytes(path.read_bytes() + bytes(512))
    assert lab.doit("up:ta", code=1).lines("is not the image")
    lab.replace(f'digest = "{known}"\n', "")
    assert lab.doit("up:ta").lines("another image, so a new disk over it")


def test_an_exchanged_image_is_another_machine(lab: Lab) -> None:
    """One that runs on the old image would tell the new one's keys what the old one's tools are."""
    lab.add(TINY.format("ta", "false"))
    shutil.copy(lab.folder / "sector.img", lab.folder / "other.img")
    lab.doit("up:ta")
    first = lab.pid("ta")
    lab.replace("sector.img", "other.img")
    with Store(lab.folder / "cache").visit("ta"):
        said = lab.doit("up:ta", code=1)
        assert said.lines("somebody is at its console")
        assert said.lines("hint: `doit down:ta`")
        assert lab.pid("ta") == first
    said = lab.doit("up:ta")
    assert said.lines("runs on .*sector.img, and lab.toml names another image: it is brought down")
    assert lab.pid("ta") not in (0, first)
    second = lab.pid("ta")
    assert lab.doit("up:ta").lines("runs already")
    os.utime(lab.folder / "other.img")  # its stamp stands for what is in it
    lab.doit("up:ta")
    assert lab.pid("ta") not in (0, second)
    third = lab.pid("ta")
    lab.replace("other.img", "none.img")
    assert lab.doit("up:ta", code=1).lines("No such file or directory")
    assert lab.pid("ta") == third  # nothing to start instead


def test_an_exchanged_image_is_learned_anew(lab: Lab) -> None:
    """What the machine said holds for the image it ran on, and for no other."""
    lab.add(TINY.format("ta", "false"))
    shutil.copy(lab.folder / "sector.img", lab.folder / "other.img")
    asked: list[str] = []

    def answer(text: str) -> str:
        asked.append(text)
        return f"Linux\nrelease {len(asked)}\n\n" + "\0gcc 12" * text.count("printf")

    guest_tools.learn(lab.lab.built_by("ta"), answer)
    guest_tools.learn(lab.lab.built_by("ta"), answer)
    assert len(asked) == 1
    lab.replace("sector.img", "other.img")
    assert not guest_tools.is_known(lab.lab.built_by("ta"))
    guest_tools.learn(lab.lab.built_by("ta"), answer)
    assert dict(guest_tools.learned(lab.lab.built_by("ta")).answers)["builder"] == "release 2"


def test_a_kernel_beside_the_image_is_taken(lab: Lab) -> None:
    """So one line of lab.toml exchanges a release."""
    lab.add(TINY.format("ta", "false"))
    described = lab.lab.vm("ta")
    assert vm_files.with_kernel(described, lab.lab) == described
    (lab.folder / "sector.kernel").write_bytes(b"k")
    assert vm_files.with_kernel(described, lab.lab) == described  # one of them is not a pair
    (lab.folder / "sector.initrd").write_bytes(b"i")
    found = vm_files.with_kernel(described, lab.lab)
    assert found.kernel == str(lab.folder / "sector.kernel")
    assert found.initrd == str(lab.folder / "sector.initrd")
    for setting in ("kernel", "initrd", "firmware"):
        other = msgspec.structs.replace(described, **{setting: "mine"})
        assert vm_files.with_kernel(other, lab.lab) == other
    assert "kernel" not in image.settings("build", lab.folder / "disk.img")


def test_one_that_cannot_be_reached_is_started_once_more(lab: Lab) -> None:
    """A killed run may leave a guest that hangs behind a monitor that answers."""
    lab.add(TINY.format("ta", "true") + "start = 0.2\n")
    said = lab.doit("up:ta", code=1)  # nobody speaks ssh; it is left for a person to look at
    assert said.lines("hint: a larger `start` in .vm.ta., .*: `doit console ta`")
    first = lab.pid("ta")
    assert first
    with Store(lab.folder / "cache").visit("ta"):
        lab.doit("up:ta", code=1)
        assert lab.pid("ta") == first  # that person does
    said = lab.doit("up:ta", code=1)
    assert said.lines("vm ta: it ran already and cannot be reached.*: it is ended")
    assert lab.pid("ta") not in (0, first)


def test_who_waits_is_told_for_whom(lab: Lab) -> None:
    lab.add(TINY.format("ta", "false"))
    store = Store(lab.folder / "cache")
    with store.machine("ta", "test:somebody"):
        waiting = subprocess.Popen(
            lab.argv("up:ta"), cwd=lab.folder, env=environment(), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert waiting.stdout
        line = next(li for li in waiting.stdout if "waiting" in li)
        assert "waiting for test:somebody (process" in line
        assert not lab.pid("ta")
    waiting.communicate()
    assert waiting.returncode == 0
    assert lab.pid("ta")


def test_console(lab: Lab) -> None:
    """The guest echoes what is typed; Ctrl-] leaves it running."""
    echo = bytes.fromhex(
        "fa baf903 b000 ee"  # cli; no interrupts of the port
        "baf803 b03e ee"  # '>': the firmware has done its work
        "bafd03 ec a801 74f8"  # until a byte is there
        "baf803 ec ee ebf1"  # read it, write it
    )
    sector = echo.ljust(510, b"\0") + b"\x55\xaa"
    (lab.folder / "sector.img").write_bytes(sector.ljust(1 << 20, b"\0"))
    lab.add(TINY.format("ta", "false"))
    lab.doit("up:ta")
    log = lab.folder / "cache" / "vm" / "ta" / "console.log"
    wait_for(lambda: ">" in log.read_text())
    with subprocess.Popen(
        lab.argv("console", "ta"), cwd=lab.folder, env=environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as piped:  # fmt: skip
        assert piped.stdin
        piped.stdin.write("hello")
        piped.stdin.flush()
        wait_for(lambda: "hello" in log.read_text())
        said, _ = piped.communicate(timeout=120)
    assert piped.returncode == 0
    assert "hello" in said

    leader, follower = pty.openpty()
    person = subprocess.Popen(
        lab.argv("console", "ta"), cwd=lab.folder, env=environment(), stdin=follower,
        stdout=follower, stderr=follower, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    seen = b""
    while b"leaves it]" not in seen:
        seen += os.read(leader, 4096)
    wait_for(lambda: not termios.tcgetattr(leader)[3] & termios.ISIG)
    os.write(leader, b"\x03more")  # Ctrl-C is the machine's
    while b"more" not in seen:
        seen += os.read(leader, 4096)
    os.write(leader, b"\x1d")
    with contextlib.suppress(OSError):
        while data := os.read(leader, 4096):
            seen += data
    assert person.wait(timeout=120) == 0
    assert b"detached" in seen
    assert b"hello" in seen  # what was said before
    assert lab.pid("ta")
    os.close(leader)


def test_a_path_too_long_for_a_socket(lab: Lab) -> None:
    lab.add(TINY.format("t" * 90, "false"))
    assert lab.doit(f"up:{'t' * 90}", code=1).lines("too long for a socket")


def test_a_monitor_that_is_silent(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="no answer from QEMU"):
        Monitor(tmp_path / "none")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        with pytest.raises(InfraError, match="timed out"):
            Monitor(tmp_path / "s", timeout=0.2)


def test_every_setting_reaches_the_machine(tmp_path: Path) -> None:
    """Changing any of them changes QEMU's command line, or is one of those for the lab itself."""
    state = tmp_path / "s"

    def words(**changed: object) -> list[str]:
        described = msgspec.convert({"image": "i", **changed}, Vm)
        made = machine.compose(
            described, name="n", state=state, lab=tmp_path, accel="tcg", firmware=""
        )
        return qemu.argv(made)

    changes: dict[str, object] = {
        "arch": "aarch64", "type": "q35", "memory": 99, "cpus": 3, "kernel": "k", "initrd": "i",
        "append": "a", "disks": ["d"], "ssh": 2222, "seed": False, "serial": 2, "arguments": ["-x"],
    }  # fmt: skip
    for name, value in changes.items():
        assert words(**{name: value}) != words(), name
    files = {"image", "digest", "base", "base_digest", "firmware"}
    others = {"system", "accel", "user", "start", "stop"}
    assert set(changes) | files | others == set(Vm.__struct_fields__)


def test_usernet_is_parsed() -> None:
    text = """Hub -1 (net0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[HOST_FORWARD]  15       127.0.0.1 38533       10.0.2.15    22     0     0
  TCP[HOST_FORWARD]  16         0.0.0.0  1234       10.0.2.15    80     0     0
  UDP[236 sec]       17       10.0.2.15 46545        10.0.2.3    53     0     0
"""
    assert forwards(text) == {22: 38533}
