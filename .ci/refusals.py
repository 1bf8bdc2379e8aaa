"""Print docs/refusals.md: every refusal of labtasks with its hint, read from the source.

What is put in at run time is shown as an ellipsis.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent / "labtasks"
ERRORS = {"UserError", "InfraError", "LostError", "BuildError", "LabError"}

HEAD = """\
# Every refusal, and its hint

What labtasks says when it does not go on, in the order of its modules; `…` stands for a name, a
path, or somebody else's words. [When something is wrong](troubleshooting.md) goes by symptom.
`python .ci/refusals.py` makes this page from the program; do not edit it.
"""


def main() -> None:
    """Print the page."""
    sys.stdout.write(page())


def page() -> str:
    """The page, as Markdown."""
    parts = [HEAD]
    for path in sorted(SOURCE.glob("*/*.py")):
        rows = dict.fromkeys(refusals(path))
        if rows:
            lines = [f"| {_cell(said)} | {_cell(hint)} |" for said, hint in rows]
            parts.append(
                "\n".join(
                    [
                        f"## {path.parent.name}/{path.stem}",
                        "",
                        "| it says | hint |",
                        "|---|---|",
                        *lines,
                    ]
                )
            )
    return "\n\n".join(parts).replace("\n\n\n", "\n\n") + "\n"


def refusals(path: Path) -> Iterator[tuple[str, str]]:
    """(message, hint) of every refusal that a module makes, in its order."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    for call in sorted(calls, key=lambda node: node.lineno):
        if isinstance(call.func, ast.Name) and call.func.id in ERRORS and call.args:
            hints = [word.value for word in call.keywords if word.arg == "hint"]
            said = text(call.args[0])
            if said.strip("… :"):
                yield said, text(hints[0]) if hints else ""


def text(node: ast.expr) -> str:
    """The words of an expression."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text(value) for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text(node.left) + text(node.right)
    if isinstance(node, ast.IfExp):
        return f"{text(node.body)} / {text(node.orelse)}"
    return "…"


def _cell(words: str) -> str:
    """Words in a cell of a table; what stands in backticks is left alone."""
    parts = re.split(r"(`[^`]*`)", " ".join(words.split()))
    safe = [p if p.startswith("`") else re.sub(r"([*\[\]_])", r"\\\1", p) for p in parts]
    return "".join(p.replace("<", "&lt;") if p[:1] != "`" else p for p in safe).replace("|", r"\|")


if __name__ == "__main__":
    main()
