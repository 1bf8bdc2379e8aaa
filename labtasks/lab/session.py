"""How somebody gets into a system that has come up, as data of its recipe: a shell on the console,
a login over ssh.

Knows nothing of who types, nor of what is to be run there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from labtasks.ground.error import UserError
from labtasks.lab.events import check_prompt

FILE = "/tmp/lab.{nonce}"  # noqa: S108 (in the guest, on an overlay that is thrown away)

PIECE, LINE = "{piece}", "{line}"
"""In `put`: a part of the script as printf's %b takes it, or one of its lines as it is."""


class Shell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A shell on the console. `prompt` is a regex of the unfinished line at which it waits;
    `answers` are pairs of such a regex and what is typed there once (a user, a password, a shell).

    At the first prompt `begin` is typed, then `put` for every part of the script, then `run`, which
    must print a line `VERDICT {nonce} status <exit status>`.
    """

    prompt: str
    answers: tuple[tuple[str, str], ...] = ()
    begin: str = ""
    put: str = f"printf %b '{PIECE}' >>{FILE}"
    run: str = (
        f"echo VERDICT {{nonce}} ready; sh {FILE}; s=$?; echo; echo VERDICT {{nonce}} status $s"
    )


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A login over ssh: the guest's port, and whom to log in as. `seed`: whether the lab's key
    comes on a small disk CIDATA, as for cloud images; else the recipe's steps take it from `{key}`.
    """

    user: str = "root"
    port: int = 22
    seed: bool = False


def check(path: Path, shell: Shell | None) -> None:
    """Refuse what cannot be meant, in the recipe at `path`. Raises UserError."""
    if shell is None:
        return
    for pattern in (shell.prompt, *(asked for asked, _ in shell.answers)):
        check_prompt(path, pattern)
    if PIECE not in shell.put and LINE not in shell.put:
        raise UserError(
            f"{path}: [shell] put has no part of the script in it",
            hint=f"{PIECE}, as printf %b takes it, or {LINE}",
        )
    if "{nonce}" not in shell.run:
        raise UserError(
            f"{path}: [shell] run does not tell the status",
            hint="it ends with: echo VERDICT {nonce} status $?",
        )


def filled(shell: Shell, fill: Callable[[str], str]) -> Shell:
    """With the recipe's names filled in what is typed."""
    return Shell(
        prompt=shell.prompt,
        answers=tuple((asked, fill(typed)) for asked, typed in shell.answers),
        begin=fill(shell.begin),
        put=fill(shell.put),
        run=fill(shell.run),
    )
