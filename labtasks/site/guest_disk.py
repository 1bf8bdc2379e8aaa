"""The disk on which a build machine builds: plugged into the running machine, mounted, taken out.

Its file system has the folders of a site. A new one is a qcow2 over an older one, so a clone costs
nothing; the older one is never written. Knows nothing of what is built.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path

from labtasks.ground.error import InfraError
from labtasks.ground.namespace import ROOT
from labtasks.ground.space import is_full, no_space
from labtasks.lab import machine
from labtasks.site.site import END_STEP, STEP, Site
from labtasks.site.ssh import shell
from labtasks.store.layer import LayerId
from labtasks.vm import hotplug, qcow2

DISK = "disk.qcow2"
"""Its name in the layer it is kept with."""

SIZE = 64 << 30
"""Bytes that an empty disk has room for; the file is as large as what was written."""

_ID = "labobj"
"""The disk's name in the machine."""

_FIND = f"""\
set -e
{hotplug.FIND}
system=$(uname -s)
dev=$(find_disk {_ID})
"""

_EMPTY = """\
if [ "$(uname -s)" = Linux ]; then
	mke2fs -q -F -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=1,nodiscard $dev
else
	newfs $dev >/dev/null
fi
"""
"""No journal: a disk that was not unmounted is thrown away anyhow."""

_MOUNT = f"""\
[ $system = Linux ] && trim=,discard || trim=
mount -o noatime$trim $dev {ROOT}
cd {ROOT}
mkdir -p src obj files out home
"""
"""What is removed takes no room: the disk is kept, with all that it was ever written."""

_EMPTIED = f"find {ROOT}/files {ROOT}/out {ROOT}/home -mindepth 1 -delete\n"
"""What no later build is to see. The folders stay, for a file system makes each elsewhere."""

_FREEZE = f"""\
if [ "$(uname -s)" = Linux ]; then
	mount --bind {ROOT}/src {ROOT}/src && mount -o remount,ro,bind {ROOT}/src && echo frozen
fi
"""
"""The BSDs' nullfs cannot lie over itself."""

_TIDY = f"""\
{END_STEP}
if [ -f {STEP} ]; then
	end_step {STEP}
	rm -f {STEP}
fi
tries=0
while mount | grep -q ' on {ROOT} '; do
	umount {ROOT}/src 2>/dev/null
	umount {ROOT} 2>/dev/null && break
	[ $tries -lt 50 ] || exit 1
	sleep 0.1; tries=$((tries + 1))
done
"""


@dataclass(slots=True, kw_only=True)
class GuestDisk(Site):
    """A build disk of a virtual machine; `state` is the machine's folder."""

    state: Path
    _below: Path | None = None
    _gone: bool = False

    ours = True

    def open(self, scratch: Path, layers: Path, base: LayerId | None, first: str) -> str:
        self._gone = False
        self._below = layers / base / DISK if base else None
        image = scratch / DISK
        qcow2.create(image, below=self._below, size=SIZE)
        hotplug.plug(self.state, _ID, image, form="qcow2")
        return self.run(first + _FIND + ("" if base else _EMPTY) + _MOUNT)

    def keeps(self, layers: Path, name: LayerId) -> bool:
        return (layers / name / DISK).exists()

    def within(self, text: str) -> str:
        return shell(text)

    def freeze(self) -> None:
        self.frozen = bool(self.run(_FREEZE))

    def detach(self) -> None:
        if self.frozen:
            self.run(f"umount {ROOT}/src")

    def keep(self, layers: Path, scratch: Path, name: LayerId) -> None:
        del layers, name  # it goes where the layer goes
        self.run(_EMPTIED)
        self.close()
        if self._below:  # the first one of a world is large, and read by all that follow
            qcow2.pack(scratch / DISK, below=self._below)
        (scratch / DISK).rename(scratch / "layer" / DISK)

    def close(self) -> None:
        """End what still runs on the disk, unmount it cleanly and take it out; nothing when it is
        not there. Raises InfraError when it cannot be had back.
        """
        if self._gone:
            return
        if _ID in hotplug.plugged(self.state):
            self.run(_TIDY)
        hotplug.unplug(self.state, _ID)
        self._gone = True

    def lost(self, said: str) -> InfraError:
        """One whose disks can grow no more stands still: trying it again would not help."""
        if is_full(self.state):
            return no_space(OSError(errno.ENOSPC, said, str(self.state)))
        return Site.lost(self, said)

    def console(self) -> str:
        return f"its console: {machine.serial_log(self.state)}; `doit down:{self.to.name}` ends it"
