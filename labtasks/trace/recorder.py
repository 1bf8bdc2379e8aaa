"""The file calls of a command, recorded in the kernel by a BPF program (Linux, x86-64, root).

The program (trace_bpf.c) follows a command and all it starts. Its records wait in a ring buffer
that is emptied into a file while the build runs. Whether all this works here is proved once per
boot, by recording one command.

What the records mean is not known here (trace_bpf).
"""

from __future__ import annotations

import mmap
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from struct import Struct
from typing import BinaryIO

from labtasks.ground import digest, memory, process
from labtasks.ground.error import InfraError
from labtasks.trace import trace_bpf
from labtasks.trace.trace_calls import Calls

_SOURCE = Path(__file__).with_name("trace_bpf.c")
_NAME = b"LABTASKSS*NAME!"
"""Stands in the compiled program where the name goes that the first program is run by."""

_RING = 16 << 20
"""Bytes of the ring buffer: seconds of the busiest build, should this process be held up."""

_ELSE = 'nothing: tracer = "auto" takes the next best'

_POSITION = Struct("<Q")
_LENGTH = Struct("<I")
_PATIENCE = 1.0
"""Seconds given to a record that a processor has begun and not finished."""

_DOUBTFUL = 3600.0
"""Seconds for which a build that was not seen whole speaks against this tracer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Whether calls can be recorded here; if not, why, and what would help."""

    works: bool
    said: str
    remedy: str = ""
    program: Path = Path()


@cache
def standing() -> Standing:
    """Proved once per boot, then remembered. A refusal is not: what is missing may come."""
    from labtasks.trace import bpf  # noqa: PLC0415 (what an up-to-date run does not need)

    try:
        _refuse_other_hosts()
        about = [digest.of_bytes(_SOURCE.read_bytes()), *_may()]
        known = memory.recall("bpf.json")
        program = Path(str(known.get("program")))
        if known.get("about") != about or not program.is_file():
            program = bpf.compiled(_SOURCE, memory.folder(), [f"RING={_RING}"])
            _prove(program)
            memory.remember("bpf.json", {"about": about, "program": str(program)})
    except InfraError as error:
        return Standing(works=False, said=error.message, remedy=error.hint)
    return Standing(works=True, said="sees every file call, at next to no cost", program=program)


def distrusted() -> str:
    """Why the last builds had better be watched by another tracer; "" if nothing is known."""
    known = memory.recall("bpf-unseen.json")
    when = known.get("when")
    fresh = isinstance(when, float) and 0 <= time.time() - when < _DOUBTFUL
    return str(known.get("why")) if fresh else ""


def distrust(why: str) -> None:
    """Remember for an hour that a build was not seen whole."""
    memory.remember("bpf-unseen.json", {"why": why, "when": time.time()})


