"""One processor for a traced build that has little to do.

A traced process stops at every file call and its tracer wakes; on two processors each stop wakes
an idle one, which takes several times as long as the call (measured in a virtual machine: 80 to
200 microseconds against 25). A step of a few jobs gains more from staying on one processor than
it loses. Linux only; it knows nothing of builds.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from labtasks.ground import process

_LOST = 1.5
"""Seconds that may be lost because jobs do not run side by side."""

_IDLE = slice(3, 5)  # idle, and waiting for a disk


def pays(work: float) -> bool:
    """Whether staying on one is worth it for that much work, in seconds of a whole machine."""
    return work * ((os.cpu_count() or 1) - 1) < _LOST


def idle() -> dict[int, int]:
    """How long each processor that this program may use has been idle, in ticks."""
    if sys.platform != "linux":
        return {}
    allowed = os.sched_getaffinity(0)
    found = {}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *ticks = line.split()
        number = name.removeprefix("cpu")
        if number.isdigit() and int(number) in allowed:
            found[int(number)] = sum(map(int, ticks[_IDLE]))
    return found


def one(before: Mapping[int, int]) -> list[str]:
    """The beginning of a command line that keeps to the processor most idle since `before`."""
    now = idle()
    if len(now) <= 1 or not shutil.which("taskset", path=process.PATH):
        return []
    # of equals another one for each program: two steps at once should not meet
    order = sorted(now, key=lambda n: ((n + os.getpid()) % len(now), n))
    return ["taskset", "-c", str(max(order, key=lambda n: now[n] - before.get(n, 0)))]
