"""A run that is followed by the files it writes."""

import time

import msgspec
import pytest
from conftest import wait_for

from labtasks.lab.events import ConsoleRules
from labtasks.test.judge import Word
from labtasks.test.watch import Watch

NOISE = b"probing ata0\r\n"


@pytest.fixture
def watch(tmp_path):
    for name in ("console", "channel"):
        (tmp_path / name).touch()
    lines = {"shutdown": ["^reboot: Power down"]}
    rules = msgspec.convert({"lines": lines}, ConsoleRules)
    return Watch(
        console=tmp_path / "console", channel=tmp_path / "channel", rules=rules, nonce="17",
        limit=4 << 20,
    )  # fmt: skip


def _add(watch, data: bytes) -> None:
    with watch.channel.open("ab") as file:
        file.write(data)


def test_while_nobody_looks_nobody_is_silent(watch):
    """A host that stands still does so as a whole."""
    watch.rules = msgspec.convert({"silence": 1}, ConsoleRules)
    watch.__post_init__()
    watch.decided()
    time.sleep(1.5)
    watch.decided()
    assert not watch.events
    wait_for(watch.decided)
    assert [event.name for event in watch.events] == ["silence"]


def test_a_verdict_behind_much_talk_is_heard(watch):
    _add(watch, NOISE * 150_000)
    watch.decided()
    _add(watch, b"VERDICT 17 go")
    watch.decided()
    assert not watch.said.verdicts
    _add(watch, b"od all is well\n")
    watch.decided()
    assert watch.said.verdicts == ((Word.GOOD, "all is well"),)
    watch.end()
    assert watch.said.verdicts == ((Word.GOOD, "all is well"),)


def test_the_last_line_needs_no_end(watch):
    _add(watch, NOISE + b"VERDICT 17 ready\nVERDICT 16 good\nVERDICT 17 bad")
    watch.end()
    assert (watch.said.ready, watch.said.verdicts) == (True, ((Word.BAD, ""),))


def test_a_system_that_goes_down_after_its_verdict_is_not_waited_for(watch):
    _add(watch, b"VERDICT 17 good\n")
    assert not watch.decided()
    with watch.console.open("ab") as console:
        console.write(b"reboot: Power down\n")
    assert watch.decided()


def test_a_flood_on_the_channel_ends_the_run(watch):
    _add(watch, NOISE * 400_000)
    assert watch.decided()
    assert watch.flooded
    watch.end()
    assert not watch.said.verdicts
