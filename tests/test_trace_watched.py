"""Real programs watched by strace and by BPF: each sees all, and both see the same."""

from __future__ import annotations

import os
import platform
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labtasks.build.builder import STRACE
from labtasks.lab.recipe import Part
from labtasks.trace import recorder, trace_bpf, trace_strace, tracing
from labtasks.trace.trace import CHECK, DRIVER, Trace
from labtasks.trace.trace_calls import Calls

Watch = Callable[[list[str], Path], Trace]
"""Runs a command in top/src and gives its trace; objects are in top/obj."""

no_bpf = pytest.mark.skipif(
    not recorder.standing().works, reason=f"no BPF: {recorder.standing().said}"
)


def by_strace(argv: list[str], top: Path) -> Trace:
    log, src = top / "log", top / "src"
    subprocess.run(
        [*STRACE, "-o", log, *argv], cwd=src, check=True, capture_output=True, timeout=60
    )
    return trace_strace.parse(log, Calls(src=str(src), obj=str(top / "obj"), cwd=str(src)))


def by_bpf(argv: list[str], top: Path) -> Trace:
    src = top / "src"
    with recorder.recording() as recording, recording.into(top / "log") as drain:
        words = [*recording.words(top, str(top)), *argv]
        run_drained(words, src, drain)
    return trace_bpf.parse(top / "log", Calls(src=str(src), obj=str(top / "obj"), cwd=str(src)))


def run_drained(words: list[str], cwd: Path, drain: Callable[[], bool]) -> None:
    child = subprocess.Popen(words, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ends = time.monotonic() + 60
    while child.poll() is None:
        assert time.monotonic() < ends
        drain()
        time.sleep(0.01)
    assert child.returncode == 0


@pytest.fixture(scope="module", params=["strace", "bpf"])
def watch(request: pytest.FixtureRequest) -> Watch:
    """One tracer after the other; a skip where there is none or it may not."""
    for tool in ("make", "cc"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} on this machine")
    if request.param == "bpf":
        if not recorder.standing().works:
            pytest.skip(f"no BPF: {recorder.standing().said}")
        return by_bpf
    if not tracing.strace_works(os.environ["PATH"]):
        pytest.skip("strace is missing, or may not trace here")
    return by_strace


MAKEFILE = """\
all: $(OBJ)/main.o
	cd sub && $(MAKE) OBJ=$(OBJ)
	cc -o $(OBJ)/prog $(OBJ)/main.o $(OBJ)/sub.o
$(OBJ)/main.o: main.c $(OBJ)/gen.h
	cc -Imissing -Iinclude -I$(OBJ) -c main.c -o $@
$(OBJ)/gen.h: gen.sh
	sh gen.sh > $@.tmp && mv $@.tmp $@
"""
PROJECT = {
    "Makefile": MAKEFILE,
    "sub/Makefile": "$(OBJ)/sub.o: sub.c\n\tcc -I../include -c sub.c -o $@\n",
    "gen.sh": 'for f in list/*; do echo "#define N `cat $f`"; done\n',
    "list/one": "3\n",
    "include/f.h": "int f(void);\n",
    "main.c": '#include "f.h"\n#include "gen.h"\nint main(void) { return f() + N; }\n',
    "sub/sub.c": '#include "f.h"\nint f(void) { return 1; }\n',
}


def write(top: Path, files: dict[str, str]) -> None:
    (top / "obj").mkdir(parents=True)
    for name, text in files.items():
        path = top / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (946684800, 946684800))


def products(trace: Trace) -> set[str]:
    return {name for name in trace.names if not name.startswith(CHECK)}


def build(watch: Watch, top: Path) -> Trace:
    return watch(["sh", "-c", f"make -j2 OBJ={top / 'obj'}"], top)


def test_a_real_build(watch: Watch, tmp_path: Path) -> None:
    write(tmp_path, PROJECT)
    trace = build(watch, tmp_path)
    assert trace.problems == ()
    objects = {"obj/gen.h", "obj/main.o", "obj/sub.o", "obj/prog"}
    assert products(trace) == {DRIVER, *objects}
    sources = {f"src/{name}" for name in PROJECT}
    assert sources <= trace.reads
    assert {p for p in trace.reads if p.startswith("obj/")} == set()

    def concerned(status: str, path: str) -> set[str]:
        return {name for name in trace.touched([(status, path)]) if name != DRIVER}

    assert concerned("M", "src/include/f.h") == {"obj/main.o", "obj/sub.o"}
    assert concerned("M", "src/sub/sub.c") == {"obj/sub.o"}
    assert concerned("A", "src/f.h") == {"obj/main.o"}  # beside main.c: it would be found first
    assert concerned("A", "src/missing/f.h") == {"obj/main.o"}
    assert concerned("A", "src/include/new.h") == set()
    assert concerned("A", "src/list/two") == {"obj/gen.h"}
    assert list(trace.touched([("M", "src/sub/Makefile")])) == [DRIVER]

    (tmp_path / "src/sub/sub.c").write_text("int f(void) { return 2; }\n")
    joined = trace.joined(build(watch, tmp_path))
    assert products(joined) == {DRIVER, *objects}
    assert joined.jobs["obj/main.o"] == trace.jobs["obj/main.o"]
    assert list(joined.touched([("M", "src/include/f.h")])) == [
        name for name in trace.touched([("M", "src/include/f.h")]) if name != "obj/sub.o"
    ]


