"""lab.toml as it is written: its tables, what each setting means, and what holds where it is unset.

The descriptions are lab.toml's reference. Knows nothing of what follows from any of them.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from labtasks.ground.error import UserError
from labtasks.lab.addressee import Notify
from labtasks.lab.machine import Vm
from labtasks.lab.remote import Ssh

FILE = "lab.toml"
DEMO = "demo"
"""The repository that is made here, and its recipe."""

Meta = msgspec.Meta

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def in_bytes(text: str) -> int:
    """A size as people write it: 40 GB, 512MiB, 1000000. Raises UserError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]?)(i?)B?", text.strip())
    if not match:
        raise UserError(f"{text!r} is no size", hint="40 GB, 512 MiB, or a number of bytes")
    unit = 1024 ** "KMGT".index(match[2]) * 1024 if match[2] and match[3] else _UNITS[match[2]]
    return int(float(match[1]) * unit)


class Test(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[test]: what decides between good and bad."""

    script: Annotated[
        str,
        Meta(
            description="A file with the test; empty for the recipe's own. What may be in it "
            "depends on who runs it."
        ),
    ] = ""
    run: Annotated[
        Literal["init", "console", "ssh", "host"],
        Meta(
            description="Who runs the script: init (the world's, in the words the recipe says), "
            "console (it is typed at the shell on the serial console), ssh (it is sent when the "
            "system answers), host (here, with the VM's ports in its environment)."
        ),
    ] = "init"
    ports: Annotated[
        tuple[int, ...],
        Meta(description="Ports of the VM that a script on the host reaches, as LAB_PORT_<n>."),
    ] = ()
    bad: Annotated[
        tuple[str, ...],
        Meta(
            description="The failure that is looked for: bad (the test says so), or events of the "
            "console: panic, trap, silence, silent-reboot, flood ... Any other failure is not it."
        ),
    ] = ("bad",)
    text: Annotated[
        str,
        Meta(
            description="A regex that must be found in that failure's lines, or, where bad names "
            "the event text, on the console; empty for any."
        ),
    ] = ""
    timeout: Annotated[float, Meta(description="Seconds a test may take.", gt=0)] = 120
    silence: Annotated[
        float, Meta(description="Seconds without a byte on the console that mean a hang.", gt=0)
    ] = 30
    bytes: Annotated[
        int, Meta(description="Bytes of console after which it is a flood.", ge=4096)
    ] = 4 << 20
    repeats: Annotated[
        int, Meta(description="Runs that must all be good; the first bad one decides.", ge=1)
    ] = 1
    confidence: Annotated[
        float,
        Meta(
            description="For a test that fails now and then, instead of repeats: how sure a good "
            "verdict is to be, 0.5 to 1. As many runs must be good as it takes where nothing is "
            "known of how often a bad commit fails: 0.9 takes 4, 0.95 takes 9, 0.99 takes 49. The "
            "bisect's --repeats auto, which finds out how often, is as sure of each step. 0: not "
            "used."
        ),
    ] = 0

    def refuse_two_counts(self) -> None:
        """Raises UserError for a confidence that is none, or beside repeats."""
        sure = self.confidence
        if sure and not 0.5 < sure < 1:
            raise UserError(
                f"confidence = {sure:g} is not between 0.5 and 1",
                hint="confidence = 0.95 takes 9 good runs; 0: as many as repeats says",
            )
        if sure and self.repeats > 1:
            raise UserError(
                f"repeats = {self.repeats} and confidence = {sure:g} both say how many runs",
                hint="one of the two",
            )


class Install(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[install]: where, and onto what, if not on this host into folders."""

    through: Annotated[
        str,
        Meta(
            description="The virtual machine that installs: it is given what was built on a "
            "read-only disk, and a clone of `base`. Empty: this host installs, as the recipe says."
        ),
    ] = ""
    base: Annotated[
        str,
        Meta(
            description="The image of a root file system that is installed onto: a raw one, or one "
            "called .qcow2. It is never written."
        ),
    ] = ""
    digest: Annotated[
        str, Meta(description="The base's BLAKE3, checked before it is used; empty for no check.")
    ] = ""
    partition: Annotated[
        int, Meta(description="Which partition of it is the root; 0 for the whole disk.", ge=0)
    ] = 0


class Gc(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[gc]: what the cache may hold."""

    quota: Annotated[
        str,
        Meta(
            description='Bytes that artifacts may take, as in "40 GB"; empty for no limit. Before '
            "a build that would not fit, the longest unused go.",
        ),
    ] = ""
    days: Annotated[
        float, Meta(description="Days after which an unused artifact goes; 0 for never.", ge=0)
    ] = 0
    keep: Annotated[
        tuple[str, ...], Meta(description="Refs whose artifacts stay, whatever the rest says.")
    ] = ()

    @property
    def bytes(self) -> int:
        """The quota in bytes, 0 for none. Raises UserError."""
        try:
            return in_bytes(self.quota) if self.quota else 0
        except UserError as error:
            raise UserError(f"{FILE}: [gc] quota: {error.message}", hint=error.hint) from None


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """lab.toml as written. The descriptions are its reference: `labtasks init` prints them."""

    repository: Annotated[
        str,
        Meta(description='The git clone to build from: a path, or "demo" for the demo OS.'),
    ]
    recipe: Annotated[
        str,
        Meta(description="How it is built: freebsd, linux, demo, or the path of a .toml file."),
    ]
    builder: Annotated[
        str,
        Meta(
            description='Where it is built: "local", this machine, "vm:<name>", a virtual one, or '
            '"ssh:<name>", any other.',
            pattern=r"^(local|(vm|ssh):.+)$",
            examples=["local", "vm:<name>", "ssh:<name>"],
        ),
    ] = "local"
    cache: Annotated[str, Meta(description="Where artifacts, layers, locks and logs live.")] = (
        "cache"
    )
    layers: Annotated[
        Literal["auto", "overlay", "copy"],
        Meta(
            description="How object trees are cloned: overlay (Linux, instant), copy (anywhere), "
            "auto takes the best that works here."
        ),
    ] = "auto"
    tracer: Annotated[
        Literal["auto", "bpf", "strace", "filemon", "depend", "none"],
        Meta(
            description="How the files a build reads are learned: bpf (Linux, as root), strace "
            "(Linux), filemon (FreeBSD META_MODE), depend (what compilers leave), none; auto takes "
            "the best one here."
        ),
    ] = "auto"
    jobs: Annotated[int, Meta(description="Jobs of one make; 0 means one per processor.", ge=0)] = 0
    world: Annotated[
        str,
        Meta(
            description='Pin the world: a ref whose world every kernel is built on, "image" to '
            "build none (the kernel on the tree's own toolchain), empty for each commit's own."
        ),
    ] = ""
    depth: Annotated[
        int,
        Meta(
            description="How many layers an object tree may have before it is flattened; 2 to 60.",
            ge=2,
            le=60,  # a mount's options hold some 200, of kernel and world
        ),
    ] = 24
    image: Annotated[
        Literal["ext4", "ufs"],
        Meta(
            description="The file system that objfs:<ref> exports: ext4 (mke2fs) or ufs (makefs)."
        ),
    ] = "ext4"
    options: Annotated[
        dict[str, str | bool | int], Meta(description="The recipe's options, by name.")
    ] = {}
    test: Annotated[Test, Meta(description="What decides between good and bad.")] = Test()
    install: Annotated[
        Install, Meta(description="Where worlds and kernels are installed for a test VM.")
    ] = Install()
    gc: Annotated[Gc, Meta(description="What the cache may hold.")] = Gc()
    files: Annotated[
        dict[str, str],
        Meta(
            description="Files put at {files}/<name> for the steps (kernel configs): paths, "
            "relative to the lab. They replace the recipe's own of that name."
        ),
    ] = {}
    notify: Annotated[Notify, Meta(description="Who is told when something long has ended.")] = (
        Notify()
    )
    vm: Annotated[
        dict[str, Vm],
        Meta(description="Virtual machines: a table [vm.<name>] for each, with these settings."),
    ] = {}
    ssh: Annotated[
        dict[str, Ssh],
        Meta(description="Other machines that build: a table [ssh.<name>] for each."),
    ] = {}
