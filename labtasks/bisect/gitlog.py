"""A bisect in the format of `git bisect log`, written and read: what `git bisect replay` takes.

Text only: knows nothing of journals, and asks git nothing.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from labtasks.bisect.search import Terms, Verdict
from labtasks.ground.error import UserError
from labtasks.key.git import CommitId

_LINE = re.compile(r"\s*git[- ]bisect\s+")
_OLD = ("--term-good", "--term-old")
_NEW = ("--term-bad", "--term-new")
_FLAGS = ("--no-checkout", "--reset-when-found")
_BROKEN, _MENDED = ("broken", "bad"), ("fixed", "good")

Told = tuple[CommitId, Verdict]
"""One line of a log: a commit, and what was said of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLog:
    """What a log says: the ends and all other verdicts as `told`, in order, and the options."""

    told: tuple[Told, ...]
    terms: Terms = field(default_factory=Terms)
    first_parent: bool = False
    paths: tuple[str, ...] = ()

    @property
    def mending(self) -> bool:
        """Whether its terms say that what is looked for mended a failure."""
        return self.terms.old in _BROKEN or self.terms.new in _MENDED

    def ends(self) -> tuple[CommitId, tuple[CommitId, ...], tuple[Told, ...]]:
        """The bad end, the good ones, and the verdicts that came after: git begins to search with
        one bad and one good commit. Raises UserError when it did not get so far.
        """
        bad, goods, rest = None, list[CommitId](), list[Told]()
        for commit, verdict in self.told:
            if verdict is Verdict.GOOD and not (bad and goods):
                goods.append(commit)
            elif verdict is Verdict.BAD and bad is None:
                bad = commit
            else:
                rest.append((commit, verdict))
        if bad is None or not goods:
            raise UserError(
                f"the log has no {self.terms.new if bad is None else self.terms.old} commit",
                hint="a search begins with one of each",
            )
        return bad, tuple(goods), tuple(rest)


def write(
    log: GitLog,
    subjects: Mapping[CommitId, str] | None = None,
    culprits: Sequence[CommitId] = (),
) -> str:
    """The log as text. Comments say the commits' `subjects` and, at the end, the `culprits`."""
    subjects = subjects or {}
    words = ["--first-parent"] if log.first_parent else []
    if (log.terms.old, log.terms.new) != ("good", "bad"):
        words += [f"--term-old={log.terms.old}", f"--term-new={log.terms.new}"]
    if log.paths:
        words += ["--", *log.paths]
    lines = [" ".join(["git bisect start", *(_quoted(word) for word in words)])]
    for commit, verdict in log.told:
        word = log.terms.word(verdict)
        lines += [_comment(word, commit, subjects), f"git bisect {word} {commit}"]
    first = f"first {log.terms.new} commit"
    if len(culprits) > 1:
        lines.append("# only skipped commits left to test")
        first = f"possible {first}"
    lines += [_comment(first, commit, subjects) for commit in culprits]
    return "".join(f"{line}\n" for line in lines)


def _comment(what: str, commit: CommitId, subjects: Mapping[CommitId, str]) -> str:
    return f"# {what}: [{commit}] {subjects.get(commit, '')}".rstrip()


def _quoted(word: str) -> str:
    """A word as git quotes and reads it: always in quotes, `'` and `!` outside of them."""
    return "'" + word.replace("'", "'\\''").replace("!", "'\\!'") + "'"


def read(text: str, resolve: Callable[[str], CommitId | None]) -> GitLog:
    """A log that git, or `write`, wrote. `resolve` says which commit a name is, None if none.

    Raises UserError with the line that cannot be understood.
    """
    log = GitLog(told=())
    for number, line in enumerate(text.split("\n"), 1):
        found = _LINE.match(line)
        if not found:  # git takes no notice of such lines either
            continue
        match line[found.end() :].split():
            case ["start", *_]:  # what came before is forgotten
                log = _start(_words(line[found.end() :], number)[1:], number, resolve)
            case ["terms", *_]:
                continue
            case [word, name]:
                log = _told(log, word, _commit(name.strip("'"), number, resolve), number)
            case _:
                raise _refused(number, line)
    if not log.told:
        raise UserError("the log says nothing of any commit", hint="`git bisect log` writes one")
    return log


def _words(line: str, number: int) -> list[str]:
    """The quoted words of a start; the other lines have none."""
    try:
        return shlex.split(line)
    except ValueError:
        raise _refused(number, line) from None


def _told(log: GitLog, word: str, commit: CommitId, number: int) -> GitLog:
    """The log with one more verdict. The first word `old` or `new` chooses these terms."""
    terms = log.terms
    if word in {"old", "new"} and terms == Terms():
        if any(verdict is not Verdict.SKIP for _, verdict in log.told):
            raise _refused(number, f"git bisect {word}")
        terms = Terms(old="old", new="new")
    told = (*log.told, (commit, terms.verdict(word)))
    return GitLog(told=told, terms=terms, first_parent=log.first_parent, paths=log.paths)


def _start(options: list[str], number: int, resolve: Callable[[str], CommitId | None]) -> GitLog:
    """What `git bisect start` says: options, one bad commit, good ones, paths."""
    names, old, new, first_parent = list[str](), "good", "bad", False
    paths: tuple[str, ...] = ()
    words = iter(options)
    for word in words:
        key, _, value = word.partition("=")
        if word == "--":
            paths = tuple(words)
        elif word == "--first-parent":
            first_parent = True
        elif key in _OLD:
            old = value or next(words, "")
        elif key in _NEW:
            new = value or next(words, "")
        elif key in _FLAGS:
            continue
        elif word.startswith("--"):
            raise _refused(number, word)
        elif "--" not in options and resolve(word) is None:
            paths = (word, *words)  # as git does: the first that is no commit begins the paths
        else:
            names.append(word)
    commits = [_commit(name, number, resolve) for name in names]
    ends = zip(commits, (Verdict.BAD, *[Verdict.GOOD] * len(commits)), strict=False)
    terms = Terms(old=old, new=new)
    return GitLog(told=tuple(ends), terms=terms, first_parent=first_parent, paths=paths)


def _commit(name: str, number: int, resolve: Callable[[str], CommitId | None]) -> CommitId:
    commit = resolve(name)
    if commit is None:
        raise UserError(
            f"line {number} of the log names {name!r}, which is no commit here",
            hint="`git fetch` brings what is missing; is it a log of this repository?",
        )
    return commit


def _refused(number: int, line: str) -> UserError:
    return UserError(
        f"line {number} of the log cannot be understood: {line[:200]}",
        hint="`git bisect log` writes what is read here",
    )