ODD = """\
import os, subprocess, sys, threading
obj = sys.argv[1]
top = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
deep = os.open("a/b", os.O_RDONLY | os.O_DIRECTORY, dir_fd=top)
os.stat("c", dir_fd=deep)
held = os.dup(deep)
os.dup2(deep, 77)
os.stat("d", dir_fd=77)
os.listdir(held)
for missing in ("no", "no/such", "a/b/c/file"):
    try:
        os.stat(missing)
    except OSError:
        pass
os.symlink("../src/a", obj + "/link.new")
os.rename(obj + "/link.new", obj + "/link")
open(obj + "/link/b/c").close()
os.readlink(obj + "/link")
os.link("a/b/d", obj + "/hard")
os.mkdir(obj + "/dir")
os.rename(obj + "/dir", obj + "/moved")
os.rmdir(obj + "/moved")
open(obj + "/gone", "w").close()
os.unlink(obj + "/gone")
os.truncate(obj + "/hard", 1)
os.chmod(obj + "/hard", 0o600)
os.utime(obj + "/hard")
os.access("sp\u00e4t \\n", os.R_OK)
os.fchdir(deep)
subprocess.run(["cat", "c"], check=True)
os.chdir("..")
other = threading.Thread(target=lambda: (os.chdir("b"), open("d").close()))
other.start()
other.join()
os.posix_spawn("/bin/cat", ["cat", "c"], os.environ)
os.wait()
if os.fork() == 0:
    os.execve(os.open("/bin/cat", os.O_RDONLY), ["cat", "../../Makefile"], os.environ)
os.wait()
"""


def test_both_tracers_see_the_same(tmp_path: Path) -> None:
    """Descriptors, links, threads, vfork, programs named by a descriptor, names of any bytes."""
    if not recorder.standing().works or not tracing.strace_works(os.environ["PATH"]):
        pytest.skip("needs both strace and BPF")
    odd = {
        "Makefile": "$(OBJ)/hard: odd.py\n\tpython3 odd.py $(OBJ)\n",
        "odd.py": ODD, "a/b/c": "", "a/b/d": "long", "sp\u00e4t \n": "",
    }  # fmt: skip
    both = {}
    for name, by in (("strace", by_strace), ("bpf", by_bpf)):
        for project, files in (("odd", odd), ("plain", PROJECT)):
            top = tmp_path / "top"  # the same paths for both
            write(top, files)
            trace = build(by, top)
            assert trace.problems == ()
            both[name, project] = trace.jobs
            top.rename(tmp_path / f"{name}-{project}")
    assert both["bpf", "odd"] == both["strace", "odd"]
    assert both["bpf", "plain"] == both["strace", "plain"]
    job = both["bpf", "odd"]["obj/hard"]
    assert {"src/a/b/c", "src/a/b/d", "src/Makefile", "src/sp\u00e4t \n"} <= job.reads
    assert {"src/no", "src/no/such", "src/a/b/c/file"} <= job.absent
    assert "src/a/b" in job.listed


@no_bpf
def test_processes_in_a_namespace_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, {"read": ""})
    inner = 'test $$ = 1 && sh -c "cat read; true"'
    own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces here")
    trace = by_bpf([*own, "sh", "-c", inner], tmp_path)
    assert trace.problems == ()
    assert "src/read" in trace.reads


COMPILED = """\
#include <pthread.h>
#include <unistd.h>
static void *other(void *word) {
#ifdef NARROW
\tlong number = 20;
\t__asm__ volatile("int $0x80" : "+a"(number));
\t_exit(0);
#endif
\texeclp("cat", "cat", "read", (char *)0);
\treturn word;
}
int main(void) {
\tpthread_t thread;
\tpthread_create(&thread, 0, other, 0);
\tpause();
}
"""


@no_bpf
@pytest.mark.skipif(not shutil.which("cc"), reason="no cc on this machine")
@pytest.mark.parametrize("narrow", [False, True])
def test_a_thread_that_becomes_another_program_and_calls_of_32_bits(
    tmp_path: Path, narrow: bool
) -> None:
    write(tmp_path, {"odd.c": COMPILED, "read": ""})
    program = tmp_path / "odd"
    define = ["-DNARROW"] if narrow else []
    source = tmp_path / "src/odd.c"
    subprocess.run(["cc", "-pthread", *define, "-o", program, source], check=True, timeout=60)
    if narrow and subprocess.run([program], check=False, timeout=60).returncode:
        pytest.skip("this kernel runs no 32-bit calls")
    trace = by_bpf([str(program)], tmp_path)
    if narrow:
        assert trace.problems == ("bpf: 1 calls of 32-bit programs",)
    else:
        assert trace.problems == ()
        assert "src/read" in trace.reads


