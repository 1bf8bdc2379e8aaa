"""The git repository: names to commits, and how these descend from one another.

Its trees are git_objects'; nothing else calls git. Knows nothing of builds.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NewType

from labtasks.ground.error import UserError
from labtasks.key.git_objects import Objects, TreeId
from labtasks.lab import config

CommitId = NewType("CommitId", str)

_BEHIND = re.compile(r"[~^:]|@\{")
"""Begins what is said of a commit behind its name: main~3."""

_DIGITS = re.compile(r"[0-9a-f]{4,40}")
"""What may be the beginning of a commit's id, and resembles no name."""

_WARN = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.warnAmbiguousRefs",
    "GIT_CONFIG_VALUE_0": "true",
}
"""Has git say where a name means several things, whatever the repository's settings are."""

_TWICE = re.compile(r"refname '(.*)' is ambiguous")

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


class Repository(Objects):
    """A git repository, bare or not, at `path`. Raises UserError when there is none."""

    def commit(self, ref: str) -> Commit:
        """The commit that `ref` names (sha, short sha, tag, branch, HEAD~3). Raises UserError
        where that is none, or several.
        """
        words = ("log", "-1", "--no-show-signature", "--format=%H%x00%T%x00%ct%x00%s")
        answer = self._ask(*words, "--end-of-options", f"{ref}^{{commit}}", "--", env=_WARN)
        if twice := _TWICE.search(answer.error):
            self._refuse_several(twice[1])
        if answer.code or _SEVERAL.match(ref):
            raise UserError(f"{ref!r} is not a commit of {self.git_dir}", hint=self._ref_hint(ref))
        sha, tree, date, subject = answer.text.rstrip("\n").split("\0", 3)
        return Commit(id=CommitId(sha), tree=TreeId(tree), date=int(date), subject=subject)

    def _refuse_several(self, name: str) -> None:
        """Refuse a name that is a branch's and a tag's (or a remote one's), of different commits:
        git would take the tag.
        """
        places = ("heads", "tags", "remotes")
        form = "--format=%(refname)%00%(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)"
        known = [f"refs/{place}/{name}" for place in places]
        said = self._git("for-each-ref", f"{form}%(end)", *known).decode(errors="replace")
        held = dict(line.split("\0") for line in said.splitlines())
        refs = [ref for ref in known if ref in held]
        if len({held[ref] for ref in refs}) > 1:
            raise UserError(f"{name!r} is ambiguous", hint=f"say {' or '.join(refs)}")

    def _ref_hint(self, ref: str) -> str:
        """What to do about a ref that does not resolve, from git's own words."""
        if self._ask("rev-parse", "HEAD").code:
            return "the repository has no commit yet"
        answer = self._ask("rev-parse", "--verify", f"{ref}^{{commit}}")
        if "ambiguous" in answer.error:
            names = [
                line.split()[1] for line in answer.error.splitlines() if line.startswith("hint:   ")
            ]
            return f"several objects begin so ({', '.join(names)}): give more digits"
        near = self._near(ref)
        if self.shallow:
            return f"{near}the clone is shallow: `git fetch --unshallow` brings the older commits"
        return f"{near}`git log` shows what there is; `git fetch` brings what is missing"

    def _near(self, ref: str) -> str:
        """The branch or tag that may have been meant, as a hint's beginning; "" for none."""
        word = _BEHIND.split(ref)[0]
        if not word or _DIGITS.fullmatch(word):
            return ""
        near = config.nearest(word, self.names())
        return f"{near} " if near.startswith("did you mean") else ""

    def is_ancestor(self, old: CommitId, new: CommitId) -> bool:
        """Whether `new` descends from `old` (or is it)."""
        return self._ask("merge-base", "--is-ancestor", old, new).code == 0

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
        words = ("rev-list", "--topo-order", "--parents", *option, "--stdin", "--", *paths)
        raw = self._git(*words, data=asked.encode())
        lines = [[CommitId(word) for word in line.split()] for line in raw.decode().splitlines()]
        return {ids[0]: tuple(ids[1:2] if first_parent else ids[1:]) for ids in lines}

    def parents(self, commit: CommitId) -> tuple[CommitId, ...]:
        """A commit's parents, whatever is in question."""
        raw = self._git("rev-list", "--no-walk", "--parents", commit, "--")
        return tuple(CommitId(word) for word in raw.decode().split()[1:])

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
        if self._ask("apply", "--cached", "--3way", data=patch, env=env).code:
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
        answer = self._ask("merge-base", "--all", one, *others)
        if answer.code > 1:  # 1: there are none
            raise UserError(f"git: {answer.error.strip()}", hint="`git fsck` in the repository")
        return tuple(CommitId(line) for line in answer.text.split())
