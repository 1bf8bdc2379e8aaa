"""Disks plugged into a machine that runs, found there by Linux or FreeBSD, and taken out again.

A disk's name is its serial number, by which the guest finds it. Knows nothing of what is on it, nor
of whether somebody has mounted it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from labtasks.ground.error import InfraError
from labtasks.lab import machine
from labtasks.lab.lab import Lab
from labtasks.vm import vm
from labtasks.vm.qmp import Monitor
from labtasks.vm.vm import Running

FIND = """\
find_disk() {
	tries=0
	while [ $tries -lt 100 ]; do
		if [ "$(uname -s)" = Linux ]; then
			for disk in /sys/block/*; do
				[ "$(cat "$disk/serial" 2>/dev/null)" = "$1" ] || continue
				echo "/dev/${disk##*/}"
				return
			done
		else
			devctl rescan pci0 >/dev/null 2>&1 || :
			for disk in /dev/vtbd[0-9] /dev/vtbd[0-9][0-9]; do
				[ "$(diskinfo -s "$disk" 2>/dev/null)" = "$1" ] || continue
				echo "$disk"
				return
			done
		fi
		sleep 0.1; tries=$((tries + 1))
	done
	echo "the disk $1 does not appear" >&2
	exit 1
}
"""
"""Shell text of the guest: `find_disk <name>` prints the device."""

_PATIENCE = 20.0
"""Seconds in which a guest lets go of a disk."""


class Disks(Protocol):
    """What somebody has plugged into a machine."""

    def close(self) -> None:
        """Take out what is there, cleanly. Raises InfraError when it cannot be had back."""


D = TypeVar("D", bound=Disks)


@contextlib.contextmanager
def lent(lab: Lab, name: str, use: Callable[[Running], D]) -> Iterator[D]:
    """A machine for somebody who holds its lock and plugs disks in: brought up if need be, with
    none of those disks in it, before and after. One that does not give them back is ended.
    """
    disks = use(vm.raised(lab, name))
    try:
        disks.close()  # what a killed run left
    except InfraError:
        vm.cut(lab, name)
        disks = use(vm.raised(lab, name))
    try:
        yield disks
    finally:
        try:
            disks.close()
        except InfraError:
            vm.cut(lab, name)


def plug(state: Path, name: str, image: Path, *, form: str, read_only: bool = False) -> None:
    """Attach an image (raw or qcow2) to the machine of the folder `state`; what the guest trims
    is given back. Raises InfraError.
    """
    with Monitor(machine.monitor(state), timeout=_PATIENCE) as monitor:
        both = {"read-only": read_only, "discard": "unmap"}
        file = {"driver": "file", "filename": str(image), **both}
        node = {"node-name": name, "file": file, **both}
        monitor.execute("blockdev-add", driver=form, **node)
        monitor.execute("device_add", driver="virtio-blk-pci", drive=name, id=name, serial=name)


def plugged(state: Path) -> set[str]:
    """The disks that are in a machine, and whatever else was plugged into it."""
    with Monitor(machine.monitor(state), timeout=_PATIENCE) as monitor:
        return _plugged(monitor)


def unplug(state: Path, *names: str) -> None:
    """Take disks out; those that are not there count as taken out. Raises InfraError when the guest
    does not let go.

    One after the other: FreeBSD 14 panics when two leave it at the same moment.
    """
    with Monitor(machine.monitor(state), timeout=_PATIENCE) as monitor:
        ends = time.monotonic() + _PATIENCE
        for name in names:
            if name in _plugged(monitor):
                monitor.execute("device_del", id=name)
            while name in _nodes(monitor):
                try:
                    monitor.execute("blockdev-del", **{"node-name": name})
                except InfraError:  # the guest has not let go of it yet
                    if time.monotonic() > ends:
                        raise
                    time.sleep(0.05)


def _plugged(monitor: Monitor) -> set[str]:
    return {one["name"] for one in monitor.execute("qom-list", path="/machine/peripheral")}


def _nodes(monitor: Monitor) -> set[str]:
    return {node["node-name"] for node in monitor.execute("query-named-block-nodes")}
