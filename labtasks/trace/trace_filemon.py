"""FreeBSD's .meta files -> a trace: what filemon saw each target's commands read and write.

bmake in META_MODE leaves one such file per target. Records after "-- filemon acquired metadata
--" are `<letter> <pid> <path>`, relative to the directory the process was in:

    R read  W write  E exec  D unlink  M rename  L link  S stat  C chdir  F fork  X exit

They do not show failed look-ups, what bmake itself read (makefiles, `!=` output) nor config(8)'s
inputs: the recipe's `unseen` globs stand for those. A directory that is opened shows as one that is
read: its job listed it, which bmake does not look at. So that a file added beside one that was read
counts as a change, the driver is taken to have listed the directory of every source file read.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import replace

from labtasks.ground.words import count
from labtasks.trace.trace import DRIVER, Job, Trace
from labtasks.trace.trace_trees import Trees

_RECORDS = "\n-- filemon acquired metadata --\n"
_VERSIONS = ("4", "5")  # of filemon's format; both read the same here


class _Record:
    """The sets of one .meta file as they grow."""

    def __init__(self, trees: Trees, cwd: str) -> None:
        self.trees = trees
        self.cwd = cwd
        self.cwds: dict[str, str] = {}  # pid -> where it is, once it has moved
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.lost = 0  # opened relative to a directory filemon does not tell

    def line(self, letter: str, pid: str, rest: str) -> None:
        """One record."""
        cwd = self.cwds.get(pid, self.cwd)
        if letter in ("R", "E", "S"):
            self.reads.update(self._names(cwd, rest))
        elif letter in ("W", "D"):
            self._wrote(cwd, rest)
        elif letter in ("M", "L"):
            old, new = _two_paths(rest)
            self.reads.update(self._names(cwd, old))
            self._wrote(cwd, new)
            if letter == "M":
                self._wrote(cwd, old)
        elif letter == "C":
            self.cwds[pid] = self.trees.directory(posixpath.join(cwd, rest))
        elif letter == "F":
            self.cwds[rest.strip()] = cwd
        elif letter == "A":
            self.lost += 1

    def _wrote(self, cwd: str, path: str) -> None:
        full = posixpath.join(cwd, path)
        self.writes.update(self.trees.own(full))
        self.reads.update(self.trees.way(full))

    def _names(self, cwd: str, path: str) -> tuple[str, ...]:
        return self.trees.names(posixpath.join(cwd, path))


def parse(
    metas: Iterable[tuple[str, str]],
    *,
    src: str,
    obj: str,
    links: Mapping[str, str] | None = None,
    sources: Iterable[str] = (),
) -> Trace:
    """The trace of a build whose .meta files are (path below obj, text); `sources` are the paths of
    the source tree, by which its folders are known.

    Each is the job named by its target. What is missing (a file cut short, no filemon records,
    another format) is in the trace's `problems`: such a job reads more than the trace says.
    """
    trees = Trees(src, obj, links)
    jobs: dict[str, Job] = {}
    problems: list[str] = []
    for name, text in metas:
        target, job, found = _parse_one(name, text, trees, obj)
        problems += (f"{name}: {problem}" for problem in found)
        old = jobs.get(target, Job())
        jobs[target] = Job(reads=old.reads | job.reads, writes=old.writes | job.writes)
    jobs = _listing(jobs, sources)
    beside = {
        path.rpartition("/")[0]
        for job in jobs.values()
        for path in job.reads - job.writes
        if path.startswith("src/")
    }
    driver = jobs.pop(DRIVER, Job())
    jobs = {
        DRIVER: replace(driver, listed=driver.listed | beside),
        **{target: jobs[target] for target in sorted(jobs)},
    }
    return Trace(jobs, in_tree=trees.in_tree, problems=problems)


def _listing(jobs: Mapping[str, Job], sources: Iterable[str]) -> dict[str, Job]:
    """The same, where directories that were opened are no longer files that were read."""
    used = (path for job in jobs.values() for path in job.reads | job.writes)
    folders = {""}
    for path in (*sources, *used):
        above = path.rpartition("/")[0]
        while above not in folders:
            folders.add(above)
            above = above.rpartition("/")[0]
    return {
        name: replace(job, reads=job.reads - folders, listed=job.reads & folders)
        for name, job in jobs.items()
    }


def _parse_one(name: str, text: str, trees: Trees, obj: str) -> tuple[str, Job, list[str]]:
    """One .meta file -> (job's name, job, problems)."""
    header, found, records = text.rpartition(_RECORDS)
    if not found:
        header = text
    fields = dict(
        reversed([line.partition(" ")[::2] for line in header.splitlines() if " " in line])
    )
    cwd = fields.get("CWD", posixpath.join(obj, posixpath.dirname(name)))
    target = fields.get("TARGET", posixpath.basename(name).removesuffix(".meta"))
    targets = trees.names(posixpath.join(cwd, target))
    record = _Record(trees, cwd)
    problems = [] if found else ["no filemon records"]
    complete = not found
    for line in records.splitlines() if found else ():
        letter, _, rest = line.partition(" ")
        if letter == "V":
            if rest.strip() not in _VERSIONS:
                problems.append(f"filemon format {rest.strip()}, not one of {_VERSIONS}")
        elif letter == "#":
            complete = complete or rest.startswith("Bye bye")
        elif rest:
            pid, _, path = rest.partition(" ")
            record.line(letter, pid, path)
    if not complete:
        problems.append("cut short")
    if record.lost:
        problems.append(f"{count(record.lost, 'file')} opened relative to an unknown directory")
    job = Job(reads=frozenset(record.reads), writes=frozenset(record.writes))
    return (targets[-1] if targets else DRIVER), job, problems


def _two_paths(rest: str) -> tuple[str, str]:
    """`'old' 'new'` -> (old, new)."""
    old, _, new = rest.strip().strip("'").partition("' '")
    return old, new
