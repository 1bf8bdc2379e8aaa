"""The store: sealed artifacts under `cache/`, and the only judge of whether one exists.

    artifacts/<kind>/<key>/manifest.json   complete when it is there; renamed into place last
    artifacts/<kind>/<key>/trace           what its build read
    artifacts/<kind>/<key>/failure.json    instead of a manifest: the commit does not build
    layers/<id>/{t,files}                  the trees manifests refer to
    locks/ logs/ tmp/                      one lock per artifact; logs of builds; work under way

Nothing here depends on doit's database, and nothing sealed is ever written again, but for the times
in a layer's list where its files were copied. Knows nothing of how artifacts are made.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from labtasks.ground import atomic
from labtasks.ground.digest import Key
from labtasks.ground.error import InfraError, UserError
from labtasks.store import layer, locks
from labtasks.store.layer import LayerId
from labtasks.store.manifest import Failure, Manifest

if TYPE_CHECKING:
    from labtasks.trace.trace import Trace

_YOUNG = 60.0
"""Seconds within which a layer is in nobody's way."""


class Store:
    """The cache directory of one lab. Creating it raises UserError where it cannot be written."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.layers = cache / "layers"
        try:
            for name in ("artifacts", "layers", "locks", "logs", "tmp"):
                (cache / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"the cache {cache} cannot be written: {error.strerror}",
                hint="set `cache` in lab.toml to a directory of yours",
            ) from None

    def home(self, kind: str, key: Key) -> Path:
        """An artifact's folder."""
        return self.cache / "artifacts" / kind / key

    def manifest_path(self, kind: str, key: Key) -> Path:
        """The file whose presence means that the artifact is complete; the doit target."""
        return self.home(kind, key) / "manifest.json"

    def get(self, kind: str, key: Key) -> Manifest | None:
        """A complete artifact, or None. One whose manifest is damaged or whose layers are gone
        counts as none.
        """
        try:
            data = self.manifest_path(kind, key).read_bytes()
            found = msgspec.json.decode(data, type=Manifest)
        except (FileNotFoundError, msgspec.DecodeError):
            return None
        whole = all((self.layers / name).is_dir() for name in (*found.stack, *found.below))
        if kind == "objfs":
            whole = (self.home(kind, key) / "objfs.img").exists()
        return found if whole else None

    def all(self, kind: str) -> list[Manifest]:
        """Every complete artifact of a kind, the newest first."""
        found = [m for key in self.keys(kind) if (m := self.get(kind, key))]
        return sorted(found, key=lambda m: -m.finished)

    def keys(self, kind: str) -> list[Key]:
        """The keys of a kind that have a folder, whatever is in it."""
        try:
            return [Key(name) for name in os.listdir(self.cache / "artifacts" / kind)]
        except FileNotFoundError:
            return []

    def trace(self, manifest: Manifest) -> Trace | None:
        """What an artifact's build read, when it was traced."""
        from labtasks.trace.trace import Trace  # noqa: PLC0415 (an up-to-date run reads none)

        try:
            return Trace.decode(self._trace_file(manifest).read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def _trace_file(self, manifest: Manifest) -> Path:
        return self.home(manifest.kind, manifest.key) / "trace"

    def publish(
        self,
        manifest: Manifest,
        *,
        trace: Trace | None = None,
        tree: Path | None = None,
        alias_of: Manifest | None = None,
    ) -> None:
        """Seal an artifact. `tree` is its new layer's folder (`t` and `files`), moved into place;
        an alias has the trace of what it is an alias of.

        Whoever is killed in here leaves a layer nobody refers to, never half an artifact.
        """
        if tree is not None:
            tree.rename(self.layers / manifest.stack[0])
        home = self.home(manifest.kind, manifest.key)
        home.mkdir(parents=True, exist_ok=True)
        if trace is not None:
            atomic.write(home / "trace", trace.encode())
        if alias_of is not None:
            with contextlib.suppress(FileNotFoundError):  # not everything is traced
                _share(self._trace_file(alias_of), home / "trace")
        atomic.write(
            home / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        )
        (home / "failure.json").unlink(missing_ok=True)

    def failure(self, kind: str, key: Key) -> Failure | None:
        """Why an artifact's commit does not build, when that is known."""
        try:
            data = (self.home(kind, key) / "failure.json").read_bytes()
            return msgspec.json.decode(data, type=Failure)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def failures(self, kind: str) -> list[Failure]:
        """What is known not to build, of a kind."""
        return [found for key in self.keys(kind) if (found := self.failure(kind, key))]

    def remember(self, kind: str, key: Key, failure: Failure) -> None:
        """Remember that a commit does not build."""
        home = self.home(kind, key)
        home.mkdir(parents=True, exist_ok=True)
        atomic.write(home / "failure.json", msgspec.json.encode(failure))

    def forget(self, kind: str, key: Key) -> bool:
        """Remove an artifact (or a remembered failure); True when there was one.

        Layers that others are stacked on stay until nobody refers to them.
        """
        return self.forget_all([(kind, key)]) > 0

    def forget_all(self, some: Iterable[tuple[str, Key]]) -> int:
        """Remove several artifacts; how many there were."""
        there = [home for kind, key in some if (home := self.home(kind, key)).exists()]
        for home in there:
            (home / "manifest.json").unlink(missing_ok=True)
            layer.remove(home)
        if there:
            self.sweep()
        return len(there)

    def sweep(self) -> None:
        """Remove layers no manifest refers to, and work that killed runs left behind."""
        locks.clear_dead(self.cache / "tmp")
        with self._locked("sweep", "tidying up the store"):
            kinds = [p.name for p in (self.cache / "artifacts").iterdir()]
            manifests = [m for kind in kinds for m in self.all(kind)]
            used = {name for m in manifests for name in (*m.stack, *m.below)}
            for uses in (self.cache / "tmp").glob("*/uses"):
                with contextlib.suppress(OSError):
                    used.update(map(LayerId, uses.read_text().split()))
            for folder in self.layers.iterdir():
                # a young layer's manifest may be about to be written
                if folder.name not in used and time.time() - folder.stat().st_ctime > _YOUNG:
                    layer.remove(folder)

    def owners(self, name: str) -> list[str]:
        """The tasks whose artifacts hold a layer, by name."""
        kinds = [p.name for p in (self.cache / "artifacts").iterdir()]
        return [m.name for k in kinds for m in self.all(k) if name in m.stack]

    def lock(self, kind: str, key: Key, purpose: str) -> contextlib.AbstractContextManager[None]:
        """Hold the lock of one artifact; a killed owner's lock is free. Says for whom it waits."""
        return self._locked(f"{kind}-{key}", purpose)

    def lane(self, purpose: str) -> contextlib.AbstractContextManager[None]:
        """Hold the one lane in which copies are built."""
        return self._locked("lane", purpose)

    def collecting(self) -> contextlib.AbstractContextManager[None]:
        """Hold what one garbage collection at a time holds."""
        return self._locked("gc", "gc")

    def machine(self, name: str, purpose: str) -> contextlib.AbstractContextManager[None]:
        """Hold a virtual machine, so that nobody else starts, stops or uses it."""
        return self._locked(f"vm-{name}", purpose)

    def visit(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Hold a virtual machine's console: one person at a time."""
        return self._locked(f"vm-{name}-console", f"console {name}")

    def visited(self, name: str) -> bool:
        """Whether somebody is at a virtual machine's console now."""
        return locks.taken(self.cache / "locks" / f"vm-{name}-console.lock")

    def _locked(self, name: str, purpose: str) -> contextlib.AbstractContextManager[None]:
        return locks.held(self.cache / "locks" / f"{name}.lock", purpose)

    @contextlib.contextmanager
    def workspace(self, name: str, uses: Sequence[LayerId] = ()) -> Iterator[Path]:
        """A scratch folder of this process, gone afterwards; folders of dead owners go first.

        Nobody removes the layers it `uses` meanwhile. Raises InfraError when one is gone already.
        """
        with locks.scratch(self.cache / "tmp", name) as path:
            with self._locked("sweep", "tidying up the store"):
                (path / "uses").write_text(" ".join(uses))
            if not all((self.layers / one).is_dir() for one in uses):
                raise gone(f"a layer of what {name} is built on")
            yield path

    def log(self, name: str) -> Path:
        """A new log file's path."""
        now = time.strftime("%Y%m%d-%H%M%S")
        return self.cache / "logs" / f"{name}-{now}-{time.monotonic_ns() % 10**9:09d}.log"

    def free_bytes(self) -> int:
        """Free space of the cache's file system."""
        return shutil.disk_usage(self.cache).free


def gone(what: str) -> InfraError:
    """The refusal for what another command removed under this one."""
    return InfraError(f"{what} was removed meanwhile", hint="run again")


def _share(sealed: Path, path: Path) -> None:
    """The same file under another name; a copy where there are no hard links."""
    path.unlink(missing_ok=True)
    try:
        path.hardlink_to(sealed)
    except FileNotFoundError:
        raise
    except OSError:
        atomic.write(path, sealed.read_bytes())
