"""A commit's files as sealed layers, written by changing only what differs.

Every file carries one constant, old time. A build touches those that differ from what its base
was built from, so make sees exactly these as newer, whichever way in history one goes, and
whenever a file was written. Knows nothing of builds.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from labtasks.ground import digest
from labtasks.ground.digest import Key
from labtasks.ground.error import UserError
from labtasks.key.git import Repository
from labtasks.key.git_objects import ABSENT, Change, TreeId
from labtasks.key.key import Wanted
from labtasks.lab.lab import Lab
from labtasks.store import layer, seal
from labtasks.store.layer import Entry
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store

EPOCH = 946_684_800 * 10**9
"""2000-01-01 in ns: older than any object, and FAT can hold it."""

_REWRITES = re.compile(rb"eol=crlf|working-tree-encoding=|filter=|\bident\b")
"""Attributes by which git may write a file otherwise than it is committed."""

_RULES = ".gitattributes"

_CANDIDATES = 8
"""How many earlier checkouts are compared with the one that is wanted."""


def checkout(lab: Lab, store: Store, want: Wanted) -> Manifest:
    """The sources of a commit, in the store. Raises UserError when objects are missing."""
    found = store.get("src", want.key)
    if found:
        return found
    with store.lock("src", want.key, want.name):
        found = store.get("src", want.key)
        if found:
            return found
        base, changes = _nearest(lab, store, want)
        if base:
            return _write(lab, store, want, base, changes)
        # one whole checkout at a time: whoever waited for it has a base
        with store.lock("src", Key("whole"), want.name):
            return _write(lab, store, want, *_nearest(lab, store, want))


def _write(
    lab: Lab, store: Store, want: Wanted, base: Manifest | None, changes: tuple[Change, ...]
) -> Manifest:
    """Write a commit's files, or those that differ from `base`, and seal them."""
    started = time.monotonic()
    new = want.commit.tree
    with store.workspace("src") as scratch:
        folder = scratch / "layer"
        (folder / "t").mkdir(parents=True)
        index = scratch / "index"
        if base:
            entries = _delta(lab.repository, TreeId(base.tree), new, changes, folder, index)
        else:
            entries = _whole(lab.repository, new, folder, index)
        layer.write_entries(folder, entries)
        name = layer.new_id("src")
        manifest = Manifest.of(
            want,
            digest=digest.of_bytes(new.encode()),
            stack=[name, *(base.stack if base else [])],
            links=_links(base, changes, entries),
            rung="incremental" if base else "clean",
            base=base.name if base else "",
            bytes=sum(e.size for e in entries),
            why=f"{len(changes)} paths differ from {base.name}" if base else "a first checkout",
            seconds=round(time.monotonic() - started, 3),
        )
        store.publish(manifest, trace=None, tree=folder)
    return manifest


def _nearest(lab: Lab, store: Store, want: Wanted) -> tuple[Manifest | None, tuple[Change, ...]]:
    """The checkout with the fewest differing paths, if it is worth building on."""
    able = [m for m in store.all("src") if len(m.stack) < lab.settings.depth]
    diffs = []
    known = lab.repository.existing(TreeId(m.tree) for m in able) if able else ()
    for manifest in [m for m in able if m.tree in known][:_CANDIDATES]:
        with contextlib.suppress(UserError):  # git may have thrown the tree away since
            old, new = TreeId(manifest.tree), want.commit.tree
            diff = lab.repository.diff(old, new)
            if not rules_changed(lab.repository, old, new, diff):
                diffs.append((manifest, diff))
    if not diffs:
        return None, ()
    return min(diffs, key=lambda pair: len(pair[1]))


def rules_changed(
    repository: Repository, old: TreeId, new: TreeId, changes: Iterable[Change]
) -> bool:
    """Whether git's own rules for writing files may differ: then so may files git does not name.
    They are the same where no attribute file of either tree has a say in what is written.
    """
    if all(Path(c.path).name != _RULES for c in changes):
        return False
    rules = {
        (tree, path)
        for tree in (old, new)
        for path in repository.files(tree)
        if path.rpartition("/")[2] == _RULES
    }
    return any(_REWRITES.search(repository.read(*one).encode()) for one in rules)


