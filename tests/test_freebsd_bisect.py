"""A regression of a real FreeBSD tree bisected: one command, to the proof, with real boots.

Runs where LABTASKS_FREEBSD_LAB names a lab (see freebsd.py). Nothing is built before but the good
end, whole; LABTASKS_FREEBSD_GOOD names a cache that holds that already and nothing else, and is
copied. The history is one that kernel developers have: of 60 commits half cannot matter to this
kernel.
"""

from __future__ import annotations

import json
import math
import os
import random
import shutil
from pathlib import Path

import freebsd
import pytest
from conftest import Repo
from freebsd import Change, doit

from labtasks.store.store import Store

pytestmark = freebsd.wanted

KINDS = {  # what a commit adds a line to
    "kernel": (
        "sys/kern/kern_uuid.c", "sys/kern/subr_hints.c", "sys/kern/kern_fork.c",
        "sys/kern/kern_exit.c", "sys/kern/kern_exec.c", "sys/kern/kern_time.c",
        "sys/kern/kern_prot.c", "sys/kern/kern_resource.c", "sys/kern/kern_sysctl.c",
        "sys/kern/kern_synch.c", "sys/kern/subr_sbuf.c", "sys/kern/subr_prf.c",
        "sys/kern/sys_pipe.c", "sys/kern/sys_generic.c", "sys/kern/vfs_bio.c",
        "sys/kern/vfs_lookup.c", "sys/kern/vfs_mount.c", "sys/kern/uipc_socket.c",
        "sys/kern/kern_tc.c", "sys/kern/kern_event.c",
    ),
    "remark": ("sys/vm/vm_map.c", "sys/vm/vm_page.c", "sys/ufs/ffs/ffs_vfsops.c"),
    "header": ("sys/dev/uart/uart_bus.h", "sys/dev/virtio/virtqueue.h"),
    "userland": (
        "bin/cat/cat.c", "bin/date/date.c", "bin/echo/echo.c", "bin/ls/util.c", "bin/ps/ps.c",
        "bin/sleep/sleep.c", "usr.bin/head/head.c", "usr.bin/tail/tail.c", "usr.bin/wc/wc.c",
    ),
    "docs": (
        "README.md", "lib/libc/gen/getcwd.3", "share/man/man4/null.4", "share/man/man5/fstab.5",
        "share/man/man7/build.7", "share/man/man9/malloc.9",
    ),
    "arch": (
        "sys/arm64/arm64/autoconf.c", "sys/arm64/arm64/pmap.c", "sys/arm64/arm64/trap.c",
        "sys/powerpc/powerpc/trap.c", "sys/riscv/riscv/autoconf.c", "sys/riscv/riscv/pmap.c",
    ),
    "unused": (
        "sys/compat/linux/linux_misc.c", "sys/dev/bge/if_bge.c", "sys/dev/e1000/if_em.c",
        "sys/dev/iwn/if_iwn.c", "sys/dev/sound/pcm/channel.c", "sys/dev/usb/usb_hub.c",
        "sys/fs/nfs/nfs_commonkrpc.c", "sys/netgraph/ng_base.c", "sys/netpfil/pf/pf.c",
    ),
}  # fmt: skip
LINES = {
    "kernel": '\nextern const char *labtasks_{0};\nconst char *labtasks_{0} = "{0}";\n',
    "docs": '.\\\\" {0}\n',
}
CULPRIT = "kern_sig: Tell of every exit"
ABI: tuple[Change, ...] = (
    ("sys/sys/param.h", r"(__FreeBSD_version )(\d+)", r"\g<1>1499999"),
    (
        "sys/sys/user.h",
        r"\tint\tki_spareints\[KI_NSPARE_INT\];",
        "\tint\tki_spareints[KI_NSPARE_INT - 1];\n\tint\tki_labtasks;",
    ),
)
BROKEN = "sys/kern/kern_acct.c"


