"""What is drawn at the bottom of a terminal: there on a terminal, nowhere else, and gone after."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import environment
from hypothesis import given
from hypothesis import strategies as st
from screens import Screen, screen

from labtasks.bisect.view import View
from labtasks.ground import live
from labtasks.ground.words import cut, cut_inside
from labtasks.key.git import Commit, CommitId
from labtasks.key.git_objects import TreeId

SCRIPT = """
import sys, time
from pathlib import Path
from labtasks.ground import live
from labtasks.ground.error import say
log = Path("log")
log.write_text("cc -c first.c\\n\\x1b[31mcc -c second.c\\n")
rows = ["bisect a..b on test", "  step 4 of about 7, 12 commits left, about 3 min to the end",
        "  0123456789ab kern: Grow by whole pages", "  why: splits 12 into 6 and 6"]

def work(seconds):
    ends = time.monotonic() + seconds
    while True:
        live.tick(log)
        if time.monotonic() > ends or Path("go").exists():
            break
        time.sleep(0.02)

try:
    with live.board(lambda: list(rows)) if "board" in sys.argv else live.doing("boot", 0.0):
        for number in range(3):
            say(f"event {number}")
        with live.doing("kernel:abc", 12.0):
            work(0.0)
            say("a calm line")
            work(600.0 if "wait" in sys.argv else 0.3)
    say("the end")
except KeyboardInterrupt:
    sys.stderr.write("\\ninterrupted\\n")
    sys.exit(130)
