"""A BPF program of this package: compiled by clang once, loaded by libbpf, attached.

It is held by descriptors of this process and nothing else: it goes when they do, however that
comes about. What a program does is not known here.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from labtasks.ground import digest, process
from labtasks.ground.error import InfraError

_FLAGS = ("-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Wno-logical-op-parentheses")


def compiled(source: Path, folder: Path, defines: Sequence[str]) -> Path:
    """The program of a source, made by this host's clang unless the folder has it already.

    Raises InfraError without a clang, or when it refuses.
    """
    clang = _clang()
    version = process.query([clang, "--version"]).output
    flags = [*_FLAGS, *(f"-D{word}" for word in defines)]
    number = digest.of_bytes(source.read_bytes() + version + repr(flags).encode())
    made = folder / f"{source.stem}-{number[:16]}.o"
    if made.is_file():
        return made
    new = made.with_name(f"{made.name}.{os.getpid()}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        answer = process.query([clang, *flags, "-c", str(source), "-o", str(new)], timeout=60)
        if answer.code:
            raise InfraError(
                f"{clang} refused {source.name}: {answer.error.strip()[:300]}",
                hint="try another clang",
            )
        new.replace(made)
    except OSError as error:
        raise InfraError(
            f"{folder} cannot be written to: {error.strerror}",
            hint="set XDG_CACHE_HOME to a folder that can",
        ) from None
    return made


def _clang() -> str:
    path = f"{os.environ.get('PATH', '')}:{process.PATH}"
    names = ("clang", *(f"clang-{number}" for number in range(30, 10, -1)))
    found = next((there for name in names if (there := shutil.which(name, path=path))), None)
    if found is None:
        raise InfraError("clang is missing", hint="apt-get install clang")
    return found


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals wait: the kernel gives up looking at a program when one comes (EAGAIN)."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Program:
    """A program in the kernel, attached where its sections say."""

    def __init__(self, code: bytes) -> None:
        """Load it. Raises InfraError when libbpf is missing or the kernel refuses."""
        try:
            self._library = ctypes.CDLL("libbpf.so.1", use_errno=True)
        except OSError:
            raise InfraError("libbpf is missing", hint="apt-get install libbpf1") from None
        self._pointer("libbpf_set_print", None)  # it would talk to the terminal
        self._links: list[int] = []
        self._object = self._pointer("bpf_object__open_mem", code, ctypes.c_size_t(len(code)), None)
        with _undisturbed():
            works = self._object and self._number("bpf_object__load") == 0 and self._attached()
        if not works:
            why = os.strerror(ctypes.get_errno())
            self.close()
            raise InfraError(
                f"the kernel refuses the program: {why}",
                hint='nothing: tracer = "auto" takes the next best',
            )

    def _attached(self) -> bool:
        program = 0
        while program := self._pointer("bpf_object__next_program", self._object, program):
            link = self._pointer("bpf_program__attach", program)
            if not link:
                return False
            self._links.append(link)
        return True

    def _pointer(self, name: str, *arguments: object) -> int:
        """Call a function that returns a pointer; numbers among its arguments are pointers too."""
        function = getattr(self._library, name)
        function.restype = ctypes.c_void_p
        given = [ctypes.c_void_p(a) if isinstance(a, int) else a for a in arguments]
        return function(*given) or 0

    def _number(self, name: str, *arguments: object) -> int:
        """Call a function of the object that returns an int."""
        function = getattr(self._library, name)
        function.restype = ctypes.c_int
        return int(function(ctypes.c_void_p(self._object), *arguments))

    def map(self, name: str) -> int:
        """The descriptor of a map; it is the program's, and closed with it."""
        return self._number("bpf_object__find_map_fd_by_name", name.encode())

    def counter(self, name: str, index: int) -> int:
        """One number of an array."""
        key, value = ctypes.c_uint32(index), ctypes.c_uint64()
        descriptor = ctypes.c_int(self.map(name))
        lookup = self._library.bpf_map_lookup_elem
        if lookup(descriptor, ctypes.byref(key), ctypes.byref(value)):
            raise InfraError(f"the kernel does not tell {name}", hint="run again")
        return value.value

    def close(self) -> None:
        """Take it out of the kernel."""
        for link in self._links:
            self._pointer("bpf_link__destroy", link)
        self._links.clear()
        if self._object:
            self._pointer("bpf_object__close", self._object)
            self._object = 0
