"""The git repository: names to commits, trees to differences. The only module that calls git.

Knows nothing of builds. Reads the repository and never changes it; indexes it needs are its own
temporary files.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NewType

from labtasks import process
from labtasks.error import UserError, no_space

CommitId = NewType("CommitId", str)
TreeId = NewType("TreeId", str)

_FULL = 1 << 20
"""Free bytes below which a disk counts as full."""

_NEUTRAL = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
"""No setting of this person or machine decides what is checked out."""

_PARALLEL = ("checkout.workers=0", "checkout.thresholdForParallelism=200")

_MODES = {"100644": 0o644, "100755": 0o755, "120000": 0o777}

_SEVERAL = re.compile(r"\^|[^:{]*\.\.")
"""Begins what git takes for a range, where one commit is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit: its id, its tree's id, its committer date in seconds since 1970, who wrote it
    (where that was asked for).
    """

    id: CommitId
    tree: TreeId
    date: int
    subject: str
    author: str = ""

    @property
    def short(self) -> str:
        """Twelve digits, enough for a person and for any repository of this size."""
        return self.id[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path that differs between two trees. `status` is A, M, D or T (its type or mode);
    `blob` is the new content's id.
    """

    status: str
    path: str
    mode: str
    blob: str


class Repository:
    """A git repository, bare or not, at `path`. Raises UserError when there is none."""

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
                hint="set `repository` in lab.toml to a clone (or `labtasks demo` for the demo)",
            )
        git_dir, shallow = found.text.split("\n")[:2]
        self.git_dir = Path(git_dir)
        self.shallow = shallow == "true"
        self._diffs: dict[tuple[TreeId, TreeId], tuple[Change, ...]] = {}  # sources, world, kernel
        self._texts: dict[str, str] = {}
        self._objects_of: process.Dialogue | None = None

    def _git(self, *args: str, data: bytes = b"", env: dict[str, str] | None = None) -> bytes:
        argv = ["git", f"--git-dir={self.git_dir}", *args]
        answer = process.query(argv, data=data, env={**_NEUTRAL, **(env or {})})
        if "No space left on device" in answer.error:
            raise no_space(OSError(0, "", str(self.git_dir)))
        if answer.code:
            raise UserError(
                f"git: {answer.error.strip() or 'failed: ' + ' '.join(args)}",
                hint="`git fsck` in the repository tells whether objects are missing",
            )
        return answer.output

    def commit(self, ref: str) -> Commit:
        """The commit that `ref` names (sha, short sha, tag, branch, HEAD~3)."""
        argv = ["git", f"--git-dir={self.git_dir}", "log", "-1", "--no-show-signature"]
        fmt = "--format=%H%x00%T%x00%ct%x00%s"
        answer = process.query([*argv, fmt, "--end-of-options", f"{ref}^{{commit}}", "--"])
        if answer.code or _SEVERAL.match(ref):
            raise UserError(f"{ref!r} is not a commit of {self.git_dir}", hint=self._ref_hint(ref))
        sha, tree, date, subject = answer.text.rstrip("\n").split("\0", 3)
        return Commit(id=CommitId(sha), tree=TreeId(tree), date=int(date), subject=subject)

    def _ref_hint(self, ref: str) -> str:
        """What to do about a ref that does not resolve, from git's own words."""
        if process.query(["git", f"--git-dir={self.git_dir}", "rev-parse", "HEAD"]).code:
            return "the repository has no commit yet"
        answer = process.query(
            ["git", f"--git-dir={self.git_dir}", "rev-parse", "--verify", f"{ref}^{{commit}}"]
        )
        if "ambiguous" in answer.error:
            names = [
                line.split()[1] for line in answer.error.splitlines() if line.startswith("hint:   ")
            ]
            return f"several objects begin so ({', '.join(names)}): give more digits"
        if self.shallow:
            return "the clone is shallow: `git fetch --unshallow` brings the older commits"
        return "`git log` shows what there is; `git fetch` brings what is missing"

    def ids(self, tree: TreeId, paths: tuple[str, ...]) -> dict[str, str]:
        """The object id of each path in a tree; "absent" where there is none. "." is the tree."""
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
                    found[path] = ("absent", "")
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
            self._objects_of = process.Dialogue(argv, _NEUTRAL)
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
        lines = self._git(
            "cat-file", "--batch-check", data="".join(f"{t}\n" for t in asked).encode()
        )
        return frozenset(
            tree
            for tree, line in zip(asked, lines.splitlines(), strict=True)
            if not line.endswith(b" missing")
        )

    def is_ancestor(self, old: CommitId, new: CommitId) -> bool:
        """Whether `new` descends from `old` (or is it)."""
        argv = ["git", f"--git-dir={self.git_dir}", "merge-base", "--is-ancestor", old, new]
        return process.query(argv).code == 0

    def between(
        self,
        bad: CommitId,
        goods: Collection[CommitId],
        *,
        first_parent: bool = False,
        paths: tuple[str, ...] = (),
    ) -> dict[CommitId, tuple[CommitId, ...]]:
        """Commits that `bad` descends from and no good one does, newest first, with their parents.

        With `paths`, only those that touch them, and their nearest such ancestors as parents; with
        `first_parent` each has one parent at most.
        """
        option = ["--first-parent"] if first_parent else []
        asked = "".join(f"{line}\n" for line in (bad, *(f"^{good}" for good in goods)))
        raw = self._git(
            "rev-list",
            "--topo-order",
            "--parents",
            *option,
            "--stdin",
            "--",
            *paths,
            data=asked.encode(),
        )
        lines = [[CommitId(word) for word in line.split()] for line in raw.decode().splitlines()]
        return {ids[0]: tuple(ids[1:2] if first_parent else ids[1:]) for ids in lines}

    def about(self, ids: Collection[CommitId]) -> dict[CommitId, Commit]:
        """What each of some commits is, asked in one go."""
        if not ids:
            return {}
        form = "--format=%H%x00%T%x00%ct%x00%an%x00%s"
        asked = "".join(f"{one}\n" for one in ids)
        words = ("log", "--no-show-signature", "--no-walk=unsorted", form, "--stdin")
        raw = self._git(*words, data=asked.encode())
        found = {}
        for line in raw.decode(errors="replace").split("\n")[:-1]:  # a subject may hold a form feed
            one, tree, date, author, subject = line.split("\0")
            found[CommitId(one)] = Commit(
                id=CommitId(one), tree=TreeId(tree), date=int(date), subject=subject, author=author
            )
        return found

    def names(self) -> list[str]:
        """HEAD, branches and tags, as a person types them."""
        refs = self._git("for-each-ref", "--format=%(refname:short)")
        return ["HEAD", *refs.decode(errors="replace").split("\n")[:-1]]

    def newest(self, count: int) -> list[CommitId]:
        """The newest commits of all branches and tags."""
        found = self._git("rev-list", f"--max-count={count}", "--branches", "--tags")
        return [CommitId(one) for one in found.decode().split()]

    def describe(self, commit: CommitId) -> tuple[str, str]:
        """A commit's message, and which files it changes by how many lines."""
        message = self._git("log", "-1", "--no-show-signature", "--format=%B", commit).decode(
            errors="replace"
        )
        stat = self._git("diff-tree", "--stat=72", "--root", "--no-commit-id", "-m", commit)
        return message.strip(), stat.decode(errors="replace").rstrip()

    def reverted(self, commit: CommitId, on: Commit, index: Path) -> CommitId | None:
        """A commit on top of another with one change taken back; None where that conflicts. It
        belongs to no branch. `index` is a file of the caller's, not there yet.
        """
        env = {"GIT_INDEX_FILE": str(index)}
        self._git("read-tree", on.tree, env=env)
        patch = self._git("diff-tree", "-p", "--binary", "--full-index", commit, f"{commit}^")
        apply = ["git", f"--git-dir={self.git_dir}", "apply", "--cached", "--3way"]
        if process.query(apply, data=patch, env=env).code:
            return None
        tree = self._git("write-tree", env=env).decode().strip()
        when = f"{on.date} +0000"
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "labtasks"), ("EMAIL", ""), ("DATE", when))
        }
        words = ("commit-tree", tree, "-p", on.id, "-m", f"Revert {commit[:12]}")
        return CommitId(self._git(*words, env=who).decode().strip())

    def merge_bases(self, one: CommitId, others: Collection[CommitId]) -> tuple[CommitId, ...]:
        """The newest common ancestors of a commit and several others taken together: before a
        search whose good commits are no ancestors of the bad one, git tests these.
        """
        argv = ["git", f"--git-dir={self.git_dir}", "merge-base", "--all", one, *others]
        answer = process.query(argv)
        if answer.code > 1:  # 1: there are none
            raise UserError(f"git: {answer.error.strip()}", hint="`git fsck` in the repository")
        return tuple(CommitId(line) for line in answer.text.split())

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
            if blob != "absent":
                wanted.setdefault(path, ("100644", blob))
        lines = "".join(f"{mode} {blob}\t{path}\0" for path, (mode, blob) in wanted.items())
        self._git("update-index", "-z", "--index-info", env=env, data=os.fsencode(lines))
        self._checkout(into, env)
        return {path: blob for path, (_, blob) in wanted.items()}

    def _checkout(self, into: Path, env: dict[str, str]) -> None:
        config = ("core.autocrlf=false", *_PARALLEL)
        options = [word for setting in config for word in ("-c", setting)]
        try:
            self._git(*options, f"--work-tree={into}", "checkout-index", "-a", "-f", env=env)
        except UserError:  # git does not always say what the system said
            if shutil.disk_usage(into).free < _FULL:
                raise no_space(OSError(errno.ENOSPC, "", str(into))) from None
            raise
