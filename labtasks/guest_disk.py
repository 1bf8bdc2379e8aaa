"""The disk on which a build machine builds: plugged into the running machine, mounted, taken out.

Its file system has the folders src, obj, files, out and home. A new one is a qcow2 over an older
one, so a clone costs nothing; the older one is never written. Knows nothing of what is built.
"""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from labtasks import machine, qcow2, ssh
from labtasks.error import InfraError, LostError
from labtasks.qmp import Monitor
from labtasks.ssh import Remote

SIZE = 64 << 30
"""Bytes that an empty disk has room for; the file is as large as what was written."""

_ID = "labobj"
"""QEMU's name for the disk, and the serial number by which the guest finds it."""

_FIND = f"""\
tries=0
while [ $tries -lt 100 ]; do
	for disk in /sys/block/*; do
		[ "$(cat "$disk/serial" 2>/dev/null)" = {_ID} ] && dev=/dev/${{disk##*/}} && break 2
	done
	sleep 0.1; tries=$((tries + 1))
done
[ -b "$dev" ] || {{ echo "the disk does not appear" >&2; exit 1; }}
"""

_EMPTY = "mke2fs -q -F -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=1,nodiscard $dev\n"
"""No journal: a disk that was not unmounted is thrown away anyhow."""

_MOUNT = """\
mount -o noatime $dev {root}
cd {root}
rm -rf files out home
mkdir -p src obj files out home
"""

_TIDY = """\
if [ -f /run/step ]; then
	kill -KILL -- -"$(cat /run/step)" 2>/dev/null
	rm -f /run/step
fi
tries=0
while mountpoint -q {root}; do
	umount {root}/src 2>/dev/null
	umount {root} 2>/dev/null && break
	[ $tries -lt 50 ] || exit 1
	sleep 0.1; tries=$((tries + 1))
done
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestDisk:
    """Where a build disk is plugged: the machine's folder, the way in, and where it is mounted."""

    state: Path
    to: Remote
    root: str

    def mount(self, image: Path, base: Path | None) -> None:
        """Make `image` (over `base`, or empty), plug it in and mount it. Raises InfraError."""
        qcow2.create(image, below=base, size=SIZE)
        with Monitor(machine.monitor(self.state), timeout=20) as monitor:
            file = {"driver": "file", "filename": str(image)}
            monitor.execute("blockdev-add", driver="qcow2", **{"node-name": _ID, "file": file})
            device = {"driver": "virtio-blk-pci", "drive": _ID, "id": _ID, "serial": _ID}
            monitor.execute("device_add", **device)
        make = "" if base else _EMPTY
        self.run(f"set -e\n{_FIND}{make}{_MOUNT.format(root=self.root)}")

    def unmount(self) -> None:
        """End what still runs on the disk, unmount it cleanly and take it out; nothing when it is
        not there. Raises InfraError when it cannot be had back.
        """
        self.run(_TIDY.format(root=self.root))
        with Monitor(machine.monitor(self.state), timeout=20) as monitor:
            ends = time.monotonic() + 20
            plugged = monitor.execute("qom-list", path="/machine/peripheral")
            if any(device["name"] == _ID for device in plugged):
                monitor.execute("device_del", id=_ID)
            while any(n["node-name"] == _ID for n in monitor.execute("query-named-block-nodes")):
                try:
                    monitor.execute("blockdev-del", **{"node-name": _ID})
                except InfraError:  # the guest has not let go of it yet
                    if time.monotonic() > ends:
                        raise
                    time.sleep(0.05)

    def lost(self, said: str) -> LostError:
        """The refusal for a machine that is gone."""
        return LostError(
            f"vm {self.to.name} was lost in mid-build ({said})",
            hint=f"nothing of the build is kept; its console: {machine.serial_log(self.state)}",
        )

    def run(self, script: str, *, data: bytes = b"") -> str:
        """Run shell text in the guest; what it prints. Raises InfraError when it fails, LostError
        when it could not be run.
        """
        try:
            answer = ssh.query(self.to, f"sh -c {shlex.quote(script)}", data=data, timeout=600)
        except InfraError as error:
            raise self.lost(error.message) from None
        if answer.code:
            said = (answer.error.strip().splitlines() or [f"status {answer.code}"])[-1]
            raise InfraError(
                f"vm {self.to.name}: its build disk: {said}",
                hint=f"`doit down:{self.to.name}` and again",
            )
        return answer.text
