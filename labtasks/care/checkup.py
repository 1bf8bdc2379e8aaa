"""How a machine is that is reached over ssh: its clock, its room, and filemon where it has FreeBSD.

One question, put to the machine's shell once, and what its answer comes to. Knows nothing of how a
machine is brought up, or of what it is used for.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass

from labtasks.ground.error import InfraError, LabError
from labtasks.ground.words import duration, size
from labtasks.site import ssh
from labtasks.site.ssh import Remote

QUESTION = """\
echo system=$(uname -s)
echo release=$(uname -r)
echo clock=$(date +%s)
echo user=$(id -un)
echo free=$(df -kP / | awk 'NR == 2 { print $4, $6 }')
echo home=$(df -kP "${folder:-$HOME}" | awk 'NR == 2 { print $4, $6 }')
if test -c /dev/filemon; then echo device=yes; fi
if test -r /dev/filemon && test -w /dev/filemon; then echo opens=yes; fi
if kldstat -qm filemon 2>/dev/null; then echo loaded=yes; fi
"""
"""Plain sh on its standard input (a login shell may be csh), df as POSIX has it: it is asked of
whatever system runs there. The variable `folder` may name another than home.
"""

SKEW = 2.0
"""Seconds by which a machine's clock may differ."""

_ROOM = 2 * 10**9
"""Bytes below which there is hardly room to work in a machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. `needed`: without it a build or a boot fails."""

    what: str
    well: bool
    said: str
    remedy: str = ""
    needed: bool = True


def examine(remote: Remote, what: str, folder: str = "") -> Iterator[Finding]:
    """All that one machine's answer says; `what` it is called, `folder` where it builds, if not at
    home. One that gives none is a finding.
    """
    before = time.time()
    question = f"folder={shlex.quote(folder)}\n{QUESTION}"
    try:
        answer = ssh.query(remote, "exec sh -s", data=question.encode())
        if answer.code:
            raise InfraError(
                f"sh there ended with {answer.code}: {answer.error.strip()}",
                hint=f"`doit ssh {remote.name} sh` shows what it says",
            )
    except LabError as error:
        yield Finding(what=f"{what}: ssh", well=False, said=error.message, remedy=error.hint)
        return
    now = time.time()
    yield from findings(answer.text, what, (before + now) / 2, patience=(now - before) / 2)


def findings(text: str, what: str, now: float, *, patience: float = 0.0) -> Iterator[Finding]:
    """What an answer says. `now` is our own clock in the middle of the question, `patience` how
    far from the middle the machine may have looked at its own.
    """
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    system = said.get("system", "")
    yield Finding(
        what=f"{what}: ssh",
        well=bool(system),
        said=f"{said.get('user', '')} on {system} {said.get('release', '')}" if system else "mute",
        remedy="the login shell there must run plain commands and print nothing else",
    )
    yield _clock(said, what, now, patience)
    yield from _room(said, what, system)
    if system == "FreeBSD":
        yield _filemon(said, what)


def _clock(said: dict[str, str], what: str, now: float, patience: float) -> Finding:
    told = said.get("clock", "")
    skew = float(told) + 0.5 - now if told.isdecimal() else 0.0  # date says whole seconds
    ahead = f"{duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} ours"
    near = abs(skew) <= SKEW + patience
    set_it = "ntpd -gq" if said.get("system") == "FreeBSD" else "timedatectl set-ntp true"
    return Finding(
        what=f"{what}: clock",
        well=bool(told) and near,
        said="agrees with ours" if told and near else ahead if told else "not told",
        remedy=f"`{set_it}` there, as root: make takes files of the future as changed for ever",
    )


def _room(said: dict[str, str], what: str, system: str) -> Iterator[Finding]:
    """One finding for each file system that root and home, or the folder, are on."""
    empty = "pkg clean -ay" if system == "FreeBSD" else "apt-get clean"
    for line in dict.fromkeys((said.get("free", ""), said.get("home", ""))):
        blocks, _, where = line.partition(" ")
        if blocks.lstrip("-").isdecimal():
            free = max(0, int(blocks)) * 1024
            yield Finding(
                what=f"{what}: disk space",
                well=free > _ROOM,
                said=f"{size(free)} free at {where}",
                remedy=f"`{empty}` and old logs there; or a larger image (`qemu-img resize`)",
                needed=free < _ROOM / 10,
            )


def _filemon(said: dict[str, str], what: str) -> Finding:
    there, opens, loaded = (said.get(name) == "yes" for name in ("device", "opens", "loaded"))
    if opens:
        words, remedy = "follows what a build reads", ""
    elif there:
        words = f"/dev/filemon is not for {said.get('user', 'this user')}"
        remedy = "build as root there, or give the device away in /etc/devfs.rules"
    else:
        words = "is loaded, but has no device" if loaded else "is not loaded"
        remedy = "as root there: `kldload filemon; sysrc -f /boot/loader.conf filemon_load=YES`"
    return Finding(what=f"{what}: filemon", well=opens, said=words, remedy=remedy, needed=False)