def _whole(repository: Repository, tree: TreeId, folder: Path, index: Path) -> list[Entry]:
    root = folder / "t"
    repository.write_tree(tree, root, index)
    return _sealed(root, {path: blob for path, (_, blob) in repository.files(tree).items()})


def _delta(
    repository: Repository,
    old: TreeId,
    new: TreeId,
    changes: tuple[Change, ...],
    folder: Path,
    index: Path,
) -> list[Entry]:
    root = folder / "t"
    written = tuple(c for c in changes if c.status != "D")
    blobs = repository.write_paths(new, written, root, index) if written else {}
    entries = _sealed(root, blobs)
    vanished, _ = directories(repository, changes, old, new)
    made = {c.path for c in written}
    gone = (
        path
        for path in _topmost({c.path for c in changes if c.status == "D"} | vanished)
        # unless a file became a folder of the same name, or the other way round
        if not os.path.lexists(root / path) and made.isdisjoint(map(str, Path(path).parents))
    )
    return entries + layer.whiteouts(root, gone)


def _links(
    base: Manifest | None, changes: tuple[Change, ...], entries: list[Entry]
) -> dict[str, str]:
    """The tree's symbolic links and their targets: a tracer must follow them."""
    changed = {c.path for c in changes}
    kept = links_of(base).items() if base else ()
    found = {p: t for p, t in kept if p not in changed}
    found |= {e.path: e.digest for e in entries if e.type == "l"}
    # manifests are UTF-8, names need not be
    return {_as_latin(p): _as_latin(t) for p, t in found.items()}


def links_of(manifest: Manifest) -> dict[str, str]:
    """The symbolic links of a checkout, and their targets."""
    return {
        os.fsdecode(p.encode("latin-1")): os.fsdecode(t.encode("latin-1"))
        for p, t in manifest.links.items()
    }


def _as_latin(name: str) -> str:
    return os.fsencode(name).decode("latin-1")


def _topmost(paths: set[str]) -> list[str]:
    """Paths of which no parent is among them."""
    return sorted(p for p in paths if not any(str(up) in paths for up in Path(p).parents))


def _sealed(root: Path, blobs: dict[str, str]) -> list[Entry]:
    """Give everything below `root` the one old time, and list it. Git's ids say what is in it, but
    where its attributes had it write something else.
    """
    entries, folders, doubtful = [], [str(root)], _rewriting(root, blobs)
    for path, info in layer.walk(root):
        full, mode = f"{root}/{path}", stat.S_IMODE(info.st_mode)
        if stat.S_ISDIR(info.st_mode):
            entries.append(Entry(path, "d", mode, 0, "", 0, 0))
            folders.append(full)
            continue
        os.utime(full, ns=(EPOCH, EPOCH), follow_symlinks=False)
        changed = os.lstat(full).st_ctime_ns  # known only now
        link = stat.S_ISLNK(info.st_mode)
        size = info.st_size
        content = os.readlink(full) if link else layer.GIT + blobs.get(path, "")
        if not link and path.startswith(doubtful):
            content = seal.content_of(full, size, content)
        entries.append(Entry(path, "l" if link else "f", mode, size, content, EPOCH, changed))
    for folder in folders:
        os.utime(folder, ns=(EPOCH, EPOCH))
    return entries


def _rewriting(root: Path, blobs: Iterable[str]) -> tuple[str, ...]:
    """The folders, as beginnings of paths, whose attributes may change what is written."""
    found = []
    for rules in (path for path in blobs if Path(path).name == _RULES):
        file = root / rules
        if file.is_file() and not file.is_symlink() and _REWRITES.search(file.read_bytes()):
            found.append(rules.removesuffix(_RULES))
    return tuple(found)


def directories(
    repository: Repository, changes: Iterable[Change], old: TreeId, new: TreeId
) -> tuple[set[str], set[str]]:
    """The directories that a set of changes removes, and those it creates."""
    gone = _parents(c.path for c in changes if c.status == "D")
    made = _parents(c.path for c in changes if c.status == "A")
    vanished = {p for p, i in repository.ids(new, tuple(gone)).items() if i == ABSENT}
    appeared = {p for p, i in repository.ids(old, tuple(made)).items() if i == ABSENT}
    return vanished, appeared


def _parents(paths: Iterable[str]) -> list[str]:
    return sorted({str(up) for p in paths for up in Path(p).parents} - {"."})
