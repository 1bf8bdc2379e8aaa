"""The commands that a recipe's steps need: which option asks for each, which package has it.

Pure: whether they are there is asked by others, here and on the machine that builds. Knows nothing
of how a recipe's texts are filled in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from labtasks.lab import config
from labtasks.lab.recipe import Packages, Recipe

_INSTALL = {
    "Linux": "on Debian: apt-get install {}",
    "FreeBSD": "pkg install {}",
    "Darwin": "brew install {}",
}
"""What installs packages, by system."""

_COMPILERS = (
    (r"(?:clang|gcc|g\+\+|lld|llvm|ccache)(?:-\d+)?", r"\g<0>"),
    (r"/usr/lib/llvm-(\d+)/bin/clang(?:\+\+)?", r"clang-\1"),
    (r"/usr/lib/llvm-(\d+)/bin/(?:ld\.)?lld", r"lld-\1"),
    (r"/usr/lib/llvm-(\d+)/bin/.*", r"llvm-\1"),
    (r"(\w+-linux-gnu\w*)-(gcc|g\+\+)", r"\2-\1"),
    (r"(\w+-linux-gnu\w*)-(?:as|ld|nm|ar|objcopy)", r"binutils-\1"),
)
"""Compilers whose Debian package their name tells: an option may be any of them."""

_NAME = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A command, the package that has it ("" where nobody said), and the setting of lab.toml that
    asks for it, as it stands there ("" for none: the recipe does).
    """

    command: str
    package: str = ""
    option: str = ""

    @property
    def why(self) -> str:
        """What is said behind its name when it is missing."""
        return f", which `{self.option}` in [options] asks for" if self.option else ""

    def remedy(self, system: str) -> str:
        """How it is installed on a system, as `uname -s` has it; "" where nobody knows."""
        package = _debian(self.command, self.package) if system == "Linux" else self.package
        return _INSTALL.get(system, "install {}").format(package) if package else ""


def needed(
    recipe: Recipe,
    *,
    options: Mapping[str, str],
    settings: Mapping[str, str],
    system: str,
    fill: Callable[[str], str],
) -> dict[str, Tool]:
    """What a recipe needs on a system, by command: [tools], and those of the options that are
    chosen. `options` are their texts, `settings` what lab.toml says, `fill` fills names in.
    """
    found: dict[str, Tool] = {}
    for raw, packages, option in _named(recipe, options, settings):
        command, package = fill(raw).strip(), package_on(packages, system)
        if command and package is not None:
            found[command] = Tool(command=command, package=package, option=option)
    return found


def package_on(packages: Packages, system: str) -> str | None:
    """The package on a system; None where nothing is needed there. A plain name is Debian's."""
    if isinstance(packages, str):
        return packages if system == "Linux" else None
    return packages.get(system)


def _named(
    recipe: Recipe, options: Mapping[str, str], settings: Mapping[str, str]
) -> Iterator[tuple[str, Packages, str]]:
    """Each command as written, its packages, and the setting that asks for it."""
    for raw, packages in recipe.tools.items():
        named = [match[1] for match in _NAME.finditer(raw) if match[1] in settings]
        yield raw, packages, _setting(named[0], settings[named[0]]) if named else ""
    for name, option in recipe.options.items():
        if options[name].strip():
            value = settings.get(name, option.default)
            for raw, packages in option.tools.items():
                yield raw, packages, _setting(name, value)


def _setting(name: str, value: str) -> str:
    return f"{name} = {config.toml(value)}"


def _debian(command: str, package: str) -> str:
    for pattern, name in _COMPILERS:
        found = re.fullmatch(pattern, command)
        if found:
            return found.expand(name).replace("_", "-")
    return package
