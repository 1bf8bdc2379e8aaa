"""What a machine that builds said of its release and of its tools, asked once and remembered.

So keys are computed without the machine: it need not be up to see that nothing is to be done. A
virtual one is asked again when its image is another one; any other whenever something is built
there. Knows nothing of how it is asked.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import msgspec

from labtasks.ground import atomic, memory
from labtasks.ground.error import InfraError, UserError
from labtasks.lab.lab import Lab

Answers = tuple[tuple[str, str], ...]

_SYSTEM = """\
uname -s
if [ -r /etc/os-release ]; then . /etc/os-release; echo "$ID $VERSION_ID $(uname -m)"
else uname -srm; fi
if strace -f -o /dev/null true 2>/dev/null; then echo strace
elif [ -c /dev/filemon ] || kldload filemon 2>/dev/null; then echo filemon; else echo; fi
"""


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine that builds said of itself, so that keys need it no more. `about` is what
    the answers hold for, `tracer` the best one it has ("" for none).
    """

    about: str
    answers: Answers
    tracer: str


def learn(lab: Lab, ask: Callable[[str], str], *, anew: bool = False) -> bool:
    """Ask the machine that builds for its release and its tools' versions, unless it is known, or
    `anew`; whether what it says is new.

    `ask` runs shell text there and gives its output. Raises UserError for a missing tool.
    """
    about, before = _about(lab), _known(lab)
    if before and before.about == about and not anew:
        return False
    tools, questions = lab.recipe.tools, lab.recipe.identity
    script = [
        f"PATH={shlex.quote(lab.recipe.tool_path)}; export PATH LC_ALL=C", _SYSTEM,
        f'for one in {shlex.join(tools)}; do command -v "$one" >/dev/null || echo "$one"; done',
        *(f"printf '\\0'; {question} 2>&1" for question in questions),
    ]  # fmt: skip
    about_it, *said = ask("\n".join(script)).split("\0")
    if len(said) != len(questions) or about_it.count("\n") < 2:
        raise InfraError(f"{_name(lab)} says nothing of its tools", hint="log in and see why")
    system, release, tracer, *missing = [line.strip() for line in about_it.split("\n")]
    if system != lab.system:
        raise UserError(
            f"{_name(lab)} runs {system}, lab.toml says {lab.system}",
            hint=f'system = "{system}" in [{lab.settings.builder.replace(":", ".")}]',
        )
    lacks = [tools[one] for one in missing if one]
    if lacks:
        remedies = dict.fromkeys(tool.remedy(system) for tool in lacks)
        raise UserError(
            f"{_name(lab)} has no {lacks[0].command!r}{lacks[0].why}",
            hint=f"there: {'; '.join(filter(None, remedies)) or 'install it'}",
        )
    answers = [(f"builder {one}", text.strip()) for one, text in zip(questions, said, strict=True)]
    found = Learned(about=about, answers=(("builder", release), *answers), tracer=tracer)
    _file(lab).parent.mkdir(parents=True, exist_ok=True)
    atomic.write(_file(lab), msgspec.json.encode(found))
    return found != before


def tracer(lab: Lab) -> str | None:
    """The best tracer of the machine that builds, "" for none; None where that is this one."""
    return learned(lab).tracer if lab.abroad else None


def learned(lab: Lab) -> Learned:
    """What is known of the lab's machine. Raises UserError when it was never asked."""
    known = _known(lab)
    if known is None or known.about != _about(lab):
        name = lab.builder_vm
        raise UserError(
            f"nothing is known yet of the tools in {_name(lab)}",
            hint=f"doit up:{name} builder={name}",
        )
    return known


def is_known(lab: Lab) -> bool:
    """Whether it has been asked what is asked now."""
    known = _known(lab)
    return known is not None and known.about == _about(lab)


def _known(lab: Lab) -> Learned | None:
    try:
        return msgspec.json.decode(_file(lab).read_bytes(), type=Learned)
    except (OSError, msgspec.DecodeError):
        return None


def _name(lab: Lab) -> str:
    return lab.settings.builder.replace(":", " ")


def _file(lab: Lab) -> Path:
    kind, _, name = lab.settings.builder.partition(":")
    return lab.cache / kind / name / "identity.json"


def _about(lab: Lab) -> str:
    """The machine, and the questions."""
    questions = [lab.system, lab.recipe.identity, lab.recipe.tool_path, sorted(lab.recipe.tools)]
    if lab.builder_ssh:
        about = lab.ssh(lab.builder_ssh)
        return json.dumps([about.host, about.port, *questions])
    image = lab.path(lab.vm(lab.builder_vm).image)
    return json.dumps([str(image), memory.stamp(image), *questions])
