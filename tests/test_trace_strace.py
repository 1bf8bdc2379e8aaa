"""The reader of strace logs, on lines as strace writes them."""

from __future__ import annotations

import pytest

from labtasks.trace import trace_strace
from labtasks.trace.trace import CHECK, DRIVER, Trace
from labtasks.trace.trace_calls import Calls


def parse(text: str, links: dict[str, str] | None = None) -> Trace:
    lines = text.encode().splitlines(keepends=True)
    return trace_strace.parse(
        lines, Calls(src="/mnt/src", obj="/mnt/obj", cwd="/mnt/src", links=links)
    )


def products(trace: Trace) -> set[str]:
    return {name for name in trace.names if not name.startswith(CHECK)}


def checked(trace: Trace) -> set[str]:
    """What commands that left nothing looked at."""
    return {p for n in trace.names if n.startswith(CHECK) for p in trace.jobs[n].looked_at}


def only(text: str) -> tuple[list[str], list[str], list[str], list[str]]:
    """The driver's sets, of a log without jobs."""
    job = parse('1 execve("/bin/sh", ["sh"], 0x1 /* 2 vars */) = 0\n' + text).jobs[DRIVER]
    return sorted(job.reads), sorted(job.absent), sorted(job.listed), sorted(job.writes)


@pytest.mark.parametrize(
    ("line", "reads", "absent", "listed", "writes"),
    [
        ('openat(AT_FDCWD, "a.c", O_RDONLY|O_CLOEXEC) = 3', "src/a.c", "", "", ""),
        ('open("/mnt/obj/a.o", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3', "", "", "", "obj/a.o"),
        ('creat("/mnt/obj/a.o", 0644) = 3', "", "", "", "obj/a.o"),
        ('open("/mnt/obj/a.o", O_RDWR) = 3', "obj/a.o", "", "", "obj/a.o"),
        ('open("/mnt/obj/a.o", O_RDWR|O_CREAT|O_EXCL, 0600) = 3', "", "", "", "obj/a.o"),
        ('open("/mnt/obj/log", O_WRONLY|O_CREAT|O_APPEND, 0666) = 3', "", "", "", "obj/log"),
        ('openat(AT_FDCWD, "sys", O_RDONLY|O_DIRECTORY) = 3', "", "", "src/sys", ""),
        ('openat(AT_FDCWD, "sys", O_RDONLY|O_PATH|O_DIRECTORY) = 3', "src/sys", "", "", ""),
        ('stat("no.h", 0x7ffc) = -1 ENOENT (No such file or directory)', "", "src/no.h", "", ""),
        ('access("a/b", R_OK) = -1 ENOTDIR (Not a directory)', "", "src/a/b", "", ""),
        ('mkdir("/mnt/obj/d", 0777) = -1 EEXIST (File exists)', "obj/d", "", "", ""),
        ('mkdir("/mnt/obj/d", 0777) = 0', "", "", "", "obj/d"),
        ('readlink("a", 0x7f, 4095) = -1 EINVAL (Invalid argument)', "src/a", "", "", ""),
        ('newfstatat(3, "", {st_mode=S_IFREG|0644}, AT_EMPTY_PATH) = 0', "", "", "", ""),
        ('rename("/tmp/x", "/mnt/obj/y") = 0', "", "", "", "obj/y"),
        ('link("a", "/mnt/obj/y") = 0', "src/a", "", "", "obj/y"),
        ('linkat(AT_FDCWD, "a", AT_FDCWD, "/mnt/obj/y", 0) = 0', "src/a", "", "", "obj/y"),
        ('unlink("/mnt/obj/y") = 0', "", "", "", "obj/y"),
        ('unlink("/mnt/obj/y") = -1 ENOENT (No such file)', "", "obj/y", "", ""),
        ('chmod("/mnt/obj/y", 0755) = 0', "", "", "", "obj/y"),
        ('execve("./a.sh", ["./a.sh"], 0x1 /* 2 vars */) = 0', "src/a.sh", "", "", ""),
        ('execve("/mnt/obj/cc", ["cc"], 0x1) = -1 ENOENT (No such file)', "", "obj/cc", "", ""),
        ('open("/usr/include/a.h", O_RDONLY) = 3', "", "", "", ""),
        ('open("/mnt/srcs/a.h", O_RDONLY) = 3', "", "", "", ""),
        ('open("/usr/../mnt/src/a.h", O_RDONLY) = ? ERESTARTSYS', "", "", "", ""),
        (r'stat("sp\303\244t \"q\"\n", {st_mode=S_IFREG}) = 0', 'src/spät "q"\n', "", "", ""),
        ('stat("a/../b//./c", {st_mode=S_IFREG}) = 0', "src/b/c", "", "", ""),
    ],
)
def test_one_call(line: str, reads: str, absent: str, listed: str, writes: str) -> None:
    assert only(f"1 {line}\n") == tuple([p] if p else [] for p in (reads, absent, listed, writes))


