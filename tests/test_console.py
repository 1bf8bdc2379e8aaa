"""Consoles of real machines become events, however their bytes are cut."""

from __future__ import annotations

import itertools
import re
import time
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtasks.ground.error import UserError
from labtasks.lab import config, events, recipe
from labtasks.lab.events import ConsoleRules, EventName
from labtasks.test import console
from labtasks.test.console import Console, Event

DATA = Path(__file__).parent / "data" / "console"
RULES = {
    name: recipe.load(recipe.SHIPPED / f"{name}.toml").console
    for name in ("freebsd", "linux", "demo")
}
TRANSCRIPTS = sorted(path.stem for path in DATA.glob("*.log"))
HOUR = 3600.0

# What each ends in: the decisive event and its line, then whatever else is not a plain start.
DECISIVE = {
    "freebsd-fatal-trap": ("trap", "Fatal trap 12: page fault while in kernel mode"),
    "freebsd-good-full-rc": ("shutdown", "Uptime: 21s"),
    "freebsd-good-generic": ("shutdown", "Uptime: 3s"),
    "freebsd-good-init-script": ("shutdown", "Uptime: 3s"),
    "freebsd-good-modules": ("shutdown", "Uptime: 3s"),
    "freebsd-hang": (
        "silence",
        "cd0: Attempt to query device size failed: NOT READY, Medium not present",
    ),
    "freebsd-loader-no-root": ("loader-failure", "Failed to find bootable partition"),
    "freebsd-login": ("login", "login:"),
    "freebsd-mountroot": ("mountroot", "Mounting from ufs:/dev/nosuchdisk failed with error 19."),
    "freebsd-panic": ("panic", "panic: kdb_sysctl_panic"),
    "freebsd-panic-ddb-prompt": ("panic", "panic: kdb_sysctl_panic"),
    "freebsd-single-user": (
        "single-user",
        "Enter full pathname of shell or RETURN for /bin/sh:",
    ),
    "linux-exit": (
        "panic",
        "[    0.740017] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000300",
    ),
    "linux-good": ("shutdown", "[    0.708017] reboot: System halted"),
    "linux-hang": ("silence", "[    1.412202] clocksource: Switched to clocksource tsc"),
    "linux-login": ("login", "box login:"),
    "linux-mountroot": (
        "mountroot",
        (
            "[    0.417538] Kernel panic - not syncing: "
            "VFS: Unable to mount root fs on unknown-block(0,0)"
        ),
    ),
    "linux-panic": ("panic", "[    0.613693] Kernel panic - not syncing: sysrq triggered crash"),
    "linux-reset": ("shutdown", "[    0.618256] sysrq: Resetting"),
    "linux-trap": (
        "trap",
        "[    0.638376] BUG: kernel NULL pointer dereference, address: 0000000000000000",
    ),
    "demo-bad": ("shutdown", "Powering off."),
    "demo-good": ("shutdown", "Powering off."),
    "demo-hang": ("silence", "Mounted root from ustarfs: 36 files"),
    "demo-mismatch": ("mismatch", "init: kernel ABI 2, world built for ABI 1"),
    "demo-mountroot": ("mountroot", "mountroot: not a ustar archive (error 22)"),
    "demo-panic": ("panic", "panic: test.panic was set"),
    "demo-reboots": (
        "silent-reboot",
        "Nidavel, an operating system to be built, broken and bisected.",
    ),
    "demo-reset": ("silence", "Mounted root from ustarfs: 36 files"),
    "demo-trap": ("trap", "Fatal trap 14: page fault while in kernel mode"),
}
START = {EventName.LOADER, EventName.BANNER, EventName.READY}


def bytes_of(name: str) -> bytes:
    return (DATA / f"{name}.log").read_bytes()


def read(name: str, pieces: Iterable[bytes]) -> list[Event]:
    """All events of a transcript, silence at its end included."""
    reader = Console(RULES[name.partition("-")[0]])
    found = [event for piece in pieces for event in reader.feed(piece, 1.0)]
    while event := reader.quiet(HOUR):
        found.append(event)
    return found + reader.end(HOUR)


def made(rules: ConsoleRules, *pieces: bytes, watch: str = "") -> list[Event]:
    reader = Console(rules, watch=watch)
    return [event for piece in pieces for event in reader.feed(piece, 1.0)] + reader.end(1.0)


def names(found: Iterable[Event]) -> list[str]:
    return [event.name.value for event in found]


