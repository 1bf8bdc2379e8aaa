"""What it takes to make a Debian for a lab's machines."""

from __future__ import annotations

import os
import shutil
import socket

import pytest


def needed() -> None:
    """Skip where no Debian can be made, or none can be started."""
    if os.geteuid() != 0:
        pytest.skip("only root makes a root disk")
    for tool in ("mmdebstrap", "mke2fs", "qemu-system-x86_64", "ssh"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is missing")
    try:
        socket.create_connection(("deb.debian.org", 80), timeout=5).close()
    except OSError as error:
        pytest.skip(f"Debian's packages cannot be reached: {error}")
