"""Traces as such: the truth table of what a change concerns, joining, storing, resolving paths."""

from __future__ import annotations

import posixpath
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labtasks.trace.trace import CHECK, DRIVER, Job, Trace
from labtasks.trace.trace_trees import Trees

READ = Job(reads=frozenset({"src/d", "src/d/f"}))
ABSENT = Job(absent=frozenset({"src/d/f"}))
ABSENT_ABOVE = Job(absent=frozenset({"src/d"}))
LISTED = Job(listed=frozenset({"src/d"}))
LISTED_ABOVE = Job(listed=frozenset({"src"}))
FOUND_ABOVE = Job(reads=frozenset({"src/d"}))
OTHER = Job(reads=frozenset({"src/e"}), absent=frozenset({"src/g"}), listed=frozenset({"src/e"}))

names = st.sampled_from(["", "obj/a.o", "obj/b.o", "obj/c", "obj/\udcff"])
paths = st.sampled_from(
    ["src/a", "src/b/c", "src/b", "src", "obj/a.o", "obj/b.o", "src/ä \n\udc80"]
)
sets = st.frozensets(paths, max_size=5)
jobs = st.dictionaries(names, st.builds(Job, reads=sets, absent=sets, listed=sets, writes=sets))
traces = st.builds(Trace, jobs)


@pytest.mark.parametrize(
    ("job", "seen"),
    [
        # seen: the statuses of src/d/f that concern the job; a small letter: only when the
        # directory src/d went (d) or came (a) with it.
        (READ, "AMTD"),
        (ABSENT, "A"),
        (ABSENT_ABOVE, "A"),
        (LISTED, "AD"),
        (LISTED_ABOVE, "ad"),
        (FOUND_ABOVE, "d"),
        (OTHER, ""),
    ],
)
@pytest.mark.parametrize("status", "AMTD")
@pytest.mark.parametrize("whole", [False, True])
def test_touched_truth_table(job: Job, seen: str, status: str, whole: bool) -> None:
    trace = Trace({"obj/x": job})
    gone = {"src/d"} if whole and status == "D" else set()
    come = {"src/d"} if whole and status == "A" else set()
    expected = status in seen or (whole and status.lower() in seen and status in "AD")
    touched = trace.touched([(status, "src/d/f")], gone, come)
    assert touched == ({"obj/x": ("src/d/f",)} if expected else {})


def test_touched_keeps_three_reasons_and_counts_the_rest() -> None:
    many = frozenset(f"src/{i}" for i in range(7))
    trace = Trace({"obj/x": Job(reads=many), "obj/y": Job(reads=frozenset({"src/1"}))})
    touched = trace.touched(("M", f"src/{i}") for i in range(7))
    assert touched == {
        "obj/x": ("src/0", "src/1", "src/2", "and 4 more"),
        "obj/y": ("src/1",),
    }


def test_touched_refuses_renames() -> None:
    with pytest.raises(ValueError, match="R100"):
        Trace({}).touched([("R100", "src/a")])


@settings(deadline=None)
@given(traces)
def test_a_stored_trace_is_the_same_trace(trace: Trace) -> None:
    again = Trace.decode(trace.encode())
    assert again.jobs == trace.jobs
    assert (again.in_tree, again.problems) == (trace.in_tree, trace.problems)
    assert again.encode() == trace.encode()


def test_what_is_not_a_trace_is_refused() -> None:
    good = Trace({"": Job(reads=frozenset({"src/a"}))}, in_tree=True, problems=["p"]).encode()
    assert Trace.decode(good).in_tree
    assert Trace.decode(good).problems == ("p",)
    for bad in (b"", b"{}", good[:-3], good[:20] + b"xxxx"):
        with pytest.raises(ValueError, match="trace"):
            Trace.decode(bad)


def test_own_products_are_not_read_from_outside() -> None:
    jobs = {
        "obj/a": Job(reads=frozenset({"src/a", "obj/b", "obj/tool"}), writes=frozenset({"obj/a"})),
        "obj/b": Job(reads=frozenset({"obj/a"}), writes=frozenset({"obj/b", "src/a"})),
    }
    assert Trace(jobs).reads == {"src/a", "obj/tool"}
    assert Trace(jobs, in_tree=True).reads == {"obj/tool"}


def test_joined_replaces_jobs_and_unites_the_driver() -> None:
    old = Trace(
        {
            DRIVER: Job(reads=frozenset({"src/Makefile"})),
            "obj/a": Job(reads=frozenset({"src/a", "src/h"}), writes=frozenset({"obj/a", "obj/t"})),
            "obj/b": Job(reads=frozenset({"src/b", "obj/t"})),
        }
    )
    new = Trace(
        {
            "obj/a": Job(reads=frozenset({"src/a"}), writes=frozenset({"obj/a"})),
            "obj/c": Job(reads=frozenset({"src/c"})),
            DRIVER: Job(reads=frozenset({"src/more.mk"})),
        }
    )
    joined = old.joined(new)
    assert joined.jobs == {
        DRIVER: Job(reads=frozenset({"src/Makefile", "src/more.mk"})),
        "obj/a": new.jobs["obj/a"],
        "obj/b": old.jobs["obj/b"],
        "obj/c": new.jobs["obj/c"],
    }
    assert "obj/t" not in joined.reads  # written by what "obj/a" was
    assert "obj/t" not in Trace.decode(joined.encode()).reads
    assert list(joined.touched([("M", "src/h")])) == []


