"""A report's page in a real browser: nothing fails, nothing is cut off, on a phone's width too.

The page holds no script, so it is looked at from a page around it, which has it in a frame.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import reports
from msgspec.structs import replace

from labtasks.report import page
from labtasks.report.report import Calibration, Report

_NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, _NAMES)), "")
WIDTHS = {"phone": (390, 844), "desk": (1280, 900)}
"""Pixels of a window."""

pytestmark = pytest.mark.skipif(not BROWSER, reason="no chromium")

LOOK = """<!DOCTYPE html><body style="margin:0"><iframe id="f" src="report.html"
style="border:0;width:{width}px;height:{height}px"></iframe><pre id="found"></pre><script>
window.addEventListener("load", () => {{
  const page = document.getElementById("f").contentDocument;
  const seen = (selector) => [...page.querySelectorAll(selector)].map((one) => {{
    const box = one.getBoundingClientRect();
    return {{left: box.left, right: box.right, height: box.height, text: one.textContent}};
  }});
  const wide = [...page.querySelectorAll("body *")].filter((one) => {{
    const box = one.getBoundingClientRect();
    return box.right > {width} + 1 && !one.closest("pre, .wide, svg, .subject") && box.height;
  }}).map((one) => one.tagName + "." + one.className);
  document.getElementById("found").textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth, wide, title: seen("h1"), picture: seen(".history svg"),
    rows: seen("tbody tr"), subjects: seen(".history .subject"), savings: seen(".savings li"),
    repeats: seen("[aria-labelledby=repeats]"), table: seen("table"),
  }});
}});
</script>"""


def whole() -> Report:
    """A report that has everything there can be on its page."""
    found = reports.sample()
    why = "splits 60 into 20 and 40: 0.92 bits in 1 min 10 s, 0.013 bits/s; the best split, "
    why += "0123456789ab: 1.00 bits in 4 min 10 s, 0.004 bits/s"
    rule = "sys/sys/param.h states 1500001 for the world, 1500002 here; ABI paths differ from the "
    rule += "world's: sys/kern/syscalls.master, sys/compat/freebsd32/syscalls.master"
    steps = (
        replace(step, why=why, fit="aligned", fit_why=rule, counted="failed 1 of 3 runs")
        for step in found.steps
    )
    return replace(
        found, steps=tuple(steps), calibration=Calibration(fails=3, runs=9, needed=11, error=0.01),
        savings=("16 commits not tested: nothing that their builds read was changed", rule),
    )  # fmt: skip


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [
        BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--hide-scrollbars", "--allow-file-access-from-files",
        "--enable-logging=stderr", f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=5000", *words,
    ]  # fmt: skip
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120)


def looked(folder: Path, found: Report, name: str) -> tuple[dict[str, Any], str]:
    """What a browser made of a page, and what its console said."""
    page.write(folder, found)
    width, height = WIDTHS[name]
    around = folder / "around.html"
    around.write_text(LOOK.format(width=width, height=height))
    done = run(folder, "--dump-dom", f"--window-size={width},{height}", around.as_uri())
    seen = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert seen, done.stdout[-1000:]
    console = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return json.loads(html.unescape(seen[1])), console


@pytest.mark.parametrize("name", WIDTHS)
def test_a_page_fits_and_shows_what_it_has(tmp_path, name):
    found = whole()
    seen, console = looked(tmp_path, found, name)
    assert console == ""
    width = WIDTHS[name][0]
    assert seen["width"] <= width
    assert seen["wide"] == []
    subject = found.subject(found.culprits[0])
    (title,) = seen["title"]
    assert subject in title["text"]
    assert 0 <= title["left"] < title["right"] <= width
    assert len(seen["rows"]) == len(found.steps)
    for step, row in zip(found.steps, seen["rows"], strict=True):
        assert row["height"] > 20
        for words in (step.commit[:12], step.why, step.fit_why, step.counted):
            assert words in row["text"]
    assert seen["table"][0]["right"] <= width
    assert any(drawn["height"] > 100 for drawn in seen["picture"])
    shown = [one for one in seen["subjects"] if subject in one["text"] and one["height"]]
    assert all(one["right"] <= width for one in shown)
    assert shown
    assert [one["text"] for one in seen["savings"]] == list(found.savings)
    assert "failed in 3 of 9 runs" in seen["repeats"][0]["text"]


@pytest.mark.parametrize("name", WIDTHS)
def test_long_words_break_no_page(tmp_path, name):
    found, long = whole(), "x" * 400
    steps = tuple(
        replace(s, subject=long, reason=long, why=long, fit_why=long) for s in found.steps
    )
    nodes = tuple(replace(node, subject=long, author=long, why=long) for node in found.nodes)
    found = replace(
        found, steps=steps, nodes=nodes, repository=f"/{long}", vm=long, test=long,
        savings=(long,), commands=(long,), diffstat=long, message=long,
    )  # fmt: skip
    seen, console = looked(tmp_path, found, name)
    assert console == ""
    assert seen["width"] <= WIDTHS[name][0], seen["wide"]
