"""What dodo.py's tasks are made of: one doit task per artifact that somebody asked for.

doit decides the order, the store decides freshness: a task's target is its artifact's manifest,
and it has no other reason to run. The actions are thin, and turn refusals into doit's failures.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from doit.exceptions import InvalidDodoFile, TaskFailed
from doit.reporter import ConsoleReporter

from labtasks.command.kinds import MACHINES, ON_A_VM, RUNS
from labtasks.ground import signals
from labtasks.ground.digest import Key
from labtasks.ground.error import InfraError, LabError, UserError, say, unheard
from labtasks.ground.space import given_space
from labtasks.ground.words import labelled, short
from labtasks.key import key
from labtasks.key.git import Commit
from labtasks.key.key import Kind, Wanted, World
from labtasks.lab.lab import Lab, load
from labtasks.store.store import Store, gone

if TYPE_CHECKING:
    from labtasks.build.artifact import Request

Tasks = Iterator[dict[str, Any]]
"""What a function of dodo.py returns: doit's task dictionaries."""


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """doit's console, with failures in the project's own words."""

    def initialize(self, _tasks: Any, selected: list[str]) -> None:
        """The run begins."""
        self._asked = [name for name in selected if name.partition(":")[0] not in MACHINES]
        self._began = time.monotonic()

    def write(self, text: str) -> None:
        """What doit says."""
        try:
            super().write(text)
            self.outstream.flush()
        except BrokenPipeError:  # nobody reads it any more: the work goes on
            unheard()

    def add_failure(self, task: Any, fail: Any) -> None:
        """Say what went wrong, without a traceback unless it is a defect."""
        self.failures.append({"task": task, "exception": fail})
        said = fail.message if isinstance(fail, TaskFailed) else fail.get_msg()
        named = said.startswith((f"{task.name}: ", f"{task.name} "))
        self.write(f"{said}\n" if named else f"{task.name}: {said}\n")

    def complete_run(self) -> None:
        """Errors were said when they happened; what doit itself met comes here."""
        for message in self.runtime_errors:
            self.write(f"{message}\n")
        self._tell()

    def _tell(self) -> None:
        """One message for the whole run, if it was long: what was asked for has ended, not each
        part of it. Who interrupted it knows.
        """
        seconds = time.monotonic() - self._began
        if _session is None or not self._asked or sys.exc_info()[0]:
            return
        lab, settings = _session.lab, _session.lab.settings.notify
        if settings.after_seconds and seconds >= settings.after_seconds:
            from labtasks.notice import news  # noqa: PLC0415

            failed = [str(f["exception"].message) for f in self.failures]
            news.of_run(self._asked, failed, seconds, lab.directory, settings)


DOIT_CONFIG = {
    "backend": "sqlite3",
    "dep_file": ".doit.db",
    "default_tasks": ["build:HEAD"],
    "verbosity": 2,
    "reporter": Reporter,
}
"""sqlite3, because two doit processes at once are normal here. The file only spares doit some
work: delete it and nothing is built again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The `name=value` words of a command line."""

    world: str = ""
    builder: str = ""
    retry: bool = False
    force: bool = False
    echo: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Held:
    """Whether the store holds an artifact, for doit; `doit info` prints it as a reason to run."""

    held: bool

    def __call__(self) -> bool:
        """Asked by doit."""
        return self.held

    def __repr__(self) -> str:
        """What is said when it is not held."""
        return "not in the store"


