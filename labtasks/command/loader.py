"""doit's way in: which refs a command line names, before dodo.py's tasks are made.

`build:<any ref>` exists because this loader sees the words doit was called with. Importing it
does nothing, and `doit list` needs neither git nor a network.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from doit import cmdparse, doit_cmd
from doit.cmd_base import Command, DodoTaskLoader
from doit.cmdparse import CmdOption, CmdParseError
from doit.exceptions import InvalidCommand

from labtasks.command import kinds, tasks
from labtasks.ground import signals
from labtasks.ground.error import INTERRUPTED, STOP, Code, LabError, UserError, unheard
from labtasks.ground.space import given_space
from labtasks.lab import config, lab
from labtasks.store.store import Store

_HELP = {
    "name": "asks_help", "long": "help", "type": bool, "default": False,
    "help": "what this command takes",
}  # fmt: skip

_DIRECTORY = {
    "name": "cwdPath", "short": "d", "long": "dir", "type": str, "default": "",
    "help": "the lab's directory, instead of this one",
}  # fmt: skip


class LabCommand(Command):  # type: ignore[misc]
    """A command whose --help answers: doit itself only knows `doit help <command>`. Its lab is that
    of --dir, or of the working directory. A LabError ends it as refused, Ctrl-C as interrupted.
    """

    refused: ClassVar[int] = Code.REFUSED
    """What it ends with where the question was wrong."""

    leads: ClassVar[bool] = False
    """Whether a command of its own stands behind its words."""

    def get_options(self) -> list[CmdOption]:
        """Doit's hook."""
        return [*super().get_options(), CmdOption(_DIRECTORY)]

    def parse_execute(self, in_args: list[str]) -> int:
        """Doit's hook. What follows a machine's name is not for doit."""
        if "--help" in (in_args[:1] if self.leads else in_args):
            sys.stdout.write(f"{self.help()}\n")
            return 0
        try:
            said, _ = self.cmdparser.parse(in_args)
        except CmdParseError as error:
            text = (
                str(error.args[0])
                .partition(" (parsing options")[0]
                .removeprefix("Error parsing Command: ")
            )
            known = [f"--{option.long}" for option in self.cmdparser.options] + ["--help"]
            word = next((one for one in text.split() if one.startswith("--")), "")
            sys.stderr.write(f"ERROR: {self.name}: {text}\n  hint: {config.nearest(word, known)}\n")
            return self.refused
        asked = {**self.opt_vals, **({"cwdPath": said["cwdPath"]} if said["cwdPath"] else {})}
        where = asked.get("cwdPath") or os.path.dirname(asked.get("dodoFile") or "")  # noqa: PTH120
        try:
            os.chdir(where or ".")
        except OSError as error:
            sys.stderr.write(f"ERROR: {where}: {error.strerror}\n  hint: a lab's directory\n")
            return self.refused
        signals.terminate_on_sigterm()
        try:
            with given_space():
                code = int(super().parse_execute(in_args))
                sys.stdout.flush()
                return code
        except (LabError, BrokenPipeError) as error:
            if isinstance(error, BrokenPipeError):  # whoever read along has seen enough
                unheard()
            else:
                sys.stderr.write(f"ERROR: {error}\n")
            return self.refused
        except KeyboardInterrupt:
            calm(KeyboardInterrupt, KeyboardInterrupt(), None)
            return Code.INTERRUPTED


class _OptionError(CmdParseError):  # type: ignore[misc]
    """An option that a command of doit's own does not have, in our words: doit's list all that it
    knows of each of its options.
    """

    def __str__(self) -> str:
        """What is said."""
        text = super().__str__()
        known = [f"--{name}" for name in re.findall(r"'long':'([\w-]+)'", text)]
        option = re.search(r"option (--[\w-]+)", text)
        value = re.match(r"Error parsing parameter '(\w+)'.*\n.*: ('.*')$", text.strip())
        if value:
            return f"{value[1]}: {value[2]} is no number\n  hint: `doit help run` has its options"
        said = text.partition(" (parsing options")[0].removeprefix("Error parsing Command: ")
        hint = config.nearest(option[1], known) if option and known else "`doit help <command>`"
        return f"{said}\n  hint: {hint}"


