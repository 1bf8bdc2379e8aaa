"""How an operating system is built and started: one TOML file, no code.

A recipe as it is written, read and checked. Knows nothing of any lab's choices.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from labtasks.ground.error import UserError
from labtasks.lab import config, events, session
from labtasks.vm import qemu
from labtasks.vm.qemu import Arch

SHIPPED = Path(__file__).parents[1] / "recipes"
KINDS = ("toolchain", "world", "kernel", "root", "install")
"""What a recipe has steps for, in the order in which they lie on one another."""

INSTALLS = frozenset({"root", "install"})
"""Parts that install what others built: always from nothing, never on an earlier installation."""


SYSTEMS = ("Linux", "FreeBSD", "Darwin")
"""What may build, as `uname -s` says it."""

Packages = str | dict[str, str]
"""The package that has a command: Debian's, or each system's, which then needs the command."""


class Option(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lab.toml may set. With `choices`, the value picks the text that is substituted. `tools`
    are needed where that text is not empty.
    """

    help: str
    default: str
    choices: dict[str, str] = {}
    tools: dict[str, Packages] = {}


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is built. Globs know `*`, `?` and `**` (any number of directories)."""

    steps: tuple[str, ...]
    inputs: tuple[str, ...] = (".",)
    outputs: tuple[str, ...] = ("**",)
    volatile: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    checks_commands: str = "no"
    """Whether make itself rebuilds what another command makes now: "yes" or "no"."""
    no_rules: tuple[str, ...] = ()
    """Sources that make asks about, but not for anything that a command is made of."""
    trusted_tools: tuple[str, ...] = ()
    """Programs below {obj} that the build makes for itself: all versions of one make the same."""


class Version(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the tree states its ABI version; group 1 of the pattern is it."""

    file: str
    pattern: str


