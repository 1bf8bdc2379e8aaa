"""The reader of .meta files, on two that a FreeBSD guest made and on cut ones."""

from __future__ import annotations

from pathlib import Path

from labtasks.trace import trace_filemon
from labtasks.trace.trace import DRIVER, Trace

DATA = Path(__file__).parent / "data" / "meta"


def parse(*metas: tuple[str, str]) -> Trace:
    return trace_filemon.parse(metas, src="/t/src", obj="/t/obj")


def real() -> list[tuple[str, str]]:
    return [(path.name, path.read_text()) for path in sorted(DATA.glob("*.meta"))]


def test_real_records() -> None:
    trace = parse(*real())
    assert trace.problems == ()
    assert list(trace.names) == [DRIVER, "obj/out.txt", "obj/prog.o"]
    out, prog = trace.jobs["obj/out.txt"], trace.jobs["obj/prog.o"]
    assert out.reads == {"src/a.in", "src/sub/b.in"}
    assert out.writes == {"obj/out.txt"}
    # b.in and ../a.in were relative to where the shell had gone before it forked.
    assert prog.reads >= {"src/a.in", "src/sub/b.in"}
    assert prog.writes == {"obj/x.tmp", "obj/prog.o", "obj/hard.o"}
    assert trace.reads == {"src/a.in", "src/sub/b.in"}
    # A file added beside one that was read counts, though nobody can say whose it is.
    assert list(trace.touched([("A", "src/sub/new")])) == [DRIVER]
    assert set(trace.touched([("M", "src/sub/b.in")])) == {"obj/out.txt", "obj/prog.o"}


def test_what_is_missing_is_said() -> None:
    name, text = real()[1]
    cut = text[: text.index("M 36")]
    assert parse((name, cut)).problems == ("prog.o.meta: cut short",)
    assert parse((name, cut)).jobs["obj/prog.o"].reads >= {"src/sub/b.in"}
    without = text[: text.index("-- filemon")]
    assert parse((name, without)).problems == ("prog.o.meta: no filemon records",)
    assert "obj/prog.o" in parse((name, without)).names
    (problem,) = parse((name, text.replace("V 5", "V 9"))).problems
    assert "format 9" in problem
    (problem,) = parse((name, text.replace("R 35 b.in", "A 35 b.in"))).problems
    assert "1 file opened relative" in problem


def test_output_of_the_command_is_not_taken_for_records() -> None:
    name, text = real()[0]
    marker = "-- filemon acquired metadata --\nR 1 /t/src/never\n"
    said = text.replace("-- command output --\n", f"-- command output --\n{marker}TARGET other\n")
    assert parse((name, said)).jobs == parse((name, text)).jobs


def test_a_target_without_its_name_in_the_header() -> None:
    text = "# Meta data file\nCMD true\n-- filemon acquired metadata --\nV 5\n# Bye bye\n"
    assert list(parse(("usr/bin/x.o.meta", text)).names) == [DRIVER, "obj/usr/bin/x.o"]


def test_an_opened_directory_is_a_listing() -> None:
    """As a FreeBSD recorded `cat conf/*`: bmake does not look at what was added there."""
    name = "conf.out.meta"
    text = (DATA.parent / "listing" / name).read_text()
    trace = trace_filemon.parse([(f"mnt/src/sys/{name}", text)], src="/mnt/src", obj="/mnt/obj")
    job = trace.jobs["obj/mnt/src/sys/conf.out"]
    assert job.reads == {"src/sys/conf/10-base", "obj/mnt/src/bin/tool"}
    assert job.listed == {"src/sys/conf"}
    assert "obj/mnt/src/sys/conf.out" in trace.touched([("A", "src/sys/conf/20-more")])
    # an empty folder is known by what git has elsewhere in it
    bare = text.replace("R 1722 /mnt/src/sys/conf/10-base\n", "")
    found = trace_filemon.parse(
        [(f"mnt/src/sys/{name}", bare)], src="/mnt/src", obj="/mnt/obj",
        sources=["src/sys/conf/a/b"],
    )  # fmt: skip
    assert found.jobs["obj/mnt/src/sys/conf.out"].listed == {"src/sys/conf"}
