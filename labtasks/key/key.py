"""What decides an artifact: a list of labelled values, hashed into its key or shown by `explain`.

Both come from the same list, so they cannot drift. Everything in it is known from git and from
configuration alone, without a checkout and without anything having been built. Knows nothing of
what the store holds, except which undeclared inputs earlier builds were seen to read.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import Literal

import msgspec

from labtasks.ground import digest, memory
from labtasks.ground.digest import Key
from labtasks.ground.error import BuildError, UserError, printable
from labtasks.key import identity, widened
from labtasks.key.git import Commit
from labtasks.key.git_objects import ABSENT
from labtasks.lab import base
from labtasks.lab.lab import Lab

Kind = Literal["src", "toolchain", "world", "kernel", "build", "objfs", "root", "install"]
Inputs = tuple[tuple[str, str], ...]
World = Commit | Literal["image"] | None
"""The world a kernel is wanted on: a pinned commit's, the test VM's own, or its own commit's."""

_NONE = Key("")

_ON_ONE = frozenset({"kernel", "root", "install"})

_SEEN = " (seen to be read)"
"""Behind the path of an input that no recipe declares."""

_FORMAT = "1"
"""Changed when sealed artifacts of an earlier labtasks must not be taken any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One artifact somebody wants: what decides it, and the artifacts it is made from.

    `family` is the key without sources: artifacts of one family differ by their commits only.
    """

    kind: Kind
    commit: Commit
    inputs: Inputs
    key: Key
    family: Key
    on: tuple[Wanted, ...] = ()
    world: World = None

    @property
    def words(self) -> str:
        """What a command says before the task's name, so that this very artifact is meant."""
        if isinstance(self.world, Commit):
            return f"world={self.world.short} "
        return f"world={self.world} " if self.world else ""

    @property
    def name(self) -> str:
        """How a person calls it: kind and short commit."""
        return f"{self.kind}:{self.commit.short}"

    @property
    def base(self) -> Wanted | None:
        """What it is built on: a kernel's world or toolchain; what an installation installs."""
        return self.on[0] if self.kind in _ON_ONE and self.on else None


def wanted(lab: Lab, kind: Kind, commit: Commit, world: World) -> Wanted:
    """What `kind` of a commit is made from. `world` pins the kernel's world, or names none."""
    if kind == "src":
        return _wanted(kind, commit, [("format", _FORMAT), ("tree .", commit.tree)])
    if kind == "build":
        below = wanted(lab, "kernel", commit, world)
        src = wanted(lab, "src", commit, world)
        both: list[tuple[str, str]] = [("src", src.key), ("kernel", below.key)]
        return _wanted(kind, commit, both, below, src, world=world)
    if kind == "objfs":
        below = wanted(lab, "build", commit, world)
        image: list[tuple[str, str]] = [("build", below.key), ("image", lab.settings.image)]
        return _wanted(kind, commit, image, below, world=world)
    if kind not in lab.recipe.parts:
        have = ", ".join(lab.recipe.parts)
        raise UserError(f"recipe {lab.recipe.name} has no {kind}", hint=f"it has: {have}")
    pairs = _settings(lab, kind)
    if kind == "install" and lab.settings.install.through:
        pairs += _through(lab)
    family = digest.key_of(pairs)
    pairs += _trees(lab, kind, commit)
    base = _base(lab, kind, commit, world)
    if base:
        pairs.append((base.kind, base.key))
    on = (base,) if base else ()
    pin = world if kind in ("kernel", "install") else None
    return _wanted(kind, commit, pairs, *on, family=family, world=pin)


def _through(lab: Lab) -> list[tuple[str, str]]:
    """The machine that installs, by its image, and what is installed onto."""
    chosen = lab.settings.install
    image = lab.path(lab.vm(chosen.through).image)
    return [
        ("through", json.dumps([image.name, *memory.stamp(image)])),
        ("base", base.content_of(lab)),
        ("partition", str(chosen.partition)),
        *((f"kernel step {n}", text) for n, text in enumerate(lab.recipe.kernel_alone)),
    ]


def root_under(lab: Lab, install: Wanted) -> Wanted | None:
    """The installed world that an installed kernel boots with; None where the VM brings its own, or
    where both are installed onto one disk.
    """
    if lab.settings.install.through:
        return None
    world = install.on[0].base
    return wanted(lab, "root", world.commit, None) if world and world.kind == "world" else None