def test_every_transcript_has_a_decisive_event() -> None:
    assert sorted(DECISIVE) == TRANSCRIPTS


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_decisive_event(name: str) -> None:
    data = bytes_of(name)
    event = next(event for event in read(name, [data]) if event.name not in START)
    assert (event.name, event.line) == DECISIVE[name]
    if event.name != EventName.SILENCE:
        shown = re.split(rb"[\r\n\b]", console.clean(data))
        assert any(line.decode().startswith(event.line) for line in shown)


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_every_boot_is_seen_to_start(name: str) -> None:
    found = names(read(name, [bytes_of(name)]))
    assert ("banner" in found) == (name != "freebsd-loader-no-root")
    assert ("loader" in found) == name.startswith("freebsd")


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_byte_for_byte_the_same(name: str) -> None:
    data = bytes_of(name)
    assert read(name, [data[at : at + 1] for at in range(len(data))]) == read(name, [data])


@given(name=st.sampled_from(TRANSCRIPTS), cuts=st.lists(st.integers(0, 8600), max_size=40))
def test_same_events_however_it_is_cut(name: str, cuts: list[int]) -> None:
    data = bytes_of(name)
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    assert read(name, pieces) == read(name, [data])


PIECES = st.sampled_from([
    b"panic: one", b"panic: two\n", b"cpuid = 3\n", b"#0 0xff at f+0x1\n", b"Uptime: 1s\n",
    b"Fatal trap 9: x while", b" in kernel mode\r\n", b"db> ", b"mountroot> ", b"login: ",
    b"\x1b[", b"1m", b"\x1b]0;t", b"\a", b"\x1b", b"\r", b"\b", b"\n", b"|\b/",
    b"---<<BOOT>>---\r\n", b"FreeBSD/amd64 EFI loader, Revision 1", b"\xc3", b"\xa9",
    b"\x00", b"x" * 4090, b"word", b"db:0:w> ",
])  # fmt: skip


@given(pieces=st.lists(PIECES, max_size=30), size=st.integers(1, 50))
def test_same_events_of_any_bytes_however_they_are_cut(pieces: list[bytes], size: int) -> None:
    data = b"".join(pieces)
    cut = [data[at : at + size] for at in range(0, len(data), size)]
    rules = RULES["freebsd"]
    assert made(rules, *cut) == made(rules, data) == made(rules, *pieces)


def test_details_of_a_panic() -> None:
    (panic,) = [e for e in read("freebsd-panic", [bytes_of("freebsd-panic")]) if e.name == "panic"]
    assert (panic.message, panic.cpu, len(panic.backtrace)) == ("kdb_sysctl_panic", 0, 10)
    assert panic.backtrace[0] == "#0 0xffffffff804dd85d at kdb_backtrace+0x5d"
    assert panic.backtrace[-1] == "#9 0xffffffff80726b6b at fast_syscall_common+0xf8"


def test_details_with_a_debugger() -> None:
    found = read("freebsd-panic-ddb-prompt", [bytes_of("freebsd-panic-ddb-prompt")])
    assert names(found) == ["loader", "banner", "ready", "panic", "debugger"]
    panic, prompt = found[-2:]
    assert (panic.cpu, len(panic.backtrace)) == (0, 11)
    assert panic.backtrace[3].startswith("kdb_sysctl_panic() at kdb_sysctl_panic+0x61/frame")
    assert panic.backtrace[-1].startswith("--- syscall (202, FreeBSD ELF64, sys___sysctl)")
    assert prompt.line == "db>"


@pytest.mark.parametrize("name", ["freebsd-fatal-trap", "demo-trap"])
def test_a_trap_becomes_a_panic(name: str) -> None:
    trap, panic = [e for e in read(name, [bytes_of(name)]) if e.name in {"trap", "panic"}]
    assert (trap.message, trap.cpu, trap.backtrace) == ("page fault", 0, ())
    assert (panic.message, panic.cpu) == ("page fault", 0)
    assert len(panic.backtrace) > 2


def test_details_of_a_linux_oops() -> None:
    trap, panic = read("linux-trap", [bytes_of("linux-trap")])[2:4]
    assert (trap.name, trap.cpu, len(trap.backtrace)) == ("trap", 0, 10)
    assert trap.message == "kernel NULL pointer dereference, address: 0000000000000000"
    assert trap.backtrace[0].endswith("RIP: 0010:lkdtm_EXCEPTION+0x2/0xa")
    assert trap.backtrace[1].endswith("? direct_entry+0xa5/0xbb")
    assert (panic.name, panic.message) == ("panic", "Fatal exception")


