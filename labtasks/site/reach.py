"""The way to a machine of `[ssh.<name>]`: its key, the host key it must have, a shared connection.

Knows nothing of what is done there.
"""

from __future__ import annotations

import os
from pathlib import Path

from labtasks.ground.error import UserError
from labtasks.lab.lab import Lab
from labtasks.lab.remote import Ssh
from labtasks.site import ssh
from labtasks.site.ssh import Remote

_SOCKET = 80
"""Bytes that the path of a shared connection's socket may have: ssh adds 17 for a moment."""


def state(lab: Lab, name: str) -> Path:
    """The folder with what is known of the machine."""
    return lab.cache / "ssh" / name


def remote(lab: Lab, name: str) -> Remote:
    """How to reach a machine of lab.toml. Raises UserError."""
    about, folder = lab.ssh(name), state(lab, name)
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / "known_hosts"
    remedy = f"if that is meant to be so, remove {known}"
    if about.host_key:
        remedy = f"if that is meant to be so, mend host_key in [ssh.{name}]"
        line = f"{name} {about.host_key}\n"
        if not known.exists() or known.read_text(encoding="utf-8") != line:
            known.write_text(line, encoding="utf-8")
    control = folder / "ssh"
    return Remote(
        name=name, user=about.user, host=about.host, port=about.port, key=_key(lab, name, about),
        known_hosts=known, control=control if len(os.fsencode(control)) <= _SOCKET else None,
        options=tuple(about.options), remedy=remedy,
    )  # fmt: skip


def _key(lab: Lab, name: str, about: Ssh) -> Path:
    if not about.key:
        return ssh.make_key(lab.key_file)
    path = lab.path(about.key)
    if not path.exists():
        raise UserError(f"ssh {name}: {path} is missing", hint=f"mend `key` in [ssh.{name}]")
    return path