def test_a_check_that_ran_within_a_larger_one_is_that() -> None:
    """FreeBSD installs its headers in groups that depend on what is up to date."""
    small, other = Job(reads=frozenset({"src/a.h"})), Job(reads=frozenset({"src/b.h"}))
    old = Trace({f"{CHECK}1": small, f"{CHECK}2": other, "obj/a": small})
    new = Trace({f"{CHECK}3": Job(reads=small.reads | {"src/c.h"}), "obj/b": other})
    assert {*old.joined(new).jobs} == {f"{CHECK}2", f"{CHECK}3", "obj/a", "obj/b"}


def both(a: Job, b: Job) -> Job:
    return Job(
        reads=a.reads | b.reads,
        absent=a.absent | b.absent,
        listed=a.listed | b.listed,
        writes=a.writes | b.writes,
    )


def again(a: Job, b: Job) -> Job:
    """A job that ran again: what it looked at and left alone stays its own."""
    kept = a.writes & b.reads
    return replace(b, writes=b.writes | kept, absent=b.absent | (kept & a.absent))


@settings(deadline=None)
@given(traces, traces)
def test_joined_and_united_by_definition(old: Trace, new: Trace) -> None:
    common = {n: both(old.jobs[n], new.jobs[n]) for n in old.jobs if n in new.jobs}
    driver = {n: job for n, job in common.items() if n == DRIVER}
    joined, united = old.joined(new), old.united(new)
    ran = {n: again(old.jobs[n], new.jobs[n]) for n in common}
    assert joined.jobs == {**old.jobs, **new.jobs, **ran, **driver}
    assert united.jobs == {**old.jobs, **new.jobs, **common}
    assert joined.writes == united.writes == old.writes | new.writes


segments = st.lists(st.sampled_from(["a", "b", "..", ".", "", "src"]), max_size=8)


@settings(deadline=None)
@given(segments)
def test_trees_normalises_as_posixpath_does(parts: list[str]) -> None:
    raw = "/mnt/src/" + "/".join(parts)
    plain = posixpath.normpath(raw)
    if plain == "/mnt/src" or plain.startswith("/mnt/src/"):
        expected: tuple[str, ...] = ("src" + plain.removeprefix("/mnt/src"),)
    else:
        expected = ()
    assert Trees("/mnt/src", "/mnt/obj").names(raw) == expected


def test_trees_follows_links() -> None:
    trees = Trees(
        "/mnt/src",
        "/mnt/obj",
        {"obj/k/machine": "/mnt/src/sys/amd64/include", "src/sys/loop": "loop", "src/up": "sys/.."},
    )
    assert trees.names("/mnt/obj/k/machine/pcpu.h") == (
        "obj/k/machine",
        "src/sys/amd64/include/pcpu.h",
    )
    # Not what text alone would say: /mnt/obj/k/x.h.
    assert trees.names("/mnt/obj/k/machine/../x.h") == ("obj/k/machine", "src/sys/amd64/x.h")
    assert trees.names("/mnt/src/up/f") == ("src/up", "src/f")
    assert "src/sys/loop" in trees.names("/mnt/src/sys/loop/f")
    trees.add_link("/mnt/obj/k/../k/m2", "machine")
    assert trees.names("/mnt/obj/k/m2/a.h")[-1] == "src/sys/amd64/include/a.h"
    assert trees.names("/usr/include/a.h") == ()
    assert trees.names("/mnt/srcs/a.h") == ()


def test_trees_with_one_tree_inside_the_other() -> None:
    trees = Trees("/mnt/src/", "/mnt/src/obj")
    assert trees.names("/mnt/src/obj/a") == ("obj/a",)
    assert trees.names("/mnt/src/a") == ("src/a",)
    assert Trees("/mnt/t", "/mnt/t").names("/mnt/t/a") == ("src/a",)


def test_a_large_trace_is_quick_to_ask() -> None:
    # A kernel's size. The bounds are an order of magnitude above what was measured.
    big = Trace(
        {
            f"obj/{j}.o": Job(
                reads=frozenset(f"src/sys/{(j * 7 + i * i) % 1700}.h" for i in range(300))
            )
            for j in range(1000)
        }
    )
    data = big.encode()
    start = time.process_time()
    trace = Trace.decode(data)
    assert time.process_time() - start < 0.3
    start = time.process_time()
    touched = trace.touched(("M", f"src/sys/{i}.h") for i in range(100))
    assert time.process_time() - start < 0.1
    assert touched


def test_a_job_that_leaves_less_keeps_its_name() -> None:
    """As newvers.sh does, which counts the links in one file and leaves the other one as it was."""
    made = Job(reads=frozenset({"src/newvers.sh"}), writes=frozenset({"obj/vers.c", "obj/version"}))
    old = Trace({"obj/vers.c": made, "obj/a.o": Job(writes=frozenset({"obj/a.o"}))})
    less = Job(reads=made.reads | {"obj/vers.c"}, writes=frozenset({"obj/version"}))
    other = Job(reads=frozenset({"src/b"}), writes=frozenset({"obj/a.o", "obj/b"}))
    named = Trace({"obj/version": less, "obj/b": other}).named_as(old)
    assert [*named.names] == ["obj/vers.c", "obj/b"]  # the other one leaves more
    assert named.jobs["obj/vers.c"] == less
    assert [*old.joined(named).names] == ["obj/a.o", "obj/vers.c", "obj/b"]
    stranger = Trace({"obj/version": Job(writes=less.writes)}).named_as(old)
    assert [*stranger.names] == ["obj/version"]  # it knows nothing of newvers.sh
