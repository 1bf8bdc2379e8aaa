"""A real FreeBSD reached over ssh builds: bmake in META_MODE, watched by filemon, in copies.

Runs when LABTASKS_FREEBSD_SSH is user@host:port of a FreeBSD whose root can be logged in to with
the private key LABTASKS_FREEBSD_KEY. It needs no compiler there: what "compiles" is a script of the
tree's own. Everything is done below one folder of root's home, which goes at the end.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Lab, Repo, wait_for

from labtasks.command import main
from labtasks.lab.lab import load
from labtasks.site import reach, ssh

WHERE = os.environ.get("LABTASKS_FREEBSD_SSH", "")

pytestmark = pytest.mark.skipif(not WHERE, reason="LABTASKS_FREEBSD_SSH names no FreeBSD")

RECIPE = r"""
about = "a little system, made by FreeBSD's own make"
identity = ["make -V MAKE_VERSION"]
[options.slow]
help = "Seconds that each compilation sleeps."
default = "0"
[env]
MAKEOBJDIRPREFIX = "{obj}"
SLOW = "{slow}"
[world]
steps = ["mkdir -p {obj}{src}/bin && make -C bin -j{jobs}"]
checks_commands = "yes"
outputs = ["**/hello", "**/tool"]
volatile = ["**/*.meta"]
unseen = ["**/Makefile"]
[kernel]
inputs = ["sys", "include", "tools"]
checks_commands = "yes"
steps = ["mkdir -p {obj}{src}/sys && make -C sys -j{jobs}"]
outputs = ["**/kernel"]
volatile = ["**/*.meta"]
unseen = ["**/Makefile"]
"""

CC = """\
# cc <include folder> <object> <source>: puts in what is included
put() {
	while IFS= read -r line; do
		case $line in
		'#include '*) put "$dir/${line#* }" || exit 1 ;;
		'#error '*) echo "${1##*/}:1: error: ${line#* }" >&2; exit 1 ;;
		*) printf '%s\\n' "$line" ;;
		esac
	done <"$1"
}
dir=$1 out=$2
sleep "${SLOW:-0}"
put "$3" >"$out.new" && mv "$out.new" "$out"
"""

BIN = """\
.MAKE.MODE = meta verbose
all: hello tool
.for p in hello tool
$p: $p.c
	sh ${.CURDIR}/../tools/cc ${.CURDIR}/../include ${.TARGET} ${.CURDIR}/$p.c
.endfor
"""

SYS = """\
.MAKE.MODE = meta verbose
SRCS != cd ${.CURDIR} && echo *.c
OBJS = ${SRCS:.c=.o}
all: kernel
kernel: ${OBJS} conf.out
	cat ${OBJS} conf.out >${.TARGET}
