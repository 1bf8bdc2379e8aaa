"""A test's result as an artifact: what was booted, how it was judged, and how to see it again.

The key is over contents, not commits: the same kernel and world under the same test are not
booted twice, whichever commit they come from. Knows nothing of how a machine is run.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from labtasks.ground import atomic, digest
from labtasks.ground.digest import Key
from labtasks.ground.words import count, percent
from labtasks.key.key import Inputs, machine_of
from labtasks.lab import base
from labtasks.lab.lab import Lab
from labtasks.store.manifest import Manifest
from labtasks.store.store import Store
from labtasks.test import rates
from labtasks.test.judge import Outcome
from labtasks.test.rates import Rates, Series
from labtasks.vm import accelerator

KIND = "verdict"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One boot: its outcome and why, seconds, and its console's file beside the verdict."""

    outcome: Outcome
    reason: str
    seconds: float
    console: str
    mismatch: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A judged kernel on its world. `inputs` are what the key is over, `command` is what QEMU was
    given, with files of a folder that is gone by now: to be read; `reproduce` boots the same
    again. `seconds` are those of all runs, `finished` is seconds since 1970.
    """

    key: Key
    outcome: Outcome
    reason: str
    commit: str
    subject: str
    vm: str
    inputs: list[tuple[str, str]]
    runs: list[Run]
    command: list[str]
    reproduce: str
    seconds: float
    finished: float

    @property
    def mismatch(self) -> bool:
        """Whether kernel and world were seen not to fit: the failure may be no more than that."""
        return any(run.mismatch for run in self.runs)

    @property
    def needed(self) -> int:
        """Runs that had to be good."""
        return int(dict(self.inputs).get("repeats", 1))

    @property
    def counted(self) -> str:
        """How many runs there were, how many of them failed, and how sure that makes a good
        verdict, for a person; "" where one run decides.
        """
        if self.needed == 1:
            return ""
        runs = count(len(self.runs), "run")
        if self.outcome is Outcome.GOOD:
            sure = 1 - rates.probability(Series(passes=len(self.runs)), Rates())
            return f"{runs}, none failed: {percent(sure)} sure"
        failed = "failed 1" if self.outcome is Outcome.BAD else f"{self.outcome} in 1"
        return f"{failed} of {runs}, which decides: up to {self.needed} were to come"

    @property
    def console(self) -> str:
        """The console of the run that decided."""
        return next((r.console for r in self.runs if r.outcome == self.outcome), "")


def inputs_of(
    lab: Lab, vm: str, root: Manifest | None, install: Manifest, again: int = 0
) -> Inputs:
    """Everything that decides a verdict: what is booted, in what machine, the test, and which run
    of several it is.
    """
    test = lab.settings.test
    return (
        ("root", root.digest if root else base.content_of_vm(lab, vm) or ""),
        ("install", install.digest),
        *machine_of(lab, vm),
        *_emulator(lab, vm),
        ("console", msgspec.json.encode(lab.recipe.console, order="sorted").decode()),
        ("script", digest.of_bytes(lab.script.encode())),
        ("bad", " ".join(test.bad)),
        ("text", test.text),
        ("timeout", f"{test.timeout:g}"),
        ("silence", f"{test.silence:g}"),
        ("bytes", str(test.bytes)),
        ("repeats", str(needed(lab))),
        ("again", str(again)),
        *_way(lab),
    )


def needed(lab: Lab) -> int:
    """Runs of one test that must be good, as `repeats` or the confidence asks."""
    test = lab.settings.test
    return rates.passes_needed(Rates(), 1 - test.confidence) if test.confidence else test.repeats


def _way(lab: Lab) -> Inputs:
    """Who runs the script, and how the recipe lets them in; init's runs need no word more."""
    test, recipe = lab.settings.test, lab.recipe
    if test.run == "init":
        return ()
    way = recipe.shell if test.run == "console" else recipe.ssh
    ports = " ".join(map(str, test.ports))
    return (
        ("run", test.run),
        ("ports", ports),
        ("way in", msgspec.json.encode(way, order="sorted").decode()),
    )


def _emulator(lab: Lab, vm: str) -> Inputs:
    """What runs the machine: which QEMU, by which accelerator (what "auto" came to: it decides the
    guest's processor, and its timing), and the firmware by content. Raises UserError.
    """
    guest = lab.recipe.machine
    if guest is None:
        return ()
    firmware = Path(guest.firmware)
    content = digest.of_bytes(firmware.read_bytes()) if firmware.is_file() else ""
    return (
        ("emulator", accelerator.version(guest.processor)),
        ("accelerator", accelerator.choose(lab.vm(vm).accel, guest.processor)),
        ("firmware", content),
    )


def key_of(inputs: Inputs) -> Key:
    """The key of a verdict."""
    return digest.key_of([("kind", KIND), *inputs])


def get(store: Store, key: Key) -> Verdict | None:
    """A verdict that was given before, or None."""
    try:
        return msgspec.json.decode((_home(store, key) / "verdict.json").read_bytes(), type=Verdict)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def every(store: Store) -> list[Verdict]:
    """All verdicts of a store, in no order."""
    return [found for key in store.keys(KIND) if (found := get(store, key))]


def publish(store: Store, verdict: Verdict) -> Verdict:
    """Seal a verdict; its consoles are beside it already."""
    atomic.write(_home(store, verdict.key) / "verdict.json", msgspec.json.encode(verdict))
    return verdict


def home(store: Store, key: Key) -> Path:
    """The folder of a verdict, made if need be."""
    path = _home(store, key)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _home(store: Store, key: Key) -> Path:
    return store.home(KIND, key)
