"""The history of a bisect as SVG: every commit in its lane, and how the search narrowed.

Colour never stands alone: each state has a shape, each test its step's number. Long runs of
commits that were not tested fold away. Knows nothing of the page around.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from labtasks.ground.words import count, day, plain, short
from labtasks.report import lanes
from labtasks.report.lanes import Row
from labtasks.report.report import Node, Report, State, Step

_HEIGHT = 30
"""Pixels of a row."""

_PITCH, _BAND = 20, 130
"""Pixels between two lanes, and for all of them when there are many."""

_LEFT, _WIDE = 6, 82
"""Percent of the width before the oldest commit, and from it to the newest."""

_PIECE = 20
"""Rows in one drawing: a sheet of paper cannot end within it."""

_RUN = 5
"""So many untested commits in a row are shown; more fold away."""

_SHAPES = {
    "good": '<circle r="10"/>',
    "bad": '<rect x="-9.5" y="-9.5" width="19" height="19" rx="3"/>',
    "skip": '<path d="M0-12.5 12.5 0 0 12.5-12.5 0Z"/>',
    "culprit": '<rect class="ring" x="-13" y="-13" width="26" height="26" rx="5"/>'
    '<rect x="-9.5" y="-9.5" width="19" height="19" rx="2"/>',
    "folded": '<circle r="3.5"/>',
    "cleared": '<circle r="3.5"/>',
    "open": '<circle r="5"/>',
}

MEANINGS: dict[State, str] = {
    "culprit": "the culprit",
    "good": "",
    "bad": "",
    "skip": "skipped: could not be tested",
    "open": "in question",
    "cleared": "out of question by another's verdict",
    "folded": "cannot matter, needs no test",
}


def e(text: str) -> str:
    """Words of others in HTML: harmless to a reader, and to the page."""
    return escape(plain(text), quote=True)


def shape(state: State, label: str = "") -> str:
    """A commit's mark around the origin."""
    small = " small" if len(label) > 2 else ""
    number = f'<text class="n{small}" dy=".35em">{label}</text>' if label else ""
    return f'<g class="s-{state}">{_SHAPES[state]}{number}</g>'


def icon(state: State) -> str:
    """A mark that stands in a line of text."""
    mark = shape(state)
    return (
        f'<svg class="icon" width="28" height="28" viewBox="-14 -14 28 28" aria-hidden="true">'
        f"{mark}</svg>"
    )


def word(report: Report, state: State) -> str:
    """A state in the person's terms."""
    old, new = report.terms
    return {"good": old, "bad": new, "culprit": report.culprit}.get(state, state)


