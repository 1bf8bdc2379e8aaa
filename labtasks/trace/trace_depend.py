r"""The dependency files compilers leave -> a trace, for builders without a tracer.

Two kinds: make rules (`a.o: a.c a.h \` in .depend.a.o, a.d) and the .a.o.cmd files of Linux's
kbuild (`source_a.o := a.c`, `deps_a.o := ...`). Each rule's target is a job.

They show what was compiled from what, and nothing else: no makefiles, scripts, configurations,
linker scripts or installed data, no failed look-ups. The recipe's `unseen` globs stand for
those. So that a file added beside one that was read counts as a change, the driver is taken to
have listed the directory of every source file read.
"""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache

from labtasks.trace.trace import DRIVER, Job, Trace
from labtasks.trace.trace_trees import Trees

_CONTINUED = re.compile(r"[ \t]*\\\r?\n[ \t]*")
_WORD = re.compile(r"(?:[^\s\\]|\\.)+")
_RULE = re.compile(r"((?:[^:\\]|\\.|:(?=\S))+):(?=\s|$)(.*)", re.DOTALL)
_PLAIN = re.compile(r"[^\t=;%][^=;%]*")
_WILDCARD = re.compile(r"\$\(wildcard ([^)]*)\)")
_KBUILD = re.compile(r"(source|deps)_\S+ :=(.*)")

Rule = tuple[str, list[str], list[str]]  # target, what it was made from, what may also exist


def parse(
    files: Iterable[tuple[str, str]],
    *,
    src: str,
    obj: str,
    links: Mapping[str, str] | None = None,
    exists: Callable[[str], bool] | None = None,
) -> Trace:
    """The trace of a build whose dependency files are (path below obj, text).

    A relative path is relative to where the compiler ran, which the file does not tell: taken
    is `obj` for kbuild, else the directory of the file, or the one above that fits the target's
    name. `exists` (of a trace path) decides better: the first of that, `obj` and `src` in which
    the path is there. `links` as for strace: a FreeBSD kernel names headers through links.
    """
    trees = Trees(src, obj, links)
    reads: defaultdict[str, set[str]] = defaultdict(set)
    absent: defaultdict[str, set[str]] = defaultdict(set)

    @cache  # the same headers come in every file
    def names(path: str, bases: tuple[str, ...]) -> tuple[str, ...]:
        found = [n for base in bases if (n := trees.names(posixpath.join(base, path)))]
        there = (n for n in found if exists is not None and exists(n[-1]))
        return next(there, found[0] if found else ())

    for name, text in files:
        kbuild = name.endswith(".cmd")
        here = posixpath.join(obj, posixpath.dirname(name))
        for target, sources, maybe in _kbuild(name, text) if kbuild else _make(text):
            ran = obj if kbuild else _ran_in(here, target)
            job = (trees.names(posixpath.join(ran, target)) or (DRIVER,))[-1]
            for path in maybe:
                absent[job].update(names(path, (ran, obj, src)))
            for path in sources:
                reads[job].update(names(path, (ran, obj, src)))
    return Trace(_jobs(reads, absent), in_tree=trees.in_tree)


def _jobs(reads: dict[str, set[str]], absent: Mapping[str, set[str]]) -> dict[str, Job]:
    """The jobs of what each target's command read and looked for in vain. Folders of sources count
    as listed: what tells of reads tells of no listing.
    """
    paths = {path for read in reads.values() for path in read if path.startswith("src/")}
    listed = frozenset(map(posixpath.dirname, paths))
    jobs = {DRIVER: Job(reads=frozenset(reads.pop(DRIVER, ())), listed=listed)}
    for job in sorted(reads):
        vain = frozenset(absent[job])
        jobs[job] = Job(reads=vain | reads[job], absent=vain, writes=frozenset({job}))
    return jobs


def prerequisites(text: str) -> dict[str, frozenset[str]] | None:
    """What each target of a makefile depends on; None when it says anything besides, as commands
    or variables.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    for line in _CONTINUED.sub(" ", text).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        rule = _RULE.match(line)
        if rule is None or not _PLAIN.fullmatch(line):
            return None
        for target in _words(rule[1]):
            found[posixpath.normpath(target)].update(_words(rule[2]))
    return {target: frozenset(sources) for target, sources in found.items()}


def _ran_in(here: str, target: str) -> str:
    """Where the compiler ran that left "d/a.o: x.h" in K/d/a.d: in K."""
    below = posixpath.dirname(target)
    return here[: -len(below) - 1] if below and here.endswith("/" + below) else here


def _make(text: str) -> Iterator[Rule]:
    """The rules of a make-style dependency file."""
    for line in _CONTINUED.sub(" ", text).splitlines():
        rule = _RULE.match(line)
        if rule is None or line.startswith("#"):
            continue
        sources = _words(rule[2])
        # Without sources it only keeps make quiet about a header that is gone (-MP).
        for target in _words(rule[1]) if sources else ():
            yield target, sources, []


def _kbuild(name: str, text: str) -> Iterator[Rule]:
    """The one rule of a .x.o.cmd file; none when it lists no files (a link, an archive).

    A $(wildcard include/config/X) names a file that is there when the option is set: either way
    the target depends on it.
    """
    last = posixpath.basename(name).removesuffix(".cmd").removeprefix(".")
    sources: list[str] = []
    maybe: list[str] = []
    for line in _CONTINUED.sub(" ", text).splitlines():
        found = _KBUILD.match(line)
        if found is not None:
            maybe += (word for group in _WILDCARD.findall(found[2]) for word in _words(group))
            sources += _words(_WILDCARD.sub(" ", found[2]))
    if sources:
        yield posixpath.join(posixpath.dirname(name), last), sources, maybe


def _words(text: str) -> list[str]:
    r"""The words of a make line: `\ ` is a space within one, `$$` a dollar, `\#` a hash."""
    if "\\" not in text and "$" not in text:
        return text.split()
    return [re.sub(r"\\([ \t#:])", r"\1", word).replace("$$", "$") for word in _WORD.findall(text)]
