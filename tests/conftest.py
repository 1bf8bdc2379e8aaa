"""A tiny operating system with a history, labs to build it in, and an oracle that is plain make.

Nothing here is mocked: git, make, the compiler, overlays and strace are the machine's own. What a
machine lacks is skipped with its reason. The oracle unpacks a commit with `git archive` and runs
the same make targets in ordinary folders: it shares no line with labtasks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import filelock
import hypothesis
import pytest
from tiny import CHANGES, RECIPE, write_base

from labtasks.command import main
from labtasks.key import key
from labtasks.key.key import Wanted
from labtasks.lab.lab import load
from labtasks.store import layer
from labtasks.store.layer import LayerId
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store
from labtasks.trace import recorder

ROOT = Path(__file__).resolve().parent.parent
hypothesis.settings.register_profile("calm", deadline=None, database=None, max_examples=60)
hypothesis.settings.load_profile("calm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long tests first: the others fill the second processor beside them."""
    items.sort(key=lambda item: not item.path.name.startswith("test_linux"))


OUTPUTS = {"world": ("world",), "kernel": ("kernel/kernel",)}
"""What the recipe declares as outputs, as folders or files, for the oracle."""

Content = dict[str, tuple[int, str]]
"""Path -> (permission bits, SHA-256, or the target of a symbolic link)."""


def environment(**more: str) -> dict[str, str]:
    """The environment of every command: no git configuration, this checkout's labtasks."""
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "DOIT"))}
    return {
        **keep,
        "PYTHONPATH": str(ROOT),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "LC_ALL": "C.UTF-8",
        **more,
    }


def doit(where: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run doit in a lab, with these variables besides."""
    return subprocess.run(
        [sys.executable, "-m", "doit", *words], cwd=where, env=environment(**more), check=False,
        capture_output=True, text=True, timeout=1800,
    )  # fmt: skip


def programs(folder: Path) -> None:
    """Put `labtasks`, `doit` and their kin of this checkout into a folder."""
    folder.mkdir()
    for name, module, entry in (
        ("doit", "doit.doit_cmd", "DoitMain().run(sys.argv[1:])"),
        ("labtasks", "labtasks.command.main", "main()"),
        ("eitri", "labtasks.command.eitri", "eitri()"),
        ("brokkr", "labtasks.command.eitri", "brokkr()"),
        ("muninn", "labtasks.notice.muninn", "main()"),
    ):
        path = folder / name
        run = f"import sys; sys.argv[0] = '{name}'; from {module} import *; sys.exit({entry})"
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{run}" "$@"\n')
        path.chmod(0o755)


@dataclasses.dataclass(frozen=True)
class Said:
    """How a command ended, and all it printed."""

    code: int
    text: str

    def lines(self, pattern: str) -> list[str]:
        return [line for line in self.text.splitlines() if re.search(pattern, line)]

    def rung(self, kind: str, short: str) -> str:
        """The rung by which an artifact was come by in this run: "same key" when nothing was."""
        name = re.escape(f"{kind}:{short}")
        alias = re.search(rf"^{name}: is \S+ \((\w+)\)", self.text, re.MULTILINE)
        if alias:
            return alias[1]
        built = re.findall(rf"^{name}: (clean|incremental)\b", self.text, re.MULTILINE)
        if built:
            return " then ".join(built)
        return "same key"


class Repo:
    """A git repository to be built, with dates that advance by a day per commit."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def git(self, *args: str, data: bytes | None = None, **env: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *args],
            input=data,
            capture_output=True,
            check=False,
            env=environment(**env),
        )
        if done.returncode:
            raise AssertionError(f"git {args}: {done.stderr.decode()}")
        return done.stdout.decode(errors="surrogateescape").strip()

    def create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "tester")
        self.git("config", "user.email", "tester@example.org")
        self.git("config", "gc.auto", "0")  # no packing behind a test's back

    def commit(self, subject: str, *, tag: str = "") -> str:
        """Commit everything in the work tree; the new commit's id."""
        self.git("add", "-A")
        number = len(self.git("rev-list", "--all").splitlines())
        date = f"{1_600_000_000 + number * 86_400} +0000"
        self.git(
            "commit", "-q", "--allow-empty", "-m", subject,
            GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date,
        )  # fmt: skip
        if tag:
            self.git("tag", tag)
        return self.git("rev-parse", "HEAD")

    def short(self, ref: str) -> str:
        return self.git("rev-parse", f"{ref}^{{commit}}")[:12]

    def write(self, path: str, text: str) -> Path:
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file