"""


def argv(*words: str) -> list[str]:
    return [sys.executable, "-c", SCRIPT, *words]


@contextlib.contextmanager
def shown(
    folder: Path, *words: str, columns: int = 80, lines: int = 24, **env: str
) -> Iterator[Screen]:
    some = {"TERM": "xterm", **env}
    with screen(argv(*words), folder, environment(**some), columns, lines) as found:
        yield found


def text(lines: list[str]) -> list[str]:
    """What is there, as in the first second."""
    return [re.sub(r"kernel:abc: \d+ of", "kernel:abc: 0 of", line) for line in lines if line]


ABOVE = ["event 0", "event 1", "event 2", "a calm line"]
BOARD = [
    "bisect a..b on test",
    "  step 4 of about 7, 12 commits left, about 3 min to the end",
    "  0123456789ab kern: Grow by whole pages",
    "  why: splits 12 into 6 and 6",
]


def test_a_board_stands_below_the_events_and_goes(tmp_path):
    with shown(tmp_path, "board", "wait") as seen:
        lines = text(seen.until(lambda lines: any("kernel:abc" in line for line in lines)))
        assert lines[-5:-1] == BOARD
        assert lines[-1].startswith("  kernel:abc: 0 of some 12 s  \\x1b[31mcc -c second.c")
        (tmp_path / "go").touch()
        assert text(seen.until(lambda lines: "the end" in lines)) == [*ABOVE, "the end"]
    assert b"\x1b[1mbisect" in seen.raw


def test_without_a_board_there_is_one_line(tmp_path):
    with shown(tmp_path, "wait") as seen:
        seen.until(lambda lines: any(line.startswith("kernel:abc: ") for line in lines))
        (tmp_path / "go").touch()
        assert text(seen.until(lambda lines: "the end" in lines)) == [*ABOVE, "the end"]


def test_events_scroll_past_a_board_that_stays(tmp_path):
    with shown(tmp_path, "board", "wait", lines=8) as seen:
        lines = seen.until(lambda lines: "a calm line" in lines and lines[-1])
        assert lines[:3] == ABOVE[1:]
        assert lines[3:7] == BOARD
        assert seen.past[-1] == "event 0"
        assert seen.cursor == (0, 3)


@pytest.mark.parametrize(
    ("columns", "lines", "drawn"),
    [
        (40, 24, [*(cut(row, 39) for row in BOARD), "  kernel:abc: 0 of some 12 s  … second.c"]),
        (80, 4, [*BOARD[:2], "  kernel:abc: 0 of some 12 s  \\x1b[31mcc -c second.c"]),
        (80, 2, ["  kernel:abc: 0 of some 12 s  \\x1b[31mcc -c second.c"]),
    ],
)
def test_a_small_terminal_sees_what_there_is_room_for(tmp_path, columns, lines, drawn):
    with shown(tmp_path, "board", "wait", columns=columns, lines=lines) as seen:
        rows = text(seen.until(lambda rows: "kernel:abc: " in "".join(rows)))
        assert [row[:25] for row in rows[-len(drawn) :]] == [row[:25] for row in drawn]


@pytest.mark.parametrize(("columns", "lines"), [(40, 24), (12, 24), (80, 4), (80, 2), (2, 1)])
def test_a_small_terminal_is_left_clean(tmp_path, columns, lines):
    with shown(tmp_path, "board", columns=columns, lines=lines) as seen:
        seen.run.wait(30)
        rows = seen.look()
        whole = "".join([*seen.past, *rows])
    assert whole.replace(" ", "").endswith("theend")
    assert "bisect" not in whole


@pytest.mark.parametrize("columns", [40, 120])
def test_a_resized_terminal_is_drawn_anew(tmp_path, columns):
    with shown(tmp_path, "board", "wait") as seen:
        seen.until(lambda lines: any("kernel:abc" in line for line in lines))
        seen.resize(columns, 24)
        fitting = [cut(row, columns - 1) for row in BOARD]
        lines = text(seen.until(lambda lines: fitting[1] in lines))
        assert lines[-5:-1] == fitting


def test_interrupted_it_leaves_the_terminal_clean(tmp_path):
    with shown(tmp_path, "board", "wait") as seen:
        seen.until(lambda lines: any("kernel:abc" in line for line in lines))
        seen.press(b"\x03")
        lines = seen.until(lambda lines: "interrupted" in lines)
        assert text(lines) == [*ABOVE, "interrupted"]
        assert seen.run.wait(60) == 130
        assert seen.cursor == (0, lines.index("interrupted") + 1)


def test_no_color_is_heeded(tmp_path):
    with shown(tmp_path, "board", NO_COLOR="1") as seen:
        seen.until(lambda lines: "the end" in lines)
    assert b"\x1b[1m" not in seen.raw
    assert b"bisect" in seen.raw


def test_a_dumb_terminal_sees_calm_lines_alone(tmp_path):
    with shown(tmp_path, "board", TERM="dumb") as seen:
        seen.until(lambda lines: "the end" in lines)
    assert seen.raw.decode().splitlines() == [*ABOVE, "the end"]


def test_a_pipe_sees_calm_lines_alone(tmp_path):
    done = subprocess.run(
        argv("board"), cwd=tmp_path, env=environment(TERM="xterm"), check=True,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.splitlines() == [*ABOVE, "the end"]


def test_without_an_expectation_it_only_counts():
    assert live.line("boot", 3.2, 0.0, "", 80) == "boot: 3 s"


@given(st.text(), st.integers(0, 90))
def test_lines_are_cut_to_fit(line, columns):
    assert len(cut(line, columns)) <= columns
    assert len(cut_inside(line, columns)) <= columns


def test_of_a_long_command_both_ends_are_told():
    command = "cc -O2 -Wall -Wextra -c -o kern_malloc.o sys/kern/kern_malloc.c"
    assert cut_inside(command, 40) == "cc -O2 -Wall … .o sys/kern/kern_malloc.c"


def commit(letter: str, subject: str) -> Commit:
    return Commit(
        id=CommitId(letter * 40), tree=TreeId(letter * 40), date=0, subject=subject, author=""
    )


def test_a_view_tells_where_a_bisect_is():
    view = View(title="bisect a..b on test")
    assert view.rows() == ["bisect a..b on test"]
    view.left = 12
    view.expect(200)
    view.step(commit("c", "evil\x1b[2J words"), 4, 3.6, "splits 12 into 6 and 6")
    view.build_ahead([commit("d", "one"), commit("e", "two")])
    assert view.rows()[1:] == [
        "  step 4 of about 7, 12 commits left, about 3 min to the end",
        "  cccccccccccc evil\\x1b[2J words",
        "  why: splits 12 into 6 and 6",
        "  ahead: dddddddddddd, then eeeeeeeeeeee",
    ]
    view.turn(commit("c", "one"), "proof: culprit", "built clean, tested again")
    view.expect(0)
    view.left = 0
    assert view.rows()[1] == "  proof: culprit"
