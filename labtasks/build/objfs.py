"""An obj-fs as one file-system image, for a VM to attach: /src and /obj of one build.

Knows nothing of how the build came to be: it is given the composed artifact.
"""

from __future__ import annotations

import platform
import shlex
import time

from labtasks.build import doubt, failure
from labtasks.build.builder import Trees, Workspace
from labtasks.build.overlay import Overlay
from labtasks.build.workspace import open_workspace
from labtasks.ground import digest, process
from labtasks.ground.error import InfraError, say
from labtasks.key.key import Wanted
from labtasks.lab.lab import Lab
from labtasks.store import layer
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store

_BLOCK = 4096

_GATHER = """\
root=$(mktemp -d); mkdir $root/src $root/obj
mount --rbind {src} $root/src; mount --rbind {obj} $root/obj
"""
"""Both trees under one root, inside the namespace; a lane of copies is such a root already."""


def export(lab: Lab, store: Store, want: Wanted, build: Manifest) -> Manifest:
    """The image of a composed build, as `objfs.img` beside its manifest; who calls this holds the
    artifact's lock. Raises InfraError, UserError for a sealed file that was changed by hand.
    """
    kind = lab.settings.image
    process.which("makefs" if kind == "ufs" else "mke2fs")
    trees = trees_of(build)
    started = time.monotonic()
    with open_workspace(lab, store, "objfs", trees) as space:
        log = store.log(f"objfs-{want.commit.short}")
        doubt.refuse_changed(store, (trees.src, None), (trees.obj, None))
        space.prepare(log)
        listing = layer.merged(store.layers, trees.src) | {
            f"obj/{p}": e for p, e in layer.merged(store.layers, trees.obj).items()
        }
        ended = space.launch(["sh", "-e", "-c", _script(space, kind, image_size(listing))], log)
        if ended.code:
            error = failure.first_error(log, ()) or f"exit status {ended.code}"
            raise InfraError(f"{want.name}: no image: {error}", hint=f"the log is {log}")
        home = store.home(want.kind, want.key)
        home.mkdir(parents=True, exist_ok=True)
        image = space.scratch / "out" / "objfs.img"
        content = digest.of_file(image, image.stat().st_size)
        image.replace(home / "objfs.img")
    manifest = Manifest.of(
        want,
        digest=content,
        stack=[],
        rung="exported",
        base=build.name,
        bytes=(home / "objfs.img").stat().st_size,
        why=f"{kind} image {home / 'objfs.img'}",
        seconds=round(time.monotonic() - started, 3),
        host=platform.node(),
    )
    store.publish(manifest, trace=None, tree=None)
    say(f"{want.name}: {home / 'objfs.img'}")
    return manifest


def _script(space: Workspace, kind: str, size: int) -> str:
    """Shell text that makes the image `objfs.img` of a workspace's two trees."""
    places, out = space.places(), f"{space.out()}/objfs.img"
    if isinstance(space, Overlay):
        gather = _GATHER.format(src=places.src, obj=places.obj)
        return gather + image_command(kind, "$root", out, size)
    return image_command(kind, shlex.quote(places.src.removesuffix("/src")), out, size)


def trees_of(build: Manifest) -> Trees:
    """The trees of a composed build: its objects, and the sources it was built from."""
    return Trees(src=tuple(build.below), obj=tuple(build.stack))


def image_command(kind: str, root: str, image: str, size: int) -> str:
    """Shell text that makes an image of `size` bytes of what lies in `root`."""
    where = shlex.quote(image)
    if kind == "ufs":
        # version 1: the loader of FreeBSD rejects the UFS2 that Debian's makefs writes
        return f"makefs -t ffs -B little -M {size} -o version=1 -f 5% {where} {root}"
    blocks = size // _BLOCK
    return (
        f"mke2fs -q -F -t ext4 -L objfs -b {_BLOCK} -O ^has_journal -m 0 -d {root} {where} {blocks}"
    )


def image_size(listing: layer.Listing) -> int:
    """Bytes of an image that has room for a tree, to the mebibyte: blocks, inodes, and slack."""
    blocks = sum(-(-e.size // _BLOCK) for e in listing.values())
    used = blocks * _BLOCK + len(listing) * 512
    return -(-int(used * 1.15 + (16 << 20)) >> 20) << 20
