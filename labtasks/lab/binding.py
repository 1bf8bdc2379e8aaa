"""A recipe with a lab's choices filled in: ready to run, and to hash.

Plain `{name}` substitution, in every text. Knows nothing of files, commits or the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from labtasks.ground import process
from labtasks.ground.error import UserError
from labtasks.lab import config, events, session, tools
from labtasks.lab.recipe import KINDS, Abi, Guest, Part, Recipe, Version
from labtasks.lab.tools import Tool

JOBS = "{jobs}"
"""Stays in bound texts: how many jobs run is no part of a key."""

LATE = (
    "jobs", "root", "boot", "run", "test", "nonce", "sha", "way", "key", "dest", "out",
    "piece", "line", "image",
)  # fmt: skip
"""Names that are filled in when a step runs, not when the recipe is read."""

ENVIRONMENT = {
    "PATH": process.PATH,
    "SHELL": "/bin/sh",
    "TMPDIR": "/tmp",  # noqa: S108
    "LANG": "C",
    "LC_ALL": "C",
    "TZ": "UTC",
    # ccache answers without looking for the headers that a compiler would look for in vain, and
    # one of that name that is added later would go unseen. So it runs the preprocessor first.
    "CCACHE_NODIRECT": "1",
}
"""What every step sees, but for its HOME and what the recipe says: nothing of the person's."""

_NAME = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")

_AROUND = 30
"""Characters that are shown before and behind what is wrong in a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a build sees its trees: absolute paths, the same for every build of a lab."""

    src: str
    obj: str
    files: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A recipe with every name filled in but `{jobs}`."""

    name: str
    parts: Mapping[str, Part]
    identity: tuple[str, ...]
    tools: Mapping[str, Tool]
    env: Mapping[str, str]
    files: Mapping[str, str]
    errors: tuple[str, ...]
    abi: Abi
    console: events.ConsoleRules
    machine: Guest | None
    kernel_alone: tuple[str, ...]
    shell: session.Shell | None
    ssh: session.Login | None
    in_tree: bool
    places: Places

    @property
    def tool_path(self) -> str:
        """Where a build finds its tools, as PATH has it: the same compiler is asked that builds."""
        return self.env.get("PATH", process.PATH)

    def environment(self, home: str) -> dict[str, str]:
        """A scrubbed environment: nothing of the person's shell decides what is built."""
        return {**ENVIRONMENT, "HOME": home, **self.env}

    def files_of(self, kind: str) -> Mapping[str, str]:
        """Those of [files] that a part sees: the ones its steps or [env] name, and all of them
        where these name the folder itself.
        """
        texts = " ".join((*self.parts[kind].steps, *self.env.values()))
        named = re.findall(rf"{re.escape(self.places.files)}(?:/([\w.+-]+))?", texts)
        if all(name in self.files for name in named):
            return {name: self.files[name] for name in dict.fromkeys(named)}
        return self.files


def bind(
    recipe: Recipe,
    *,
    path: Path,
    settings: Mapping[str, str],
    system: str,
    places: Places,
    files: Mapping[str, str],
) -> Bound:
    """Fill in every name. `settings` are lab.toml's options, `files` replace the recipe's own.
    Raises UserError naming `path`, the recipe's file.
    """
    names = {name: f"{{{name}}}" for name in LATE}
    names |= {"src": places.src, "obj": places.obj, "files": places.files}
    options = dict(_chosen(recipe, path, settings))
    names |= options
    for name, text in recipe.host.get(system, {}).items():
        names[name] = fill(text, names, path)
    it = _Filler(names=names, path=path)
    return Bound(
        name=path.stem,
        parts={k: it.part(found) for k in KINDS if (found := getattr(recipe, k)) is not None},
        identity=it.texts(recipe.identity),
        tools=tools.needed(recipe, options=options, settings=settings, system=system, fill=it.text),
        env={k: it.text(v) for k, v in recipe.env.items()},
        files={**recipe.files, **files},
        errors=recipe.errors,
        abi=it.abi(recipe.abi),
        console=recipe.console,
        machine=it.guest(recipe.machine) if recipe.machine else None,
        kernel_alone=it.texts(recipe.disk.kernel) if recipe.disk else (),
        shell=session.filled(recipe.shell, it.text) if recipe.shell else None,
        ssh=recipe.ssh,
        in_tree=recipe.in_tree,
        places=places,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filler:
    """Fills names in, wherever a recipe has texts."""

    names: Mapping[str, str]
    path: Path

    def text(self, text: str) -> str:
        return fill(text, self.names, self.path)

    def texts(self, some: Iterable[str]) -> tuple[str, ...]:
        return tuple(self.text(text) for text in some)

    def part(self, found: Part) -> Part:
        checks = self.text(found.checks_commands)
        if checks not in ("yes", "no"):
            raise UserError(f"{self.path}: checks_commands is {checks!r}", hint="yes or no")
        lists = {
            field: self.texts(getattr(found, field))
            for field in Part.__struct_fields__
            if field != "checks_commands"
        }
        return Part(**lists, checks_commands=checks)

    def guest(self, found: Guest) -> Guest:
        texts = ("arch", "type", "firmware", "kernel", "initrd", "append")
        lists = ("steps", "drives", "arguments")
        filled = msgspec.structs.replace(
            found,
            **{field: self.text(getattr(found, field)) for field in texts},
            **{field: self.texts(getattr(found, field)) for field in lists},
        )
        try:
            _ = filled.processor
        except UserError as error:
            raise UserError(f"{self.path}: {error.message}", hint=error.hint) from None
        return filled

    def abi(self, found: Abi) -> Abi:
        where = found.version
        if where:
            where = Version(file=self.text(where.file), pattern=where.pattern)
        return msgspec.structs.replace(found, version=where, paths=self.texts(found.paths))


def _chosen(recipe: Recipe, path: Path, settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each option's name with the text that stands for its value."""
    for name in settings:
        if name not in recipe.options:
            hint = config.nearest(name, recipe.options)
            raise UserError(f"recipe {path.stem} has no option {name!r}", hint=hint)
    for name, option in recipe.options.items():
        value = settings.get(name, option.default)
        if option.choices and value not in option.choices:
            raise UserError(
                f"option {name} is {value!r}", hint=f"one of: {', '.join(option.choices)}"
            )
        yield name, option.choices.get(value, value)


def late(text: str, names: Mapping[str, str]) -> str:
    """A bound text with its late names filled in."""
    for name, value in names.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def fill(text: str, names: Mapping[str, str], path: Path) -> str:
    """Plain substitution: `{name}`, and doubled braces for literal ones. Raises UserError for a
    name that nobody knows, and for a brace that belongs to none.
    """

    def one(match: re.Match[str]) -> str:
        if len(match[0]) == 1:
            where = text[max(0, match.start() - _AROUND) : match.end() + _AROUND]
            raise UserError(
                f"{path}: {match[0]} stands alone in {where!r}",
                hint="a name is {name}; literal braces are doubled: {{ }}",
            )
        if match[1] is None:
            return match[0][0]
        if match[1] not in names:
            hint = config.nearest(match[1], names, "literal braces are doubled: {{ }}")
            raise UserError(f"{path}: unknown name {{{match[1]}}} in {text[:60]!r}", hint=hint)
        return names[match[1]]

    return _NAME.sub(one, text)
