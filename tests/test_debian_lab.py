"""The lab that `labtasks init --debian` makes: the demo OS built in one Debian machine, installed
through another, booted in a third, and its failures told apart.

Some ten minutes, emulated. Left out without root, mmdebstrap, QEMU, or a way to Debian's packages.
The machines' disk stays in the cache folder, as that of any lab does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import debian
import pytest
from conftest import Said
from conftest import doit as run_doit

from labtasks.command import main
from labtasks.lab.lab import load
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store

pytestmark = [
    pytest.mark.skipif(not os.environ.get("LABTASKS_LONG"), reason="LABTASKS_LONG is not set"),
    pytest.mark.timeout(3600),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A lab as the command leaves it."""
    debian.needed()
    directory = tmp_path_factory.mktemp("debian") / "lab"
    assert main.main(["init", str(directory), "--debian"]) == 0
    yield directory
    run_doit(directory, "down:build", "down:inst")


def doit(lab: Path, *words: str, code: int = 0) -> Said:
    done = run_doit(lab, *words)
    said = Said(done.returncode, done.stdout + done.stderr)
    assert said.code == code, said.text
    return said


def made(lab: Path, kind: str, ref: str) -> Manifest:
    commit = load(lab).repository.commit(ref).id
    return next(m for m in Store(lab / "cache").all(kind) if m.commit == commit)


def verdicts(lab: Path) -> list[dict]:
    files = (lab / "cache" / "artifacts" / "verdict").glob("*/verdict.json")
    return [json.loads(p.read_text()) for p in sorted(files, key=lambda p: p.stat().st_mtime)]


def test_two_commits_and_the_regression(lab: Path) -> None:
    doit(lab, "up:build")
    after = "bad~36"  # changes the kernel alone
    for ref in ("good", after):
        said = doit(lab, f"build:{ref}", f"install:{ref}:test", f"test:{ref}:test")
        assert said.lines("through vm inst, (the kernel alone, )?onto"), said.text
        assert said.lines("good: all tests passed"), said.text
    assert not said.lines("^world:.*: built")
    first, second = made(lab, "kernel", "good"), made(lab, "kernel", after)
    assert second.rung == "incremental"
    assert second.stack[:-1] == first.stack or second.stack[1:] == first.stack
    layers = lab / "cache" / "layers"
    step = next(one for one in second.stack if one not in first.stack)
    assert (layers / step / "disk.qcow2").stat().st_blocks * 512 < 1 << 20
    said = doit(lab, "test:bad:test", code=1)
    assert "test probetest FAILED: probetest: probe:" in said.text
    assert [v["outcome"] for v in verdicts(lab)] == ["good", "good", "bad"]
    (run,) = verdicts(lab)[-1]["runs"]
    assert Path(run["console"]).stat().st_size < load(lab).settings.test.bytes
    known = verdicts(lab)
    assert not doit(lab, "test:good:test", f"test:{after}:test").lines("built:|installed:")
    assert verdicts(lab) == known


@pytest.mark.parametrize(
    ("kenv", "outcome", "reason"),
    [
        ("test=libctest", "good", "good: all tests passed"),
        ("test.panic", "other-failure", "panic"),
        ("test.trap", "other-failure", "trap"),
        ("test.reboot", "other-failure", "silent-reboot"),
        ("test.hang", "other-failure", "silence"),
        ("", "untestable", "mountroot"),
    ],
)
def test_failures_are_told_apart(lab: Path, kenv: str, outcome: str, reason: str) -> None:
    path = lab / "lab.toml"
    before = path.read_text()
    text = before.replace('# kenv = ""', f'kenv = "{kenv}"')
    if reason == "silence":
        text = text.replace("# silence = 30", "silence = 10")
    if reason == "mountroot":
        text += f'arguments = ["-initrd", "{path}"]\n'  # no file system at all
    path.write_text(text)
    try:
        doit(lab, "up:build")
        doit(lab, "test:good:test", code=0 if outcome == "good" else 1)
    finally:
        path.write_text(before)
    last = verdicts(lab)[-1]
    assert last["outcome"] == outcome
    assert last["reason"].startswith(reason), last["reason"]
