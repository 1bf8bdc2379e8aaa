from __future__ import annotations

import shutil
import subprocess

import pytest

from labtasks.ground.process import PACKAGES
from labtasks.vm.qemu import ARCHES, Drive, Forward, Machine, argv


def test_a_kernel_loaded_by_qemu_itself():
    words = argv(Machine(kernel="/k", initrd="/r", append="a=b c", memory=128, serials=("stdio",)))
    assert words[:5] == ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"]
    assert words[words.index("-append") + 1] == "a=b c"
    assert "-no-reboot" in words
    assert "-netdev" not in words


def test_disks_stay_in_order_and_commas_are_doubled():
    words = argv(Machine(drives=(Drive(file="/a,b", format="fat"), Drive(file="/root.img"))))
    sources = [words[n + 1] for n, word in enumerate(words) if word == "-drive"]
    assert sources == [
        "if=none,id=disk0,format=raw,readonly=on,file=fat:/a,,b",
        "if=none,id=disk1,format=raw,snapshot=on,werror=report,file=/root.img",
    ]


def test_ports_are_those_of_the_loopback_only():
    words = argv(Machine(network=True, forwards=(Forward(host=0, guest=22),)))
    assert "user,id=net0,hostfwd=tcp:127.0.0.1:0-:22" in words


def test_accelerated_guests_get_the_hosts_processor():
    words = argv(Machine(arch="aarch64", accel="hvf", firmware="/edk2.fd"))
    assert words[0] == "qemu-system-aarch64"
    assert words[words.index("-cpu") + 1] == "host"
    assert "if=pflash,format=raw,readonly=on,file=/edk2.fd" in words


def test_a_board_has_its_own_processor():
    assert "-cpu" not in argv(Machine(arch="armv7", type="lm3s6965evb"))
    assert "-cpu" in argv(Machine(arch="amd64", type="q35"))


@pytest.mark.parametrize("arch", ARCHES)
def test_every_architecture_has_its_emulator(arch):
    """QEMU itself knows the machine and the processor; where it is missing its package is told."""
    words = argv(Machine(arch=arch, arguments=("-S",)))
    assert words[0] in PACKAGES
    if not shutil.which(words[0]):
        pytest.skip(f"{words[0]} is missing")
    monitor = ["-serial", "none", "-monitor", "stdio"]
    plain = [word for word in words if word not in ("-serial", "stdio")]
    done = subprocess.run(
        [*plain, *monitor], input="quit\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_machine_with_one_serial_port_gets_more_on_cards():
    ports = ("file:/console", "file:/a,b")
    words = argv(Machine(arch="aarch64", serials=ports))
    assert words.count("-serial") == 1
    assert words[words.index("-chardev") + 1] == "file,path=/a,,b,id=port1"
    assert words[words.index("-device") + 1] == "pci-serial,chardev=port1"
    assert argv(Machine(serials=ports)).count("-serial") == 2
    assert argv(Machine(arch="aarch64", type="raspi3b", serials=ports)).count("-serial") == 2
    words = argv(Machine(arch="aarch64", serials=("stdio", "unix:/s,server=on,wait=off")))
    assert "socket,path=/s,server=on,wait=off,id=port1" in words
