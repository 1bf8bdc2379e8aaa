"""A disk that is full, and how that is said.

Knows nothing of who was writing.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from labtasks.ground.error import InfraError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says of a disk, or of a person's share of it, that is full."""


_LEAST = 1 << 20
"""Free bytes below which a disk counts as full."""


def is_full(path: Path) -> bool:
    """Whether nothing more can be written to the file system of a path; root may use what is kept
    for it. False where there is no such path.
    """
    try:
        there = os.statvfs(path)
    except OSError:
        return False
    blocks = there.f_bavail if os.geteuid() else there.f_bfree
    return there.f_blocks > 0 and blocks * there.f_frsize < _LEAST


@contextlib.contextmanager
def given_space() -> Iterator[None]:
    """A disk that is full becomes a refusal, whoever was writing to it. Raises InfraError."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise no_space(error) from None


def no_space(error: OSError) -> InfraError:
    """The refusal for a full disk."""
    return InfraError(
        f"no space left while writing {error.filename or 'the cache'}",
        hint="free some space (`doit clean <task>` removes an artifact) and run the command again",
    )