conf.out:
	{ cat ${.CURDIR}/conf/*; sh ${.OBJDIR}/../bin/tool; } >${.TARGET}
.for o in ${OBJS}
$o: ${o:.o=.c}
	sh ${.CURDIR}/../tools/cc ${.CURDIR}/../include ${.TARGET} ${.CURDIR}/${o:.o=.c}
.endfor
"""

BASE = {
    "tools/cc": CC,
    "bin/Makefile": BIN,
    "bin/hello.c": "#include world.h\necho $WORLD\n",
    "bin/tool.c": "echo made by tool\n",
    "include/world.h": "WORLD=1\n",
    "include/kern.h": "KERN=1\n",
    "sys/Makefile": SYS,
    "sys/conf/10-base": "base\n",
    **{f"sys/{name}.c": f"#include kern.h\n{name}=$KERN\n" for name in "abcd"},
}

CHANGES = {  # tag -> files; what world and kernel do on top of base; jobs of make in the kernel
    "kernel-c": ({"sys/a.c": "a=1\n"}, ("trace", "incremental"), 2),
    "header": ({"include/kern.h": "KERN=2\n"}, ("trace", "incremental"), 5),
    "world": ({"include/world.h": "WORLD=2\n"}, ("incremental", "trace"), None),
    "added": ({"sys/conf/20-more": "more\n"}, ("trace", "incremental"), 2),
    "docs": ({"docs/guide": "read me\n"}, ("trace", "cutoff"), None),
    "gone": ({"sys/b.c": None, "sys/e.c": "e=1\n"}, ("trace", "incremental"), 2),
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    user, host, port = re.split("[@:]", WHERE)
    key = Path(os.environ["LABTASKS_FREEBSD_KEY"]).absolute()
    root = tmp_path_factory.mktemp("fb")
    repo = Repo(root / "repo")
    repo.create()
    for path, text in BASE.items():
        repo.write(path, text)
    repo.commit("base", tag="base")
    for tag, (files, *_) in CHANGES.items():
        repo.git("checkout", "-q", "base")
        for path, change in files.items():
            if change is None:
                (repo.path / path).unlink()
            else:
                repo.write(path, change)
        repo.commit(tag, tag=tag)
    assert main.main(["init", str(root / "lab"), "--repository", str(repo.path)]) == 0
    (root / "lab" / "tiny.toml").write_text(RECIPE)
    found = Lab(root / "lab", repo)
    table = {
        "host": host, "port": int(port), "user": user, "key": str(key), "system": "FreeBSD",
        "folder": f"labtasks-test.{os.getpid()}",
    }  # fmt: skip
    found.configure(builder="ssh:fb", **{"ssh.fb": table})
    yield found
    there(found, f"umount /mnt; rm -rf {table['folder']}")


def there(lab: Lab, command: str) -> str:
    """Run a command on the machine, as the lab logs in."""
    return ssh.query(reach.remote(load(lab.directory), "fb"), ssh.shell(command)).text


@pytest.fixture(autouse=True)
def clock(lab: Lab) -> None:
    """An emulated machine falls behind, and nobody mends it here."""
    set_clock(lab)


def set_clock(lab: Lab, *, ahead: int = 0) -> None:
    there(lab, "true")  # which makes the connection: the next one takes no time
    there(lab, f"date -f %s {round(time.time() + ahead)}")


def at_rest(lab: Lab) -> None:
    """Nothing runs there, nothing is mounted, and only clones are kept."""
    assert "987.0419" not in there(lab, "ps -axww -o args= | grep -v grep")
    assert " on /mnt " not in there(lab, "mount")
    assert "build." not in there(lab, "ls labtasks-test.*/*")


def test_doctor(lab: Lab) -> None:
    said = lab.doit("doctor", code=None).lines("^ok .*ssh fb")
    assert [line for line in said if "copies in" in line]
    assert [line for line in said if "filemon: follows" in line]
    assert [line for line in said if "clock: agrees" in line]


def test_rungs_by_filemon(lab: Lab) -> None:
    """Each kind of change takes its rung, make runs what it must, and the result is as clean."""
    lab.doit("build:base")
    for kind, jobs in (("world", 2), ("kernel", 6)):
        made = lab.manifest(kind, "base")
        assert (made.tracer, made.rung, made.jobs) == ("filemon", "clean", jobs + 1)
    for tag, (_, rungs, jobs) in CHANGES.items():
        said = lab.doit(f"build:{tag}")
        short = lab.repo.short(tag)
        assert (said.rung("world", short), said.rung("kernel", short)) == rungs, said.text
        if jobs:
            assert lab.manifest("kernel", tag).jobs == jobs + 1, said.text
    at_rest(lab)
    lab.doit("verify", "kernel:added", "kernel:gone", "world:world")


def test_a_killed_doit(lab: Lab) -> None:
    """bmake gives every job a process group; the next build ends them all."""
    recipe = (lab.directory / "tiny.toml").read_text()
    lab.recipe(('default = "0"', 'default = "987.0419"'))
    build = lab.start("world:header")
    wait_for(lambda: "sleep 987.0419" in there(lab, "ps -axww -o args="), seconds=90)
    build.send_signal(signal.SIGKILL)
    build.communicate(timeout=20)
    (lab.directory / "tiny.toml").write_text(recipe)
    repo = lab.repo
    repo.git("checkout", "-q", "base")
    repo.write("sys/z.c", "z=1\n")
    repo.commit("after", tag="after")
    lab.doit("kernel:after")
    at_rest(lab)


def test_a_wrong_clock(lab: Lab) -> None:
    set_clock(lab, ahead=3600)
    try:
        lab.repo.git("checkout", "-q", "base")
        lab.repo.write("sys/y.c", "y=1\n")
        lab.repo.commit("late", tag="late")
        said = lab.doit("kernel:late", code=1).text
    finally:
        set_clock(lab)
    assert re.search(r"its clock is \+3[56]\d\d s off\n  hint: mend the clock", said)
    lab.doit("kernel:late")
