"""A lab: lab.toml next to dodo.py, and what follows from it.

`Lab` is what every later package is given: the repository, the bound recipe, the cache. Reading it
runs no command and touches no repository; both wait until somebody asks.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec

from labtasks.ground import namespace
from labtasks.ground.error import UserError
from labtasks.key.git import Repository
from labtasks.lab import config, events
from labtasks.lab.binding import Bound, Places, bind
from labtasks.lab.machine import Vm
from labtasks.lab.recipe import find, on_disk
from labtasks.lab.recipe import load as load_recipe
from labtasks.lab.remote import Ssh
from labtasks.lab.settings import DEMO, FILE, Settings

_PLAIN = re.compile(r"\w[\w.+-]*")
"""A machine's name: it names folders, locks and logs, too."""


def _text(value: str | bool | int) -> str:
    """An option's value as recipes see it; true and false read yes and no."""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


@dataclass(frozen=True, kw_only=True)
class Lab:
    """One lab: its directory and its settings, and what follows from them."""

    directory: Path
    settings: Settings

    def path(self, text: str) -> Path:
        """A path of lab.toml, absolute: relative ones begin at the lab."""
        return (self.directory / Path(text).expanduser()).absolute()

    @cached_property
    def cache(self) -> Path:
        """The cache directory, absolute."""
        return self.path(self.settings.cache)

    @cached_property
    def namespace(self) -> namespace.Kind:
        """How builds get mounts of their own here; "none" means copies in a lane."""
        if self.settings.layers == "copy":
            return "none"
        self.cache.mkdir(parents=True, exist_ok=True)
        found = namespace.kind_here(self.cache)
        if found == "none" and self.settings.layers == "overlay":
            raise UserError(
                'layers = "overlay": this system gives no mount namespace with an overlay',
                hint='set layers = "copy" (or "auto") in lab.toml',
            )
        return found

    @cached_property
    def builder_vm(self) -> str:
        """The virtual machine that builds; "" where another one does. Raises UserError."""
        kind, _, name = self.settings.builder.partition(":")
        return name if kind == "vm" and self.vm(name) else ""

    @cached_property
    def builder_ssh(self) -> str:
        """The machine of [ssh.<name>] that builds; "" where another one does. Raises UserError."""
        kind, _, name = self.settings.builder.partition(":")
        return name if kind == "ssh" and self.ssh(name) else ""

    @property
    def abroad(self) -> bool:
        """Whether another machine builds, virtual or not. Raises UserError."""
        return bool(self.builder_vm or self.builder_ssh)

    @property
    def system(self) -> str:
        """What runs on the machine that builds, as `uname -s` says it."""
        if self.builder_ssh:
            return self.ssh(self.builder_ssh).system
        return self.vm(self.builder_vm).system if self.builder_vm else platform.system()

    @property
    def builder_name(self) -> str:
        """Where it is built, as `builder=` has it: local, or a machine's name."""
        return self.settings.builder.partition(":")[2] or self.settings.builder

    @property
    def builder_said(self) -> str:
        """What `builder=` has to say for this builder; "" where lab.toml does. Raises UserError."""
        written = config.read(self.directory / FILE, Settings).builder
        return "" if written == self.settings.builder else self.settings.builder

    @property
    def vms(self) -> dict[str, Vm]:
        """The virtual machines by name; without any in lab.toml there is one, called test."""
        return self.settings.vm or {"test": Vm()}

    @property
    def key_file(self) -> Path:
        """The private key with which it enters its machines."""
        return self.cache / "vm" / "id_ed25519"

    @cached_property
    def script(self) -> str:
        """The text of the person's test script, "" without one. Raises UserError."""
        where = self.settings.test.script
        return self.text(where, "test") if where else ""

    def vm(self, name: str) -> Vm:
        """A test VM by name. Raises UserError."""
        known = self.vms
        if name not in known:
            hint = config.nearest(name, known, f"{FILE} has a table [vm.<name>] for each")
            raise UserError(f"no VM is called {name!r}", hint=hint)
        return known[name]

    def ssh(self, name: str) -> Ssh:
        """A machine of [ssh.<name>]. Raises UserError."""
        known = self.settings.ssh
        if name not in known:
            hint = config.nearest(name, known, f"{FILE} has a table [ssh.<name>] for each")
            raise UserError(f"no machine is called {name!r}", hint=hint)
        return known[name]

    def built_by(self, builder: str) -> Lab:
        """The same lab with another builder: "local", or the name of a build machine, virtual or
        of [ssh.<name>]. Raises UserError.
        """
        said = self.settings.builder
        if builder in (said, said.partition(":")[2]):
            return self
        ways = {"local": "local"}
        # where both have one name, it is the virtual one; "ssh:<name>" says which
        for way in (
            *(f"ssh:{name}" for name in self.settings.ssh),
            *(f"vm:{name}" for name, vm in self.settings.vm.items() if vm.image),
        ):
            ways |= {way.partition(":")[2]: way, way: way}
        if builder not in ways:
            names = [name for name in ways if ":" not in name]
            more = "a [vm.<name>] with an image can build, and any [ssh.<name>]"
            hint = config.nearest(builder, names, more)
            raise UserError(f"no builder is called {builder!r}", hint=hint)
        settings = config.changed(self.settings, builder=ways[builder])
        return Lab(directory=self.directory, settings=settings)

    def tested_once(self) -> Lab:
        """The same lab with one run for each test: who asks counts the runs."""
        test = msgspec.structs.replace(self.settings.test, repeats=1, confidence=0)
        settings = msgspec.structs.replace(self.settings, test=test)
        return Lab(directory=self.directory, settings=settings)

    def tested_by(self, script: str) -> Lab:
        """The same lab with another test script, a path; none for the lab's own."""
        if not script:
            return self
        test = msgspec.structs.replace(self.settings.test, script=str(Path(script).absolute()))
        settings = msgspec.structs.replace(self.settings, test=test)
        return Lab(directory=self.directory, settings=settings)

    def onto(self, vm: str) -> Lab:
        """The same lab, installing onto a VM's own base; none for the lab's. Raises UserError."""
        chosen = self.vm(vm) if vm else Vm()
        if not chosen.base:
            return self
        install = msgspec.structs.replace(
            self.settings.install, base=chosen.base, digest=chosen.base_digest
        )
        settings = msgspec.structs.replace(self.settings, install=install)
        return Lab(directory=self.directory, settings=settings)

    def text(self, where: str, table: str) -> str:
        """A text file that a table of lab.toml names. Raises UserError."""
        try:
            return self.path(where).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise UserError(
                f"{self.directory / FILE}: [{table}] {where!r}: {why}",
                hint="a text file, its path relative to the lab",
            ) from None

    @cached_property
    def jobs(self) -> int:
        """Jobs of one make."""
        return self.settings.jobs or os.cpu_count() or 1

    @cached_property
    def repository(self) -> Repository:
        """The repository, opened when first asked for. Raises UserError."""
        name = self.settings.repository
        path = self.cache / "demo" if name == DEMO else self.path(name)
        if name == DEMO and not path.exists():
            _make_demo(path)
        return Repository(path)

    @cached_property
    def recipe(self) -> Bound:
        """The recipe with this lab's options filled in. Raises UserError."""
        path = find(self.settings.recipe, self.directory)
        written = load_recipe(path)
        if self._installs_through():
            written = on_disk(written, path, self.vm(self.settings.install.through).system)
        return bind(
            written,
            path=path,
            settings={k: _text(v) for k, v in self.settings.options.items()},
            system=self.system,
            places=self._places(in_tree=written.in_tree),
            files={name: self.text(where, "files") for name, where in self.settings.files.items()},
        )

    def _installs_through(self) -> bool:
        """Whether a machine installs. Raises UserError for one that cannot."""
        chosen = self.settings.install
        if not chosen.through:
            return False
        if not self.vm(chosen.through).image:
            raise UserError(
                f"[install] through: vm {chosen.through} has no image",
                hint="one that is brought up",
            )
        system = self.vm(chosen.through).system
        image = "ext4" if system == "Linux" else "ufs"
        bases = [chosen.base, *(vm.base for vm in self.settings.vm.values())]
        if not any(bases) or self.settings.image != image:
            raise UserError(
                f"installing through a machine takes a base, and an image that {system} mounts",
                hint=f'base = "root.img" in [install], and image = "{image}"',
            )
        return True

    def _places(self, *, in_tree: bool) -> Places:
        root = str((self.cache / "lane").resolve())
        if self.abroad or self.namespace != "none":
            root = namespace.ROOT
        src = f"{root}/src"
        return Places(src=src, obj=src if in_tree else f"{root}/obj", files=f"{root}/files")