class Recorder:
    """The program in the kernel, following one command at a time and all it starts."""

    def __init__(self, program: Path) -> None:
        """Load it. Raises InfraError when the kernel or libbpf refuse."""
        from labtasks.trace import bpf  # noqa: PLC0415

        self._name = f"lt{os.urandom(6).hex()}x".encode()  # 15 letters: as many as `comm` has
        code = program.read_bytes().replace(_NAME, self._name)
        self._program = bpf.Program(code)
        ring, page = self._program.map("ring"), mmap.PAGESIZE
        try:
            consumed = mmap.mmap(ring, page)
            # the kernel shows the ring twice, one after the other: nothing wraps
            self._ring = mmap.mmap(ring, page + 2 * _RING, access=mmap.ACCESS_READ, offset=page)
        except OSError as error:
            self._program.close()
            raise InfraError(f"no ring buffer: {error.strerror}", hint=_ELSE) from None
        # written in one piece: struct would show the kernel a zero in between
        self._consumed = memoryview(consumed)[: _POSITION.size].cast("Q")
        self._at = 0
        self._file: BinaryIO | None = None

    def close(self) -> None:
        """Take the program out of the kernel."""
        self._consumed.release()
        self._ring.close()
        self._program.close()

    def words(self, folder: Path, shown_as: str) -> list[str]:
        """What a command line must begin with to be recorded; `folder` is a place for a script,
        by whatever path the command sees it.
        """
        script = folder / self._name.decode()
        script.write_text('#!/bin/sh\nexec "$@"\n', encoding="ascii")
        script.chmod(0o755)
        return [f"{shown_as}/{script.name}"]

    @contextmanager
    def into(self, log: Path) -> Iterator[Callable[[], bool]]:
        """Records go to a file; the function must be called several times a second meanwhile."""
        with log.open("wb") as self._file:
            yield self.drain
            ends = time.monotonic() + _PATIENCE
            while not self._emptied() and time.monotonic() < ends:
                self.drain()
            unseen = [self._program.counter("unseen", n) for n in range(len(trace_bpf.UNSEEN))]
            if self._emptied():  # else the file is cut short, and is seen to be
                self._file.write(trace_bpf.last(unseen))
        self._file = None

    def _emptied(self) -> bool:
        return bool(_POSITION.unpack_from(self._ring)[0] == self._at)

    def drain(self) -> bool:
        """Empty the ring into the file; False, so that it can stand for `until`."""
        ring, at, page = self._ring, self._at, mmap.PAGESIZE
        (end,) = _POSITION.unpack_from(ring)
        while at < end:
            (length,) = _LENGTH.unpack_from(ring, page + (at & (_RING - 1)))
            if length & trace_bpf.BUSY:
                break
            at += (length & ~trace_bpf.DISCARDED) + trace_bpf.FRAME.size + 7 & ~7
        if at > self._at and self._file:
            start = page + (self._at & (_RING - 1))
            self._file.write(ring[start : start + at - self._at])
            self._consumed[0] = at
            self._at = at
        return False


@contextmanager
def recording() -> Iterator[Recorder]:
    """A recorder, gone afterwards. Raises InfraError where there can be none; one that was proved
    and fails now is not asked again for an hour.
    """
    found = standing()
    if not found.works:
        raise InfraError(f"no BPF here: {found.said}", hint=found.remedy)
    try:
        recorder = Recorder(found.program)
    except InfraError as error:
        distrust(error.message)
        again = 'run it again: with tracer = "auto" strace watches now'
        raise InfraError(error.message, hint=again) from None
    try:
        yield recorder
    finally:
        recorder.close()


def _refuse_other_hosts() -> None:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise InfraError("only on Linux on x86-64", hint=_ELSE)
    if os.geteuid() != 0:
        raise InfraError("only root may put programs into the kernel", hint=_ELSE)
    if not Path("/sys/kernel/btf/vmlinux").exists():
        raise InfraError("this kernel does not describe its types (BTF)", hint=_ELSE)


def _prove(program: Path) -> None:
    """Record one command and look whether what it read is there."""
    import tempfile  # noqa: PLC0415 (once per boot)

    recorder = Recorder(program)
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder).resolve()
            (place / "read").write_bytes(b"")
            with recorder.into(place / "log"):
                words = [*recorder.words(place, str(place)), "cat", "read"]
                process.query(words, env={"PATH": process.PATH}, cwd=place, timeout=10)
            trace = trace_bpf.parse(place / "log", Calls(src=folder, obj=folder, cwd=str(place)))
    finally:
        recorder.close()
    if trace.problems or "src/read" not in trace.reads:
        why = "; ".join(trace.problems) or "a file that was read is not among them"
        raise InfraError(f"calls were not recorded as they should be: {why}", hint=_ELSE)


def _may() -> list[str]:
    """What decides whether this process may: the boot, its capabilities and confinement."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    own = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    limits = [line for line in own if line.startswith(("CapEff:", "Seccomp:"))]
    return [boot, *limits, os.readlink("/proc/self/ns/user")]
