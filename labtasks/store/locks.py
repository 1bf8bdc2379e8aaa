"""What a process holds: locks, and scratch folders. When it is killed, both are free.

Knows nothing of what is locked, nor of what lies in a folder.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from labtasks.ground import live
from labtasks.ground.error import UserError
from labtasks.store import layer

if TYPE_CHECKING:
    import filelock

_YOUNG = 10.0
"""Seconds in which a folder without an owner is about to get one."""


@contextlib.contextmanager
def held(lock: Path, purpose: str) -> Iterator[None]:
    """Hold a lock, a file's. Who waits for it is told what for. Raises UserError where nothing can
    be written.
    """
    import filelock  # noqa: PLC0415 (an up-to-date run locks nothing)

    about = lock.with_suffix(".owner")
    file = filelock.FileLock(lock)
    try:
        file.acquire(timeout=0)
    except filelock.Timeout:
        _wait(file, about)
    except OSError as error:
        raise UserError(
            f"{lock.parent.parent} cannot be written to: {error.strerror}",
            hint="another `cache` in lab.toml, or make it writable",
        ) from None
    try:
        about.write_text(f"{purpose} (process {os.getpid()}, since {time.strftime('%H:%M:%S')})")
        yield
    finally:
        about.unlink(missing_ok=True)
        file.release()


def _wait(file: filelock.BaseFileLock, about: Path) -> None:
    """Take a lock that another holds, and say what for as soon as that one has written it down."""
    import filelock  # noqa: PLC0415

    said = ""
    while not said:
        with contextlib.suppress(filelock.Timeout):
            file.acquire(timeout=0.05)
            return
        with contextlib.suppress(OSError):
            said = about.read_text()
    live.clear()
    with contextlib.suppress(OSError):
        sys.stderr.write(f"waiting for {said}\n")
    file.acquire()


def taken(lock: Path) -> bool:
    """Whether somebody holds a lock now."""
    try:
        with lock.open("r+") as file:
            return not _flock(file)
    except OSError:
        return False


@contextlib.contextmanager
def scratch(folder: Path, name: str) -> Iterator[Path]:
    """A folder of this process, gone afterwards; those of dead owners go first."""
    clear_dead(folder)
    path = folder / f"{name}.{os.getpid()}.{time.monotonic_ns()}"
    path.mkdir()
    with (path / "owner.new").open("w") as owner:
        _flock(owner)
        (path / "owner.new").rename(path / "owner")  # whoever sees it without a lock clears it
        try:
            yield path
        finally:
            layer.remove(path)


def clear_dead(folder: Path) -> None:
    """Remove what killed processes left in a folder of scratch folders."""
    for path in filter(Path.is_dir, folder.iterdir()):
        try:
            with (path / "owner").open("r+") as owner:
                if not _flock(owner):
                    continue
        except FileNotFoundError:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime < _YOUNG:
                    continue
        with contextlib.suppress(FileNotFoundError):
            layer.remove(path)


def _flock(file: IO[str]) -> bool:
    import fcntl  # noqa: PLC0415 (not on every platform that can read this module)

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