def _make_demo(path: Path) -> None:
    """Write the demo's history, whole or not at all; of two at once, one wins."""
    from labtasks.lab import demo  # noqa: PLC0415 (only the demo lab, only once)

    scratch = path.with_name(f"demo.{os.getpid()}")
    shutil.rmtree(scratch, ignore_errors=True)
    demo.create(scratch)
    try:
        scratch.rename(path)
    except OSError:
        shutil.rmtree(scratch)


def load(directory: Path, *, builder: str = "") -> Lab:
    """The lab in a directory, with another builder if one is named. Raises UserError when lab.toml
    is missing or wrong.
    """
    found = Lab(directory=directory, settings=config.read(directory / FILE, Settings))
    _refuse(found)
    return found.built_by(builder) if builder else found


def _refuse(lab: Lab) -> None:
    """Refuse now what could not be used later. Raises UserError."""
    settings, here, cache = lab.settings, lab.directory.resolve(), lab.cache.resolve()
    _ = settings.gc.bytes
    if cache == here or cache in here.parents:
        raise UserError(f"{FILE}: cache {settings.cache!r} holds the lab", hint='cache = "cache"')
    for table, names in (("vm", settings.vm), ("ssh", settings.ssh)):
        for name in names:
            if not _PLAIN.fullmatch(name):
                hint = "letters, digits and . _ + - between them"
                raise UserError(f"{FILE}: [{table}] {name!r} is no plain name", hint=hint)
    for name, vm in settings.vm.items():
        if vm.base and not settings.install.through:
            raise UserError(
                f"{FILE}: [vm.{name}] base: nothing is installed through a machine",
                hint=f'through = "..." in [install]; what {name} boots by itself is its `image`',
            )
    try:
        events.check_failure(settings.test.bad, settings.test.text)
        settings.test.refuse_two_counts()
    except UserError as error:
        raise UserError(f"{FILE}: [test] {error.message}", hint=error.hint) from None
