"""`labtasks init <dir>`: a lab's folder, with a lab.toml in which every setting is explained.

lab.toml comes last: a run that was interrupted is made good by the next one. Knows nothing of what
the settings do.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from labtasks.command import init_debian
from labtasks.ground import atomic
from labtasks.ground.error import UserError, say
from labtasks.key.git import Repository
from labtasks.lab import recipe
from labtasks.lab.addressee import Notify
from labtasks.lab.config import described, toml
from labtasks.lab.machine import Vm
from labtasks.lab.remote import Ssh
from labtasks.lab.settings import DEMO, FILE, Gc, Install, Settings, Test

DOIT_CFG = """\
[GLOBAL]
loader = labtasks

[LOADER]
labtasks = labtasks.command.loader:Loader

[COMMAND]
explain = labtasks.command.commands:Explain
verify = labtasks.command.commands:Verify
bisect = labtasks.command.bisect_command:Bisect
status = labtasks.care.care:Status
gc = labtasks.care.care:Gc
doctor = labtasks.care.care:Doctor
verdict = labtasks.command.commands:Verdict
ssh = labtasks.command.commands:Ssh
console = labtasks.command.commands:Console
shell = labtasks.command.commands:Shell
"""


def plain(directory: Path, repository: str | None, name: str) -> None:
    """A lab that builds on this machine. Raises UserError."""
    chosen = _chosen(directory, repository, name)
    _write(directory, chosen)
    go = "" if directory.resolve() == Path.cwd() else f"cd {directory} && "
    say(f"{directory}: a lab. Read {FILE}, then: {go}doit build:HEAD")


def in_debian(
    directory: Path, repository: str | None, name: str, *, suite: str, mirror: str, packages: str
) -> None:
    """A lab with a Debian that builds, one that installs, and a test VM. Raises LabError."""
    chosen = _chosen(directory, repository, name)
    path = recipe.find(chosen["recipe"], directory)
    found = recipe.load(path)
    init_debian.ready(found, path)
    image = init_debian.image_of(found, suite=suite, mirror=mirror, packages=packages)
    disk = init_debian.disk(image)
    directory.mkdir(parents=True, exist_ok=True)
    init_debian.base(directory)
    _write(directory, {**chosen, **init_debian.settings()}, init_debian.machines(disk))
    good, bad = ("good", "bad") if chosen["repository"] == DEMO else ("HEAD", "<ref>")
    say(
        f"{directory}: a lab in Debian machines. Read {FILE}, then:\n"
        f"  cd {directory}\n"
        f"  doit up:build\n"
        f"  doit build:{good} install:{good}:test test:{good}:test\n"
        f"  doit test:{bad}:test\n"
        f"  doit down:build down:inst"
    )


def _chosen(directory: Path, repository: str | None, name: str) -> dict[str, str]:
    """What lab.toml must say, looked at. Raises UserError, also where there is a lab already."""
    name = _seen(directory, name) if name.endswith(".toml") else name
    if repository is None and recipe.find(name, directory) != recipe.find(DEMO, directory):
        raise UserError(
            f"recipe {name!r} is not for the demo's repository, and no other is named",
            hint="--repository CLONE",
        )
    repository = _seen(directory, repository or DEMO)
    if repository != DEMO:
        Repository((directory / Path(repository).expanduser()).resolve())  # or a refusal
    others = {name: text for name, text in _files().items() if _differs(directory / name, text)}
    there = [file for file in (FILE, *others) if (directory / file).exists()]
    if there:
        raise UserError(f"{directory} has a {there[0]} already", hint="name another directory")
    return {"repository": repository, "recipe": name}


def _seen(directory: Path, path: str) -> str:
    """A clone or recipe of a command line as lab.toml has it: a name, or a path from the lab. One
    that is not there but is from here gets its path from the lab.
    """
    named = path == DEMO or (directory.resolve() / path).resolve().exists()
    return path if named or not Path(path).exists() else os.path.relpath(path, directory.resolve())


def _files() -> dict[str, str]:
    """What doit needs."""
    dodo = (Path(__file__).parents[1] / "dodo.py").read_text(encoding="utf-8")
    return {"dodo.py": dodo, "doit.cfg": DOIT_CFG}


def _differs(file: Path, text: str) -> bool:
    """Whether a file is there and is not what a run before may have left."""
    return file.exists() and (not file.is_file() or file.read_bytes() != text.encode())


def _write(directory: Path, chosen: Mapping[str, str], machines: str = "") -> None:
    """Write a lab's files. Raises UserError and OSError."""
    text = "\n".join(_lab_toml(chosen, directory)) + (f"\n{machines}" if machines else "")
    directory.mkdir(parents=True, exist_ok=True)
    for file, what in {**_files(), FILE: text}.items():
        atomic.write(directory / file, what.encode())
    _ignore(directory / ".gitignore", ("/cache/", "/.doit.db*"))


