"""Files written whole or not at all, as others see them, and after a crash.

Knows nothing of what is in them.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a file in place of what it was. Raises OSError."""
    scratch = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with scratch.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:  # Ctrl-C, too
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise
