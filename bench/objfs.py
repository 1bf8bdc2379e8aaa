"""An obj fs of a build machine: how long its clone takes, and what a kernel step leaves of it.

    bench/objfs.py clone [--sizes 1,20]
    bench/objfs.py layer --image DISK

    clone     a new disk over one with that many GB of content; peer: a copy of the first
    layer     bytes on this host of a kernel step's layer (the files, and the disk they were made
              on), built in the machine DISK (`labtasks image debian DISK`), and what make rewrote:
              the demo OS, and 25 MB of which one object changes, once of machine code as a compiler
              makes it, once of noise, which nobody can compress

The contents of `clone` are written past the page cache, once, and are as long as they say.
"""

from __future__ import annotations

import argparse
import mmap
import os
import shutil
import sys
import tempfile
from pathlib import Path

from common import DOIT, commit, lab, report, run, seconds

from labtasks.key import key
from labtasks.lab import lab as labs
from labtasks.store.store import Store
from labtasks.vm import image, qcow2

GB = 1 << 30
ROUNDS = 20

BIG = """\
about = "objects of 1 MB, linked by cat"
[kernel]
inputs = ["."]
checks_commands = "yes"
steps = ["make -f {src}/Makefile -C {obj} SRC={src}"]
outputs = ["kernel"]
"""

MAKEFILE = """\
OBJECTS := $(patsubst $(SRC)/%.c,%.o,$(wildcard $(SRC)/*.c))
kernel: $(OBJECTS)
\tcat $(OBJECTS) >$@
%.o: $(SRC)/%.c
\tCONTENT | head -c 1048576 >$@
"""

CODE = "tail -c +$$(($$(cksum <$< | cut -c1-7) * 2)) $$(gcc -print-prog-name=cc1)"
NOISE = "cat /dev/urandom"


def clone(sizes: list[int]) -> None:
    """Seconds of a new disk over a full one."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_TMP")) as scratch:
        here = Path(scratch)
        copy = 0.0
        for size in sizes:
            base = here / "base.img"
            _filled(base, size * GB)
            qcow2.create(here / "base.qcow2", below=base)
            times = [
                seconds(lambda n=n: qcow2.create(here / f"{n}.qcow2", below=here / "base.qcow2"))
                for n in range(ROUNDS)
            ]
            if not copy:
                copy = seconds(run, ["cp", "--reflink=auto", str(base), str(here / "copy")], here)
                (here / "copy").unlink()
            report(f"a disk over {size} GB, copy of {sizes[0]} GB", max(times), copy, "at most 0.2")


def _filled(path: Path, size: int) -> None:
    """A file of random blocks, each with its number, so that no disk can merge them."""
    block = 4 << 20
    with mmap.mmap(-1, block) as buffer:  # aligned, as O_DIRECT wants it
        buffer[:] = os.urandom(block)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DIRECT)
        for number in range(size // block):
            buffer[:8] = number.to_bytes(8, "little")
            os.write(descriptor, buffer)
        os.close(descriptor)


def layers(image: Path) -> None:
    """Bytes of two kernel steps in a machine."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_TMP")) as scratch:
        here = Path(scratch)
        demo = lab(here / "demo", f'repository = "demo"\nrecipe = "demo"\n{_vm(image)}')
        origin = labs.load(demo).repository.git_dir.parent
        for name, content in (("code", CODE), ("noise", NOISE)):
            sources = _sources(here / name, content)
            text = f'repository = "{sources}"\nrecipe = "big.toml"\n{_vm(image)}'
            big = lab(here / f"{name}.lab", text)
            (big / "big.toml").write_text(BIG)
            _step(f"25 MB of {name}", big, sources, "HEAD", "7.c")
        _step("the demo", demo, origin, "good", "sys/kern/kern_synch.c")


def _sources(where: Path, content: str) -> Path:
    """A repository whose kernel is 25 objects of such content."""
    where.mkdir()
    (where / "Makefile").write_text(MAKEFILE.replace("CONTENT", content))
    for number in range(25):
        (where / f"{number}.c").write_text(f"{number}\n")
    who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "bench"]):
        run(["git", *words], where)
    return where


def _vm(disk: Path) -> str:
    disk = disk.resolve().with_name(f"{disk.name.removesuffix('.img')}.img")
    machine = image.settings("build", disk, memory=2048)
    return f'builder = "vm:build"\ntracer = "depend"\n{machine}'


def _step(name: str, here: Path, repository: Path, ref: str, path: str) -> None:
    """A kernel that is built, one file of it changed, built again."""
    run(["git", "tag", "base", ref], repository)
    run([*DOIT, "up:build"], here)
    try:
        run([*DOIT, "kernel:base"], here)
        again = commit(repository, path, 1)
        print(run([*DOIT, f"kernel:{again}"], here).splitlines()[-1], flush=True)
        _sizes(name, here, again)
    finally:
        run([*DOIT, "down:build"], here)


def _sizes(name: str, here: Path, ref: str) -> None:
    found = labs.load(here)
    store = Store(found.cache)
    want = key.wanted(found, "kernel", found.repository.commit(ref), None)
    made = store.get("kernel", want.key)
    if made is None:
        sys.exit("the step is not built")
    home = store.layers / made.stack[0]
    added = sum(p.lstat().st_blocks * 512 for p in (home, *home.rglob("*")))
    wrote = sum(p.lstat().st_blocks * 512 for p in (home / "t").rglob("*") if p.is_file())
    disk = (home / "disk.qcow2").stat().st_blocks * 512
    report(f"layer of {name}, rewritten by make", added / 2**20, wrote / 2**20, "at most 2", "MB")
    print(f"  of it the disk: {disk / 2**20:.3f} MB", flush=True)
    if os.environ.get("BENCH_KEEP"):
        shutil.copytree(home, Path(os.environ["BENCH_KEEP"], made.stack[0]), symlinks=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figure", choices=("clone", "layer"))
    parser.add_argument("--sizes", default="1,20")
    parser.add_argument("--image", type=Path)
    asked = parser.parse_args()
    if asked.figure == "clone":
        clone([int(size) for size in asked.sizes.split(",")])
    elif asked.image:
        layers(asked.image)
    else:
        sys.exit("layer: --image names a machine's disk")
