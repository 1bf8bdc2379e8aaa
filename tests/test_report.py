"""A report says what was found, whatever commits and consoles hold, at any size, for any reader."""

from __future__ import annotations

import json
import re
import time
from html.parser import HTMLParser

import msgspec
import reports
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from reports import commit, sample, unfinished

from labtasks.ground import words
from labtasks.report import lanes, page, report, summary
from labtasks.report.report import Proof, Report

EMPTY = Report(repository="os", good=(commit(0),), bad=commit(1))
SCRIPT = "<script>alert('1')</script>"
VOID = {"meta", "line", "rect", "path", "circle", "br"}


class Page(HTMLParser):
    """A page's tags, balanced or not, its words, ids and links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open[-1:] == [tag]
        self.open.pop()

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.seen if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(found: Report) -> Page:
    parsed = Page(page.html(found))
    assert not parsed.open
    return parsed


def test_text_names_the_culprit_first():
    found = sample()
    lines = summary.text(found).splitlines()
    culprit = found.node(found.culprits[0])
    assert lines[0].startswith(f"culprit: {culprit.commit[:12]} {culprit.subject} (")
    assert lines[0].endswith(f"({culprit.author}, 2023-11-15)")
    whole = "\n".join(lines)
    for words_ in (
        "sure       99.6 %",
        "test       amd64: tests/sched.sh --threads 4",
        "proved: built clean and tested again, as found (culprit, parent, revert)",
        "2 files changed, 9 insertions(+), 7 deletions(-)",
        "60 commits, 16 of them need no test",
        "15 min 12 s: 9 steps, 9 builds, 11 boots",
        "4 h 20 min less than full builds (30 min 40 s) at each step",
        "incremental: 15 of 1,204 jobs",
        "untestable: does not build: kern/callout.c:88",
        "panic: mutex sched lock not owned",
        f"  doit test:{culprit.commit}:amd64",
    ):
        assert words_ in whole


def test_text_fits_a_terminal():
    found = sample()
    long = tuple(replace(step, subject="宽" * 99, reason="x" * 300) for step in found.steps)
    script = "set -e\n" * 40
    for line in summary.text(replace(found, steps=long, test=script)).splitlines():
        assert len(line) <= 100 or line.lstrip().startswith("doit ")  # commands are copied whole


def test_every_step_is_told_with_what_it_took():
    found = sample()
    rows = read(found)
    steps = [attrs["id"] for attrs in rows.all("tr") if "id" in attrs]
    assert steps == [f"step-{n}" for n in range(1, len(found.steps) + 1)]
    for step in found.steps:
        for told in (step.subject, step.why, step.rung, step.reused, step.world, step.how):
            assert told in rows.text
        assert words.bare(step.reason, step.outcome) in rows.text
        assert any(attrs.get("title") == step.console for attrs in rows.all("a"))


def test_the_page_tells_it_all():
    found = sample()
    text = read(found).text
    for node in found.nodes:
        assert node.commit[:12] in text
    for told in (*found.commands, found.vm, found.test, found.repository):
        assert told in text
    assert "99.6 % sure" in text
    assert "sys/kern/sched.c | 14 +++++++-------" in text
    assert "KDB: stack backtrace:" in text
    assert "2025-11-23" in text


def test_the_page_is_accessible():
    found = read(sample())
    assert found.all("html") == [{"lang": "en"}]
    assert [attrs.get("scope") for attrs in found.all("th")].count("col") == 9
    assert all("scope" in attrs for attrs in found.all("th"))
    assert len(found.all("caption")) == len(found.all("table")) == len(found.all("h1")) == 1
    for attrs in found.all("svg"):  # told to a screen reader, hidden from it, or inside another
        assert {"aria-label", "aria-hidden", "x"} & set(attrs)
    ids = [attrs["id"] for _, attrs in found.seen if "id" in attrs]
    assert len(ids) == len(set(ids))
    inner = [attrs["href"][1:] for attrs in found.all("a") if attrs["href"].startswith("#")]
    assert inner
    assert set(inner) <= set(ids)


def test_the_page_needs_nothing_from_elsewhere():
    found = page.html(sample())
    assert not [word for word in ("http:", "https:", "url(", "@import") if word in found]
    parsed = Page(found)
    assert not {"script", "link", "img", "iframe", "form"} & {tag for tag, _ in parsed.seen}
    assert not [name for _, attrs in parsed.seen for name in attrs if name.startswith("on")]


def test_words_of_others_are_only_words():
    """In every field that is a text, markup comes out as it was written."""
    found = poisoned(SCRIPT)
    parsed = read(found)
    assert not parsed.all("script")
    assert SCRIPT in parsed.text
    quoted = read(poisoned("\"><b onclick=x> ' &amp;"))
    assert not quoted.all("b")[2:]  # the two bars' own
    assert not [name for _, attrs in quoted.seen for name in attrs if name == "onclick"]


def poisoned(evil: str) -> Report:
    """A report with these words wherever somebody else's can be."""
    found = sample(12, 5)
    terms = (f"{evil}1", f"{evil}2")
    said = {"good": terms[0], "bad": terms[1], "skip": "skip"}

    def all_of(one, **kept):
        names = ("subject", "author", "why", "outcome", "reason", "how", "rung", "reused")
        names += ("world", "console")
        return replace(one, **{n: evil for n in names if hasattr(one, n)} | kept)

    return replace(
        found, repository=evil, terms=terms, vm=evil, test=evil, diffstat=evil, message=evil,
        steps=tuple(all_of(step, verdict=said[step.verdict]) for step in found.steps),
        proofs=tuple(all_of(proof, verdict=said[proof.verdict]) for proof in found.proofs),
        nodes=tuple(all_of(node) for node in found.nodes), excerpt=evil,
        commands=(evil,),
    )  # fmt: skip


