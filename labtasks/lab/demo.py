"""The demo OS's history: from files of this package to a git repository.

`demo_os/base` is the tree of the first commit. Each file of `demo_os/changes` is one
commit after it: a few header lines, the text of its message, and a patch for `git apply`.
Names, dates and messages are all in there, so the commits have the same ids everywhere.

It does not know how the OS is built, booted or judged: that is the recipe's business. What a
change is about (its *kind*) is told by its header for those who test the lab, and is not read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from labtasks.ground import process
from labtasks.ground.error import UserError
from labtasks.key.git_objects import NEUTRAL

DATA = Path(__file__).parents[1] / "demo_os"
BASE = DATA / "base"
CHANGES = DATA / "changes"

BRANCH = "main"
GOOD, BAD = "good", "bad"

# The first commit; all others tell these in their own headers.
BASE_SUBJECT = "Import Nidavel 1.0-RELEASE"
BASE_AUTHOR = "Durin <durin@nidavel.example>"
BASE_DATE = "2024-01-04 09:00"

# No setting of this user or machine may reach a commit.
GIT_SETTINGS = {
    "core.autocrlf": "false",
    "core.fileMode": "true",
    "commit.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file of demo_os/changes, parsed."""

    path: Path
    number: str
    subject: str
    body: str
    author: str
    date: str
    parent: str  # number of the change it is made on; "" is the one before
    merge: str  # number of the second parent; "" when it is no merge


def create(directory: Path) -> None:
    """Make a git repository with the whole history in `directory`, checked out at its tip.

    Tags: `good` is the first commit, `bad` the last. UserError when there is something in
    `directory` already.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(
            f"{directory} exists and is not an empty directory",
            hint="name a new one, or remove it first",
        )
    directory.mkdir(parents=True, exist_ok=True)
    run_git(["init", "-q", "--object-format=sha1", "--template=", "-b", BRANCH], directory, {})
    _write_base(directory)
    run_git(["add", "--all", "--force"], directory, {})
    first = _commit(directory, BASE_SUBJECT, "", BASE_AUTHOR, BASE_DATE)
    made = {"0": first}
    head = first
    for change in map(_parse, sorted(CHANGES.glob("*.patch"))):
        head = _make(directory, change, made, head)
        made[change.number] = head
    run_git(["checkout", "-q", "-B", BRANCH], directory, {})
    run_git(["tag", GOOD, first], directory, {})
    run_git(["tag", BAD, head], directory, {})


def run_git(args: Sequence[str], cwd: Path, env: Mapping[str, str]) -> str:
    """Run git in `cwd`, with `env` on top of a neutral environment; its output, stripped.

    The one place of this module that starts a process.
    """
    settings = [word for name, value in GIT_SETTINGS.items() for word in ("-c", f"{name}={value}")]
    neutral = {**NEUTRAL, "HOME": str(cwd), "TZ": "UTC"}
    done = process.query(["git", *settings, *args], cwd=cwd, env={**neutral, **env})
    if done.code != 0:
        raise UserError(f"git {' '.join(args)}: {done.error.strip()}", hint="is git 2.28 or newer?")
    return done.text.strip()


def _write_base(directory: Path) -> None:
    """Copy the base tree; modes are set, for an installed package may have lost them."""
    for source in sorted(BASE.rglob("*")):
        if source.is_file():
            target = directory / source.relative_to(BASE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
            target.chmod(0o644)


def _make(directory: Path, change: Change, made: Mapping[str, str], head: str) -> str:
    """Turn one change into a commit; its id."""
    parent = made[change.parent] if change.parent else head
    if parent != head:
        run_git(["checkout", "-q", "--detach", parent], directory, {})
    if change.merge:
        merge = ["merge", "-q", "--no-ff", "--no-commit", made[change.merge]]
        run_git(merge, directory, _identity(change.author, change.date))
    else:
        run_git(["apply", "--index", str(change.path.resolve())], directory, {})
    return _commit(directory, change.subject, change.body, change.author, change.date)


def _commit(directory: Path, subject: str, body: str, author: str, date: str) -> str:
    message = ["-m", subject] + (["-m", body] if body else [])
    args = ["commit", "-q", "--no-verify", "--cleanup=whitespace", *message]
    run_git(args, directory, _identity(author, date))
    return run_git(["rev-parse", "HEAD"], directory, {})


def _identity(author: str, date: str) -> dict[str, str]:
    """Who and when: author and committer are the same, all dates are in UTC."""
    name, _, address = author.rstrip(">").partition(" <")
    when = datetime.strptime(date, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    stamp = f"{int(when.timestamp())} +0000"
    identity = {}
    for role in ("AUTHOR", "COMMITTER"):
        identity[f"GIT_{role}_NAME"] = name
        identity[f"GIT_{role}_EMAIL"] = address
        identity[f"GIT_{role}_DATE"] = stamp
    return identity


def _parse(path: Path) -> Change:
    """Header lines up to an empty one, then the message's text up to the patch, if any."""
    head, _, rest = path.read_text(encoding="utf-8").partition("\n\n")
    header = dict(line.split(": ", 1) for line in head.splitlines())
    text = ("\n" + rest).partition("\ndiff --git ")[0]
    return Change(
        path=path,
        number=str(int(path.name.partition("-")[0])),
        subject=header["Subject"],
        body=text.strip(),
        author=header["Author"],
        date=header["Date"],
        parent=header.get("Parent", ""),
        merge=header.get("Merge", ""),
    )
