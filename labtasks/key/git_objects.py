"""What lies in a git repository: trees, how two differ, and their files written out.

Here git is called. Reads the repository and never changes it; indexes it needs are its own
temporary files. Knows nothing of commits.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NewType

from labtasks.ground import process
from labtasks.ground.error import UserError
from labtasks.ground.space import is_full, no_space

TreeId = NewType("TreeId", str)

ABSENT = "absent"
"""Instead of the id of what a tree does not have."""

NEUTRAL = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
"""No setting of this person or machine decides what is checked out."""

_PARALLEL = ("checkout.workers=0", "checkout.thresholdForParallelism=200")

_MODES = {"100644": 0o644, "100755": 0o755, "120000": 0o777}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path that differs between two trees. `status` is A, M, D or T (its type or mode);
    `blob` is the new content's id.
    """

    status: str
    path: str
    mode: str
    blob: str


class Objects:
    """The trees and files of the git repository at `path`, bare or not. Raises UserError when there
    is none.
    """

    def __init__(self, path: Path) -> None:
        found = process.query(
            ["git", "-C", str(path), "rev-parse", "--absolute-git-dir", "--is-shallow-repository"]
        )
        if "dubious ownership" in found.error:
            hint = f"git config --global --add safe.directory {path}"
            raise UserError(f"git refuses {path}: another user owns it", hint=hint)
        if found.code:
            raise UserError(
                f"no git repository at {path}",
                hint="`repository` in lab.toml, and --repository, are a clone's path, relative to "
                "the lab (`labtasks demo` makes one of the demo)",
            )
        git_dir, shallow = found.text.split("\n")[:2]
        self.git_dir = Path(git_dir)
        self.shallow = shallow == "true"
        self._diffs: dict[tuple[TreeId, TreeId], tuple[Change, ...]] = {}  # sources, world, kernel
        self._texts: dict[str, str] = {}
        self._objects_of: process.Dialogue | None = None

    def _ask(
        self, *args: str, data: bytes = b"", env: dict[str, str] | None = None
    ) -> process.Answer:
        argv = ["git", f"--git-dir={self.git_dir}", *args]
        return process.query(argv, data=data, env={**NEUTRAL, **(env or {})})

    def _git(self, *args: str, data: bytes = b"", env: dict[str, str] | None = None) -> bytes:
        answer = self._ask(*args, data=data, env=env)
        if "No space left on device" in answer.error:
            raise no_space(OSError(0, "", str(self.git_dir)))
        if answer.code:
            raise UserError(
                f"git: {answer.error.strip() or 'failed: ' + ' '.join(args)}",
                hint="`git fsck` in the repository tells whether objects are missing",
            )
        return answer.output

    def ids(self, tree: TreeId, paths: tuple[str, ...]) -> dict[str, str]:
        """The object id of each path in a tree; ABSENT where there is none. "." is the tree."""
        return {path: object_id for path, (object_id, _) in self._objects(tree, paths).items()}

    def which_are_files(self, tree: TreeId, paths: tuple[str, ...]) -> list[str]:
        """Those of `paths` that are files or symbolic links of a tree."""
        return [p for p, (_, kind) in self._objects(tree, paths).items() if kind == "blob"]

    def _objects(self, tree: TreeId, paths: tuple[str, ...]) -> dict[str, tuple[str, str]]:
        if not paths:
            return {}
        names = [os.fsencode(tree if p == "." else f"{tree}:{p}") for p in paths]
        rest = self._checked(names)
        found = {}
        for path, name in zip(paths, names, strict=True):
            for absent in (b" missing\n", b" ambiguous\n"):  # git repeats the name
                if rest.startswith(name + absent):
                    rest = rest[len(name + absent) :]
                    found[path] = (ABSENT, "")
                    break
            else:
                line, _, rest = rest.partition(b"\n")
                words = line.decode().split(" ")
                found[path] = (words[0], words[1])
        return found

    def _checked(self, names: list[bytes]) -> bytes:
        """What `git cat-file --batch-check` says of some names. One git answers all questions of
        this process: a search asks a thousand.
        """
        if any(b"\n" in name for name in names):  # these need -z, which older gits lack
            asked = b"".join(name + b"\0" for name in names)
            return self._git("cat-file", "--batch-check", "-z", data=asked)
        if self._objects_of is None or not self._objects_of.ours:
            argv = ["git", f"--git-dir={self.git_dir}", "cat-file", "--batch-check"]
            self._objects_of = process.Dialogue(argv, NEUTRAL)
        answers = self._objects_of.ask(names)
        if len(answers) < len(names):  # it died: by asking once more we hear why
            self._objects_of = None
            asked = b"".join(name + b"\n" for name in names)
            return self._git("cat-file", "--batch-check", data=asked)
        return b"".join(answer + b"\n" for answer in answers)

    def diff(self, old: TreeId, new: TreeId) -> tuple[Change, ...]:
        """Every path that differs, without rename detection."""
        if old == new:
            return ()
        if (old, new) not in self._diffs:
            self._diffs[old, new] = self.diffs([(old, new)])[old, new]
        return self._diffs[old, new]

    def diffs(
        self, pairs: Iterable[tuple[TreeId, TreeId]]
    ) -> dict[tuple[TreeId, TreeId], tuple[Change, ...]]:
        """Every path that differs within each pair of trees, asked in one go; equal trees are
        left out. Raises UserError when git has not every tree.
        """
        pairs = tuple(pairs)
        asked = "".join(f"{old} {new}\n" for old, new in pairs if old != new)
        raw = self._git(
            "diff-tree", "-r", "-z", "--raw", "--no-renames", "--stdin", data=asked.encode()
        )
        found: dict[tuple[TreeId, TreeId], list[Change]] = {}
        changes: list[Change] = []
        fields = iter(raw.decode(errors="surrogateescape").split("\0")[:-1])
        for field in fields:
            header, _, meta = field.rpartition("\n")
            if header:
                old, new = map(TreeId, header.split(" "))
                changes = found.setdefault((old, new), [])
            before, mode, _, blob, status = meta.split(" ")
            turned = status[0] == "M" and before.lstrip(":") != mode
            letter = "T" if turned else status[0]
            changes.append(Change(status=letter, path=next(fields), mode=mode, blob=blob))
        gone = {old for old, new in pairs if old != new and (old, new) not in found}
        if gone:  # git says so on its error output alone, and ends well
            raise UserError(
                f"git has no tree {min(gone)[:12]}, or not the one it is compared with",
                hint="has history been rewritten, or does another repository share this cache?",
            )
        return {pair: tuple(listed) for pair, listed in found.items()}

    def existing(self, trees: Iterable[TreeId]) -> frozenset[TreeId]:
        """Those of these trees that git still has: one question for all of them."""
        asked = sorted(set(trees))
        lines = self._checked([tree.encode() for tree in asked]).splitlines()
        return frozenset(
            tree for tree, line in zip(asked, lines, strict=True) if not line.endswith(b" missing")
        )

    def read(self, tree: TreeId, path: str) -> str:
        """A file's text in a tree; empty when it is not there."""
        blob, kind = self._objects(tree, (path,))[path]
        if kind != "blob":
            return ""
        if blob not in self._texts:
            text = self._git("cat-file", "blob", blob).decode(errors="replace")
            self._texts[blob] = text
        return self._texts[blob]

    def files(self, tree: TreeId) -> dict[str, tuple[int, str]]:
        """Path -> (mode, blob id) of every file and symbolic link of a tree."""
        raw = self._git("ls-tree", "-r", "-z", tree).decode(errors="surrogateescape")
        found = {}
        for line in raw.split("\0")[:-1]:
            meta, path = line.split("\t", 1)
            mode, _, blob = meta.split(" ")
            if mode in _MODES:  # 160000 is a submodule: git itself leaves an empty folder
                found[path] = (_MODES[mode], blob)
        return found

    def write_tree(self, tree: TreeId, into: Path, index: Path) -> None:
        """Write every file of `tree` below `into`, an empty folder. `index` is a scratch file."""
        env = {"GIT_INDEX_FILE": str(index)}
        self._git("read-tree", tree, env=env)
        self._checkout(into, env)

    def write_paths(
        self, tree: TreeId, changes: tuple[Change, ...], into: Path, index: Path
    ) -> dict[str, str]:
        """Write the new content of changed paths below `into`, with their attributes in force:
        those files are written too. The blob of each path that was written.
        """
        env = {"GIT_INDEX_FILE": str(index)}
        wanted = {c.path: (c.mode, c.blob) for c in changes if c.mode in _MODES}
        parents = {str(p) for path in wanted for p in Path(path).parents}
        rules = sorted(str(Path(p) / ".gitattributes") for p in parents)
        for path, blob in self.ids(tree, tuple(rules)).items():
            if blob != ABSENT:
                wanted.setdefault(path, ("100644", blob))
        lines = "".join(f"{mode} {blob}\t{path}\0" for path, (mode, blob) in wanted.items())
        self._git("update-index", "-z", "--index-info", env=env, data=os.fsencode(lines))
        self._checkout(into, env)
        return {path: blob for path, (_, blob) in wanted.items()}

    def _checkout(self, into: Path, env: dict[str, str]) -> None:
        config = ("core.autocrlf=false", "core.eol=lf", *_PARALLEL)
        options = [word for setting in config for word in ("-c", setting)]
        try:
            self._git(*options, f"--work-tree={into}", "checkout-index", "-a", "-f", env=env)
        except UserError:  # git does not always say what the system said
            if is_full(into):
                raise no_space(OSError(errno.ENOSPC, "", str(into))) from None
            raise
