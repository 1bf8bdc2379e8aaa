"""The reader of BPF records, on records as the program writes them."""

from __future__ import annotations

import pytest

from labtasks.trace import trace_bpf
from labtasks.trace.trace import DRIVER, Trace
from labtasks.trace.trace_bpf import BEGIN, BUSY, DISCARDED, EXEC, FORK, FRAME, RECORD, UNSEEN
from labtasks.trace.trace_calls import Calls

HERE = -100
OPEN, STAT, CHDIR, FCHDIR, RENAME, LINK, SYMLINK, UNLINK, READLINK = (
    2,
    4,
    80,
    81,
    82,
    86,
    88,
    87,
    89,
)
OPENAT, MKDIR, DUP, GETDENTS, EXECVE, UTIMENSAT, CREAT = 257, 83, 32, 217, 59, 280, 85
WRITES = 0o1 | 0o100 | 0o1000


def record(
    call: int,
    *text: str,
    fd: int = HERE,
    fd2: int = HERE,
    result: int = 0,
    extra: int = 0,
    pid: int = 1,
    mark: int = 0,
) -> bytes:
    """A record with its frame and padding."""
    strings = b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in text)
    body = RECORD.pack(pid, call, fd, fd2, result, extra) + strings
    return FRAME.pack(len(body) | mark, 7) + body + bytes(-len(body) % 8)


NOTHING_UNSEEN = trace_bpf.last([0] * len(UNSEEN))
START = (
    record(BEGIN, "/mnt/out/ltx", result=1)
    + record(OPEN, "before", result=3)  # the script that starts the step is not the build's
    + record(EXEC, "/bin/sh", result=1)
)


def parse(
    *records: bytes, end: bytes = NOTHING_UNSEEN, links: dict[str, str] | None = None
) -> Trace:
    data = START + b"".join(records) + end
    return trace_bpf.parse(data, Calls(src="/mnt/src", obj="/mnt/obj", cwd="/mnt/src", links=links))


def only(*records: bytes) -> tuple[list[str], list[str], list[str], list[str]]:
    """The driver's sets, of records without jobs."""
    trace = parse(*records)
    assert trace.problems == ()
    job = trace.jobs[DRIVER]
    return sorted(job.reads), sorted(job.absent), sorted(job.listed), sorted(job.writes)


@pytest.mark.parametrize(
    ("made", "reads", "absent", "listed", "writes"),
    [
        (record(OPENAT, "a.c", extra=0o2000000, result=3), "src/a.c", "", "", ""),
        (record(OPEN, "/mnt/obj/a.o", extra=WRITES, result=3), "", "", "", "obj/a.o"),
        (record(CREAT, "/mnt/obj/a.o", result=3), "", "", "", "obj/a.o"),
        (record(OPEN, "/mnt/obj/a.o", extra=0o2, result=3), "obj/a.o", "", "", "obj/a.o"),
        (record(OPENAT, "sys", extra=0o200000, result=3), "", "", "src/sys", ""),
        (record(OPENAT, "sys", extra=0o10200000, result=3), "src/sys", "", "", ""),
        (record(STAT, "no.h", result=-2), "", "src/no.h", "", ""),
        (record(STAT, "a/b", result=-20), "", "src/a/b", "", ""),
        (record(MKDIR, "/mnt/obj/d", result=-17), "obj/d", "", "", ""),
        (record(MKDIR, "/mnt/obj/d"), "", "", "", "obj/d"),
        (record(READLINK, "a", result=-22), "src/a", "", "", ""),
        (record(RENAME, "/var/x", "/mnt/obj/y"), "", "", "", "obj/y"),
        (record(LINK, "a", "/mnt/obj/y"), "src/a", "", "", "obj/y"),
        (record(UNLINK, "/mnt/obj/y"), "", "", "", "obj/y"),
        (record(UTIMENSAT, "/mnt/obj/y"), "", "", "", "obj/y"),
        (record(EXEC, "./a.sh", result=1), "src/a.sh", "", "", ""),
        (record(EXECVE, "/mnt/obj/cc", result=-2), "", "obj/cc", "", ""),
        (record(OPEN, "/usr/include/a.h", result=3), "", "", "", ""),
        (record(OPEN, "/mnt/srcs/a.h", result=3), "", "", "", ""),
        (record(STAT, "/mnt/src"), "src", "", "", ""),
        (record(STAT, "\udce4\n"), "src/\udce4\n", "", "", ""),
        (record(STAT, "a.c", mark=DISCARDED), "", "", "", ""),
    ],
)
def test_one_call(made: bytes, reads: str, absent: str, listed: str, writes: str) -> None:
    assert only(made) == tuple([p] if p else [] for p in (reads, absent, listed, writes))


