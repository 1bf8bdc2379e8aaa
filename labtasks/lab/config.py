"""Read a TOML file into a checked structure, or say what is wrong with it and what was meant.

Knows nothing of labs or recipes: only of structures whose fields are typed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec

from labtasks.ground.error import UserError

T = TypeVar("T", bound=msgspec.Struct)

_UNKNOWN = re.compile(r"unknown field `([^`]*)`(?: - at `\$\.?([^`]*)`)?")
_TOML = "TOML: strings in quotes, lists in []"
_FITS = "docs/lab.md and docs/recipes.md say what fits"
_WRONG = re.compile(r"^(.*?) - at `\$\.?(.*)`$")


def nearest(word: str, known: Iterable[str], more: str = "") -> str:
    """What to say about an unknown name: the valid one most like it, or all of them, or that
    there is none; and `more` behind it.
    """
    import difflib  # noqa: PLC0415 (only to refuse)

    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}? {more}".rstrip()
    told = f"known are: {', '.join(names)}" if names else "there is none"
    return f"{told}; {more}" if more else told


def read(path: Path, structure: type[T]) -> T:
    """A TOML file as `structure`. Raises UserError naming the file, the key and what was meant."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing", hint="`labtasks init <dir>` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}", hint="it must be UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        twice = re.search("twice|overwrite", str(error))
        hint = "it is there further up: write into that" if twice else _TOML
        raise UserError(f"{path}: {error}", hint=hint) from None
    try:
        return msgspec.convert(data, structure)
    except msgspec.ValidationError as error:
        raise _explained(path, structure, data, str(error)) from None


def changed(found: T, **fields: object) -> T:
    """A structure with other values, checked like those of a file. Raises UserError."""
    try:
        return msgspec.convert({**msgspec.to_builtins(found), **fields}, type(found))
    except msgspec.ValidationError as error:
        wrong = _WRONG.match(str(error))
        text = f"{wrong[2]}: {wrong[1]}" if wrong else str(error)
        raise UserError(text, hint=_FITS) from None


def _explained(path: Path, structure: type[msgspec.Struct], data: Any, text: str) -> UserError:
    unknown = _UNKNOWN.search(text)
    if unknown:
        name, where = unknown[1], (unknown[2] or "").replace("[...]", "[]")
        place, found = _table(structure, data, where.split(".") if where else [], name)
        fields = found.__struct_fields__ if found else ()
        said = f" in [{place}]" if place else ""
        return UserError(f"{path}: unknown key {name!r}{said}", hint=nearest(name, fields))
    wrong = _WRONG.match(text)
    message = f"{wrong[2]}: {wrong[1]}" if wrong else text
    words = _choices(structure, wrong[2]) if wrong else ()
    if words and "regex" in message:
        message = f"{message.partition(':')[0]}: no such value"
    hint = f"one of: {', '.join(words)}" if words else _FITS
    return UserError(f"{path}: {message}", hint=hint)


def _choices(structure: type[msgspec.Struct], where: str) -> tuple[str, ...]:
    """What the setting at `where` (table.key) may be; none where it is not found or has no end."""
    *tables, name = where.split(".")
    for table in tables:
        structure = get_type_hints(structure).get(table, object)
        if not (isinstance(structure, type) and issubclass(structure, msgspec.Struct)):
            return ()
    plain = get_args(get_type_hints(structure).get(name))
    about = get_args(get_type_hints(structure, include_extras=True).get(name))
    examples = [word for one in about for word in getattr(one, "examples", None) or ()]
    return tuple(word for word in (*plain, *examples) if isinstance(word, str))


def _table(
    hint: Any, data: Any, where: list[str], name: str
) -> tuple[str, type[msgspec.Struct] | None]:
    """The table at `where`, as the file calls it, and its structure. `[]` in a path stands for some
    name of a table of tables: it is the first one that has a key `name` unknown to it.
    """
    found = next((s for s in (hint, *get_args(hint)) if _is_structure(s)), None)
    if not where:
        return "", found if isinstance(data, dict) and name in data else None
    first, *rest = where
    field, _, several = first.partition("[")
    inner = get_type_hints(found).get(field) if found else None
    held = data.get(field) if isinstance(data, dict) else None
    tables = held if several and isinstance(held, dict) else {}
    for key, one in tables.items():
        below, table = _table(get_args(inner)[-1], one, rest, name)
        if table and name not in table.__struct_fields__:
            return ".".join(filter(None, (field, key, below))), table
    if several:
        return first, None
    below, table = _table(inner, held, rest, name)
    return ".".join(filter(None, (field, below))), table


def _is_structure(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def described(structure: type[msgspec.Struct]) -> Iterator[tuple[msgspec.structs.FieldInfo, str]]:
    """Each setting of a structure, and what is said about it."""
    hints = get_type_hints(structure, include_extras=True)
    for field in msgspec.structs.fields(structure):
        meta = next(m for m in get_args(hints[field.name]) if isinstance(m, msgspec.Meta))
        yield field, meta.description or ""


def toml(value: Any) -> str:
    """A plain value as TOML writes it."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if plain else msgspec.json.encode(value).decode()