def legend(report: Report) -> str:
    """What the marks mean that occur."""
    seen = {node.state for node in report.nodes}
    items = (
        f"<li>{icon(state)} {e(_meaning(report, state, words))}</li>"
        for state, words in MEANINGS.items()
        if state in seen
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _meaning(report: Report, state: State, words: str) -> str:
    return f"the {report.culprit}" if state == "culprit" else words or word(report, state)


def history(report: Report) -> str:
    """Every commit, the newest on top; long untested runs folded away."""
    rows = lanes.layout([(node.commit, node.parents) for node in report.nodes])
    width = max((row.width for row in rows), default=1)
    draw = _Lanes(pitch=min(_PITCH, max(4, _BAND // width)), width=min(width, _BAND // 4))
    shown = _shown(report.nodes)
    parts = []
    for visible, group in groupby(range(len(rows)), lambda at: shown[at]):
        span = list(group)
        nodes = [report.nodes[at] for at in span]
        part = "".join(
            _segment(report, draw, [rows[at] for at in some], [report.nodes[at] for at in some])
            for some in (span[n : n + _PIECE] for n in range(0, len(span), _PIECE))
        )
        if not visible:
            part = _folded(draw, rows[span[0]], rows[span[-1]], nodes, part)
        parts.append(part)
    return f'<div class="history">{"".join(parts)}</div>'


def _shown(nodes: Sequence[Node]) -> list[bool]:
    """Which rows stay open: what was tested, its neighbours, and short runs."""
    told = [node.step is not None or node.state in ("culprit", "bad", "skip") for node in nodes]
    near = [any(told[max(0, at - 1) : at + 2]) for at in range(len(nodes))]
    found: list[bool] = []
    for visible, group in groupby(near):
        size = len(list(group))
        found += [visible or size <= _RUN] * size
    return found


class _Lanes:
    """Where lanes are, in pixels. More lanes than fit are drawn in the last one."""

    def __init__(self, *, pitch: int, width: int) -> None:
        self.pitch, self.last = pitch, width - 1
        self.pixels = 2 * 16 + self.last * pitch

    def x(self, lane: int) -> int:
        """The middle of a lane."""
        return 16 + min(lane, self.last) * self.pitch

    def lines(self, row: Row, top: int) -> str:
        """The lines of a row as path data; they bend in its lower half."""
        half = _HEIGHT // 2
        full = [f"M{self.x(lane)} {top}v{_HEIGHT}" for lane in row.passing]
        arriving = {row.lane} & set(row.above) | {old for old, _ in row.moved}
        upper = [f"M{self.x(lane)} {top}v{half}" for lane in sorted(arriving)]
        bends = [*((row.lane, lane) for lane in row.to), *row.moved]
        lower = [self._bend(self.x(old), self.x(new), top + half, half) for old, new in bends]
        return "".join((*full, *upper, *lower))

    @staticmethod
    def _bend(old: int, new: int, top: int, height: int) -> str:
        if old == new:
            return f"M{old} {top}v{height}"
        return f"M{old} {top}c0 {height * 2 // 3} {new - old} {height // 3} {new - old} {height}"


def _svg(draw: _Lanes, height: int, inner: str, name: str = "") -> str:
    size = f'width="{draw.pixels}" height="{height}"'
    return f'<svg class="lanes{name}" {size} aria-hidden="true">{inner}</svg>'


def _segment(report: Report, draw: _Lanes, rows: Sequence[Row], nodes: Sequence[Node]) -> str:
    lines, ends, marks, items = [], [], [], []
    for at, (row, node) in enumerate(zip(rows, nodes, strict=True)):
        top = at * _HEIGHT
        middle = top + _HEIGHT // 2
        lines.append(draw.lines(row, top))
        if row.outside:
            ends.append(f"M{draw.x(row.lane)} {middle}v{_HEIGHT // 2}")
        mark = shape(node.state, str(node.step or ""))
        marks.append(f'<g transform="translate({draw.x(row.lane)} {middle})">{mark}</g>')
        items.append(_item(report, node))
    paths = f'<path class="line" d="{"".join(lines)}"/>'
    paths += f'<path class="line end" d="{"".join(ends)}"/>' if ends else ""
    picture = _svg(draw, len(rows) * _HEIGHT, paths + "".join(marks))
    return f'<div class="segment">{picture}<ol>{"".join(items)}</ol></div>'


def _item(report: Report, node: Node) -> str:
    state = _meaning(report, node.state, MEANINGS[node.state])
    title = "; ".join(x for x in (node.subject, node.author, day(node.date), state, node.why) if x)
    told = e(word(report, node.state))
    if node.step:
        told = f'<a href="#step-{node.step}">{told}, step {node.step}</a>'
    why = f' <span class="why">{e(node.why)}</span>' if node.why else ""
    return (
        f'<li class="s-{node.state}" title="{e(title)}"><code>{e(short(node.commit))}</code>'
        f'<span class="subject">{e(node.subject)}{why}</span><span class="told">{told}</span></li>'
    )


def _folded(draw: _Lanes, first: Row, last: Row, nodes: Sequence[Node], inside: str) -> str:
    """A run that opens on a click: closed, one mark stands for all of it."""
    half = _HEIGHT // 2
    upper = "".join(f"M{draw.x(lane)} 0v{half}" for lane in first.above)
    lower = "".join(f"M{draw.x(lane)} {half}v{half}" for lane in last.below)
    spots = [draw.x(lane) for lane in {*first.above, *last.below} or {0}]
    left, right = min(spots) - 9, max(spots) + 9
    pill = f'<rect class="pill" x="{left}" y="8" width="{right - left}" height="14" rx="7"/>'
    dots = "".join(
        f'<circle class="dot" cx="{x}" cy="{half}" r="1.5"/>' for x in sorted(set(spots))
    )
    closed = _svg(draw, _HEIGHT, f'<path class="line" d="{upper}{lower}"/>{pill}{dots}', " closed")
    passing = "".join(f"M{draw.x(lane)} 0v{_HEIGHT}" for lane in first.above)
    opened = _svg(draw, _HEIGHT, f'<path class="line" d="{passing}"/>', " opened")
    kinds = Counter(node.state for node in nodes)
    told = ", ".join(f"{number:,} {state}" for state, number in sorted(kinds.items()))
    words = f"{count(len(nodes), 'commit')} not tested"
    summary = f"<span>{words}</span><small>{e(told)}</small>"
    return f"<details><summary>{closed}{opened}{summary}</summary>{inside}</details>"


def narrowing(report: Report) -> str:
    """What was in question after each step, the oldest commit left, the newest right."""
    order = [node.commit for node in reversed(report.nodes)]
    if len(order) < 2 or not report.steps:
        return ""
    rows = list(_narrowed(report, order))
    height = len(rows) * _HEIGHT
    marks = "".join(
        _bar(report, number, step, spans, top=at * _HEIGHT, order=order)
        for at, (number, step, spans) in enumerate(rows)
    )
    return (
        f'<svg class="narrowing" width="100%" height="{height}" role="img" '
        f'aria-label="The commits in question after each of {len(rows)} steps">{marks}</svg>'
    )


def _narrowed(
    report: Report, order: list[str]
) -> Iterator[tuple[int, Step, list[tuple[int, int]]]]:
    """Each step and what it left in question: spans of places."""
    parents = {node.commit: node.parents for node in report.nodes}
    question = set(order)
    for number, step in enumerate(report.steps, 1):
        if step.commit not in parents:  # an end outside
            yield number, step, _spans(order, question)
            continue
        below, queue = {step.commit}, [step.commit]
        while queue:
            new = {p for p in parents[queue.pop()] if p in parents and p not in below}
            below |= new
            queue += new
        state = report.state(step.verdict)
        if state != "skip":
            question = question & below if state == "bad" else question - below
        yield number, step, _spans(order, question)


def _spans(order: list[str], question: set[str]) -> list[tuple[int, int]]:
    found = []
    for inside, group in groupby(enumerate(order), lambda pair: pair[1] in question):
        places = [place for place, _ in group]
        if inside:
            found.append((places[0], places[-1]))
    return found


def _bar(
    report: Report,
    number: int,
    step: Step,
    spans: list[tuple[int, int]],
    *,
    top: int,
    order: list[str],
) -> str:
    def x(place: int) -> str:
        return f"{_LEFT + _WIDE * place / (len(order) - 1):.2f}%"

    def line(name: str, first: int, last: int) -> str:
        return f'<line class="{name}" x1="{x(first)}" x2="{x(last)}" y1="{y}" y2="{y}"/>'

    y = top + _HEIGHT // 2
    state = report.state(step.verdict)
    title = f"step {number}: {short(step.commit)} {step.verdict}, {step.remaining} left"
    lines = "".join(line("left", first, last) for first, last in spans)
    mark = shape(state, str(number))
    place = x(order.index(step.commit)) if step.commit in order else "11"
    return (
        f"<g><title>{e(title)}</title>{line('all', 0, len(order) - 1)}"
        f'{lines}<svg x="{place}" y="{y}" overflow="visible">{mark}</svg>'
        f'<svg x="100%" y="{y}" overflow="visible"><text class="count" dy=".35em">'
        f"{step.remaining:,}</text></svg></g>"
    )