def test_directories_descriptors_and_where_a_process_is() -> None:
    reads, _, listed, _ = only(
        record(OPENAT, "/", extra=0o200000, result=3),
        record(OPENAT, "mnt/src/sys", fd=3, extra=0o200000, result=4),
        record(DUP, fd=4, result=5),
        record(STAT, "one", fd=5),
        record(GETDENTS, fd=5, result=48),
        record(FCHDIR, fd=5),
        record(STAT, "two"),
        record(CHDIR, "kern"),
        record(EXEC, "/dev/fd/5/three", result=1),
        record(EXEC, "/dev/fd/5", result=1),
        record(CHDIR, "/var"),
        record(STAT, "four"),
    )
    expected = [f"src/sys{rest}" for rest in ("", "/kern", "/one", "/three", "/two")]
    assert [name for name in reads if name != "src"] == expected
    assert listed == ["src/sys"]


def test_links_are_followed() -> None:
    made = (
        record(SYMLINK, "/mnt/src/sys/amd64/include", "/mnt/obj/new"),
        record(RENAME, "/mnt/obj/new", "/mnt/obj/machine"),
        record(OPEN, "/mnt/obj/machine/pcpu.h", result=3),
    )
    assert "src/sys/amd64/include/pcpu.h" in parse(*made).reads
    target = "/mnt/src/sys/x86/include"
    read = (
        RECORD.pack(1, READLINK, HERE, HERE, len(target), 0) + b"/mnt/obj/x86\0" + target.encode()
    )
    framed = FRAME.pack(len(read), 0) + read + bytes(-len(read) % 8)
    trace = parse(framed, record(OPEN, "/mnt/obj/x86/a.h", result=3))
    assert "src/sys/x86/include/a.h" in trace.reads


def test_processes_threads_and_a_thread_that_becomes_a_program() -> None:
    trace = parse(
        record(EXEC, "/usr/bin/make", result=1),
        record(FORK, result=2, pid=1),
        record(CHDIR, "sub", pid=2),
        record(FORK, result=3, pid=2, extra=7),
        record(STAT, "thread", pid=3),
        record(CHDIR, "deep", pid=3),
        record(STAT, "leader", pid=2),
        record(EXEC, "/bin/cc", result=3, pid=2),
        record(OPEN, "a.o", extra=WRITES, result=4, pid=2),
        record(OPEN, "/mnt/obj/a.o", extra=WRITES, result=4, pid=2),
        record(STAT, "makes"),
    )
    assert trace.problems == ()
    job = trace.jobs["obj/a.o"]
    assert {"src/sub/thread", "src/sub/deep/leader"} <= job.reads
    assert "src/sub/deep/a.o" in job.writes
    assert "src/makes" in trace.jobs[DRIVER].reads


@pytest.mark.parametrize(
    ("records", "end", "problem"),
    [
        ([], b"", "bpf: the record of calls is cut short"),
        ([record(STAT, "a")], NOTHING_UNSEEN[:-1], "bpf: the record of calls is cut short"),
        ([record(STAT, "a", mark=BUSY)], NOTHING_UNSEEN, "bpf: the record of calls is cut short"),
        ([record(STAT, "a", pid=9)], NOTHING_UNSEEN, "bpf: 1 calls of processes nobody saw made"),
        ([record(STAT, "a", fd=9)], NOTHING_UNSEEN, "1 calls below a directory nobody saw opened"),
        ([], trace_bpf.last([2, 0, 0, 0, 0]), "bpf: 2 calls were lost"),
        ([], trace_bpf.last([0, 1, 0, 0, 0]), "bpf: 1 strings could not be read"),
        ([], trace_bpf.last([0, 0, 3, 0, 0]), "bpf: 3 calls of 32-bit programs"),
    ],
)
def test_what_was_not_seen_is_a_problem(records: list[bytes], end: bytes, problem: str) -> None:
    assert parse(*records, end=end).problems == (problem,)