class Abi(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What kernel and world agree on; a difference is said out loud. `errors` are what a kernel's
    build says when the world below it is too old. `compatible`: newer kernels run older worlds, so
    that a bisect aligns them only where a test fails otherwise than described.
    """

    version: Version | None = None
    paths: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    compatible: bool = False


class Guest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The machine that boots what was installed: files below `{root}`, `{boot}` and `{run}`.

    `steps` make ready what one run needs, in the empty folder `{run}`. A drive that is a folder is
    shown as a FAT file system. The console is the first serial port, the verdict comes on the
    second. `memory` is in MiB and what the system needs at least; lab.toml may give more.
    """

    steps: tuple[str, ...] = ()
    arch: str = "amd64"
    type: str = ""
    firmware: str = ""
    kernel: str = ""
    initrd: str = ""
    append: str = ""
    drives: tuple[str, ...] = ()
    network: bool = False
    memory: int = 128
    arguments: tuple[str, ...] = ()

    @property
    def processor(self) -> Arch:
        """`arch`, when names are filled in. Raises UserError."""
        return qemu.arch(self.arch)


class Disk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How world and kernel are installed onto the disk of a base root, mounted at `{dest}` in a
    machine that a lab installs through, and what boots that disk. Other files of the machine's,
    for instance a kernel that QEMU loads, are what steps put into `{out}`. `kernel` are the steps
    where a disk has that world already, and `{out}` what else they left. `system` is what that
    machine must run, where not any will do.
    """

    system: Literal["", "Linux", "FreeBSD"] = ""
    install: Part
    kernel: tuple[str, ...] = ()
    machine: Guest


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recipe as written. docs/recipes.md is its reference."""

    about: str
    kernel: Part
    world: Part | None = None
    toolchain: Part | None = None
    root: Part | None = None
    install: Part | None = None
    machine: Guest | None = None
    disk: Disk | None = None
    in_tree: bool = False
    identity: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    options: dict[str, Option] = {}
    host: dict[str, dict[str, str]] = {}
    tools: dict[str, Packages] = {}
    env: dict[str, str] = {}
    files: dict[str, str] = {}
    abi: Abi = Abi()
    console: events.ConsoleRules = events.ConsoleRules()
    shell: session.Shell | None = None
    ssh: session.Login | None = None


def find(name: str, directory: Path) -> Path:
    """The file of a recipe: a shipped name, or a path relative to the lab. Raises UserError."""
    if not name.endswith(".toml"):
        shipped = SHIPPED / f"{name}.toml"
        if shipped.is_file():
            return shipped
        known = sorted(p.stem for p in SHIPPED.glob("*.toml"))
        hint = config.nearest(name, known, "a recipe of your own is a path that ends in .toml")
        raise UserError(f"no recipe is called {name!r}", hint=hint)
    return Path(os.path.normpath(directory.resolve() / name))  # the lab may be yet to be made


def load(path: Path) -> Recipe:
    """A recipe file, checked. Raises UserError."""
    if not path.exists():
        raise UserError(f"{path} is missing", hint="the path of a recipe is relative to the lab")
    recipe = config.read(path, Recipe)
    if any("/" in name or name.startswith(".") for name in recipe.files):
        raise UserError(f"{path}: [files] takes plain names", hint="they are put side by side")
    if not all(text.strip() for text in recipe.identity):
        raise UserError(f"{path}: an empty identity command", hint='identity = ["cc --version"]')
    for name in recipe.env:
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise UserError(f"{path}: [env] {name!r} is no variable's name", hint="letters, _")
    parts = {kind: getattr(recipe, kind) for kind in KINDS}
    parts["disk.install"] = recipe.disk and recipe.disk.install
    for kind, part in parts.items():
        if part is not None:
            _check_part(path, kind, part)
    _check_abi(path, recipe.abi)
    _check_patterns(path, recipe)
    _check_systems(path, recipe)
    events.check(path, recipe.console)
    session.check(path, recipe.shell)
    return recipe


def _check_patterns(path: Path, recipe: Recipe) -> None:
    version = [recipe.abi.version.pattern] if recipe.abi.version else []
    for pattern in (*recipe.errors, *recipe.abi.errors, *version):
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise UserError(f"{path}: {pattern!r}: {error}", hint="a Python regex") from None
        if pattern in version and not groups:
            raise UserError(f"{path}: {pattern!r} has no group", hint="group 1 is the version")


def _check_systems(path: Path, recipe: Recipe) -> None:
    lists: dict[str, dict[str, Packages]] = {"tools": recipe.tools}
    lists |= {f"options.{name}.tools": option.tools for name, option in recipe.options.items()}
    tables = {
        f"[{table}] {command!r}": packages
        for table, tools in lists.items()
        for command, packages in tools.items()
        if isinstance(packages, dict)
    }
    for where, names in (("[host]", list(recipe.host)), *tables.items()):
        for name in names:
            if name not in SYSTEMS:
                hint = config.nearest(name, SYSTEMS)
                raise UserError(f"{path}: {where}: no system is called {name!r}", hint=hint)


def _check_part(path: Path, kind: str, part: Part) -> None:
    if not part.steps:
        raise UserError(f"{path}: [{kind}] has no step", hint='steps = ["make ..."]')
    if not part.outputs:
        raise UserError(
            f"{path}: [{kind}] has no outputs", hint='globs below {obj}; all of it is ["**"]'
        )
    _check_below(path, f"[{kind}] inputs", part.inputs)
    for field in ("unseen", "no_rules"):
        _check_below(path, f"[{kind}] {field}", getattr(part, field))
    for field in ("outputs", "volatile", "depends", "trusted_tools"):
        _check_below(path, f"[{kind}] {field}", getattr(part, field), "{obj}")


def _check_abi(path: Path, abi: Abi) -> None:
    _check_below(path, "[abi] paths", abi.paths)
    if abi.version:
        _check_below(path, "[abi] version.file", [abi.version.file])


def _check_below(
    path: Path, where: str, names: Iterable[str], top: str = "the root of the repository"
) -> None:
    """Refuse what leads out of the tree: it would match nothing, and nobody would notice."""
    for name in names:
        if name.startswith(("/", "{src}", "{obj}")) or ".." in Path(name).parts:
            raise UserError(
                f"{path}: {where}: {name!r} lies outside the tree",
                hint=f"{where.partition('] ')[2]}: what lies below {top}",
            )


def on_disk(recipe: Recipe, path: Path, system: str) -> Recipe:
    """The same recipe, installing onto a disk through a machine that runs `system`. Raises
    UserError.
    """
    if recipe.disk is None:
        raise UserError(
            f"recipe {path.stem} has no [disk]: it does not install through a machine",
            hint="docs/recipes.md says how; or no `through` in [install]",
        )
    if recipe.disk.system not in ("", system):
        wanted = recipe.disk.system
        raise UserError(
            f"recipe {path.stem} installs through a {wanted} machine, not a {system} one",
            hint="another `through` in [install], or none",
        )
    return msgspec.structs.replace(
        recipe, root=None, install=recipe.disk.install, machine=recipe.disk.machine
    )