def test_what_only_looks_like_a_panic() -> None:
    rules = RULES["freebsd"]
    assert made(rules, b"debug.kdb.panic: 0 -> 1\nsavecore: reboot after panic: foo\n") == []
    assert names(made(rules, b"panic: mountroot: unable to (re-)mount root.\n")) == ["mountroot"]
    # Output of a program that had not ended its line.
    (event,) = made(rules, b"Starting local daemons:panic: foo\n")
    assert (event.name, event.message) == ("panic", "foo")


def test_a_panic_that_stops_in_mid_line() -> None:
    reader = Console(RULES["freebsd"])
    assert reader.feed(b"panic: fo", 1.0) == []
    silence = reader.quiet(HOUR)
    assert silence
    assert (silence.name, silence.line) == ("silence", "panic: fo")
    assert [(e.name, e.message) for e in reader.end(HOUR)] == [("panic", "fo")]


def test_a_crash_is_told_when_it_has_said_what_it_had_to_say() -> None:
    reader = Console(RULES["demo"])
    assert reader.feed(b"panic: foo\ncpuid = 2\n", 5.0) == []
    assert reader.quiet(5.0 + console.SETTLE / 2) is None
    event = reader.quiet(5.0 + console.SETTLE)
    assert event
    assert (event.name, event.cpu, event.seconds) == ("panic", 2, 5.0)
    assert reader.quiet(5.0 + console.SETTLE) is None


def test_silence_is_told_once_until_something_comes() -> None:
    reader = Console(ConsoleRules(silence=10))
    assert reader.quiet(9.9) is None
    for start in (0.0, 100.0):
        if start:
            assert reader.feed(b"a word", start) == []
        silence = reader.quiet(start + 10)
        assert silence
        assert (silence.name, silence.seconds) == ("silence", start + 10)
        assert reader.quiet(start + 50) is None
    assert Console(ConsoleRules(silence=0)).quiet(HOUR) is None


def test_no_silence_at_a_prompt() -> None:
    reader = Console(RULES["demo"])
    assert names(reader.feed(b"mountroot> ", 1.0)) == ["mountroot"]
    assert reader.quiet(HOUR) is None


def test_silent_reboot_by_the_loader() -> None:
    loader, banner = b"FreeBSD/amd64 EFI loader, Revision 1.1\n", b"---<<BOOT>>---\n"
    rules = RULES["freebsd"]
    assert names(made(rules, loader, banner, loader, banner)) == [
        *("loader", "banner"),
        *("silent-reboot", "loader", "banner"),
    ]
    # Firmware that starts the loader twice, a guest that prints its message buffer.
    assert "silent-reboot" not in names(made(rules, loader, loader, banner, banner))
    for reason in (b"Uptime: 3s\n", b"panic: foo\n", b"Fatal trap 9: x while in kernel mode\n"):
        twice = made(rules, loader, banner, reason, loader, banner)
        assert "silent-reboot" not in names(twice)
        thrice = made(rules, loader, banner, reason, loader, banner, loader)
        assert names(thrice).count("silent-reboot") == 1


def test_a_persons_own_text_does_not_cut_a_panic_short() -> None:
    found = made(
        RULES["demo"], b"one\npanic: page fault\nhere: page fault\ncpuid = 1\n", watch="page fault"
    )
    assert names(found) == ["text", "text", "panic"]
    assert found[-1].cpu == 1


def test_a_machine_that_panics_for_ever() -> None:
    lines = b"".join(b"panic: %d\nFatal trap 1: x while in kernel mode\n" % n for n in range(5000))
    found = names(made(RULES["demo"], lines))
    assert found.count("panic") == found.count("trap") == console.MOST


def seconds_for(megabytes: int, piece: bytes) -> float:
    """Processor time to read so much of the same; memory is watched on the way."""
    reader = Console(RULES["freebsd"])
    started = time.process_time()
    for _ in range(megabytes):
        assert reader.feed(piece, 1.0) == []
    seconds = time.process_time() - started
    assert names(reader.feed(b"\npanic: at last\n", 1.0) + reader.end(1.0)) == ["panic"]
    return seconds