def test_no_byte_moves_a_terminal_s_cursor():
    told = summary.text(poisoned("\x1b[2J\r\x07\x9b1m\u202eevil\udc80\n\tx"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\udc80]", told)
    assert "\\x1b[2J" in told
    assert not re.search(r"[\x00-\x08\x1b\x9b\u202e]", page.html(poisoned("\x1b\x9b\u202e\x00")))


def test_a_console_s_file_is_no_other_scheme():
    found = sample()
    steps = (replace(found.steps[0], console="javascript:alert(1)"),)
    links = [attrs["href"] for attrs in read(replace(found, steps=steps)).all("a")]
    assert "javascript%3Aalert%281%29" in links


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(), max_size=60))
def test_any_words_make_a_page_and_text(evil):
    found = poisoned(evil)
    assert not Page(page.html(found)).open
    assert summary.text(found).startswith("culprit: ")
    assert again(report.json(found)).steps[0].commit == found.steps[0].commit


def test_nothing_known_yet():
    assert summary.text(EMPTY).startswith("not finished: 0 commits in question after 0 steps")
    parsed = read(EMPTY)
    assert "Not finished: 0 commits in question" in parsed.text
    assert not parsed.all("table")


def test_unfinished():
    found = unfinished()
    assert summary.text(found).startswith("not finished: 15 commits in question after 4 steps")
    assert "culprit:" not in summary.text(found)
    parsed = read(found)
    assert "Not finished: 15 commits in question" in parsed.text
    assert "in question" in parsed.text
    assert "% sure" not in parsed.text


def test_finished_without_a_culprit():
    found = replace(unfinished(), finished=True)
    assert summary.text(found).startswith("no culprit: ")
    assert "No culprit found" in read(found).text


def test_several_that_skips_leave_open():
    found = sample()
    several = tuple(node.commit for node in found.nodes[36:39])
    found = replace(found, culprits=several, proofs=(), probability=0.93)
    lines = summary.text(found).splitlines()
    assert lines[0] == "culprit: any of 3; those that were skipped leave it open"
    assert [line.split()[1] for line in lines[1:4]] == [commit_[:12] for commit_ in several]
    text = read(found).text
    assert "Any of 3 commits" in text
    assert all(commit_ in text for commit_ in several)
    assert "not proved" in text


