"""The `labtasks` command: make a lab, the demo's history, a machine's disk. All else is doit's.

Knows nothing of builds.
"""

from __future__ import annotations

import argparse
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from labtasks.command import init
from labtasks.ground import signals
from labtasks.ground.error import Code, LabError, unheard
from labtasks.ground.space import given_space
from labtasks.lab import demo


class _Words(argparse.ArgumentParser):
    """Refuses with the status that all commands here have for it."""

    def error(self, message: str) -> NoReturn:
        """Argparse's hook."""
        self.print_usage(sys.stderr)
        self.exit(Code.REFUSED, f"{self.prog}: {message}\n")


class _Parser(_Words):
    """Its help also says what doit has: nobody looks for that with `labtasks --help` in vain."""

    def format_help(self) -> str:
        """Argparse's hook."""
        told = [(f"doit {name}", pkgutil.resolve_name(of)) for name, of in _plugins().items()]
        lines = [f"  {name:<15} {command.doc_purpose}" for name, command in told]
        return "\n".join(
            [
                super().format_help(), "In a lab (`doit list` shows its tasks):",
                "  doit build:<ref>, doit test:<ref>:<vm>, ...", *lines,
                "  doit help <command>, or --help behind it, says more", "",
            ]
        )  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    """The command's status: 0, 3 for a refusal, 130 when interrupted."""
    asked = _parser().parse_args(words)
    signals.terminate_on_sigterm()
    actions = {
        "init": lambda: _init(asked),
        "demo": lambda: demo.create(asked.directory),
        "image": lambda: _image(asked),
        "completion": lambda: _completion(asked.shell, asked.line),
        "reference": _reference,
    }
    try:
        with given_space():
            actions[asked.command]()
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted: nothing is half made\n")
        return Code.INTERRUPTED
    except LabError as error:
        sys.stderr.write(f"labtasks: {error}\n")
        return Code.REFUSED
    except BrokenPipeError:  # whoever read along has seen enough
        unheard()
        return Code.REFUSED
    except OSError as error:
        sys.stderr.write(f"labtasks: {error.filename or 'this directory'}: {error.strerror}\n")
        return Code.REFUSED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="labtasks", description="Make a lab; then `doit list`.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Words)
    init_ = commands.add_parser("init", help="write a commented lab.toml, and what doit needs")
    init_.add_argument(
        "directory", type=Path, help="where the lab is to be: a new folder, or a clone"
    )
    init_.add_argument(
        "--repository", metavar="CLONE", help="the git clone to build from (the demo's own)"
    )
    init_.add_argument(
        "--recipe", default="demo", metavar="NAME", help="freebsd, linux, demo, or a .toml file"
    )
    init_.add_argument(
        "--debian", action="store_true", help="build in Debian machines, which are made (as root)"
    )
    _debian(init_)
    history = commands.add_parser("demo", help="write the demo OS and its history, as a git clone")
    history.add_argument("directory", type=Path, help="a new folder")
    disk = commands.add_parser("image", help="make the disk of a build machine (as root)")
    disk.add_argument("system", choices=["debian"])
    disk.add_argument("file", type=Path, help="its name; .img, .kernel and .initrd are added")
    disk.add_argument("--size", default="8G", help="of the disk, which is sparse")
    _debian(disk)
    shell = commands.add_parser("completion", help="print what makes a shell complete words")
    shell.add_argument("shell", choices=["bash", "zsh"], nargs="?", default="bash")
    shell.add_argument("--line", help="what the shell asks: the line up to the cursor")
    commands.add_parser("reference", help="print the reference of lab.toml, as Markdown")
    return parser


def _debian(parser: argparse.ArgumentParser) -> None:
    """What may be asked of a Debian that is made."""
    parser.add_argument("--suite", default="bookworm", help="Debian's release")
    parser.add_argument("--mirror", default="", help="where packages come from")
    parser.add_argument("--packages", default="", help="more of them, with commas between")


def _init(asked: argparse.Namespace) -> None:
    where = (asked.directory, asked.repository, asked.recipe)
    if asked.debian:
        init.in_debian(*where, suite=asked.suite, mirror=asked.mirror, packages=asked.packages)
    else:
        init.plain(*where)


def _plugins() -> dict[str, str]:
    """Commands of doit that a lab has, as "module:Class"."""
    lines = init.DOIT_CFG.partition("[COMMAND]\n")[2].splitlines()
    return dict(line.split(" = ") for line in lines)


def _completion(shell: str, line: str | None) -> None:
    from labtasks.command import completion  # noqa: PLC0415 (what an `init` does not need)

    if line is None:
        sys.stdout.write(completion.SCRIPTS[shell])
    else:
        found = completion.answers(line, _plugins(), Path.cwd())
        sys.stdout.write("".join(f"{one}\n" for one in found))


def _reference() -> None:
    from labtasks.command import reference  # noqa: PLC0415

    sys.stdout.write(reference.page())


def _image(asked: argparse.Namespace) -> None:
    from labtasks.vm import image  # noqa: PLC0415 (seldom)

    wanted = image.Wanted(
        suite=asked.suite, size=asked.size, mirror=asked.mirror, packages=asked.packages
    )
    image.debian(asked.file, wanted)


if __name__ == "__main__":
    sys.exit(main())
