"""doit commands that are no tasks: `explain`, `verify` and `verdict`; `ssh` and `console`
for a person at a virtual machine.

The first two end with 0 when the answer is yes, 1 when it is no, 3 when the question was wrong.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

from labtasks.command import tasks
from labtasks.command.kinds import KINDS
from labtasks.command.loader import LabCommand, open_session
from labtasks.ground.error import STOP, Code, LabError, UserError, say
from labtasks.ground.space import given_space
from labtasks.ground.words import count, labelled
from labtasks.key.key import Wanted
from labtasks.lab import config, lab, recipe
from labtasks.lab.lab import Lab
from labtasks.store.store import Store


class _About(LabCommand):
    """A command about artifacts, named `kind:ref`."""

    kinds: tuple[str, ...] = KINDS

    def named(self, name: str) -> tuple[str, str]:
        """Kind and ref of a word. Raises UserError for a kind that the command does not take."""
        kind, _, ref = name.partition(":")
        if kind in KINDS and kind not in self.kinds:
            takes = f"{', '.join(self.kinds[:-1])} or {self.kinds[-1]}"
            hint = f"doit {self.name} {self.kinds[0]}:{ref or 'HEAD'}"
            raise UserError(f"{self.name} takes {takes}, not {kind!r}", hint=hint)
        if kind not in self.kinds or not ref:
            usual = f"{kind}:HEAD" if kind in self.kinds else f"kernel:{kind}"
            hint = config.nearest(kind, self.kinds) if ref else f"doit {self.name} {usual}"
            raise UserError(f"{self.name} takes KIND:REF, not {name!r}", hint=hint)
        return kind, ref


class _Ask(_About):
    """One that answers for each of several."""

    doc_usage = "KIND:REF ..."

    def execute(self, _options: Any, names: list[str]) -> int:
        """Doit's hook."""
        if not names:
            raise UserError(f"{self.name}: of what?", hint=f"doit {self.name} kernel:HEAD")
        session = open_session()
        return max([self.answer(session, *self.named(name)) for name in names])

    def answer(self, session: tasks.Session, kind: str, ref: str) -> int:
        """Answer for one artifact: 0 or 1."""
        raise NotImplementedError


class Explain(_Ask):
    """Print every input of a key, and which rung of the ladder held or would hold."""

    name = "explain"
    doc_purpose = "why an artifact was built, skipped, or would be"
    doc_description = (
        "Prints every input of its key, and which rung of the ladder held or would hold; of "
        "test:REF what the verdict hangs on. 0: answered; 3: the question was wrong."
    )
    kinds = (*KINDS, "test")

    def answer(self, session: tasks.Session, kind: str, ref: str) -> int:
        """Print the explanation; always 0."""
        from labtasks.command import explain  # noqa: PLC0415

        if kind == "test":
            ref, vm = session.on_vm(ref)
            lab, want = session.lab.onto(vm), session.want("install", f"{ref}:{vm}")
            lines = explain.explain_test(lab, session.store, want, vm)
        else:
            lines = explain.explain(session.lab, session.store, session.want(kind, ref))
        for line in lines:
            sys.stdout.write(f"{line}\n")
        return 0


class Verify(_Ask):
    """Rebuild clean and compare file by file."""

    name = "verify"
    doc_purpose = "rebuild an artifact clean and compare digests"
    doc_description = "0: every output is the same; 1: one differs; 3: the question was wrong."
    kinds = ("build", "toolchain", "world", "kernel")

    def answer(self, session: tasks.Session, kind: str, ref: str) -> int:
        """0 when every output is the same, 1 when not. A build is its kernel and all below it."""
        want = session.want(kind, ref)
        if kind != "build":
            return self._one(session, want)
        parts = []
        below: Wanted | None = want.on[0]
        while below:
            parts.append(below)
            below = below.base
        return max(self._one(session, part) for part in reversed(parts))

    def _one(self, session: tasks.Session, want: Wanted) -> int:
        from labtasks.build import artifact  # noqa: PLC0415
        from labtasks.command import verify  # noqa: PLC0415

        how = tasks.request(session)
        sealed = artifact.produce(session.lab, session.store, want, how)
        below = artifact.produce(session.lab, session.store, want.base, how) if want.base else None
        found = verify.verify(
            session.lab, session.store, want, sealed, below, echo=session.options.echo
        )
        for label, paths in (
            ("differs", found.differ),
            ("only in the store", found.only_sealed),
            ("only in the clean build", found.only_clean),
        ):
            for path in paths:
                sys.stdout.write(f"{want.name}: {label}: {path}\n")
        verdict = "equal" if found.same else "NOT equal"
        sys.stdout.write(f"{want.name}: {verdict}: {count(found.equal, 'file')} the same\n")
        return Code.DONE if found.same else Code.NO


class _Takes(LabCommand):
    """A command with another command behind its own words, which is not for doit."""

    leads = True

    def typed(self) -> list[str]:
        """The words behind its options. doit takes `a=b` for itself: they are read as typed."""
        _, words = self.cmdparser.parse(sys.argv[sys.argv.index(self.name) + 1 :])
        return list(words)


_STEPS = {
    "name": "steps", "long": "steps", "type": bool, "default": False,
    "help": "first run the recipe's steps on what a clean build begins with, until one fails",
}  # fmt: skip