def test_a_proof_that_disagrees_is_said_loudly():
    found = sample()
    proof = Proof(commit=commit(22), subject="x", role="parent", verdict="bad", agrees=False)
    found = replace(found, proofs=(found.proofs[0], proof))
    told = "NOT proved: built clean, parent came to another verdict"
    assert told in summary.text(found)
    parsed = read(found)
    assert told in parsed.text
    assert "sure wrong" in [attrs.get("class") for attrs in parsed.all("p")]


def test_more_time_than_full_builds_is_not_called_saved():
    found = replace(sample(), saved_seconds=-30)
    assert "30 s MORE than full builds" in summary.text(found)
    assert "saved" not in [word for word in read(found).words if word == "saved"]


def test_the_persons_terms():
    found = sample()
    old, new = "broken", "fixed"
    word = {"good": old, "bad": new, "skip": "skip"}
    steps = tuple(replace(step, verdict=word[step.verdict]) for step in found.steps)
    parsed = read(replace(found, terms=(old, new), steps=steps, proofs=()))
    assert "fixed, step 2" in parsed.text
    assert "good, step" not in parsed.text
    assert [found.state(said) for said in ("bad", "skip")] == ["bad", "skip"]


def test_what_mended_it_is_no_culprit():
    found = replace(sample(), terms=("broken", "fixed"), fixed=True)
    lines = summary.text(found).splitlines()
    assert lines[0].startswith(f"fixed by: {found.culprits[0][:12]} ")
    told = read(found)
    assert [attrs["class"] for attrs in told.all("body")] == ["mended"]
    assert "The fix, built clean" in told.text
    shown = told.text.replace(" ".join(page.STYLE.read_text().split()), "")
    for text in ("\n".join(lines), shown):
        assert "as found (fix, parent, revert)" in text
        assert "culprit" not in text
    none = replace(unfinished(), finished=True, fixed=True)
    assert summary.text(none).startswith("no fix: ")
    assert "No fix found" in read(none).text


def again(data: bytes) -> Report:
    return msgspec.json.decode(data, type=Report)


def test_json_is_read_again():
    found = sample()
    assert again(report.json(found)) == found
    odd = replace(found, excerpt="\udc80 is no text")
    assert json.loads(report.json(odd))["excerpt"] == "\\udc80 is no text"


def test_three_files(tmp_path):
    written = page.write(tmp_path / "new", sample())
    assert written.name == "report.html"
    assert {path.name for path in written.parent.iterdir()} == {
        "report.html",
        "report.json",
        "report.txt",
    }
    assert again(written.with_name("report.json").read_bytes()) == sample()


def test_five_thousand_commits():
    found = sample(5000, 1717)
    started = time.process_time()
    html, text = page.html(found), summary.text(found)
    assert time.process_time() - started < 2
    assert len(html) < 4_000_000
    assert "5,000 commits" in text
    parsed = Page(html)
    assert len(parsed.all("li")) > 5000
    assert 2 < len(parsed.all("details")) < 40
    shown = re.sub(r"<details>.*?</details>", "", html, flags=re.DOTALL)
    assert shown.count('<li class="s-') < 100