@no_bpf
def test_what_is_lost_is_said(tmp_path: Path) -> None:
    write(tmp_path, {})
    text = "import os\nfor n in range(9000):\n os.access('/' + 'x/' * 1500, 0)"
    with recorder.recording() as recording, recording.into(tmp_path / "log"):
        words = [*recording.words(tmp_path, str(tmp_path)), sys.executable, "-c", text]
        subprocess.run(words, check=True, timeout=60)
    trace = trace_bpf.parse(tmp_path / "log", Calls(src="/mnt/src", obj="/mnt/obj", cwd="/mnt/src"))
    assert [problem.split(" ", 2)[2] for problem in trace.problems] == ["calls were lost"]


@no_bpf
def test_nothing_is_lost_while_the_ring_is_emptied_without_pause(tmp_path: Path) -> None:
    """The kernel reads the place up to which it was emptied at any moment. A writer waits now and
    then until its turn is seen, for this process may have no turn itself.
    """
    write(tmp_path, {})
    text = (
        "import os, sys\nfor n in range(12000):\n"
        " os.access('/' + 'x/' * 600, 0); sum(range(12000))\n"
        " if n % 1000 == 0: print(n, flush=True); sys.stdin.readline()"
    )
    with recorder.recording() as recording, recording.into(tmp_path / "log") as drain:
        words = [*recording.words(tmp_path, str(tmp_path)), sys.executable, "-c", text]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        children = [subprocess.Popen(words, **pipes) for _ in range(2)]
        while any(child.poll() is None for child in children):
            drain()
            for child in children:
                if select.select([child.stdout], [], [], 0)[0] and child.stdout.readline():
                    child.stdin.write(b"\n")
                    child.stdin.flush()
    assert (tmp_path / "log").stat().st_size > 25_000_000
    trace = trace_bpf.parse(tmp_path / "log", Calls(src="/mnt/src", obj="/mnt/obj", cwd="/mnt/src"))
    assert trace.problems == ()


@no_bpf
def test_two_at_once_see_each_its_own(tmp_path: Path) -> None:
    write(tmp_path, {"one": "", "two": ""})
    src = tmp_path / "src"
    logs = tmp_path / "log.one", tmp_path / "log.two"
    with (
        recorder.recording() as first,
        recorder.recording() as second,
        first.into(logs[0]),
        second.into(logs[1]),
    ):
        children = [
            subprocess.Popen([*one.words(tmp_path, str(tmp_path)), "cat", name], cwd=src)
            for one, name in ((first, "one"), (second, "two"), (first, "one"))
        ]
        assert [child.wait(60) for child in children] == [0, 0, 0]
    traces = [trace_bpf.parse(log, Calls(src=str(src), obj="/o", cwd=str(src))) for log in logs]
    assert [trace.reads & {"src/one", "src/two"} for trace in traces] == [{"src/one"}, {"src/two"}]
    assert not any(trace.problems for trace in traces)


@no_bpf
def test_signals_do_not_keep_the_program_out() -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.004, 0.004)
    try:
        with recorder.recording():
            pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@no_bpf
def test_the_program_goes_with_its_loader() -> None:
    text = (
        "import time; from labtasks.trace import recorder\n"
        "with recorder.recording(): print('up', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    infos = [path.read_text() for path in Path(f"/proc/{child.pid}/fdinfo").iterdir()]
    links = [line.split()[1] for info in infos for line in info.splitlines() if "link_id" in line]
    assert len(links) == 4
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    child.stdout.close()
    import ctypes  # noqa: PLC0415 (Linux's)

    library = ctypes.CDLL("libbpf.so.1")

    def there(number: str) -> bool:
        descriptor = library.bpf_link_get_fd_by_id(int(number))
        if descriptor >= 0:
            os.close(descriptor)
        return bool(descriptor >= 0)

    ends = time.monotonic() + 10
    while any(there(number) for number in links):
        assert time.monotonic() < ends, "the program is still in the kernel"
        time.sleep(0.1)


@pytest.mark.skipif(platform.system() != "Linux", reason="BPF is Linux's")
def test_a_build_that_was_not_seen_whole_speaks_for_strace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    part = Part(steps=("true",))
    before = tracing.choose("auto", part, os.environ["PATH"])
    assert (before == "bpf") == recorder.standing().works
    recorder.distrust("bpf: 3 calls were lost")
    assert recorder.distrusted() == "bpf: 3 calls were lost"
    assert tracing.choose("auto", part, os.environ["PATH"]) != "bpf"