@dataclass(slots=True, kw_only=True)
class Session:
    """One doit run in one lab: what was asked for, and the tasks that follow from it."""

    lab: Lab
    store: Store
    options: Options
    listing: bool = False
    named: dict[tuple[str, Key], str] = field(default_factory=dict)
    tasks: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    def world(self) -> World:
        """The pinned world, from the command line or lab.toml."""
        return self.world_of(self.options.world or self.lab.settings.world)

    def world_of(self, text: str) -> World:
        """What `world=` means: a commit, "image", or each commit's own ("own", or nothing)."""
        if text == "image":
            return "image"
        return self.lab.repository.commit(text) if text and text != "own" else None

    def want(self, kind: str, ref: str) -> Wanted:
        """What a task's name stands for; an installation's may name the VM. Raises UserError."""
        vm = ""
        if kind == "install":
            ref, _, vm = ref.partition(":")
        lab = self.lab.onto(vm)
        commit = lab.repository.commit(ref)
        pinned = self.world()
        if kind == "root" and isinstance(pinned, Commit):
            commit = pinned
        return key.wanted(lab, cast("Kind", kind), commit, pinned)

    def ask(self, name: str) -> None:
        """Somebody named a task, `kind:ref` or `kind:ref:vm`: make it, and those it needs."""
        kind, _, ref = name.partition(":")
        if kind in MACHINES:
            self.lab.vm(ref)
            actions = [(run_machine, [self.lab.directory, kind, ref, self.options])]
            self._task(kind, ref, actions=actions, uptodate=[False])
        elif kind in ON_A_VM:
            self._ask_on(kind, ref)
        else:
            self._add(self.want(kind, ref), ref)

    def on_vm(self, text: str) -> tuple[str, str]:
        """Ref and VM of `ref:vm`; the only VM of a lab need not be named. Raises UserError."""
        ref, _, vm = text.partition(":")
        names = list(self.lab.vms)
        if not vm and len(names) > 1:
            raise UserError(f"{text} names no VM", hint=f"{ref}:{names[0]}, of {', '.join(names)}")
        self.lab.vm(vm or names[0])
        return ref, vm or names[0]

    def _ask_on(self, kind: str, text: str) -> None:
        ref, vm = self.on_vm(text)
        want = self.want("install", f"{ref}:{vm}")
        if kind in RUNS:
            from labtasks.test import trial  # noqa: PLC0415 (only where something is booted)

            trial.bootable(self.lab, want, vm)
        root = key.root_under(self.lab, want)
        below = [self._add(root, root.commit.short)] if root else []
        installed = self._add(want, text, vm)
        task = self.tasks["install"][text]
        task["task_dep"] = [*below, *task["task_dep"]]
        if kind in RUNS:
            actions = [(run_test, [self.lab.directory, kind, want.commit.id, vm, self.options])]
            self._task(kind, text, actions=actions, task_dep=[installed], uptodate=[False])

    def _add(self, want: Wanted, ref: str, vm: str = "") -> str:
        """The task of an artifact, for a VM if it is an installation's. Two names of one artifact
        are one task and an alias of it: doit takes no target twice.
        """
        name = f"{want.kind}:{ref}"
        owner = self.named.setdefault((want.kind, want.key), name)
        made: dict[str, Any] = {
            "actions": [(make, [self.lab.directory, want.kind, want.commit.id, vm, self.options])],
            "uptodate": [Held(self.store.get(want.kind, want.key) is not None)],
        }
        if owner != name:
            # the owner's build may find inputs that tell the two commits apart
            self._task(want.kind, ref, **made, task_dep=[owner])
            return name
        self._task(
            want.kind,
            ref,
            **made,
            task_dep=[self._add(below, below.commit.short) for below in want.on],
            targets=[str(self.store.manifest_path(want.kind, want.key))],
            clean=[(forget, [self.lab.directory, want.kind, want.key])],
            doc=f"{want.kind} of {want.commit.short} {want.commit.subject}",
            meta={"key": want.key, "commit": want.commit.id},
        )
        return name

    def _task(self, kind: str, ref: str, **parts: Any) -> None:
        self.tasks.setdefault(kind, {}).setdefault(ref, {"name": ref, **parts})


_session: Session | None = None


def start(session: Session) -> None:
    """Called by the loader, before dodo.py's functions are."""
    global _session  # noqa: PLW0603 (doit calls dodo.py's functions without arguments)
    _session = session


def _started() -> Session:
    if _session is None:
        raise InvalidDodoFile(
            "dodo.py was loaded without labtasks' loader\n"
            "  hint: doit.cfg beside it names that; `labtasks init DIR` writes both"
        )
    return _session


def machines(kind: str, about: str) -> Tasks:
    """The tasks of the lab's virtual machines: those asked for, and in a listing all of them."""
    session = _started()
    asked = session.tasks.get(kind, {})
    yield {"name": None, "doc": f"{kind}:<vm>  {about}"}
    yield from asked.values()
    for name, vm in session.lab.settings.vm.items() if session.listing else ():
        if name not in asked:
            yield {"name": name, "doc": f"{vm.arch}, {vm.memory} MiB, {vm.image}", "actions": None}