def test_lanes_of_a_line_and_of_a_branch():
    line = lanes.layout([("c", ("b",)), ("b", ("a",)), ("a", ("outside",))])
    assert [row.width for row in line] == [1, 1, 1]
    assert [row.outside for row in line] == [False, False, True]
    history = [("m", ("c", "b")), ("b", ("a",)), ("c", ("a",)), ("a", ())]
    rows = {row.commit: row for row in lanes.layout(history)}
    assert (rows["m"].to, rows["m"].below) == ((0, 1), (0, 1))
    assert (rows["b"].lane, rows["c"].lane, rows["a"].lane) == (1, 0, 0)
    assert rows["c"].moved == ((1, 0),)  # the main line stays straight, the branch comes to it
    assert rows["a"].below == ()


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_lanes_lead_every_commit_to_its_parents(data):
    """Following the lines from a commit down arrives at its parents, and nowhere else."""
    count = data.draw(st.integers(1, 25))
    parents = [
        data.draw(st.lists(st.integers(0, child - 1), max_size=3, unique=True)) if child else []
        for child in range(count)
    ]
    history = [(str(n), tuple(map(str, parents[n]))) for n in reversed(range(count))]
    led: dict[int, set[str]] = {}  # lane -> the children whose lines are in it
    arrived: set[tuple[str, str]] = set()
    for row in lanes.layout(history):
        assert set(row.above) == set(led)
        arrived |= {(child, row.commit) for child in led.pop(row.lane, set())}
        moved = {new: led.pop(old) for old, new in row.moved}
        for new, children in moved.items():
            led.setdefault(new, set()).update(children)
        for lane in row.to:
            led.setdefault(lane, set()).add(row.commit)
        assert set(row.below) == set(led)
        assert not row.outside
    assert not led
    assert arrived == {(child, parent) for child, above in history for parent in above}


def test_numbers_as_people_say_them():
    told = [words.duration(s) for s in (0.04, 9.96, 59.6, 250, 7500, float("nan"), -1)]
    assert told == ["0.0 s", "10 s", "1 min 00 s", "4 min 10 s", "2 h 05 min", "?", "?"]
    assert [words.brief(s) for s in (0, 3, 250, 7500)] == ["-", "3.0s", "4m10s", "2h05m"]
    assert [words.size(n) for n in (512, 999.7, 3.1e6, 999_960)] == [
        "512 B",
        "1.0 kB",
        "3.1 MB",
        "1.0 MB",
    ]
    assert words.percent(0.99996) == "99.9 %"
    assert words.percent(1) == "100 %"
    assert [words.count(n, "commit") for n in (1, 2000)] == ["1 commit", "2,000 commits"]
    assert words.labelled("bad", "panic: x") == "bad: panic: x"
    assert [words.labelled(w, "good: ok") for w in ("good", "fixed")] == [
        "good: ok", "fixed: good: ok",
    ]  # fmt: skip
    assert words.day(10**30) == ""
    assert words.cut("宽宽宽", 5) == "宽宽…" or words.cut("宽宽宽", 5) == "宽…"


def test_samples_are_as_a_search_makes_them():
    """Otherwise these tests would show little."""
    found = sample()
    assert found.steps[-1].remaining == 1
    assert {node.state for node in found.nodes} >= {"good", "bad", "skip", "folded", "culprit"}
    assert len(reports.history(40, 3, {})) == 40


def test_contrast():
    """Words have 4.5 to 1 and marks 3 to 1 against what is behind them, by day and by night."""
    style = page.STYLE.read_text(encoding="utf-8")
    pairs = re.findall(r"--([\w-]+): #([0-9a-f]{3,6})", style.partition("@media print")[0])
    half = len(pairs) // 2
    for theme in (dict(pairs[:half]), dict(pairs[half:])):
        behind = [theme[name] for name in ("paper", "card", "tint-bad", "tint-good")]
        for name in ("ink", "soft", "green", "red", "skip", "open"):
            assert min(contrast(theme[name], back) for back in behind) >= 4.5, name
        assert contrast(theme["edge"], theme["paper"]) >= 3
        for name in ("green", "red", "skip"):
            assert contrast(theme["on"], theme[name]) >= 4.5


def contrast(one: str, two: str) -> float:
    """WCAG's ratio of two colours."""

    def light(colour: str) -> float:
        full = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
        parts = [int(full[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, bright = sorted((light(one), light(two)))
    return (bright + 0.05) / (dark + 0.05)
