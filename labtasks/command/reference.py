"""`labtasks reference`: a page about lab.toml, made of what its structures say about themselves.

Knows nothing of any one lab.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from labtasks.lab import recipe
from labtasks.lab.config import described, toml
from labtasks.lab.settings import Settings

_HEAD = """\
# lab.toml

A lab's settings, as `labtasks init` writes them with comments. Keys without a table come first.
Paths are relative to the lab. An unknown key is refused, and the nearest valid one named.

`labtasks reference` makes this page from the program; do not edit it.
"""

_TABLE = "| key | default | |\n|---|---|---|\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of lab.toml. `rows` is empty where the person chooses the keys."""

    title: str
    rows: type[msgspec.Struct] | None


def page() -> str:
    """The page, as Markdown."""
    kinds = get_type_hints(Settings)
    tables = [table for name, kind in kinds.items() if (table := _table(name, kind))]
    inner = [_section(f"[{table.title}]", table.rows) for table in tables if table.rows]
    return "\n".join([_HEAD, _section("Before the tables", Settings), *inner, *_options()])


def _table(name: str, kind: Any) -> Table | None:
    """The table that a setting is, None for a plain value."""
    if get_origin(kind) is dict:
        held = get_args(kind)[1]
        many = isinstance(held, type) and issubclass(held, msgspec.Struct)
        return Table(title=f"{name}.NAME" if many else name, rows=held if many else None)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return Table(title=name, rows=kind)
    return None


def _section(title: str, structure: type[msgspec.Struct]) -> str:
    kinds = get_type_hints(structure)
    rows = [_row(field, about, kinds[field.name]) for field, about in described(structure)]
    return f"## {title}\n\n{_TABLE}{''.join(rows)}"


def _row(field: msgspec.structs.FieldInfo, about: str, kind: Any) -> str:
    table = _table(field.name, kind)
    if table:
        more = f"{about} See below." if table.rows or field.name == "options" else about
        return f"| `[{table.title}]` | | {_cell(more)} |\n"
    words = [one for one in get_args(kind) if isinstance(one, str)]
    unsaid = not all(re.search(rf"\b{re.escape(word)}\b", about) for word in words)
    among = f" One of {', '.join(words)}." if unsaid else ""
    return f"| `{field.name}` | {_default(field)} | {_cell(about + among)} |\n"


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return "none"
    return "required" if field.default is msgspec.NODEFAULT else f"`{toml(field.default)}`"


def _options() -> Iterator[str]:
    """What `[options]` takes, for each recipe that is shipped."""
    for path in sorted(recipe.SHIPPED.glob("*.toml")):
        rows = [
            f"| `{name}` | {_cell(f'`{toml(one.default)}`')} | {_cell(one.help + _among(one))} |\n"
            for name, one in recipe.load(path).options.items()
        ]
        yield f"## [options] of the recipe {path.stem}\n\n{_TABLE}{''.join(rows)}"


def _among(option: recipe.Option) -> str:
    return f" ({', '.join(f'`{choice}`' for choice in option.choices)})" if option.choices else ""


def _cell(text: str) -> str:
    """Words in a cell of a table: `<x>` is no tag, `|` no border."""
    outside = re.split(r"(`[^`]*`)", " ".join(textwrap.dedent(text).split()))
    safe = [p if p.startswith("`") else p.replace("<", "&lt;").replace("*", r"\*") for p in outside]
    return "".join(safe).replace("|", r"\|")