def _ignore(file: Path, patterns: Sequence[str]) -> None:
    """Add what is missing: a lab may be made in a clone, which has such a file of its own."""
    text = file.read_text(encoding="utf-8", errors="surrogateescape") if file.exists() else ""
    missing = [one for one in patterns if one not in text.splitlines()]
    if missing:
        text += "\n" if text and not text.endswith("\n") else ""
        text += "".join(f"{one}\n" for one in missing)
        file.write_text(text, encoding="utf-8", errors="surrogateescape")


def _lab_toml(chosen: Mapping[str, str], directory: Path) -> Iterator[str]:
    """lab.toml with every setting: those that are chosen, and the others as comments."""
    name = chosen["recipe"]
    tables = {}
    for field, text in described(Settings):
        about = [f"# {line}" for line in textwrap.wrap(text, 90)]
        if isinstance(field.default_factory, type) or isinstance(
            field.default, dict | msgspec.Struct
        ):
            tables[field.name] = about
            continue
        mark = "" if field.name in chosen else "# "
        value = chosen.get(field.name, field.default)
        yield from (*about, f"{mark}{field.name} = {toml(value)}\n")
    inside = {
        "options": lambda: _options(recipe.load(recipe.find(name, directory))),
        "test": lambda: _table(Test, "test", chosen),
        "install": lambda: _table(Install, "install", chosen),
        "gc": lambda: _table(Gc, "gc", chosen),
        "notify": lambda: _table(Notify, "notify", chosen),
        "vm": lambda: _machines(Vm),
        "ssh": lambda: _machines(Ssh),
    }
    for table, about in tables.items():
        yield from (*about, f"[{table}]")
        yield from inside.get(table, tuple)()
        yield ""


def _table(structure: type[msgspec.Struct], table: str, chosen: Mapping[str, str]) -> Iterator[str]:
    for field, text in described(structure):
        yield from (f"# {line}" for line in textwrap.wrap(text, 90))
        said = chosen.get(f"{table}.{field.name}")
        yield (
            f"# {field.name} = {toml(field.default)}\n"
            if said is None
            else f"{field.name} = {toml(said)}\n"
        )


def _options(found: recipe.Recipe) -> Iterator[str]:
    for name, option in found.options.items():
        among = f" ({', '.join(option.choices)})" if option.choices else ""
        yield from (f"# {line}" for line in textwrap.wrap(f"{option.help}{among}", 90))
        yield f"# {name} = {toml(option.default)}\n"


def _machines(structure: type[msgspec.Struct]) -> Iterator[str]:
    """What a [vm.<name>] or [ssh.<name>] may say, as prose: nobody has a machine by default."""
    for field, about in described(structure):
        lists = isinstance(field.default_factory, type)
        default = "required" if field.required else "none" if lists else toml(field.default)
        text = f"{field.name} ({default}): {about}"
        yield from textwrap.wrap(text, 90, initial_indent="#   ", subsequent_indent="#     ")
