"""A workspace on another machine: the steps run there, what they leave comes to the host.

It builds in the trees of a site, clones of those the layer below was made in. What differs
afterwards is streamed to the host once and becomes a layer like any other, so all that follows a
build need not know where it was made. The trees are kept, for clones. Knows nothing of how the
machine is started or reached.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import msgspec

from labtasks.build.builder import REMOVE, Workspace
from labtasks.ground.error import InfraError, UserError
from labtasks.ground.globs import matcher
from labtasks.ground.supervisor import Ended
from labtasks.lab.binding import Places
from labtasks.site import listing, parcel, ssh
from labtasks.site.site import Site
from labtasks.store import layer
from labtasks.store.layer import Entry, LayerId

_SKEW = 2.0
"""Seconds by which the machine's clock may differ from the host's."""

_EPOCH = "2000-01-01T00:00:00Z"
"""source.EPOCH as every touch takes it."""

_SET_CLOCK = """\
case $(uname -s) in Linux) date -s @{0} ;; *) date -f %s {0} ;; esac >/dev/null
date +%s
"""

_WAIT_PAST = """\
tries=0
while [ "$(date +%s)" -le {0} ] && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
"""

ABOUT = "guest.json"


class Shows(msgspec.Struct, frozen=True, kw_only=True):
    """What kept trees show: the sources and the objects of these stacks."""

    src: tuple[LayerId, ...]
    obj: tuple[LayerId, ...]


@dataclass(slots=True, kw_only=True)
class Guest(Workspace):
    """Trees of a site, another machine's."""

    near: ClassVar[bool] = False

    site: Site
    _before: dict[str, str] = field(default_factory=dict)
    _sources: dict[str, str] = field(default_factory=dict)
    _strays: list[str] = field(default_factory=list)
    _seen: dict[str, str] = field(default_factory=dict)

    def places(self) -> Places:
        return self.recipe.places

    def out(self) -> str:
        return f"{self.site.root}/out"

    def home(self) -> str:
        return f"{self.site.root}/home"

    def lone(self) -> list[str]:
        return []  # which of its processors are idle is not known here

    def prepare(self, log: Path) -> None:
        if self.recipe.in_tree:
            raise UserError(
                "a build on another machine keeps objects apart from the sources",
                hint='builder = "local", or a recipe without in_tree',
            )
        base = self._base()
        self._open(base[0] if base else None)
        trees, places = self.trees, self.places()
        whole = trees.objects
        parcel.send(
            self.site,
            [
                *self._differing(places.src, trees.src, base[1].src if base else ()),
                *self._differing(places.obj, whole, whole if base else ()),
                *((f"{places.files}/{n}", self.scratch / "files" / n) for n in trees.files),
            ],
            self.scratch,
        )
        self._before = self._under() if whole else {}
        self.remove(trees.remove_obj, log)
        wait = _WAIT_PAST.format(int(trees.newest))
        self._each("touch -h -c", places.obj, trees.touch_obj, lead=wait)
        self._each("touch -h -c", places.src, trees.touch_src, lead=wait)
        self.site.freeze()
        if not self.site.frozen:
            self._sources = self._listed(places.src)

    def _base(self) -> tuple[LayerId, Shows] | None:
        """The layer whose kept trees show exactly the objects this build starts from."""
        whole = (*self.trees.obj, *self.trees.below)
        if not whole or self.trees.flat:
            return None
        try:
            shows = msgspec.json.decode((self.layers / whole[0] / ABOUT).read_bytes(), type=Shows)
        except (OSError, msgspec.DecodeError):
            return None
        known = all((self.layers / name / "files").exists() for name in shows.src)
        kept = shows.obj == whole and known and self.site.keeps(self.layers, whole[0])
        return (whole[0], shows) if kept else None

    def _open(self, base: LayerId | None) -> None:
        """Put the trees there, and look at the clock. A machine of ours is given the host's time,
        any other must have it: make compares what either has dated.
        """
        before = time.time()
        clock = _SET_CLOCK.format(round(before)) if self.site.ours else "date +%s\n"
        said = int(self.site.open(self.scratch, self.layers, base, clock))
        after = time.time()
        # `said` has lost its fraction, and was said at any time in between
        skew = max(said - after, 0.0) + min(said + 1 - before, 0.0)
        if abs(skew) > _SKEW:
            raise InfraError(
                f"{self.site.what}: its clock is {skew:+.0f} s off"
                + (" and cannot be set" if self.site.ours else ""),
                hint='user = "root" in lab.toml, or mend the clock there (NTP)'
                if self.site.ours
                else "mend the clock there (NTP; `ntpd -gq` as root)",
            )

    def _differing(
        self, at: str, stack: Sequence[LayerId], there: Sequence[LayerId]
    ) -> list[tuple[str, Path]]:
        """What a tree that shows the stack `there` lacks to show `stack`. What is too much goes."""
        new = layer.shown(self.layers, stack)
        old = layer.shown(self.layers, there)
        gone = [p for p in old if p not in new or new[p].type != old[p].type]
        self._each("rm -rf", at, gone)
        homes: dict[str, LayerId] = {}
        for name in stack:
            for entry in layer.entries(self.layers, name):
                homes.setdefault(entry.path, name)
        differ = [p for p, e in new.items() if _content(e) != _content(old.get(p))]
        return [(f"{at}/{p}", layer.tree_of(self.layers, homes[p]) / p) for p in sorted(differ)]

    def _each(self, command: str, tree: str, paths: Sequence[str], lead: str = "") -> None:
        if paths:
            names = b"".join(os.fsencode(p) + b"\0" for p in paths)
            self.site.run(f"{lead}cd {tree} && xargs -0 {command} --", data=names)

    def _listed(self, tree: str) -> dict[str, str]:
        """Every path of a tree, and what tells whether it changed."""
        return listing.listed(self.site.run(f"cd {tree} || exit 1{listing.SCRIPT}"))

    def _under(self) -> dict[str, str]:
        """What lies under the new layer. A flattened stack does not: of it, what `below` shows
        unchanged, and what that shows and the stack had removed.
        """
        listed = self._listed(self.places().obj)
        if not self.trees.flat:
            return listed
        below = layer.merged(self.layers, self.trees.below)
        whole = layer.merged(self.layers, (*self.trees.flat, *self.trees.below))
        same = {p: f for p, f in listed.items() if p in below and whole[p] == below[p]}
        return same | {p: "" for p in below if p not in listed}

    def remove(self, paths: Sequence[str], log: Path) -> None:
        del log
        self._each(f"sh -c {shlex.quote(REMOVE)} sh", self.places().obj, paths)

    def inside(self, argv: Sequence[str], cwd: str) -> tuple[Sequence[str], Path]:
        text = ssh.scrubbed(argv, self.environment(), cwd)
        return ssh.bound(self.site.to, self.site.step(text)), self.scratch

    def attended(self, argv: Sequence[str], prompt: str, *, terminal: bool) -> int:
        text = ssh.scrubbed(argv, self.attending(prompt), self.places().src, alone=False)
        code = ssh.attached(self.site.to, self.site.step(text), terminal=terminal)
        if code == ssh.FAILED:
            raise self.site.lost("ssh ended")
        return code

    def launch(
        self,
        argv: Sequence[str],
        log: Path,
        *,
        cwd: str = "",
        until: Callable[[], bool] | None = None,
        echo: bool = False,
    ) -> Ended:
        # (super() without arguments does not work in a class with slots)
        ended = Workspace.launch(self, argv, log, cwd=cwd, until=until, echo=echo)
        if ended.code == ssh.FAILED:
            raise self.site.lost("ssh ended")
        if any(word.startswith(f"{self.out()}/") for word in argv):
            self._fetch(self.out(), ["."], self.scratch / "out")
        return ended

    def shown(self, path: str) -> Path | None:
        tree, _, rest = path.partition("/")
        if tree == "src":
            return layer.find(self.layers, self.trees.src, rest)
        return self._first_line(rest)

    def _first_line(self, path: str) -> Path:
        """The first line of an object as it is now there; that is all that anybody asks for."""
        there = f"{self.places().obj}/{path}"
        if path not in self._seen:
            ask = f"[ ! -f {shlex.quote(there)} ] || head -n 1 {shlex.quote(there)}"
            self._seen[path] = self.site.run(ask)
        copy = self.scratch / "seen"
        copy.write_text(self._seen[path], encoding="utf-8", errors="surrogateescape")
        return copy

    def _fetch(self, tree: str, paths: Sequence[str], into: Path) -> None:
        parcel.fetch(self.site, tree, paths, into, self.scratch)

    def objects(self, globs: tuple[str, ...] = ("**",)) -> Path:
        into = self.scratch / "objects"
        layer.remove(into)
        wanted = matcher(globs)
        now = self._listed(self.places().obj)
        written = (p for p, fact in now.items() if _changed(self._before.get(p), fact))
        found = [path for path in written if now[path][0] == "f" and wanted(path)]
        self._fetch(self.places().obj, found, into)
        return into

    def harvest(self) -> list[Entry]:
        folder = self.scratch / "layer"
        now = self._listed(self.places().obj)
        differ = [p for p, fact in now.items() if _changed(self._before.get(p), fact)]
        (folder / "t").mkdir(parents=True)
        if differ:
            self._fetch(self.places().obj, differ, folder / "t")
        found = [e for e in layer.scan(folder / "t") if not self._only_touched(folder, e)]
        kinds = {p: fact[0] for p, fact in now.items()}
        gone = [
            p for p in self._before
            if p not in now and (kinds.get(str(Path(p).parent)) == "d" or "/" not in p)
        ]  # fmt: skip
        found += layer.whiteouts(folder / "t", gone)
        layer.write_entries(folder, found)
        self._detach()
        return found

    def _only_touched(self, folder: Path, entry: Entry) -> bool:
        """What was touched and not changed is no part of what was built: it goes."""
        if entry.path not in self.trees.touch_obj:
            return False
        before = layer.shown(self.layers, self.trees.below).get(entry.path)
        same = before is not None and _content(before) == _content(entry)
        if same:
            (folder / "t" / entry.path).unlink()
        return same

    def _detach(self) -> None:
        """Nothing more is done there; the sources become as old as those of any checkout."""
        if self.trees.touch_src:
            self.site.detach()
        self._each(f"touch -h -c -d {_EPOCH}", self.places().src, self.trees.touch_src)

    def sealed_as(self, stack: Sequence[LayerId]) -> None:
        """Keep the trees, and say in the layer what they show, once it has its name."""
        if self.trees.flat or self._strays:
            return
        shows = Shows(src=self.trees.src, obj=(*stack, *self.trees.below))
        with contextlib.suppress(InfraError):  # the next build then starts without a clone
            self.site.keep(self.layers, self.scratch, stack[0])
            (self.scratch / "layer" / ABOUT).write_bytes(msgspec.json.encode(shows))

    def strays(self) -> list[str]:
        if not self.site.frozen:
            now = self._listed(self.places().src)
            self._strays = [p for p, f in now.items() if _changed(self._sources.get(p), f)]
            self._strays += [p for p in self._sources if p not in now]
        return self._strays


def _content(entry: Entry | None) -> tuple[str, str, int]:
    return (entry.type, entry.digest, entry.mode) if entry else ("", "", 0)


def _changed(before: str | None, now: str) -> bool:
    """Directories are compared by being there; their times change with what is in them."""
    return before is None or ((now[0] != "d" or before[0:1] != "d") and before != now)
