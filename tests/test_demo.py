"""The demo OS: a history that is the same everywhere, and trees that build and boot."""

import os
import platform
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from changes import KINDS, changes

from labtasks.ground.error import UserError
from labtasks.lab import demo
from labtasks.lab.recipe import SHIPPED

# The ids of the first and the last commit. They change with demo_os, and with nothing else.
GOOD = "9f438a2fd1d674a3e63ae7b6b7edc4a1c36c7080"
BAD = "5b083eee33944141c81856bbc8d5c658ff1932b5"

OLD = 946684800  # 2000-01-01: what every file that did not change is dated in a lab
RECIPE = SHIPPED / "demo.toml"


def _git(directory: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("demo") / "src"
    demo.create(directory)
    return directory


def test_history_is_the_same_everywhere(history, tmp_path, monkeypatch):
    # A user's own settings must not reach the commits.
    (tmp_path / "gitconfig").write_text("[core]\nautocrlf = true\n[user]\nname = Somebody\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody Else")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    demo.create(tmp_path / "again")
    refs = _git(tmp_path / "again", "for-each-ref", "--format=%(refname) %(objectname)")
    assert refs == _git(history, "for-each-ref", "--format=%(refname) %(objectname)")
    assert refs.split() == [
        *("refs/heads/main", BAD),
        *("refs/tags/bad", BAD),
        *("refs/tags/good", GOOD),
    ]


def test_repository_is_clean_and_on_its_branch(history):
    assert _git(history, "symbolic-ref", "HEAD").strip() == "refs/heads/main"
    assert _git(history, "status", "--porcelain", "--ignored") == ""
    assert _git(history, "fsck", "--strict") == ""


def test_history_has_every_kind_of_change():
    kinds = [change.kind for change in changes()]
    assert set(kinds) == KINDS
    for kind, least in (("docs", 3), ("arch", 3), ("header", 2), ("kernel", 12), ("world", 8)):
        assert kinds.count(kind) >= least, kind
    for kind in ("abi", "broken", "regression"):
        assert kinds.count(kind) == 1, kind


def test_history_is_what_the_changes_say(history):
    log = _git(history, "log", "--reverse", "--format=%s", "good..bad").splitlines()
    assert sorted(log) == sorted(change.subject for change in changes())
    for change in changes():
        sha = _git(history, "log", "--format=%H", "--fixed-strings", f"--grep={change.subject}")
        shown = _git(history, "show", "--format=", "--name-only", "--no-renames", sha.split()[0])
        assert set(shown.split()) == change.files, change.subject


def test_history_has_a_merge_and_every_sort_of_edit(history):
    assert _git(history, "rev-list", "--merges", "--count", "good..bad").strip() == "1"
    shown = _git(history, "log", "--raw", "-M", "--format=", "good..bad").splitlines()
    letters = {line.split()[4][0] for line in shown}
    assert letters == {"A", "D", "M", "R"}
    assert any(line.startswith(":100644 100755") for line in shown)


def test_message_does_not_give_the_culprit_away(history):
    (culprit,) = [change for change in changes() if change.kind == "regression"]
    message = _git(history, "log", "-1", "--format=%B", f"--grep={culprit.subject}")
    assert not re.search(r"regress|bug|hit|wrong|bad|flood", message)
    assert set(_git(history, "tag").split()) == {"good", "bad"}


def test_create_refuses_a_directory_with_something_in_it(tmp_path):
    (tmp_path / "mine").write_text("do not touch")
    with pytest.raises(UserError, match="not an empty directory"):
        demo.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_recipe_names_paths_that_exist(history):
    recipe = tomllib.loads(RECIPE.read_text())
    for part in ("toolchain", "world", "kernel"):
        for name in recipe[part]["inputs"]:
            assert (history / name).exists(), f"{part}: {name}"
    version = recipe["abi"]["version"]
    assert re.search(version["pattern"], (history / version["file"]).read_text())


# Building and booting


def _need(*commands: str) -> None:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        pytest.skip("the demo OS is built by the host's compiler: needs x86-64 Linux")
    for command in commands:
        if shutil.which(command) is None:
            pytest.skip(f"{command} is not installed")


def _make(source: Path, objects: Path, make: str, *targets: str) -> None:
    env = {**os.environ, "MAKEOBJDIRPREFIX": str(objects)}
    env.pop("MAKEFLAGS", None)
    done = subprocess.run(
        [make, "-j2", *targets], cwd=source, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def _build(source: Path, objects: Path, make: str) -> None:
    for target in ("buildworld", "buildkernel"):
        _make(source, objects, make, target)


def _checkout(source: Path, ref: str) -> None:
    """Another commit, the way a lab does it: what did not change is old, what did is new."""
    for path in source.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            os.utime(path, (OLD, OLD))
    _git(source, "checkout", "-q", "--detach", ref)


def _files(objects: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(objects)): path.read_bytes()
        for path in objects.rglob("*")
        if path.is_file()
    }


def _image(source: Path, objects: Path, target: Path) -> None:
    """What a boot needs, put aside in target: the kernel, and the world as its root."""
    _make(source, objects, "make", "installworld", "installkernel", f"DESTDIR={target}/root")
    makefs = objects / "tmp" / "bin" / "makefs"
    subprocess.run([makefs, target / "root.img", target / "root"], check=True)


def _boot(image: Path, tmp_path: Path, *, nonce: str) -> tuple[str, str]:
    """What an image said on the console, and on the second serial port."""
    _need("qemu-system-x86_64")
    channel = tmp_path / "verdict"
    command = [
        *("qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-display", "none", "-no-reboot"),
        *("-monitor", "none", "-kernel", str(image / "root" / "boot" / "kernel" / "kernel")),
        *("-initrd", str(image / "root.img"), "-append", f"nonce={nonce}"),
        *("-serial", "stdio", "-serial", f"file:{channel}"),
    ]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Powering off." in done.stdout, done.stdout[-2000:] + done.stderr
    return done.stdout, channel.read_text()


@pytest.fixture(scope="module")
def built(history, tmp_path_factory) -> Path:
    """The first commit, built clean; the last one, built on top of it, and clean by another make.

    A directory with the images `first` and `last` and the object trees `incremental` and `clean`.
    All are built at the same two paths, as in a lab.
    """
    _need("make", "cc", "ld")
    directory = tmp_path_factory.mktemp("build")
    source, objects = directory / "src", directory / "obj"
    _git(history, "clone", "-q", str(history), str(source))

    _checkout(source, "good")
    _build(source, objects, "make")
    _image(source, objects, directory / "first")

    _checkout(source, "bad")
    _build(source, objects, "make")
    objects.rename(directory / "incremental")
    _build(source, objects, "bmake" if shutil.which("bmake") else "make")
    _image(source, objects, directory / "last")
    objects.rename(directory / "clean")
    return directory


def test_incremental_build_equals_a_clean_one(built):
    incremental, clean = _files(built / "incremental"), _files(built / "clean")
    assert sorted(incremental) == sorted(clean)
    assert [name for name in clean if clean[name] != incremental[name]] == []


def test_first_commit_passes_its_tests(built, tmp_path):
    console, verdict = _boot(built / "first", tmp_path, nonce="first")
    assert "Nidavel 1.0-RELEASE GENERIC" in console
    assert "init: all tests passed" in console
    assert verdict.strip() == "VERDICT first good all tests passed"


def test_last_commit_has_the_regression(built, tmp_path):
    console, verdict = _boot(built / "last", tmp_path, nonce="last")
    assert "init: all tests passed" not in console
    hits = re.search(r"init: test probetest FAILED: .*probe: (\d+) hits \(expected 1\)", console)
    assert hits
    assert int(hits[1]) > 1
    assert verdict.startswith("VERDICT last bad test probetest FAILED")
    assert len(console) < 10_000  # a flood of hits is no flood of words


def test_old_world_is_recognised(built, tmp_path):
    """The world of the first commit under the kernel of the last: another ABI, so no verdict."""
    mixed = tmp_path / "mixed"
    shutil.copytree(built / "last" / "root" / "boot", mixed / "root" / "boot")
    shutil.copy(built / "first" / "root.img", mixed / "root.img")
    console, verdict = _boot(mixed, tmp_path, nonce="mixed")
    assert "init: kernel ABI 2, world built for ABI 1" in console
    assert verdict == ""