class Loader(DodoTaskLoader):  # type: ignore[misc]
    """dodo.py of a lab, with a task for every `kind:ref` on the command line."""

    cmd_options = (*DodoTaskLoader.cmd_options, _HELP)

    def __init__(self) -> None:
        super().__init__()
        cmdparse.CmdParseError = _OptionError
        if "" in sys.argv[1:]:  # doit looks at each word's first letter before it asks anybody
            sys.stderr.write(
                "ERROR: a word is empty\n  hint: is a variable of the shell not set?\n"
            )
            raise SystemExit(STOP if "verdict" in sys.argv[1:] else Code.REFUSED)

    def setup(self, opt_values: Any) -> None:
        """Doit's hook, before dodo.py is read."""
        if "--help" in sys.argv[1:]:  # behind a task's name, too, where doit sees no option
            asked = [word for word in sys.argv[1:] if word in self.cmd_names]
            raise SystemExit(doit_cmd.DoitMain().run(["help", *(asked[:1] or ["run"])]))
        super().setup(opt_values)

    def load_tasks(self, cmd: Any, pos_args: list[str]) -> Any:
        """Doit's hook. Refusals end the command with one line and status 3."""
        signals.terminate_on_sigterm()
        signals.children_die_with_us()
        sys.excepthook = calm
        try:
            with given_space():
                tasks.start(self._asked(cmd.name, pos_args))
        except LabError as error:
            raise InvalidCommand(str(error)) from None
        return super().load_tasks(cmd, pos_args)

    def _asked(self, command: str, words: list[str]) -> tasks.Session:
        """The session of a command, with the tasks that its words name. Raises LabError."""
        session = open_session(listing=command == "list")
        for name in words or ([] if command == "list" else self._default()):
            if name in kinds.TASKS and command in ("run", "clean", "info"):
                _check(f"{name}:")
            if ":" in name and "*" not in name:
                _check(name)
                session.ask(name)
            elif command in ("run", "clean", "info"):
                self._known(name)
        return session

    def _known(self, name: str) -> None:
        """Refuse a word that is no task, with what was meant; other tasks of dodo.py, patterns and
        files are doit's to judge.
        """
        own = {f"task_{kind}" for kind in kinds.TASKS}
        others = any(one.startswith("task_") and one not in own for one in self.namespace)
        if not others and name.replace("-", "").isalpha():
            hint = config.nearest(name, (*kinds.TASKS, *self.cmd_names))
            raise UserError(f"{name!r} is no command and no task", hint=hint)

    def _default(self) -> list[str]:
        return list(self.namespace.get("DOIT_CONFIG", {}).get("default_tasks", []))


def _check(name: str) -> None:
    kind, _, ref = name.partition(":")
    if kind not in kinds.TASKS:
        raise UserError(f"no task is called {kind}:<ref>", hint=config.nearest(kind, kinds.TASKS))
    if not ref:
        if kind in kinds.MACHINES:
            raise UserError(f"{name} names no machine", hint=f"{kind}:<name of a [vm.<name>]>")
        raise UserError(
            f"{name} names no commit", hint=f"{kind}:HEAD, {kind}:v1.0, {kind}:1234abcd"
        )


def run(*words: str) -> int:
    """Run doit in this process, as on a command line; its status."""
    return int(doit_cmd.DoitMain(Loader()).run(list(words)))


def open_session(*, listing: bool = False, words: Mapping[str, str] | None = None) -> tasks.Session:
    """The lab of the working directory, with the command line's `name=value` words."""
    if words is None:
        words = doit_cmd._CMDLINE_VARS or {}  # noqa: SLF001 (there is no getter for all)
    for name, value in words.items():
        if name not in kinds.WORDS:
            hint = config.nearest(name, kinds.WORDS)
            raise UserError(f"unknown word {name}={value}", hint=hint)
        if name in kinds.SWITCHES and value not in ("yes", "no"):
            raise UserError(f"{name}={value}", hint=f"{name}=yes or {name}=no")
    options = tasks.Options(
        world=words.get("world", ""),
        builder=words.get("builder", ""),
        **{s: words.get(s) == "yes" for s in kinds.SWITCHES},
    )
    found = lab.load(Path.cwd(), builder=options.builder)
    return tasks.Session(lab=found, store=Store(found.cache), options=options, listing=listing)


def calm(kind: type[BaseException], value: BaseException, trace: Any) -> None:
    """An interrupt is no defect: one line instead of a traceback."""
    if issubclass(kind, KeyboardInterrupt):
        sys.stderr.write(INTERRUPTED)
    else:
        sys.__excepthook__(kind, value, trace)
