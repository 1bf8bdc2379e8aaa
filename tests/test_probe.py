"""What a bisect asks of one commit, on a system of three files: builds are real, nothing boots."""

import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import environment

from labtasks.bisect import proof
from labtasks.bisect.ahead import Ahead
from labtasks.bisect.probe import Prober
from labtasks.build.artifact import Request, produce
from labtasks.command import main
from labtasks.key import key
from labtasks.key.git import Commit
from labtasks.key.key import Kind
from labtasks.lab.lab import Lab, load
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store
from labtasks.test import verdict
from labtasks.test.judge import Outcome

pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="no strace")

RECIPE = r"""
about = "a world, a kernel, and how both are installed"
identity = ["sh -c 'echo 1'"]
[world]
inputs = ["Makefile", "world"]
steps = ["make O={obj} {obj}/world/init"]
outputs = ["world/**"]
checks_commands = "yes"
[kernel]
inputs = ["Makefile", "kernel"]
steps = ["make O={obj} {obj}/kernel/kernel && [ ! -e '%(flag)s' ]"]
outputs = ["kernel/**"]
checks_commands = "yes"
[root]
inputs = ["world"]
steps = ["mkdir -p {obj}/root && cp {obj}/world/init {obj}/root/ && ! grep -q bad world"]
outputs = ["root/**"]
[install]
inputs = []
steps = ["mkdir -p {obj}/boot && cp {obj}/kernel/kernel {obj}/boot/"]
outputs = ["boot/**"]
[machine]
kernel = "{boot}/boot/kernel"
[console.lines]
panic = ['panic: (.*)']
"""


MAKEFILE = """
$(O)/world/init: world
	mkdir -p $(@D)
	cat world > $@
$(O)/kernel/kernel: kernel
	mkdir -p $(@D)
	sh kernel > $@
"""


