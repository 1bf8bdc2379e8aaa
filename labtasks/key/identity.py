"""The machine that builds, as far as it decides what comes out: its release, its tools' versions.

Of this host it is asked here, of another one by guest_tools. Asking compilers takes longer than all
else that an up-to-date run does, so the answers are kept. Knows nothing of keys.
"""

from __future__ import annotations

import platform
import shutil
from pathlib import Path

from labtasks.ground import memory, process
from labtasks.ground.error import UserError
from labtasks.key import guest_tools
from labtasks.key.guest_tools import Answers
from labtasks.lab.lab import Lab
from labtasks.lab.tools import Tool


def builder(lab: Lab) -> Answers:
    """Labels and values: its release, and what its tools say of their version. On this host they
    are asked again when a tool's file is another one. Raises UserError for a missing tool.
    """
    if lab.builder_ssh and not guest_tools.is_known(lab):
        ask_again(lab)
    if lab.abroad:
        return guest_tools.learned(lab).answers
    commands = lab.recipe.identity
    names = [command.split()[0] for command in commands]
    tools = [_which(lab, name) for name in names]
    stamps = [memory.stamp(Path(path)) for path in (*tools, "/etc/os-release")]

    def ask() -> list[tuple[str, str]]:
        return [("builder", _system()), *((f"builder {one}", _said(lab, one)) for one in commands)]

    found = memory.once(lab.cache / "identity.json", [commands, lab.recipe.tool_path, stamps], ask)
    return tuple((label, value) for label, value in found)


def _said(lab: Lab, command: str) -> str:
    answer = process.query(["sh", "-c", command], env={"PATH": lab.recipe.tool_path})
    return answer.text.strip() or answer.error.strip()


def _system() -> str:
    try:
        release = platform.freedesktop_os_release()
        return f"{release.get('ID', '')} {release.get('VERSION_ID', '')} {platform.machine()}"
    except OSError:
        return f"{platform.system()} {platform.release()} {platform.machine()}"


def ask_again(lab: Lab) -> bool:
    """Ask the machine of [ssh.<name>] that builds what its tools are; whether the answer is new.
    Raises LabError.
    """
    from labtasks.site import reach, ssh  # noqa: PLC0415 (only labs that build there)

    to = reach.remote(lab, lab.builder_ssh)
    return guest_tools.learn(
        lab, lambda text: ssh.query(to, ssh.shell(text)).text.strip(), anew=True
    )


def check_tools(lab: Lab) -> None:
    """Every tool is there that the recipe, or an option of it, names for this system. Raises
    UserError naming the first that is not.
    """
    if not lab.abroad:
        for command in lab.recipe.tools:
            _which(lab, command)


def _which(lab: Lab, command: str) -> str:
    found = shutil.which(command, path=lab.recipe.tool_path)
    if found:
        return found
    tool = lab.recipe.tools.get(command, Tool(command=command))
    raise UserError(
        f"the command {command!r} is missing{tool.why}",
        hint=tool.remedy(lab.system) or f"install it; looked for in {lab.recipe.tool_path}",
    )
