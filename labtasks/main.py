"""The `labtasks` command: make a lab, the demo's history, a machine's disk. All else is doit's.

Knows nothing of builds.
"""

from __future__ import annotations

import argparse
import pkgutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from labtasks import demo, recipe
from labtasks.addressee import Notify
from labtasks.config import described, toml
from labtasks.error import Code, LabError, UserError, given_space
from labtasks.git import Repository
from labtasks.machine import Vm
from labtasks.remote import Ssh
from labtasks.settings import DEMO, FILE, Gc, Install, Settings, Test

DOIT_CFG = """\
[GLOBAL]
loader = labtasks

[LOADER]
labtasks = labtasks.loader:Loader

[COMMAND]
explain = labtasks.commands:Explain
verify = labtasks.commands:Verify
bisect = labtasks.bisect_command:Bisect
status = labtasks.care:Status
gc = labtasks.care:Gc
doctor = labtasks.care:Doctor
verdict = labtasks.commands:Verdict
ssh = labtasks.commands:Ssh
console = labtasks.commands:Console
"""


class _Words(argparse.ArgumentParser):
    """Refuses with the status that all commands here have for it."""

    def error(self, message: str) -> NoReturn:
        """Argparse's hook."""
        self.print_usage(sys.stderr)
        self.exit(Code.REFUSED, f"{self.prog}: {message}\n")


class _Parser(_Words):
    """Its help also says what doit has: nobody looks for that with `labtasks --help` in vain."""

    def format_help(self) -> str:
        """Argparse's hook."""
        told = [(f"doit {name}", pkgutil.resolve_name(of)) for name, of in _plugins().items()]
        lines = [f"  {name:<15} {command.doc_purpose}" for name, command in told]
        return "\n".join(
            [
                super().format_help(), "In a lab (`doit list` shows its tasks):",
                "  doit build:<ref>, doit test:<ref>:<vm>, ...", *lines,
                "  doit help <command>, or --help behind it, says more", "",
            ]
        )  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """The command's status: 0, or 3 for a refusal."""
    asked = _parser().parse_args(words)
    actions = {
        "init": lambda: _init(asked.directory, asked.repository, asked.recipe),
        "demo": lambda: demo.create(asked.directory),
        "image": lambda: _image(asked),
        "completion": lambda: _completion(asked.shell, asked.line),
        "reference": _reference,
    }
    try:
        with given_space():
            actions[asked.command]()
    except LabError as error:
        sys.stderr.write(f"labtasks: {error}\n")
        return Code.REFUSED
    except OSError as error:
        sys.stderr.write(f"labtasks: {error.filename}: {error.strerror}\n")
        return Code.REFUSED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="labtasks", description="Make a lab; then `doit list`.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Words)
    init = commands.add_parser("init", help="write a commented lab.toml, and what doit needs")
    init.add_argument("directory", type=Path)
    init.add_argument("--repository", help="the git clone to build from (the demo's own)")
    init.add_argument("--recipe", default="demo", help="freebsd, linux, demo, or a .toml file")
    history = commands.add_parser("demo", help="write the demo OS and its history, as a git clone")
    history.add_argument("directory", type=Path)
    disk = commands.add_parser("image", help="make the disk of a build machine (as root)")
    disk.add_argument("system", choices=["debian"])
    disk.add_argument("file", type=Path, help="its name; .img, .kernel and .initrd are added")
    disk.add_argument("--suite", default="bookworm", help="Debian's release")
    disk.add_argument("--size", default="8G", help="of the disk, which is sparse")
    disk.add_argument("--mirror", default="", help="where packages come from")
    disk.add_argument("--packages", default="", help="more of them, with commas between")
    shell = commands.add_parser("completion", help="print what makes a shell complete words")
    shell.add_argument("shell", choices=["bash", "zsh"], nargs="?", default="bash")
    shell.add_argument("--line", help="what the shell asks: the line up to the cursor")
    commands.add_parser("reference", help="print the reference of lab.toml, as Markdown")
    return parser


def _plugins() -> dict[str, str]:
    """Commands of doit that a lab has, as "module:Class"."""
    lines = DOIT_CFG.partition("[COMMAND]\n")[2].splitlines()
    return dict(line.split(" = ") for line in lines)


def _completion(shell: str, line: str | None) -> None:
    from labtasks import completion  # noqa: PLC0415 (what an `init` does not need)

    if line is None:
        sys.stdout.write(completion.SCRIPTS[shell])
    else:
        found = completion.answers(line, _plugins(), Path.cwd())
        sys.stdout.write("".join(f"{one}\n" for one in found))


def _reference() -> None:
    from labtasks import reference  # noqa: PLC0415

    sys.stdout.write(reference.page())


def _image(asked: argparse.Namespace) -> None:
    from labtasks import image  # noqa: PLC0415 (seldom)

    image.debian(
        asked.file, suite=asked.suite, size=asked.size, mirror=asked.mirror,
        packages=asked.packages,
    )  # fmt: skip


def _init(directory: Path, repository: str | None, name: str) -> None:
    if repository is None and recipe.find(name, directory) != recipe.find(DEMO, directory):
        raise UserError(
            f"recipe {name!r} is not for the demo's repository, and no other is named",
            hint="--repository CLONE",
        )
    repository = repository or DEMO
    files = {
        FILE: "\n".join(_lab_toml(repository, name, directory)),
        "dodo.py": (Path(__file__).parent / "dodo.py").read_text(encoding="utf-8"),
        "doit.cfg": DOIT_CFG,
    }
    if repository != DEMO:
        Repository((directory / Path(repository).expanduser()).absolute())  # or a refusal
    there = [f for f in (FILE, "dodo.py", "doit.cfg") if (directory / f).exists()]
    if there:
        raise UserError(f"{directory} has a {there[0]} already", hint="name another directory")
    directory.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        (directory / file).write_text(text, encoding="utf-8")
    _ignore(directory / ".gitignore", ("/cache/", "/.doit.db*"))
    sys.stdout.write(f"{directory}: a lab. Read {FILE}, then: cd {directory} && doit build:HEAD\n")


def _ignore(file: Path, patterns: Sequence[str]) -> None:
    """Add what is missing: a lab may be made in a clone, which has such a file of its own."""
    text = file.read_text(encoding="utf-8", errors="surrogateescape") if file.exists() else ""
    missing = [one for one in patterns if one not in text.splitlines()]
    if missing:
        text += "\n" if text and not text.endswith("\n") else ""
        text += "".join(f"{one}\n" for one in missing)
        file.write_text(text, encoding="utf-8", errors="surrogateescape")


def _lab_toml(repository: str, name: str, directory: Path) -> Iterator[str]:
    """lab.toml with every setting: those that must be chosen, and the others as comments."""
    chosen = {"repository": repository, "recipe": name}
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
        "test": lambda: _table(Test),
        "install": lambda: _table(Install),
        "gc": lambda: _table(Gc),
        "notify": lambda: _table(Notify),
        "vm": lambda: _machines(Vm),
        "ssh": lambda: _machines(Ssh),
    }
    for table, about in tables.items():
        yield from (*about, f"[{table}]")
        yield from inside.get(table, tuple)()
        yield ""


def _table(structure: type[msgspec.Struct]) -> Iterator[str]:
    for field, text in described(structure):
        yield from (f"# {line}" for line in textwrap.wrap(text, 90))
        yield f"# {field.name} = {toml(field.default)}\n"


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


if __name__ == "__main__":
    sys.exit(main())