class Shell(_About, _Takes):
    """A shell, or a command, where the steps of a build run."""

    name = "shell"
    doc_purpose = "a shell where a build runs: its trees, its environment; nothing is kept"
    doc_usage = "[--steps] KIND:REF [COMMAND ...]"
    doc_description = (
        "Shows an artifact's objects where it is in the store, else what its build begins with. "
        "The command's own status, or that of the step that failed; 3: the question was wrong."
    )
    kinds = recipe.KINDS
    cmd_options = (_STEPS,)

    def execute(self, options: Any, _words: list[str]) -> int:
        """Doit's hook."""
        from labtasks.command.shell import Again  # noqa: PLC0415

        said, words = {}, self.typed()
        while words and "=" in words[0] and ":" not in words[0].partition("=")[0]:
            name, _, value = words.pop(0).partition("=")
            said[name] = value
        if not words:
            raise UserError("shell: of what?", hint="doit shell kernel:HEAD")
        session = open_session(words=said)
        kind, ref = self.named(words[0])
        lab = session.lab.onto(ref.partition(":")[2]) if kind == "install" else session.lab
        chosen = Again(
            lab=lab, store=session.store, want=session.want(kind, ref),
            request=tasks.request(session),
        )  # fmt: skip
        terminal = os.isatty(0) and os.isatty(1)
        if not (terminal or words[1:] or options["steps"]):
            raise UserError("shell: this is no terminal", hint="--steps, or a command behind it")
        return chosen.enter(words[1:], steps=options["steps"], terminal=terminal)


class _Visit(_Takes):
    """A command for a person at a machine."""

    def execute(self, _options: Any, _words: list[str]) -> int:
        """Doit's hook."""
        words = self.typed()
        if not words:
            raise UserError(f"{self.name}: which machine?", hint=f"doit {self.name} <vm>")
        found = lab.load(Path.cwd())
        return self.visit(found, Store(found.cache), words[0], words[1:])

    def visit(self, found: Lab, store: Store, name: str, words: list[str]) -> int:
        """Visit one machine; the command's status."""
        raise NotImplementedError


class Ssh(_Visit):
    """A shell on a machine of lab.toml, or one command there; the status is the command's own."""

    name = "ssh"
    doc_purpose = "log in to a machine of lab.toml, or run a command there"
    doc_usage = "MACHINE [COMMAND ...]"
    doc_description = "The command's own status; 3: the machine is not up, or not known."

    def visit(self, found: Lab, store: Store, name: str, words: list[str]) -> int:
        """Log in. A virtual machine must be up."""
        from labtasks.site import reach, ssh  # noqa: PLC0415
        from labtasks.vm import vm  # noqa: PLC0415

        del store  # a visit does not wait for whoever uses the machine
        if name in found.settings.ssh and name not in found.settings.vm:
            to = reach.remote(found, name)
        else:
            to = vm.remote(found, vm.running(found, name))
        return ssh.login(to, words, terminal=os.isatty(0) and os.isatty(1))


class Console(_Visit):
    """The serial console of a virtual machine; one person at a time."""

    name = "console"
    doc_purpose = "the serial console of a virtual machine (Ctrl-] leaves it)"
    doc_usage = "VM"
    doc_description = "0: left with Ctrl-]; 1: the machine ended; 3: it is not up, or not known."

    def visit(self, found: Lab, store: Store, name: str, words: list[str]) -> int:
        """Attach until Ctrl-]; 1 when the machine ended meanwhile."""
        from labtasks.lab import machine  # noqa: PLC0415
        from labtasks.vm import attach, vm  # noqa: PLC0415

        if words:
            raise UserError("console takes one machine", hint=f"doit console {name}")
        there = vm.running(found, name)
        with store.visit(name):
            port, log = machine.serial(there.state), machine.serial_log(there.state)
            return attach.attach(port, log, name=name)


class Verdict(LabCommand):
    """One commit's verdict, with the exit codes that `git bisect run` understands."""

    name = "verdict"
    doc_purpose = "build, boot and judge one commit; ends with git bisect's exit codes"
    doc_usage = "REF [VM]"
    doc_description = "0: good, 1: bad, 125: cannot be tested, 128 and above: stop."
    refused = STOP

    def execute(self, _options: Any, words: list[str]) -> int:
        """Doit's hook."""
        from labtasks.bisect.probe import Prober  # noqa: PLC0415
        from labtasks.test.judge import Outcome, git_code  # noqa: PLC0415

        if not 1 <= len(words) <= 2:
            raise UserError("verdict takes a commit and a VM", hint="doit verdict HEAD")
        try:
            session = open_session()
            _, vm = session.on_vm(":".join([words[0], *words[1:]]))
            prober = Prober(
                lab=session.lab.onto(vm), store=session.store, vm=vm,
                request=tasks.request(session), world=session.world(),
            )  # fmt: skip
            with given_space():
                found = prober.probe(session.lab.repository.commit(words[0]))
        except LabError as error:
            sys.stderr.write(f"ERROR: {error}\n")
            return git_code(Outcome.INFRASTRUCTURE)
        except KeyboardInterrupt:
            return git_code(Outcome.ABORTED)
        except Exception:  # noqa: BLE001 (doit's status for a defect would be a bad commit to git)
            traceback.print_exc()
            return STOP
        counted = found.verdict.counted if found.verdict else ""
        runs = f" ({counted})" if counted else ""
        say(f"{found.commit.short}: {labelled(found.outcome, found.reason)}{runs}")
        return git_code(found.outcome)