def machine_of(lab: Lab, vm: str) -> Inputs:
    """The machine that boots it: the recipe's text, and what lab.toml changes of it."""
    guest, chosen = lab.recipe.machine, lab.vm(vm)
    fields = msgspec.structs.asdict(guest) if guest else {}
    own = ("memory", "cpus", "arguments")
    return (
        *((f"machine {name}", str(value)) for name, value in fields.items()),
        *((f"vm {name}", str(getattr(chosen, name))) for name in own),
    )


def _wanted(
    kind: Kind,
    commit: Commit,
    pairs: list[tuple[str, str]],
    *on: Wanted,
    family: Key = _NONE,
    world: World = None,
) -> Wanted:
    key = digest.key_of([("kind", kind), *pairs])
    inputs = tuple(pairs)
    return Wanted(
        kind=kind, commit=commit, inputs=inputs, key=key, family=family, on=on, world=world
    )


def _base(lab: Lab, kind: Kind, commit: Commit, world: World) -> Wanted | None:
    if kind == "install":
        return wanted(lab, "kernel", commit, world)
    if kind == "root":
        return wanted(lab, "world", commit, None)
    if kind != "kernel":
        return None
    if world == "image":
        has = "toolchain" in lab.recipe.parts
        return wanted(lab, "toolchain", commit, world) if has else None
    if "world" not in lab.recipe.parts:
        return None
    return wanted(lab, "world", world or commit, None)


def _settings(lab: Lab, kind: Kind) -> list[tuple[str, str]]:
    """Everything but the sources: recipe text, environment, files, places, the builder."""
    recipe = lab.recipe
    part = recipe.parts[kind]
    pairs = [("format", _FORMAT), ("recipe", recipe.name), ("part", kind)]
    pairs += [(f"step {n}", text) for n, text in enumerate(part.steps, 1)]
    pairs += [("outputs", " ".join(part.outputs)), ("volatile", " ".join(part.volatile))]
    if _proved_by_globs(lab):
        pairs += [("depends", " ".join(part.depends)), ("unseen", " ".join(part.unseen))]
    pairs += [(f"env {name}", value) for name, value in sorted(recipe.env.items())]
    pairs += [
        (f"file {name}", digest.of_bytes(text.encode()))
        for name, text in sorted(recipe.files_of(kind).items())
    ]
    pairs += [("sources at", recipe.places.src), ("objects at", recipe.places.obj)]
    return pairs + list(identity.builder(lab))


def _proved_by_globs(lab: Lab) -> bool:
    """Whether the recipe's globs may stand for a trace here, and so decide what is reused."""
    tracer = lab.settings.tracer
    return tracer == "depend" or (
        tracer == "auto" and not shutil.which("strace", path=lab.recipe.tool_path)
    )


def _trees(lab: Lab, kind: Kind, commit: Commit) -> list[tuple[str, str]]:
    """Git's ids of the declared inputs, and of those that builds were seen to read besides."""
    declared = lab.recipe.parts[kind].inputs
    if "." in declared:
        return [("tree .", commit.tree)]
    more = tuple(widened.inputs(lab, kind))
    found = lab.repository.ids(commit.tree, declared + more)
    pairs = [(f"tree {path}", found[path]) for path in declared]
    return pairs + [(f"tree {printable(path)}{_SEEN}", found[path]) for path in more]


def refuse_nowhere(lab: Lab, want: Wanted) -> None:
    """Declared inputs of which a commit has none are a mistake: each commit would have the same
    key, and be taken for the one built first. (So old a commit does not build.) Raises BuildError.
    """
    declared = lab.recipe.parts[want.kind].inputs
    found = dict(want.inputs)
    if declared and all(found.get(f"tree {path}") == ABSENT for path in declared):
        raise BuildError(
            f"{want.name}: no input of [{want.kind}] is in the sources: {' '.join(declared)}",
            hint="paths below the root of the repository, in the recipe",
        )


def path_of(label: str) -> str:
    """The path of an input's label; "" where it is no tree's."""
    kind, _, path = label.partition(" ")
    return path.removesuffix(_SEEN) if kind == "tree" else ""