def test_directories_descriptors_and_where_a_process_is() -> None:
    reads, _, listed, _ = only(
        '1 openat(AT_FDCWD, "/", O_RDONLY|O_DIRECTORY) = 3\n'
        '1 openat(3, "mnt/src/sys", O_RDONLY|O_DIRECTORY) = 4\n'
        "1 fcntl(4, F_DUPFD_CLOEXEC, 3) = 5\n"
        '1 newfstatat(5, "one", {st_mode=S_IFREG}, 0) = 0\n'
        "1 fchdir(5) = 0\n"
        '1 stat("two", {st_mode=S_IFREG}) = 0\n'
        '1 chdir("kern") = 0\n'
        '1 stat("three", {st_mode=S_IFREG}) = 0\n'
        '1 chdir("/tmp") = 0\n'
        '1 stat("four", {st_mode=S_IFREG}) = 0\n'
    )
    expected = ["src/sys/kern", "src/sys/kern/three", "src/sys/one", "src/sys/two"]
    assert [r for r in reads if r != "src"] == expected
    assert listed == ["src/sys"]
    trace = parse('1 execve("/bin/sh", [], 0x1) = 0\n1 unlinkat(7, "x", 0) = 0\n')
    assert trace.problems == ("1 calls below a directory nobody saw opened",)


def test_a_child_that_speaks_before_its_fork_returned() -> None:
    trace = parse(
        '1 execve("/usr/bin/make", ["make"], 0x1 /* 2 vars */) = 0\n'
        '1 chdir("sub") = 0\n'
        "1 vfork( <unfinished ...>\n"
        '2 execve("/usr/bin/cc", ["cc"], 0x1 /* 2 vars */ <unfinished ...>\n'
        "1 <... vfork resumed>) = 2\n"
        "2 <... execve resumed>) = 0\n"
        '2 openat(AT_FDCWD, "a.c", O_RDONLY <unfinished ...>\n'
        '1 stat("b.c",  <unfinished ...>\n'
        "2 <... openat resumed>) = 3\n"
        "1 <... stat resumed>{st_mode=S_IFREG}) = 0\n"
        '2 openat(AT_FDCWD, "/mnt/obj/a.o", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3\n'
        "1 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=2, si_uid=0} ---\n"
        # The same pid again, in another directory.
        '1 chdir("/mnt/obj") = 0\n'
        "1 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD <unfinished ...>\n"
        '2 stat("gen", {st_mode=S_IFREG}) = 0\n'
        "1 <... clone resumed>, child_tidptr=0x7f) = 2\n"
        '2 openat(AT_FDCWD, "b.o", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3\n'
    )
    assert trace.jobs["obj/a.o"].reads == {"src/sub/a.c"}
    assert trace.jobs["obj/b.o"].reads == {"obj/gen"}
    assert "src/sub/b.c" in trace.jobs[DRIVER].reads


def test_threads_share_where_they_are() -> None:
    reads, *_ = only(
        "1 clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD, stack=0x7f} => {}, 88) = 2\n"
        '2 chdir("/mnt/src/deep") = 0\n'
        '1 stat("x", {st_mode=S_IFREG}) = 0\n'
    )
    assert "src/deep/x" in reads