@pytest.mark.parametrize(
    "piece",
    [
        b"x" * (1 << 20),
        b"probe: fbt:pf:hook_pf:entry fired again on cpu 4\r\n" * 20_000,
        b"\x1b" * (1 << 20),
        b"\x1b]0;" * (1 << 18),
    ],
    ids=["line", "lines", "escapes", "titles"],
)
def test_flood_is_bounded(piece: bytes) -> None:
    """Memory does not grow, and four times the bytes take about four times as long."""
    tracemalloc.start()
    once = seconds_for(5, piece)
    assert seconds_for(20, piece) < 10 * once + 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


def test_a_flood_in_small_pieces_is_bounded() -> None:
    reader = Console(RULES["freebsd"])
    for _ in range(200_000):
        assert reader.feed(b"x", 1.0) == []
    assert len(reader._tail) == console.LIMIT


@pytest.mark.parametrize("name", sorted(RULES))
def test_shipped_patterns_are_fast_in_a_flood(name: str) -> None:
    rules = RULES[name]
    for found in (rules.lines, rules.prompts):
        for pattern in (pattern for patterns in found.values() for pattern in patterns):
            assert len(console.literal(pattern)) >= 3, pattern


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^panic: (.*)", "panic: "),
        (r"Fatal trap \d+: (.*) while in kernel mode", " while in kernel mode"),
        (r"a\.b\(c", "a.b(c"),
        ("ab|cd", ""),
        ("(ab|cd) ef", " ef"),
        ("(?i)panic", ""),
        ("(?<!x)panic", "panic"),
        ("abc?defg+h{2}xy{0,1}", "defg"),
        (r"[\]]abc]?", "abc"),
        (r"\bBUG\b", "BUG"),
    ],
)
def test_literals(pattern: str, expected: str) -> None:
    assert console.literal(pattern) == expected.encode()


@given(data=st.data())
def test_literals_are_in_all_that_matches(data: st.DataObject) -> None:
    patterns = [
        pattern
        for rules in RULES.values()
        for found in (rules.lines, rules.prompts)
        for some in found.values()
        for pattern in some
        if "(?!" not in pattern
    ]
    atoms = st.sampled_from([
        "a", "bc", r"\.", r"\d", "[xy]", "[]]", r"[^\]a]", "(de|f)", "(?:gh)",
        "+", "?", "{2}", "{0,1}", "*", "$", "^",
    ])  # fmt: skip
    pattern = data.draw(st.sampled_from(patterns) | st.lists(atoms, max_size=8).map("".join))
    try:
        re.compile(pattern)
    except re.error:
        return
    text = data.draw(st.from_regex(pattern))
    assert console.literal(pattern) in text.encode(errors="surrogateescape")


def test_escape_sequences() -> None:
    text = (
        b"\x1b[1;31mFAILED\x1b[0m \x1b]8;;http://x\x1b\\link\x1b]0;title\a \x1b7\x1b[6n\x00ok\x1b["
    )
    assert console.clean(text) == b"FAILED link ok"
    (event,) = made(RULES["demo"], b"\x1b[2Jpa\x1b[1mnic: \x1b[0mfoo\r\n")
    assert (event.line, event.message) == ("panic: foo", "foo")


def recipe_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "r.toml"
    path.write_text(f'about = "x"\n[kernel]\nsteps = ["make"]\n{text}')
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[console.lines]\npanik = ['x']", "did you mean 'panic'"),
        ("[console.lines]\nsilence = ['x']", "knows no event 'silence'"),
        ("[console.prompts]\nlogin = ['(']", "Python regex"),
        ("[console]\ncpu = ['cpuid']", "has no group"),
        ("[console.lines]\npanic = ['.*']", "matches an empty line"),
        ("[console.prompts]\nlogin = ['^login: $']", "what comes behind it"),
        ("[console.prompts]\nlogin = ['^login:\\b']", "what comes behind it"),
        ("[console]\nsilent = 3", "unknown key 'silent'"),
        ("[console.lines]\npanic = 'x'", "Expected `array`"),
    ],
)
def test_bad_rules_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        recipe.load(recipe_with(tmp_path, text))


def test_events_of_recipes_are_known() -> None:
    assert config.read(recipe.SHIPPED / "demo.toml", recipe.Recipe).console == RULES["demo"]
    derived = {"silent-reboot", "silence", "flood", "text"}
    assert {name.value for name in events.DERIVED} == derived