def tasks(kind: str, about: str) -> Tasks:
    """The tasks of one kind: those asked for, and in a listing those the store holds."""
    session = _started()
    asked = session.tasks.get(kind, {})
    held = session.store.all(kind) if session.listing else []
    count = f" ({len(held)} in the store)" if held else ""
    shape = f"{kind}:<ref>:<vm>" if kind in ON_A_VM else f"{kind}:<ref>"
    yield {"name": None, "doc": f"{shape}  {about}{count}"}
    yield from asked.values()
    several = Counter(manifest.commit for manifest in held)
    for manifest in held:
        name = short(manifest.commit)
        if several[manifest.commit] > 1:  # with other options, or on another world
            name += f" ({manifest.key[:4]})"
        if name not in asked:
            doc = f"{manifest.rung}, {manifest.seconds:.1f} s, {manifest.subject}"
            yield {"name": name, "doc": doc, "actions": None}
            asked = {**asked, name: {}}


def make(directory: Path, kind: str, commit: str, vm: str, options: Options) -> TaskFailed | None:
    """Action: produce one artifact, an installation for one VM."""

    def work(session: Session) -> None:
        if kind == "src":  # a checkout needs nothing of what builds
            from labtasks.store import source  # noqa: PLC0415

            source.checkout(session.lab, session.store, session.want(kind, commit))
            return
        from labtasks.build import artifact  # noqa: PLC0415 (an up-to-date run does not need it)

        lab = session.lab.onto(vm)
        want = session.want(kind, f"{commit}:{vm}" if vm else commit)
        artifact.produce(lab, session.store, want, request(session))

    return guarded(directory, options, work)


def run_machine(directory: Path, kind: str, name: str, options: Options) -> TaskFailed | None:
    """Action: bring a virtual machine up or down."""
    from labtasks.vm import vm  # noqa: PLC0415

    def work(session: Session) -> None:
        (vm.up if kind == "up" else vm.down)(session.lab, session.store, name)

    return guarded(directory, options, work)


def run_test(
    directory: Path, kind: str, commit: str, vm: str, options: Options
) -> TaskFailed | None:
    """Action: boot what was installed, and judge it: a `test`, whose verdict is kept and given
    again, or a `boot` now, whatever is known. Any outcome but good fails the task.
    """
    from labtasks.test import trial  # noqa: PLC0415
    from labtasks.test.verdict import Verdict  # noqa: PLC0415

    def work(session: Session) -> None:
        want = session.want("install", f"{commit}:{vm}")
        run = trial.verdict_on if kind == "test" else trial.boot
        found = run(session.lab.onto(vm), session.store, want, vm, request(session))
        said = f"{kind}:{want.commit.short}:{vm}: {labelled(found.outcome, found.reason)}"
        counted = [found.counted] if isinstance(found, Verdict) and found.counted else []
        if found.outcome != "good":
            runs = f" ({counted[0]})" if counted else ""
            raise UserError(f"{said}{runs}", hint=f"the console is {found.console}")
        say(f"{said} ({'; '.join([*counted, f'{found.seconds:.1f} s'])})")

    return guarded(directory, options, work)


def forget(directory: Path, kind: str, artifact_key: Key, dryrun: bool) -> None:
    """Clean action: remove an artifact from the store."""
    store = Store(load(directory).cache)
    if dryrun or store.forget(kind, artifact_key):
        done = "would remove" if dryrun else "removed"
        os.write(1, f"{done} {kind} {artifact_key[:12]}\n".encode())


def request(session: Session) -> Request:
    """How the artifacts of this run are wanted."""
    from labtasks.build.artifact import Request  # noqa: PLC0415

    chosen = session.options
    return Request(retry=chosen.retry, force=chosen.force, echo=chosen.echo)


def guarded(
    directory: Path, options: Options, work: Callable[[Session], None]
) -> TaskFailed | None:
    """Run an action; a refusal becomes a failed task instead of a traceback."""
    signals.terminate_on_sigterm()
    try:
        with given_space():
            lab = load(directory, builder=options.builder)
            work(Session(lab=lab, store=Store(lab.cache), options=options))
    except LabError as error:
        return TaskFailed(str(error))
    except FileNotFoundError as error:
        if not str(error.filename).startswith(f"{Store(load(directory).cache).layers}/"):
            raise
        return TaskFailed(str(gone(str(error.filename))))
    except PermissionError as error:
        return TaskFailed(str(InfraError(f"{error}", hint="check the owner of the cache")))
    return None
