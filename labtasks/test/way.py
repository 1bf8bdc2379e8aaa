"""The way a lab's tests are run: by whom, and what is refused before anything is built.

Knows nothing of how any of them does it.
"""

from __future__ import annotations

from pathlib import Path

from labtasks.ground import process
from labtasks.ground.error import UserError
from labtasks.lab.lab import Lab
from labtasks.site import ssh
from labtasks.test.tester import Tester, Typed
from labtasks.test.tester_outside import Beside, Sent

_WAYS: dict[str, type[Tester]] = {"init": Tester, "console": Typed, "ssh": Sent, "host": Beside}


def tester(
    lab: Lab, *, vm: str, sha: str, folder: Path, output: Path, channel: Path, nonce: str
) -> Tester:
    """The tester of one run, as lab.toml wants it."""
    if lab.settings.test.run in ("ssh", "host") and lab.recipe.ssh:
        ssh.make_key(lab.key_file)
    return _WAYS[lab.settings.test.run](
        lab=lab, vm=vm, sha=sha, folder=folder, output=output, channel=channel, nonce=nonce
    )


def refuse(lab: Lab) -> None:
    """Refuse a way that this lab cannot go, before anything is built. Raises UserError."""
    test, recipe = lab.settings.test, lab.recipe
    where = f"{recipe.name} has no"
    if test.run != "init" and not lab.script.strip():
        raise UserError(
            f'[test] run = "{test.run}" without a script', hint='script = "my-test.sh" in [test]'
        )
    if test.run == "console" and recipe.shell is None:
        raise UserError(
            f'[test] run = "console": recipe {where} [shell]',
            hint="docs/recipes.md says how a recipe describes the shell on its console",
        )
    if test.run == "ssh":
        if recipe.ssh is None:
            raise UserError(
                f'[test] run = "ssh": recipe {where} [ssh]',
                hint="docs/recipes.md: a system that starts sshd and takes the lab's key",
            )
        process.which("ssh")
    if test.ports and test.run != "host":
        raise UserError(
            f'[test] ports are for scripts on the host, and run is "{test.run}"',
            hint='run = "host", or no ports',
        )