def test_jobs_are_children_of_drivers() -> None:
    cc = 'execve("/usr/bin/cc", ["cc"], 0x1) = 0'
    trace = parse(
        '1 execve("/usr/bin/python3", ["make.py"], 0x1) = 0\n'
        '1 stat("make.py", {st_mode=S_IFREG}) = 0\n'
        "1 fork() = 2\n"
        '2 execve("/mnt/obj/bin/bmake", ["bmake"], 0x1) = 0\n'
        '2 stat("Makefile", {st_mode=S_IFREG}) = 0\n'
        # sh -c "cat list; cd sub && make" > obj/log: the shell is a job, the make below it not.
        "2 fork() = 3\n"
        '3 execve("/bin/sh", ["sh"], 0x1) = 0\n'
        '3 openat(AT_FDCWD, "/mnt/obj/out", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 1\n'
        '3 stat("list", {st_mode=S_IFREG}) = 0\n'
        "3 fork() = 4\n"
        '4 execve("/usr/bin/make", ["make"], 0x1) = 0\n'
        '4 stat("sub.mk", {st_mode=S_IFREG}) = 0\n'
        "4 fork() = 5\n"
        f"5 {cc}\n"
        '5 stat("a.c", {st_mode=S_IFREG}) = 0\n'
        "5 fork() = 6\n"
        '6 openat(AT_FDCWD, "/mnt/obj/.depend.a.o", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 1\n'
        '6 openat(AT_FDCWD, "/mnt/obj/a.o.tmp", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 1\n'
        '6 openat(AT_FDCWD, "/mnt/obj/0.lock", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 1\n'
        '6 unlink("/mnt/obj/0.lock") = 0\n'
        '5 rename("/mnt/obj/a.o.tmp", "/mnt/obj/a.o") = 0\n'
        # Makes nothing: a check.
        "4 fork() = 7\n"
        '7 stat("echoed", {st_mode=S_IFREG}) = 0\n'
    )
    assert products(trace) == {DRIVER, "obj/out", "obj/a.o"}
    assert {"src/make.py", "src/Makefile", "src/sub.mk"} <= trace.jobs[DRIVER].reads
    assert checked(trace) == {"src/echoed"}
    assert trace.jobs["obj/out"].reads == {"src/list"}
    assert trace.jobs["obj/a.o"].reads == {"src/a.c", "obj/a.o.tmp"}
    assert trace.reads >= {"src/a.c", "src/list"}
    assert "obj/a.o.tmp" not in trace.reads


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (["b.o", "a.d"], "b.o"),
        (["b.o", ".b.o.cmd", "a.tmp"], "b.o"),
        (["b.o", "a.o"], "a.o"),
        (["only.d"], "only.d"),
        ([".tmp_7/x", "b.o"], "b.o"),  # the directory goes
        ([".tmp_7/x"], ".tmp_7/x"),  # made something, if only to compare
    ],
)
def test_names_of_jobs(made: list[str], name: str) -> None:
    writes = "".join(f'2 open("/mnt/obj/{m}", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3\n' for m in made)
    trace = parse(
        '1 execve("/usr/bin/make", ["make"], 0x1) = 0\n1 fork() = 2\n'
        f'{writes}2 unlinkat(9, "x", 0) = 0\n'
        '2 unlinkat(AT_FDCWD, "/mnt/obj/.tmp_7", AT_REMOVEDIR) = 0\n'
    )
    assert set(trace.names) == {DRIVER, f"obj/{name}" if name else DRIVER}


def test_links_made_read_and_known_before() -> None:
    start = '1 execve("/bin/sh", ["sh"], 0x1) = 0\n1 chdir("/mnt/obj") = 0\n'
    made = start + (
        '1 symlinkat("/mnt/src/sys/amd64/include", AT_FDCWD, "CuX1") = 0\n'
        '1 renameat(AT_FDCWD, "CuX1", AT_FDCWD, "machine") = 0\n'
        '1 open("machine/pcpu.h", O_RDONLY) = 3\n'
    )
    assert "src/sys/amd64/include/pcpu.h" in parse(made).reads
    read = start + (
        '1 open("x86/a.h", O_RDONLY) = 3\n1 readlink("x86", "/mnt/src/sys/x86/include", 99) = 24\n'
    )
    assert "src/sys/x86/include/a.h" in parse(read).reads
    trace = parse(start + '1 open("m/a.h", O_RDONLY) = 3\n', {"obj/m": "/mnt/src/sys"})
    assert trace.reads >= {"obj/m", "src/sys/a.h"}


def test_who_writes_through_a_link_does_not_write_the_link() -> None:
    """But looks at it: FreeBSD installs into a folder that `ln -s ../bin usr/sbin` made."""
    trace = parse(
        '1 execve("/usr/bin/make", ["make"], 0x1 /* 2 vars */) = 0\n'
        "1 vfork() = 2\n"
        '2 execve("/bin/ln", ["ln"], 0x1 /* 2 vars */) = 0\n'
        '2 symlink("../bin", "/mnt/obj/usr/sbin") = 0\n'
        "1 vfork() = 3\n"
        '3 execve("/bin/cp", ["cp"], 0x1 /* 2 vars */) = 0\n'
        '3 open("/mnt/obj/usr/sbin/config", O_WRONLY|O_CREAT|O_EXCL, 0755) = 3\n'
    )
    assert "obj/bin/config" not in trace.makers("obj/usr/sbin")
    copied = trace.jobs["obj/bin/config"]
    assert (copied.writes, copied.reads) == ({"obj/bin/config"}, {"obj/usr/sbin"})
