"""What a machine that builds said of its release and of its tools, asked once per image.

So keys are computed without the machine: it need not be up to see that nothing is to be done.
Knows nothing of how it is asked.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import msgspec

from labtasks import process
from labtasks.error import UserError
from labtasks.lab import Lab

Answers = tuple[tuple[str, str], ...]


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine that builds said of itself, so that keys need it no more. `about` is what
    the answers hold for.
    """

    about: str
    answers: Answers
    strace: bool


def learn(lab: Lab, ask: Callable[[str], str]) -> None:
    """Ask the machine that builds for its release and its tools' versions, unless it is known.

    `ask` runs shell text there and gives its output. Raises UserError for a missing tool.
    """
    about = _about_guest(lab)
    memory = _file(lab)
    try:
        if msgspec.json.decode(memory.read_bytes(), type=Learned).about == about:
            return
    except (OSError, msgspec.DecodeError):
        pass
    search = f"PATH={shlex.quote(_path(lab))}; export PATH LC_ALL=C\n"
    for command, package in lab.recipe.tools.items():
        if not ask(f"{search}command -v {shlex.quote(command)}"):
            raise UserError(
                f"vm {lab.builder_vm} has no {command!r}", hint=f"install {package} in its image"
            )
    system = ask('. /etc/os-release; echo "$ID $VERSION_ID $(uname -m)"')
    answers = [("builder", system)]
    answers += [(f"builder {c}", ask(f"{search}{c} 2>&1")) for c in lab.recipe.identity]
    strace = bool(ask(f"{search}command -v strace"))
    memory.write_bytes(
        msgspec.json.encode(Learned(about=about, answers=tuple(answers), strace=strace))
    )


def has_strace(lab: Lab) -> bool | None:
    """Whether the machine that builds has strace; None where that is this one."""
    return learned(lab).strace if lab.builder_vm else None


def learned(lab: Lab) -> Learned:
    """What is known of the lab's machine. Raises UserError when it was never asked."""
    try:
        known = msgspec.json.decode(_file(lab).read_bytes(), type=Learned)
    except (OSError, msgspec.DecodeError):
        known = None
    if known is None or known.about != _about_guest(lab):
        raise UserError(
            f"nothing is known yet of the tools in vm {lab.builder_vm}",
            hint=f"doit up:{lab.builder_vm}",
        )
    return known


def _file(lab: Lab) -> Path:
    return lab.cache / "vm" / lab.builder_vm / "identity.json"


def _about_guest(lab: Lab) -> str:
    """The image, and the questions."""
    image = lab.directory / Path(lab.vm(lab.builder_vm).image).expanduser()
    questions = [lab.recipe.identity, _path(lab), sorted(lab.recipe.tools)]
    return json.dumps([str(image), _stamp(image), *questions])


def _path(lab: Lab) -> str:
    """Where its builds find their tools."""
    return lab.recipe.env.get("PATH", process.PATH)


def _stamp(image: Path) -> list[int]:
    try:
        info = image.stat()
    except OSError:
        return []
    return [info.st_size, info.st_mtime_ns]
