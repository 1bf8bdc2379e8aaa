"""`doit status`, `gc` and `doctor`: on rules alone, and on a lab that has built something."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time

import pytest
from conftest import environment
from hypothesis import given
from hypothesis import strategies as st

from labtasks.care import gc, survey
from labtasks.care.gc import DAY, Rules
from labtasks.care.survey import Held
from labtasks.ground.digest import Key
from labtasks.ground.error import UserError
from labtasks.ground.words import size
from labtasks.lab import settings
from labtasks.store.layer import LayerId

NOW = 1000 * DAY


def held(
    number: int, *, days: float, on: tuple[str, ...] = (), below: tuple[str, ...] = ()
) -> Held:
    return Held(
        kind="kernel",
        key=Key(f"k{number}"),
        commit=f"c{number}",
        stack=[LayerId(f"l{number}"), *map(LayerId, on)],
        below=[LayerId(name) for name in below],
        bytes=100,
        finished=NOW - days * DAY,
    )


def names(found):
    return [one.commit for one in found]


CHAIN = [held(1, days=30), held(2, days=20, on=("l1",)), held(3, days=1), held(4, days=25)]


def test_the_longest_unused_go_first_until_the_rest_fits():
    assert names(gc.chosen(CHAIN, Rules(quota=300), NOW)) == ["c4"]
    assert names(gc.chosen(CHAIN, Rules(quota=100), NOW)) == ["c4", "c1", "c2"]
    assert names(gc.chosen(CHAIN, Rules(quota=400), NOW)) == []


def test_a_base_is_as_young_as_what_was_last_built_on_it():
    assert names(gc.chosen(CHAIN, Rules(age=22 * DAY), NOW)) == ["c4"]


def test_what_is_kept_or_young_stays():
    keep = Rules(quota=1, keep=frozenset({"c1", "c4"}))
    assert names(gc.chosen([*CHAIN, held(5, days=0)], keep, NOW)) == ["c2", "c3"]


@given(st.integers(0, 2**32), st.integers(1, 2000))
def test_no_rule_removes_more_than_it_must(seed, quota):
    rng = random.Random(seed)  # noqa: S311 (no secret)
    some: list[Held] = []
    for number in range(rng.randrange(1, 12)):
        on = tuple(name for one in rng.sample(some, min(len(some), 1)) for name in one.stack)
        some.append(held(number, days=rng.uniform(1, 99), on=on if rng.random() < 0.6 else ()))
    gone = list(gc.chosen(some, Rules(quota=quota), NOW))
    left = [one for one in some if one not in gone]

    def total(kept: list[Held]) -> int:
        needed = {name for one in kept for name in one.layers}
        return sum(n for name, n in survey.sizes(some).items() if name in needed)

    assert total(left) <= quota or not left
    assert not gone or total([*left, gone[-1]]) > quota


@pytest.mark.parametrize(
    ("text", "number"),
    [("40 GB", 40 * 10**9), ("1.5G", 15 * 10**8), ("2 MiB", 2 << 20), ("7", 7), ("3KiB", 3072)],
)
def test_sizes_are_read_as_people_write_them(text, number):
    assert settings.in_bytes(text) == number


def test_a_size_that_is_none_is_refused():
    with pytest.raises(UserError, match="is no size"):
        settings.in_bytes("much")


@given(st.integers(0, 10**15))
def test_sizes_are_said_in_few_characters(number):
    assert len(size(number)) <= len("1000.0 TB")


def test_status_says_what_there_is(built):
    said = built.doit("status")
    assert said.lines(r"kernel +1 artifact .*exclusive.*shared")
    assert said.lines(r"^free: ")
    assert said.lines(r"kernel:\w{12} +clean")


def test_gc_says_what_would_go_and_then_it_goes(built):
    before = built.manifests("kernel")
    _finished(built, time.time())
    assert built.doit("gc", "--quota", "1", "--dry-run").lines("0 artifacts would go")  # too young
    _age(built)
    said = built.doit("gc", "--quota", "1", "--dry-run")
    assert said.lines(r"kernel:\w{12}: would go")
    assert built.manifests("kernel").keys() == before.keys()
    said = built.doit("gc", "--quota", "1")
    assert said.lines(r"\d+ artifacts went: ")
    assert not built.manifests("kernel")
    built.doit("build:base")
    assert built.manifests("kernel")


def test_two_collections_at_once_and_a_build_beside_them(built):
    _age(built)
    runs = [built.start("gc", "--quota", "1") for _ in range(2)]
    said = built.doit("build:world-tool")
    assert [run.wait(60) for run in runs] == [0, 0]
    assert said.rung("kernel", built.repo.short("world-tool"))
    built.at_rest()


def test_a_pinned_world_is_never_touched(built):
    _age(built)
    built.configure(world="base")
    built.doit("gc", "--quota", "1")
    assert built.manifests("world")


def test_a_quota_makes_room_before_a_build(built):
    _age(built)
    built.configure(**{"gc.quota": "1"})
    assert built.doit("build:world-tool").lines("artifacts went, to keep under the quota")


def _age(lab) -> None:
    """Let everything in a store be a month old."""
    _finished(lab, 1_000_000)


def _finished(lab, when: float) -> None:
    """Let everything in a store have been made then."""
    for path in (lab.directory / "cache" / "artifacts").glob("*/*/manifest.json"):
        text = path.read_text()
        path.write_text(re.sub(r'("finished": )[\d.]+', rf"\g<1>{when:.1f}", text))


def test_doctor_is_content_and_says_what_is_missing(built):
    assert not built.doit("doctor").lines("^FAIL")
    built.recipe(("[tools]", '[tools]\n"no-such-tool" = "some-package"'))
    said = built.doit("doctor", code=1)
    assert said.lines("^FAIL +tools: the command 'no-such-tool' is missing")
    assert said.lines("do: on Debian: apt-get install some-package")


def test_doctor_goes_on_behind_a_wrong_recipe(built):
    built.recipe(("about =", "abuot ="))
    said = built.doit("doctor", code=1)
    assert said.lines("^FAIL +recipe: ")
    assert said.lines("disk space: ")
    assert not said.lines("tools: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gc", "--quota", "much"), "is no size"),
        (("gc", "--days", "many"), "a number of days"),
        (("gc", "--days=-1"), "a number of days"),
        (("gc", "--days", "nan"), "a number of days"),
        (("gc", "dry-run"), "gc does not take 'dry-run'"),
        (("doctor", "kernel:HEAD"), "doctor does not take 'kernel:HEAD'"),
        (("ssh", "--dir", ".", "nowhere"), "no VM is called 'nowhere'"),
        (("console", "--dir=.", "nowhere"), "no VM is called 'nowhere'"),
    ],
)
def test_mistakes_are_refused(built, words, said):
    ran = subprocess.run(
        [sys.executable, "-m", "doit", *words], cwd=built.directory, env=environment(),
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert (ran.returncode, said in ran.stderr) == (3, True)


def test_held_reads_what_manifests_write(built):
    (kernel,) = built.manifests("kernel").values()
    found = {one.name: one for one in survey.held(built.directory / "cache")}[kernel.name]
    assert found.stack == kernel.stack
    assert found.bytes == kernel.bytes > 0
    assert survey.use([found])["kernel"].count == 1