class Lab:
    """A lab on disk: run doit in it, read its store."""

    def __init__(self, directory: Path, repo: Repo) -> None:
        self.directory = directory
        self.repo = repo

    @property
    def store(self) -> Store:
        return Store(self.directory / "cache")

    def configure(self, **settings: object) -> None:
        """Write lab.toml: plain values, and dicts as tables after them."""
        first = {"repository": str(self.repo.path), "recipe": "tiny.toml", "jobs": 2, **settings}
        flat = [f"{k} = {_toml(v)}" for k, v in first.items() if not isinstance(v, dict)]
        tables = [
            f"[{k}]\n" + "\n".join(f"{_toml(a)} = {_toml(b)}" for a, b in v.items())
            for k, v in first.items()
            if isinstance(v, dict)
        ]
        (self.directory / "lab.toml").write_text("\n".join([*flat, *tables]) + "\n")

    def recipe(self, *replacements: tuple[str, str]) -> None:
        """Change the recipe's text; each part must be there."""
        path = self.directory / "tiny.toml"
        text = path.read_text()
        for old, new in replacements:
            assert old in text, old
            text = text.replace(old, new)
        path.write_text(text)

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "doit", *words]

    def doit(
        self,
        *words: str,
        code: int | None = 0,
        env: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        timeout: float = 120,
    ) -> Said:
        """Run doit to its end; `code` is the status it must have, None for any."""
        done = subprocess.run(
            [*prefix, *self.argv(*words)],
            cwd=self.directory,
            env={**environment(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
        said = Said(done.returncode, done.stdout.decode(errors="replace"))
        if code is not None:
            assert said.code == code, said.text
        return said

    def start(self, *words: str, **more: str) -> subprocess.Popen[str]:
        """Start doit in a session of its own, and do not wait."""
        return subprocess.Popen(
            self.argv(*words),
            cwd=self.directory,
            env=environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def manifests(self, kind: str) -> dict[str, Manifest]:
        """Every sealed artifact of a kind, by short commit."""
        return {m.commit[:12]: m for m in self.store.all(kind)}

    def want(self, kind: str, ref: str, world: str = "") -> Wanted:
        """What decides an artifact, as the pipeline sees it."""
        found = load(self.directory)
        pin = found.repository.commit(world) if world not in ("", "image") else world or None
        return key.wanted(found, kind, found.repository.commit(ref), pin)

    def manifest(self, kind: str, ref: str, world: str = "") -> Manifest:
        want = self.want(kind, ref, world)
        found = self.store.get(kind, want.key)
        assert found, f"{want.name} is not in the store"
        return found

    def logs(self, kind: str) -> list[Path]:
        return sorted((self.directory / "cache" / "logs").glob(f"{kind}-*"))

    def content(self, kind: str, ref: str) -> Content:
        """What an artifact's outputs are on disk, read through its layers without the library."""
        return stack_content(self.store.layers, self.manifest(kind, ref).stack, OUTPUTS[kind])

    def at_rest(self) -> None:
        """Nothing is under way any more: no scratch folder, no lock held."""
        cache = self.directory / "cache"
        # one that was killed before it had an owner goes when it is ten seconds old
        assert [p for p in (cache / "tmp").iterdir() if (p / "owner").exists()] == []
        for path in (cache / "locks").glob("*.lock"):
            with filelock.FileLock(path, timeout=20):  # who ends closes what it has one by one
                pass


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml(a)} = {_toml(b)}' for a, b in value.items())}}}"
    return json.dumps(value)


def stack_content(layers: Path, stack: list[LayerId], wanted: tuple[str, ...]) -> Content:
    """The wanted files and folders of a stack of layers, newest first, from the files on disk."""
    found: Content = {}
    hidden: set[str] = set()
    for name in stack:
        tree, here = layers / name / "t", set()
        for folder, folders, files in os.walk(tree):
            for item in (*files, *folders):
                full = Path(folder, item)
                path = str(full.relative_to(tree))
                info = full.lstat()
                if stat.S_ISDIR(info.st_mode):
                    if layer._opaque(full):
                        here.add(path)
                    continue
                above = {path, *(str(p) for p in Path(path).parents)}
                here.add(path)
                if not above & hidden and not stat.S_ISCHR(info.st_mode) and _in(path, wanted):
                    found[path] = _facts(full)
        hidden |= here
    return found


def _in(path: str, wanted: tuple[str, ...]) -> bool:
    return not path.endswith(".d") and any(path == w or path.startswith(f"{w}/") for w in wanted)


def _facts(path: Path) -> tuple[int, str]:
    if path.is_symlink():
        return 0o777, os.readlink(path)
    return stat.S_IMODE(path.stat().st_mode), hashlib.sha256(path.read_bytes()).hexdigest()


class Oracle:
    """What a clean build of a commit leaves, by make alone; each commit is built once."""

    def __init__(self, repo: Repo, folder: Path) -> None:
        self.repo = repo
        self.folder = folder

    def __call__(self, kind: str, ref: str) -> Content:
        folder = self.folder / self.repo.short(ref)
        with filelock.FileLock(f"{folder}.lock"):
            if not (folder / "done").exists():
                self._build(folder, ref)
        obj = folder / "obj"
        paths = [p for p in obj.rglob("*") if p.is_symlink() or not p.is_dir()]
        named = {str(p.relative_to(obj)): p for p in paths}
        return {path: _facts(p) for path, p in named.items() if _in(path, OUTPUTS[kind])}

    def _build(self, folder: Path, ref: str) -> None:
        (folder / "src").mkdir(parents=True)
        (folder / "obj").mkdir()
        archive = folder / "src.tar"
        self.repo.git("archive", "-o", str(archive), ref)
        subprocess.run(["tar", "-xf", archive, "-C", folder / "src"], check=True)
        # what the archive carries as times must not matter here either: it is a clean build
        subprocess.run(
            ["sh", "-e", "-c", "umask 022; make -j2 -f bin/Makefile; make -j2 -f sys/Makefile"],
            cwd=folder / "src",
            env={"PATH": os.environ["PATH"], "O": str(folder / "obj"), "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        (folder / "done").touch()


@dataclasses.dataclass(frozen=True)
class World:
    """Everything a test starts from; `labs` makes a new lab folder."""

    repo: Repo
    oracle: Oracle
    folder: Path


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The tiny system's repository, its oracle, and a template lab: made once for all workers."""
    for tool in ("git", "make", "cc", "ld"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is missing")
    base = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        base = base.parent
    folder = base / "tiny-system"
    folder.mkdir(exist_ok=True)
    repo = Repo(folder / "repo")
    with filelock.FileLock(folder / "lock"):
        if not (folder / "ready").exists():
            _write_history(repo)
            _write_template(folder / "lab", repo)
            (folder / "ready").touch()
    return World(repo=repo, oracle=Oracle(repo, folder), folder=folder)


def _write_history(repo: Repo) -> None:
    repo.create()
    write_base(repo.path)
    repo.commit("base", tag="base")
    for name, change in CHANGES.items():
        repo.git("checkout", "-q", "base")
        change(repo.path)
        repo.commit(name, tag=name)
    repo.git("checkout", "-q", "main")


def _write_template(folder: Path, repo: Repo) -> None:
    assert main.main(["init", str(folder), "--repository", str(repo.path)]) == 0
    (folder / "tiny.toml").write_text(RECIPE)
    Lab(folder, repo).configure()


@pytest.fixture
def make_lab(world: World, tmp_path: Path) -> Callable[..., Lab]:
    """Makes labs: `built` names a driver and tracer whose cache already holds `base`."""

    def make(
        name: str = "lab",
        *,
        driver: str = "root",
        tracer: str = "strace",
        built: bool = False,
        repo: Repo | None = None,
        **settings: object,
    ) -> Lab:
        needs(driver, tracer)
        lab = Lab(tmp_path / name, repo or world.repo)
        shutil.copytree(world.folder / "lab", lab.directory)
        settings = {"tracer": tracer, "layers": "auto", **settings}
        if driver == "copy":
            settings["layers"] = "copy"
        lab.configure(**settings)
        cache = lab.directory / "cache"
        cache.mkdir(exist_ok=True)
        if driver == "user":
            about = [platform.release(), os.geteuid()]
            (cache / "namespace.json").write_text(json.dumps({"about": about, "found": "user"}))
        if built and driver == "copy":  # its paths are the lab's own: no other lab can use it
            lab.doit("build:base")
        elif built:
            _with_base(world, lab, f"{driver}-{tracer}")
        return lab

    return make


def _with_base(world: World, lab: Lab, name: str) -> None:
    """Copy a cache that holds `base`, built once for all workers with the lab's own settings."""
    ready = world.folder / f"cache-{name}"
    with filelock.FileLock(f"{ready}.lock"):
        if not ready.exists():
            lab.doit("build:base")
            subprocess.run(["cp", "-a", lab.directory / "cache", f"{ready}.new"], check=True)
            Path(f"{ready}.new").rename(ready)
    layer.remove(lab.directory / "cache")
    subprocess.run(["cp", "-a", ready, lab.directory / "cache"], check=True)


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """A lab with an empty cache, with the best this machine has."""
    return make_lab(tracer="auto")


@pytest.fixture
def built(make_lab: Callable[..., Lab]) -> Lab:
    """A lab whose cache holds `base`."""
    return make_lab(built=True)


def needs(driver: str, tracer: str) -> None:
    """Skip what this machine cannot do."""
    if tracer == "strace" and not shutil.which("strace"):
        pytest.skip("strace is missing")
    if tracer == "bpf" and not recorder.standing().works:
        pytest.skip(f"no BPF: {recorder.standing().said}")
    if driver == "root" and os.geteuid() != 0:
        pytest.skip("not root: overlays are mounted in a user namespace, which has its own tests")
    if driver in ("root", "user") and not can_unshare(driver):
        pytest.skip(f"no overlay in a {driver} namespace here")


_able: dict[str, bool] = {}


def can_unshare(driver: str) -> bool:
    """Whether a mount namespace of this kind may be made here."""
    if driver not in _able:
        user = ["--user", "--map-root-user"] if driver == "user" else []
        argv = ["unshare", *user, "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        _able[driver] = bool(shutil.which("unshare")) and not subprocess.call(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    return _able[driver]


def behind(where: Path, setup: str, *commands: str) -> tuple[str, list[int]]:
    """Run shell text, then commands, in one mount namespace. All they printed, and their codes."""
    lines = [setup]
    for number, command in enumerate(commands):
        lines.append(f"{command}; echo code {number} is $?")
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", "\n".join(lines)],
        cwd=where, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False, timeout=600,
    )  # fmt: skip
    codes = [int(code) for code in re.findall(r"^code \d+ is (\d+)$", done.stdout, re.MULTILINE)]
    return done.stdout, codes


def path_without(folder: Path, *names: str) -> str:
    """A PATH that has every command of this machine but some."""
    there = folder / "bin"
    there.mkdir()
    for place in reversed(os.environ["PATH"].split(":")):
        for tool in Path(place).glob("*") if Path(place).is_dir() else ():
            if tool.name not in names:
                (there / tool.name).unlink(missing_ok=True)
                (there / tool.name).symlink_to(tool)
    return str(there)


def processes(word: str) -> list[int]:
    """Processes (zombies apart) that have `word` in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes()
        except OSError:
            continue
        if word.encode() in text and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found


def wait_for(what: Callable[[], object], *, seconds: float = 120) -> None:
    """Wait until something is true: long enough for any machine, however busy it is."""
    ends = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def kept() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes a test started: killed with their sessions when it ends."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for one in started:
        if one.poll() is None:
            os.killpg(one.pid, signal.SIGKILL)
        one.communicate(timeout=60)  # an end of its pipe in other hands is a process left behind
