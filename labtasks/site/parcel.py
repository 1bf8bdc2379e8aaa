"""Files to a machine where a build is a guest, and from it: one archive over one ssh.

Modes and times are kept, owners are not. Knows nothing of what the files are for.
"""

from __future__ import annotations

import os
import shlex
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from labtasks.ground import process
from labtasks.ground.error import InfraError
from labtasks.site import ssh
from labtasks.site.site import Site


def send(site: Site, files: Iterable[tuple[str, Path]], scratch: Path) -> None:
    """Write files (and links, and folders by themselves) to the site, each under the path given
    with it. Raises InfraError.
    """
    archive = scratch / "send.tar"
    empty = True
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in files:
            tar.add(path, arcname=name.lstrip("/"), recursive=False, filter=_of_root)
            empty = False
    if not empty:
        _stream(site, "tar -xpf - -C /", data=archive)
    archive.unlink()


def fetch(site: Site, tree: str, paths: Sequence[str], into: Path, scratch: Path) -> None:
    """Copy paths of a tree of the site into a folder: "." is all of it, other folders come without
    what is in them. Raises InfraError.
    """
    names, archive = scratch / "fetch.paths", scratch / "fetch.tar"
    names.write_bytes(b"".join(os.fsencode(path) + b"\0" for path in paths))
    alone = "" if paths == ["."] else "--no-recursion "
    command = f"tar -C {shlex.quote(tree)} --format=posix {alone}--null -T - -cf -"
    _stream(site, command, data=names, into=archive)
    into.mkdir(parents=True, exist_ok=True)
    answer = process.query(["tar", "-xpf", str(archive), "-C", str(into), "--no-same-owner"])
    if answer.code:
        raise InfraError(
            f"what {site.what} sent is no archive: {answer.error.strip()}",
            hint=f"is there room in {into}? the login shell there must print nothing of its own",
        )
    archive.unlink()


def _stream(site: Site, command: str, *, data: Path, into: Path | None = None) -> None:
    """Run a command with a file as its input, and maybe one as its output."""
    argv = ssh.argv(site.to, site.within(command), pinned=True)
    answer = process.stream(argv, data=data, into=into)
    if answer.code == ssh.FAILED:
        raise site.lost(ssh.last_words(answer.error))
    if answer.code:
        lines = answer.error.strip().splitlines() or [f"status {answer.code}"]
        raise site.failed(lines, f"{command.split(maxsplit=1)[0]}: {lines[0]}")


def _of_root(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
