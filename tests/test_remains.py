"""What belongs to nothing any more goes, and nothing else does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from labtasks.bisect.journal import Journal
from labtasks.bisect.progress import End, Start, Told
from labtasks.bisect.search import Verdict
from labtasks.care import remains
from labtasks.care.gc import DAY, Rules
from labtasks.care.survey import Held
from labtasks.ground.digest import Key
from labtasks.key.git import CommitId

NOW = 1000 * DAY
GOOD, BAD, MIDDLE, OTHER = (CommitId(letter * 40) for letter in "abcd")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for name in ("artifacts", "logs", "bisect"):
        (tmp_path / name).mkdir()
    return tmp_path


def write(path: Path, text: str = "x", *, days: float = 5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for one in (path, path.parent):
        os.utime(one, (NOW - days * DAY,) * 2)
    return path


def verdict(cache: Path, key: str, install: str, *, commit: str = OTHER, days: float = 5) -> Path:
    """A verdict of so many days ago; its console."""
    home = cache / "artifacts" / "verdict" / key
    inputs = [["root", ""], ["install", install]]
    said = {"commit": commit, "finished": NOW - days * DAY, "inputs": inputs}
    write(home / "verdict.json", json.dumps(said), days=days)
    return write(home / "console.0", days=days)


def installed(digest: str, log: str = "") -> Held:
    return Held(kind="install", key=Key("k"), commit="c", digest=digest, log=log)


def gone(cache: Path, *artifacts: Held, **rules: object) -> set[str]:
    found = remains.find(cache, artifacts, Rules(**rules), NOW)
    return {str(one.path.relative_to(cache)) for one in found}


def test_a_console_goes_when_what_it_shows_is_installed_no_more(cache):
    verdict(cache, "one", "d1")
    verdict(cache, "two", "d2")
    verdict(cache, "new", "d2", days=0)
    verdict(cache, "kept", "d2", commit=GOOD)
    keep = frozenset({GOOD})
    assert gone(cache, installed("d1"), keep=keep) == {"artifacts/verdict/two/console.0"}
    assert gone(cache, installed("d1"), keep=keep, age=2 * DAY) == {"artifacts/verdict/two"}


@pytest.mark.parametrize("ended", [False, True])
def test_what_the_last_bisect_saw_stays_until_another_begins(cache, ended):
    shown = verdict(cache, "shown", "d2")  # inherited: of another commit than the journal's
    verdict(cache, "tested", "d2", commit=MIDDLE)
    with Journal(cache / "bisect" / "journal") as journal:
        journal.add(Start(goods=(GOOD,), bad=BAD))
        facts = {"console": str(shown)}
        journal.add(Told(commit=BAD, verdict=Verdict.BAD, facts=facts))
        journal.add(Told(commit=MIDDLE, verdict=Verdict.GOOD))
        if ended:
            journal.add(End(reason="given up"))
        assert gone(cache, age=2 * DAY) == set()
        journal.add(Start(goods=(GOOD,), bad=OTHER))
        assert gone(cache) == {"artifacts/verdict/tested/console.0"}


def test_nothing_goes_while_the_journal_is_damaged(cache):
    verdict(cache, "one", "d1")
    write(cache / "bisect" / "journal", "no event\n")
    assert gone(cache) == set()


def test_logs_go_that_nobody_names(cache):
    for name in ("of-artifact", "of-failure", "of-nobody"):
        write(cache / "logs" / name)
    write(cache / "logs" / "of-today", days=0.5)
    failed = {"commit": OTHER, "finished": NOW - 5 * DAY, "log": str(cache / "logs/of-failure")}
    write(cache / "artifacts/kernel/key/failure.json", json.dumps(failed))
    held = installed("d1", log=str(cache / "logs/of-artifact"))
    assert gone(cache, held) == {"logs/of-nobody"}
    assert gone(cache, held, age=2 * DAY) == {
        "logs/of-nobody", "logs/of-failure", "artifacts/kernel/key",
    }  # fmt: skip


def test_what_a_killed_run_began_goes(cache):
    write(cache / "artifacts/objfs/key/objfs.img")
    write(cache / "artifacts/objfs/busy/objfs.img", days=0.2)
    write(cache / "artifacts/kernel/whole/manifest.json", "{}")
    found = remains.find(cache, [], Rules(), NOW)
    assert [one.path.name for one in found] == ["key"]
    assert found[0].bytes == 1
    remains.remove([*found, *found])
    assert not (cache / "artifacts/objfs/key").exists()


def test_gc_says_what_went(built):
    log = built.directory / "cache" / "logs" / "of-nobody"
    write(log)
    os.utime(log, (0, 0))
    assert built.doit("gc", "--dry-run").lines("^1 file that belonged to nothing any more would go")
    assert log.exists()
    built.doit("gc")
    assert not log.exists()
    assert built.doit("build:base").rung("kernel", built.repo.short("base")) == "same key"
