"""The journal of a bisect: one event a line, only ever added to, on disk before work goes on.

What was said before a crash is read again after it; a line that a crash cut short was never said.
One process at a time may write. Knows nothing of what the events mean.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from io import FileIO
from pathlib import Path

import msgspec

from labtasks.bisect.progress import AnyEvent, State, Told, Undo, state
from labtasks.ground.error import InfraError, UserError, printable
from labtasks.ground.space import FULL, no_space
from labtasks.key.git import CommitId


def path_of(cache: Path) -> Path:
    """Where a lab's journal is."""
    return cache / "bisect" / "journal"


def read(path: Path) -> tuple[AnyEvent, ...]:
    """All events of a journal; none when there is no such file. Needs no lock.

    Raises UserError when a line in the middle is damaged.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    events = []
    for number, line in enumerate(data.split(b"\n")[:-1], 1):  # a line without its end is torn
        try:
            events.append(_decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise UserError(
                f"{path}, line {number}: {error}",
                hint="another version's, or damaged: remove the line, or the file to begin anew",
            ) from None
    return tuple(events)


_decoder = msgspec.json.Decoder(AnyEvent)


class Journal(contextlib.AbstractContextManager["Journal"]):
    """A journal open for writing, locked until it is closed or this process ends, however it
    ends. A context manager. Raises UserError when another process writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            self._lock()
            self.events = list(read(path))
            self._end = path.read_bytes().rfind(b"\n") + 1
            self._file.truncate(self._end)  # what a crash cut short was never said
            _sync_folder(path.parent)
        except BaseException:
            self._file.close()
            raise

    def _unwritable(self, error: OSError) -> InfraError:
        if error.errno in FULL:
            return no_space(OSError(error.errno, "", str(self.path)))
        return InfraError(
            f"the journal {self.path} cannot be written: {error.strerror}",
            hint="nothing was lost; mend this and run the command again",
        )

    def _lock(self) -> None:
        import fcntl  # noqa: PLC0415 (not on every platform that can read this module)

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another process is at work on {self.path}",
                hint="`doit bisect --status` shows how far it is; two cannot search at once",
            ) from None

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def state(self) -> State:
        """What the events come to."""
        return state(self.events)

    def add(self, event: AnyEvent) -> AnyEvent:
        """Append an event; it is on disk when this returns. Raises InfraError when it cannot be.
        The event as written (with its time) is returned.
        """
        event = msgspec.structs.replace(event, time=event.time or round(time.time(), 3))
        line = _encoded(event) + b"\n"
        try:
            _write(self._file, line)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            raise self._unwritable(error) from None
        self._end += len(line)
        self.events.append(event)
        return event

    def undo(self, commit: CommitId | None = None, reason: str = "") -> Told:
        """Take back the last verdict, or the one on `commit`, and say which that was.

        Raises UserError when there is none.
        """
        standing = [t for t in self.state.told if commit in {None, t.commit}]
        if not standing:
            raise UserError(
                "there is no verdict to take back", hint="`doit bisect --log` shows the verdicts"
            )
        self.add(Undo(commit=commit, reason=reason))
        return standing[-1]


def _write(file: FileIO, line: bytes) -> None:
    """Write all of a line, and wait until it is on disk. Raises OSError."""
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(file.fileno())


def _encoded(event: AnyEvent) -> bytes:
    try:
        return msgspec.json.encode(event)
    except UnicodeEncodeError:  # a console line that is not UTF-8
        fields = msgspec.to_builtins(event)
        plain = {k: printable(v) if isinstance(v, str) else v for k, v in fields.items()}
        return msgspec.json.encode(plain)


def _sync_folder(folder: Path) -> None:
    """Make a new file's name as lasting as its content."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