class System:
    """A lab on a repository, one commit for each set of files."""

    def __init__(self, folder: Path) -> None:
        self.repo, self.directory, self.flag = folder / "repo", folder / "lab", folder / "flag"
        subprocess.run(["git", "init", "-q", str(self.repo)], check=True, env=environment())
        for name in ("world", "kernel"):
            (self.repo / name).write_text("echo one\n")
        (self.repo / "Makefile").write_text(MAKEFILE)
        self.commit()
        assert main.main(["init", str(self.directory), "--repository", str(self.repo)]) == 0
        self.recipe(RECIPE % {"flag": self.flag})
        (self.directory / "lab.toml").write_text(
            f'repository = "{self.repo}"\nrecipe = "small.toml"\ntracer = "strace"\n'
        )

    def recipe(self, text: str) -> None:
        (self.directory / "small.toml").write_text(text)

    def commit(self, **files: str) -> str:
        for name, text in files.items():
            (self.repo / name).write_text(text)
        words = ["-c", "user.name=a", "-c", "user.email=a@b"]
        for more in (["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "change"]):
            argv = ["git", "-C", str(self.repo), *words, *more]
            subprocess.run(argv, check=True, env=environment())
        return subprocess.check_output(
            ["git", "-C", str(self.repo), "rev-parse", "HEAD"], text=True, env=environment()
        ).strip()

    @property
    def lab(self) -> Lab:
        return load(self.directory)

    def prober(self) -> Prober:
        lab = self.lab
        return Prober(lab=lab, store=Store(lab.cache), vm="test", request=Request())


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def _made(system: System, kind: Kind) -> Manifest:
    """An artifact of the newest commit."""
    lab = system.lab
    return produce(
        lab, Store(lab.cache), key.wanted(lab, kind, _at(system, "HEAD"), None), Request()
    )


def _at(system: System, ref: str) -> Commit:
    return system.lab.repository.commit(ref)


def test_a_world_that_does_not_install_is_untestable(system):
    system.commit(world="bad\n")
    found = system.prober().probe(_at(system, "HEAD"))
    assert found.outcome is Outcome.UNTESTABLE
    assert "root" in found.reason


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="no qemu-system-x86_64")
def test_a_kernel_that_is_none_is_untestable(system):
    found = system.prober().probe(_at(system, "HEAD"))
    assert found.outcome is Outcome.UNTESTABLE
    assert "kernel" in found.reason


def test_no_proof_without_a_clean_build(system):
    """Incrementally it builds, clean it does not: what is sealed must not stand in for it."""
    prober = system.prober()
    assert _made(system, "kernel").rung == "clean"
    system.commit(kernel="echo two\n")
    assert _made(system, "kernel").rung == "incremental"
    system.flag.touch()
    found = proof.anew(prober, _at(system, "HEAD"))(0)
    assert found.outcome is Outcome.UNTESTABLE
    assert "kernel" in found.reason


def test_where_worlds_are_in_question_a_proof_builds_them_clean(system):
    _made(system, "world")
    system.commit(world="echo two\n", kernel="echo two\n")
    assert _made(system, "world").rung == "incremental"
    proof.anew(system.prober(), _at(system, "HEAD"))
    assert [_made(system, kind).rung for kind in ("world", "kernel")] == ["clean", "clean"]


def test_a_verdict_hangs_on_what_reads_the_console(system):
    prober = system.prober()
    made = _made(system, "install")
    before = dict(verdict.inputs_of(prober.lab, "test", None, made))
    assert before["emulator"].startswith("QEMU")
    system.recipe(RECIPE % {"flag": system.flag} + "trap = ['Fatal trap']\n")
    after = dict(verdict.inputs_of(system.lab, "test", None, made))
    assert [name for name in before if before[name] != after[name]] == ["console"]


def test_a_verdict_hangs_on_the_firmware_itself(system):
    made = _made(system, "install")
    firmware = system.directory / "firmware"
    text = (RECIPE % {"flag": system.flag}).replace(
        "[machine]\n", f'[machine]\nfirmware = "{firmware}"\n'
    )
    system.recipe(text)
    seen = set()
    for content in (b"one", b"two"):
        firmware.write_bytes(content)
        seen.add(verdict.key_of(verdict.inputs_of(system.lab, "test", None, made)))
    assert len(seen) == 2


def test_what_is_built_ahead_and_needed_now_is_not_given_up(system, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    prober = system.prober()
    first = _at(system, system.commit(kernel="sleep 2; echo two\n"))
    second = _at(system, system.commit(kernel="echo three\n"))
    ahead = Ahead(prober=prober)
    try:
        ahead.prepare([first])
        ahead.prepare([second], now=first)
        assert prober.ready(first)
        _until(lambda: prober.ready(second))
        ahead.prepare([_at(system, system.commit(kernel="sleep 600\n"))])
        ahead.prepare([], now=second)  # what is moot goes at once
    finally:
        ahead.stop()


def _until(seen, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _pinned(system: System, first: str, **more: str) -> Prober:
    system.recipe(RECIPE % {"flag": system.flag} + '[abi]\npaths = ["world"]\n')
    lab = system.lab
    world = lab.repository.commit(first)
    return Prober(
        lab=lab, store=Store(lab.cache), vm="test", request=Request(), world=world, **more
    )


def test_each_world_is_told_with_its_reason(system, capsys):
    first = _at(system, "HEAD").id
    kernel, world = system.commit(kernel="echo 2\n"), system.commit(world="echo 2\n")
    later = system.commit(kernel="echo 3\n")
    prober = _pinned(system, first, because="the good end's")
    found = [prober.probe(_at(system, ref)) for ref in (first, kernel, world, later)]
    said = capsys.readouterr().out
    asked = "ABI paths differ from the world's: world"
    assert [(one.world, one.fit, one.fit_why) for one in found] == [
        (first[:12], "own", "the good end's, pinned from here"),
        (first[:12], "reused", "the good end's; no ABI rule objects"),
        (world[:12], "aligned", asked),
        (world[:12] if prober.aligned else later[:12], "aligned", asked),
    ]
    assert f"  its own world, aligned: {asked}" in said
    assert said.count("reused: the good end's; no ABI rule objects") == 1
    assert f"  the world of {first[:12]}: the good end's, pinned from here" in said
    replace(prober, world=None, because="").probe(_at(system, first))
    assert "its own world" not in capsys.readouterr().out


def test_what_does_not_build_is_remembered(system):
    prober = system.prober()
    commit = _at(system, system.commit(kernel="exit 1\n"))
    first, second = prober.probe(commit), prober.probe(commit)
    assert (first.how, first.spared) == ("tested", "")
    assert (second.how, second.build_seconds) == ("known", 0)
    assert second.spared == "it did not build before, which is remembered"
    assert "known not to build" in second.reason
    assert prober.known(commit)
