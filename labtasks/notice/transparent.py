"""Run a command as if it had been started directly, and keep the last that it said.

It has the person's standard input, environment, process group and controlling terminal: Ctrl-C,
Ctrl-Z and `fg` are between those two. What it writes to a file is read there in the end; only what
it writes to a terminal or a pipe passes through here, in as large blocks as there are. Where its
output was a terminal it still is one.
Knows nothing of messages.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import stat
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from labtasks.ground import process
from labtasks.notice import witness
from labtasks.notice.relay import GONE, KEPT, relay, roomy

NOT_FOUND, NOT_RUN = 127, 126
"""Statuses of shells (and nohup, env) for a command that is not there, or cannot be started."""

_SETTLES = 0.05
"""Seconds within which a terminal passes on what was written to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended. `status` is what a shell would say: 128 and more for a signal.

    `killed` is the signal's number, 0 for none; `refused` says why it could not be started.
    `tails` are the ends of standard output and standard error; only the first if they are one.
    """

    status: int
    seconds: float
    tails: tuple[bytes, ...] = ()
    killed: int = 0
    refused: str = ""
    still_open: tuple[Stream, ...] = ()
    """Streams to which something that the command left behind may write still."""


@dataclass(slots=True, kw_only=True)
class Stream:
    """One stream of the command. `ours` is where it goes to, `child` what the command writes to.

    `source` is where that comes out, -1 where nothing comes through here: then `ours` is a file,
    and what the command wrote begins at `begin`.
    """

    ours: int
    child: int
    source: int = -1
    terminal: bool = False
    begin: int = 0
    tail: bytearray = field(default_factory=bytearray)

    def read_back(self) -> None:
        """The end of what went to a file."""
        end = os.fstat(self.ours).st_size
        if not _appends(self.ours):
            end = min(end, os.lseek(self.ours, 0, os.SEEK_CUR))
        start = max(self.begin, end - KEPT)
        with _reading(self.ours) as file:
            self.tail += os.pread(file, max(0, end - start), start)


def run(argv: Sequence[str], env: Mapping[str, str], meanwhile: Callable[[], object]) -> Ended:
    """Run a command to its end; `meanwhile` is called once it runs, if it does."""
    started = time.monotonic()
    _reserve()
    signals = witness.Signals()  # first: what it forks must not hold the ends of our pipes
    streams = _streams()
    try:
        moves = {fd: s.child for fd, s in streams.items() if s.source >= 0}
        pid = process.spawned(argv, env, moves)
    except OSError as error:
        status = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN
        return Ended(status=status, seconds=0.0, refused=error.strerror or str(error))
    finally:
        for stream in set_of(streams):
            if stream.source >= 0:
                os.close(stream.child)
    pumps = [_Pump(s) for s in set_of(streams) if s.source >= 0]
    signals.start(pid, [(s.ours, s.source) for s in set_of(streams) if s.terminal])
    meanwhile()
    _, status = os.waitpid(pid, 0)
    seconds = time.monotonic() - started
    signals.end()
    left = tuple(pump.stream for pump in pumps if not pump.ended())
    code = os.waitstatus_to_exitcode(status)
    for stream in set_of(streams):
        if stream.source < 0:
            with contextlib.suppress(OSError):
                stream.read_back()
    return Ended(
        status=code if code >= 0 else 128 - code,
        seconds=seconds,
        tails=tuple(bytes(s.tail[-KEPT:]) for s in set_of(streams)),
        killed=max(0, -code),
        still_open=left,
    )


def set_of(streams: dict[int, Stream]) -> list[Stream]:
    """Each stream once, standard output first."""
    return list({id(s): s for s in streams.values()}.values())


def let_go(ended: Ended) -> None:
    """Leave a process behind that passes on what the command's own left-behind ones will write."""
    for stream in ended.still_open:
        if os.fork() == 0:
            for other in ended.still_open:
                if other is not stream:
                    os.close(other.source)
            _pass_on(stream, wake=-1)
            os._exit(0)


def _reserve() -> None:
    """Where a standard descriptor is closed, keep its number from what is opened here."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)


def _streams() -> dict[int, Stream]:
    """How each of the two streams gets from the command to where it goes."""
    found: dict[int, Stream] = {}
    for fd in (1, 2):
        about = os.fstat(fd)
        if not os.get_inheritable(fd):
            continue  # closed, and stays so for the command
        if fd == 2 and 1 in found and os.path.sameopenfile(1, 2):
            found[2] = found[1]
        elif stat.S_ISREG(about.st_mode) and _can_read_back(fd):
            begin = about.st_size if _appends(fd) else os.lseek(fd, 0, os.SEEK_CUR)
            found[fd] = Stream(ours=fd, child=fd, begin=begin)
        elif os.isatty(fd):
            found[fd] = _terminal(fd)
        else:
            source, child = os.pipe()
            roomy(source)
            found[fd] = Stream(ours=fd, child=child, source=source)
    return found


def _terminal(fd: int) -> Stream:
    """A terminal like that of `fd`, which passes on what is written to it as it is."""
    source, child = os.openpty()
    mode = termios.tcgetattr(fd)
    mode[tty.OFLAG] &= ~termios.OPOST  # the person's own does that
    termios.tcsetattr(child, termios.TCSANOW, mode)
    witness.resize(fd, source)
    return Stream(ours=fd, child=child, source=source, terminal=True)


def _appends(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND)


def _can_read_back(fd: int) -> bool:
    try:
        with _reading(fd):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _reading(fd: int) -> Iterator[int]:
    """An open file once more, to be read. Raises OSError where the system or its mode forbids."""
    file = os.open(f"/dev/fd/{fd}", os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)


class _Pump:
    """Moves one stream's bytes in a thread of its own."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._wake, self._waker = os.pipe()
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._over = _pass_on(self.stream, wake=self._wake)

    def ended(self) -> bool:
        """Called when the command has ended: pass on what there is. Whether nobody is left who
        could write more.
        """
        os.close(self._waker)
        self._thread.join()
        os.close(self._wake)
        return self._over


def _pass_on(stream: Stream, *, wake: int) -> bool:
    """Pass on what comes, until its end (True), or until `wake` is closed and nothing comes."""
    way = relay(stream.source, stream.ours)
    poll = select.poll()
    poll.register(stream.source, select.POLLIN)
    if wake >= 0:
        poll.register(wake, select.POLLIN)
    patience, over = None, False
    while not over:
        ready = dict(poll.poll(patience))
        if wake in ready:
            poll.unregister(wake)  # the command has ended: only what is under way still
            patience = _SETTLES * 1000 if stream.terminal else 0
        if stream.source in ready:
            over = way.move() in (0, GONE)
        elif not ready:
            break
    if over:
        os.close(stream.source)  # if nobody reads any more, whoever writes learns of it
    way.finish()
    stream.tail = way.tail
    return over