def history(repo: Repo) -> None:
    """Commits in an order that is always the same, a merge among them, tagged good to bad."""
    repo.git("tag", "-f", "good")
    lines = [(kind, path) for kind, paths in KINDS.items() for path in paths]
    random.Random(14).shuffle(lines)  # noqa: S311
    for number, (kind, path) in enumerate(lines):
        if number == 2:  # two commits beside two others
            repo.git("branch", "aside")
            repo.git("checkout", "-q", "--detach", "good")
        line = LINES.get(kind, "\n/* {0} */\n").format(number)
        freebsd.commit(repo, f"{kind}: {path}", (path, r"\Z", line))
        if number == 3:
            repo.git("merge", "-q", "--no-ff", "-m", "merge", "aside")
        elif number == len(lines) // 4:
            freebsd.commit(repo, CULPRIT, freebsd.FOREVER)
        elif number == len(lines) // 3:
            freebsd.commit(repo, "broken: accounting", (BROKEN, r"\Z", "#error not yet\n"))
        elif number == len(lines) // 2 + 5:  # the middle of those that matter is in between
            freebsd.commit(repo, "mended: accounting", (BROKEN, r"#error not yet\n", ""))
        elif number == len(lines) * 4 // 5:
            freebsd.commit(repo, "user.h: Another member", *ABI)
    repo.git("tag", "-f", "bad")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab on that history, whose cache holds one build, of the good end."""
    root = tmp_path_factory.mktemp("freebsd-bisect")
    paths = [path for paths in KINDS.values() for path in paths]
    paths += [BROKEN, freebsd.FOREVER[0], *(path for path, *_ in ABI)]
    repo = freebsd.cloned(root / "repo", paths)
    history(repo)
    lab = freebsd.lab_on(root / "lab", repo, root / "lab" / "cache")
    freebsd.can_boot(lab)
    (lab / "script").write_text(freebsd.SIGEXIT)
    with (lab / "lab.toml").open("a") as text:
        text.write('\n[test]\nscript = "script"\n')
    if given := os.environ.get("LABTASKS_FREEBSD_GOOD"):
        shutil.copytree(given, lab / "cache", symlinks=True)
    assert doit(lab, "build:good").code == 0
    store = Store(lab / "cache")
    assert [len(list(store.all(kind))) for kind in ("world", "kernel")] == [1, 1]
    return lab


@pytest.mark.timeout(6 * 3600)
def test_a_regression_of_freebsd_is_named_and_proved(lab: Path) -> None:
    ends = ("--good", "good", "--bad", "bad", "--vm", "test")
    said = doit(lab, "bisect", "-n", "2", *ends)
    assert said.code == 0, said.text
    report = json.loads((lab / "cache" / "bisect" / "report.json").read_text())
    assert CULPRIT in said.text.split("culprit: ")[1].splitlines()[0]
    assert [(p["role"], p["verdict"], p["agrees"]) for p in report["proofs"]] == [
        ("culprit", "bad", True),
        ("parent", "good", True),
    ]
    for node in report["nodes"]:  # an end is tested whatever it is
        if node["subject"].startswith(("docs", "arch", "userland")) and node["step"] is None:
            assert node["state"] == "folded", node
    classes = len(report["nodes"]) - report["folded"]
    untestable = [s for s in report["steps"] if s["verdict"] == "skip"]
    assert {s["outcome"] for s in untestable} == {"untestable"}, report["steps"]
    assert len(report["steps"]) - len(untestable) <= 2 + math.ceil(math.log2(classes)) + 2
    assert {s["world"] for s in report["steps"]} == {report["good"][0][:12]}  # across the bump
    assert said.rung("world", report["culprits"][0][:12]) == "incremental"  # its own, for the proof
    assert doit(lab, "bisect", "--reset").code == 0
    assert doit(lab, "bisect", *ends).code == 0
    report = json.loads((lab / "cache" / "bisect" / "report.json").read_text())
    assert (report["builds"], report["boots"]) == (0, 0)
