"""A bisect's report as one HTML page: no script, nothing from elsewhere, for any width, for paper.

Knows nothing of how the pictures in it are drawn, nor of what a bisect does.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from labtasks.ground import atomic
from labtasks.ground.words import bare, block, brief, count, day, duration, percent, short
from labtasks.report import picture, report, summary
from labtasks.report.picture import e, icon, shape
from labtasks.report.report import Proof, Report, Step

STYLE = Path(__file__).with_name("page.css")

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Even if something of a commit came through as markup, it could load and run nothing."""


def write(folder: Path, found: Report) -> Path:
    """Write report.json, report.txt and report.html into a folder; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write(folder / "report.json", report.json(found))
    atomic.write(folder / "report.txt", summary.text(found).encode(errors="backslashreplace"))
    atomic.write(folder / "report.html", html(found).encode(errors="backslashreplace"))
    return folder / "report.html"


def html(found: Report) -> str:
    """The page, whole."""
    sections = (
        ("", _head(found)),
        ("Change", _change(found)),
        ("Proof", _proof(found)),
        ("Repeats", _repeats(found)),
        ("Time", _time(found)),
        ("Less work", _less(found)),
        ("Search", _search(found)),
        ("History", _history(found)),
        ("Steps", _steps(found)),
        ("Console", _console(found)),
        ("Reproduce", _commands(found)),
    )
    body = "".join(
        f'<section aria-labelledby="{_id(name)}"><h2 id="{_id(name)}">{name}</h2>{inner}</section>'
        if name
        else inner
        for name, inner in sections
        if inner
    )
    mended = ' class="mended"' if found.fixed else ""
    style = STYLE.read_text(encoding="utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{e(_title(found))}</title>\n<style>\n{style}</style>\n</head>\n<body{mended}>\n"
        f"<main>{body}</main>\n{_foot(found)}\n</body>\n</html>\n"
    )


def _id(name: str) -> str:
    return name.lower().replace(" ", "-")


def _title(found: Report) -> str:
    if len(found.culprits) == 1:
        return f"{short(found.culprits[0])} {found.subject(found.culprits[0])}"
    return _headline(found)


def _headline(found: Report) -> str:
    """What there is to say when it is not one commit."""
    if found.culprits:
        return f"Any of {len(found.culprits)} commits"
    if not found.finished:
        return f"Not finished: {count(found.remaining, 'commit')} in question"
    return f"No {found.culprit} found"


def _head(found: Report) -> str:
    old, new = (e(term) for term in found.terms)
    goods = " ".join(f"<code>{e(short(good))}</code>" for good in found.good)
    kicker = (
        f"Bisect of {e(found.repository)}: {goods} {old}, <code>{e(short(found.bad))}</code> {new}"
    )
    if len(found.culprits) == 1:
        culprit = found.culprits[0]
        by = "<small>Fixed by</small>" if found.fixed else ""
        title = f"<h1>{icon('culprit')}<span>{by}{e(found.subject(culprit))}</span></h1>"
        title += _identity(found, culprit)
    else:
        title = f"<h1>{e(_headline(found))}</h1>"
        if found.culprits:
            title += "<p>What could not be tested leaves these open:</p>"
            items = (
                f"<li><strong>{e(found.subject(c))}</strong>{_identity(found, c)}</li>"
                for c in found.culprits
            )
            title += f'<ul class="culprits">{"".join(items)}</ul>'
    return f'<header><p class="kicker">{kicker}</p>{title}{_sure(found)}{_tiles(found)}</header>'


def _identity(found: Report, commit: str) -> str:
    node = found.node(commit)
    who = ""
    if node:
        date = day(node.date)
        who = f"<span>{e(node.author)}</span>" if node.author else ""
        who += f'<time datetime="{date}">{date}</time>' if date else ""
    return f'<p class="identity"><code class="copy">{e(commit)}</code>{who}</p>'


def _sure(found: Report) -> str:
    if not found.culprits:
        return ""
    chance = f"<strong>{percent(found.probability)} sure</strong>; " if found.probability else ""
    wrong = any(not proof.agrees for proof in found.proofs)
    tone = "wrong" if wrong else "right" if found.proofs else "open"
    diff = block(found.diffstat)
    changed = f'<p class="diff">{e(diff[-1].strip())}</p>' if diff else ""
    return f'<p class="sure {tone}">{chance}{e(summary.verdict_of_proof(found))}</p>{changed}'


def _tiles(found: Report) -> str:
    tiles = [
        ("commits", f"{len(found.nodes):,}" if found.nodes else ""),
        ("need no test", f"{found.folded:,}" if found.folded else ""),
        ("steps", str(len(found.steps))),
        ("builds", str(found.builds)),
        ("boots", str(found.boots)),
        ("in all", duration(found.seconds) if found.seconds else ""),
        ("saved", duration(found.saved_seconds) if _saves(found) else ""),
    ]
    items = (f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in tiles if value)
    return f'<dl class="tiles">{"".join(items)}</dl>'


def _saves(found: Report) -> bool:
    return found.full_build_seconds > 0 and found.saved_seconds > 0


def _proof(found: Report) -> str:
    items = "".join(_proved(found, proof) for proof in found.proofs)
    before = "".join(f"<p>{e(line)}</p>" for line in found.refuted)
    return before + (f'<ul class="proofs">{items}</ul>' if items else "")


def _proved(found: Report, proof: Proof) -> str:
    what = {
        "culprit": f"The {found.culprit}, built clean",
        "parent": "Its parent, built clean",
        "revert": f"The {found.culprit} reverted on the newest commit",
    }[proof.role]
    agrees = "as found" if proof.agrees else "<strong>not as found</strong>"
    why = bare(proof.reason, proof.verdict)
    reason = f"<p>{e(why)}</p>" if why else ""
    return (
        f"<li>{icon(found.state(proof.verdict))}<div>"
        f"<p>{what}: <strong>{e(proof.verdict)}</strong>, {agrees}</p>"
        f"<p><code>{e(short(proof.commit))}</code> {e(proof.subject)}</p>{reason}"
        f"<small>{duration(proof.seconds)}</small></div></li>"
    )


def _change(found: Report) -> str:
    subject = found.subject(found.culprits[0]) if found.culprits else ""
    message = _lines(found.message.removeprefix(subject))
    diffstat = _lines(found.diffstat)
    parts = (
        f'<pre class="{kind}">{body}</pre>'
        for kind, body in (("message", message), ("stat", diffstat))
        if body
    )
    return "".join(parts)


def _lines(text: str) -> str:
    return "\n".join(e(line) for line in block(text))


def _time(found: Report) -> str:
    if not found.full_build_seconds:
        return ""
    full = max(0.0, found.seconds + found.saved_seconds)
    most = max(full, found.seconds, 1e-9)
    bars = "".join(
        f'<div class="bar {kind}"><span>{name}</span>'
        f'<svg width="100%" height="14" aria-hidden="true"><rect width="100%" height="14" rx="3"/>'
        f'<rect class="fill" width="{100 * seconds / most:.2f}%" height="14" rx="3"/></svg>'
        f"<b>{duration(seconds)}</b></div>"
        for kind, name, seconds in (
            ("this", "This bisect", found.seconds),
            ("full", "Full builds at each step", full),
        )
    )
    return f"<p>{e(summary.saved(found))}.</p>{bars}"


def _repeats(found: Report) -> str:
    words = summary.calibrated(found)
    return f"<p>{e(words[:1].upper() + words[1:])}.</p>" if words else ""


def _less(found: Report) -> str:
    """What spared work; the history has the commits that needed no test."""
    items = "".join(f"<li>{e(sentence)}</li>" for sentence in found.savings)
    return f'<ul class="savings">{items}</ul>' if items else ""


def _search(found: Report) -> str:
    drawn = picture.narrowing(found)
    if not drawn:
        return ""
    ends = "<span>oldest</span><span>newest</span><span>left</span>"
    return (
        "<p>What each verdict left in question: the coloured part of each line.</p>"
        f'<div class="ends">{ends}</div>{drawn}'
    )


def _history(found: Report) -> str:
    if not found.nodes:
        return ""
    words = "The newest on top. Numbers are steps; runs of untested commits open on a click."
    return f"<p>{words}</p>{picture.legend(found)}{picture.history(found)}"


_COLUMNS = ("Step", "Commit", "Verdict", "Kernel", "World", "Build", "Test", "Left", "Console")


def _steps(found: Report) -> str:
    if not found.steps:
        return ""
    head = "".join(f'<th scope="col" role="columnheader">{name}</th>' for name in _COLUMNS)
    rows = "".join(_step(found, number, step) for number, step in enumerate(found.steps, 1))
    return (
        '<div class="wide" role="region" aria-labelledby="steps" tabindex="0"><table role="table">'
        "<caption>Every verdict, in the order in which they were found</caption>"
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table></div>'
    )


def _step(found: Report, number: int, step: Step) -> str:
    state = found.state(step.verdict)
    mark = (
        f'<svg class="icon" width="28" height="28" viewBox="-14 -14 28 28" role="img" '
        f'aria-label="{number}">{shape(state, str(number))}</svg>'
    )
    told = ", ".join(x for x in dict.fromkeys((step.outcome, step.how)) if x != step.verdict)
    reason = bare(step.reason, step.outcome)
    reason += f"; {step.counted}" if step.counted else ""
    reason += f"; {step.how}: {step.spared}" if step.spared else ""
    cells = (
        f"<code>{e(short(step.commit))}</code> {e(step.subject)}{_small(step.why)}",
        f'<strong class="v-{state}">{e(step.verdict)}</strong> {e(told)}{_small(reason)}',
        f"{e(step.rung)}{_small(step.reused)}",
        f"{e(step.world)}{_small(': '.join(x for x in (step.fit, step.fit_why) if x))}",
        brief(step.build_seconds),
        brief(step.test_seconds),
        f"{step.remaining:,}",
        _link(step.console),
    )
    body = "".join(
        f'<td role="cell" class="{name.lower()}" data-label="{name}">{cell}</td>'
        for name, cell in zip(_COLUMNS[1:], cells, strict=True)
    )
    return (
        f'<tr role="row" id="step-{number}"><th scope="row" role="rowheader">{mark}</th>{body}</tr>'
    )


def _link(path: str) -> str:
    """A file to open. No path can name another scheme: its colons are quoted."""
    if not path:
        return ""
    where = ("file://" if path.startswith("/") else "") + quote(path, errors="replace")
    return f'<a href="{e(where)}" title="{e(path)}">console</a>'


def _small(text: str) -> str:
    return f"<small>{e(text)}</small>" if text else ""


def _console(found: Report) -> str:
    lines = _lines(found.excerpt)
    return f'<pre class="console" tabindex="0">{lines}</pre>' if lines else ""


def _commands(found: Report) -> str:
    if not found.commands:
        return ""
    items = (f'<li><pre class="copy">{_lines(command)}</pre></li>' for command in found.commands)
    return f'<p>A click selects a whole command.</p><ol class="commands">{"".join(items)}</ol>'


def _foot(found: Report) -> str:
    begun = day(found.started, "%Y-%m-%d %H:%M UTC") if found.started else ""
    facts = (("Tested on", found.vm), ("begun", begun))
    told = ", ".join(f"{name} {e(value)}" for name, value in facts if value)
    test = f'<pre aria-label="The test">{_lines(found.test)}</pre>' if found.test else ""
    return f"<footer><p>{told}</p>{test}</footer>"
