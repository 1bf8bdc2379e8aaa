"""`labtasks completion`: what may follow the words typed so far, and the shells' side of it.

A shell asks once for each TAB, with the line up to the cursor. Nothing here makes anything: a demo
that is not there yet has no refs. Knows nothing of how a line is edited.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from labtasks.command import kinds
from labtasks.ground.error import LabError
from labtasks.ground.words import short
from labtasks.lab import recipe
from labtasks.lab.lab import Lab, load
from labtasks.lab.settings import DEMO

PROGRAMS = ("brokkr", "doit", "eitri", "labtasks", "muninn")

DOIT = ("clean", "forget", "help", "info", "list", "run")
"""Those of doit's own commands that are of use here."""

OPEN = (":", "/", "=")
"""What ends a word that goes on."""

_COMMITS = 200
"""How many of the newest are offered by their ids."""

_BY_HAND = ("good", "bad", "skip")
_ENDS = ("--good", "--bad", "--old", "--new")
_SAFE = re.compile(r"[\w./@+-]+")
"""Names that mean nothing else to a shell: git allows nearly everything in a branch's name."""

SCRIPTS = {
    "bash": """\
# In ~/.bashrc: eval "$(labtasks completion bash)"
_labtasks() {
    local line=${COMP_LINE:0:COMP_POINT} breaks="" cut="" word reply
    word=${line##*[[:space:]]}
    # bash takes a word apart at these, and replaces only what follows the last of them
    [[ $COMP_WORDBREAKS != *:* ]] || breaks=":"
    [[ $COMP_WORDBREAKS != *=* ]] || breaks="$breaks="
    [[ -z $breaks || $word != *[$breaks]* ]] || cut=${word%"${word##*[$breaks]}"}
    COMPREPLY=()
    while IFS= read -r reply; do
        COMPREPLY+=("${reply#"$cut"}")
    done < <(labtasks completion --line "$line" 2>/dev/null)
}
complete -o bashdefault -o default -o nospace -F _labtasks doit labtasks eitri brokkr muninn
""",
    "zsh": """\
# In ~/.zshrc, behind compinit: eval "$(labtasks completion zsh)"
_labtasks() {
    local -a found whole open
    found=("${(@f)$(labtasks completion --line "${(j: :)words[1,CURRENT-1]} $PREFIX" 2>/dev/null)}")
    whole=(${(M)found:#*\\ })
    open=(${found:#*\\ })
    (( $#whole + $#open )) || { _files; return }
    compadd -S ' ' -- ${whole%\\ }
    compadd -S '' -- $open
}
compdef _labtasks doit labtasks eitri brokkr
compdef _precommand muninn
""",
}


@dataclass(frozen=True)
class Names:
    """What there is to name in the lab of a directory; nothing where there is no lab."""

    directory: Path

    @cached_property
    def lab(self) -> Lab | None:
        """The lab, if its lab.toml can be read."""
        try:
            return load(self.directory)
        except LabError:
            return None

    @cached_property
    def vms(self) -> list[str]:
        """Machines that tests run in."""
        return list(self.lab.vms) if self.lab else []

    @cached_property
    def machines(self) -> list[str]:
        """Machines that are brought up: those with a disk of their own."""
        vms = self.lab.settings.vm if self.lab else {}
        return [name for name, vm in vms.items() if vm.image]

    @cached_property
    def builders(self) -> list[str]:
        """What `builder=` and eitri take."""
        return ["local", *self.machines, *(self.lab.settings.ssh if self.lab else {})]

    def refs(self, typed: str) -> list[str]:
        """HEAD, branches and tags that begin as typed; commits where none does."""
        if self.lab is None:
            return []
        if self.lab.settings.repository == DEMO and not (self.lab.cache / "demo").exists():
            return []
        try:
            names = self.lab.repository.names()
            found = [one for one in names if one.startswith(typed) and _SAFE.fullmatch(one)]
            return found or [short(one) for one in self.lab.repository.newest(_COMMITS)]
        except LabError:
            return []


def answers(line: str, plugins: Mapping[str, str], directory: Path) -> list[str]:
    """What may stand for the last word of a line; whole words end with a space. `plugins` are
    doit's further commands, as "module:Class".
    """
    *before, word = re.split(r"\s+", line.lstrip())
    found = _after(before, word, plugins, Names(directory)) if before else ()
    fitting = sorted({one for one in found if one.startswith(word)})
    return [one if one.endswith(OPEN) else f"{one} " for one in fitting]


def _after(
    before: Sequence[str], word: str, plugins: Mapping[str, str], names: Names
) -> Iterable[str]:
    program, *words = (Path(before[0]).name, *before[1:])
    if program == "muninn":
        words = words[1:] if words[:1] == ["--"] else words
        return _after(words, word, plugins, names) if words else (*PROGRAMS, "--test")
    if program in ("eitri", "brokkr"):
        return _sent(program, word, names)
    if program == "labtasks":
        return _labtasks(words)
    return _doit(words, word, plugins, names) if program == "doit" else ()


def _labtasks(words: Sequence[str]) -> Iterable[str]:
    if not words:
        return ("completion", "demo", "image", "init", "reference")
    if words[-1] == "--recipe":
        return (path.stem for path in recipe.SHIPPED.glob("*.toml"))
    return {"completion": tuple(SCRIPTS), "image": ("debian",)}.get(words[-1], ())


def _sent(program: str, word: str, names: Names) -> Iterable[str]:
    """`BUILDER/REF` of eitri, `BUILDER/REF/VM` of brokkr; refs may have slashes."""
    builder, slash, rest = word.partition("/")
    if word.startswith("-"):
        return ("--continue", "--help")
    if "=" in builder:
        return _values(word, names)
    if not slash:
        return (f"{one}/" for one in names.builders)
    refs = names.refs(rest)
    if program == "eitri":
        return (f"{builder}/{ref}" for ref in refs)
    ref = rest.rpartition("/")[0]
    on = [f"{builder}/{ref}/{vm}" for vm in names.vms] if ref in names.refs(ref) else []
    return (*on, *(f"{builder}/{ref}/" for ref in refs))


def _doit(
    words: Sequence[str], word: str, plugins: Mapping[str, str], names: Names
) -> Iterable[str]:
    plain = [w for w in words if not w.startswith("-") and "=" not in w]
    command = plain[0] if plain and plain[0] in (*plugins, *DOIT) else ""
    if words and words[-1] in (*_ENDS, "--vm"):
        return names.vms if words[-1] == "--vm" else names.refs(word)
    if word.startswith("-"):
        return _options(word, plugins.get(command, ""), names)
    if "=" in word:
        return _values(word, names)
    if command in ("ssh", "console", "verdict", "bisect"):
        return _arguments(plain, word, names)
    if command == "help":
        return (*plugins, *DOIT, *kinds.TASKS)
    of = pkgutil.resolve_name(plugins[command]) if command in plugins else None
    first = () if plain else (*plugins, *DOIT)
    return (*first, *_tasks(word, getattr(of, "kinds", kinds.TASKS), names))


def _arguments(words: Sequence[str], word: str, names: Names) -> Iterable[str]:
    """What the commands take that do not take tasks; `words` begin with the command."""
    command, *given = words
    if command == "bisect":
        return names.refs(word) if given and given[0] in _BY_HAND else _BY_HAND
    if command == "verdict":
        return (names.vms if given else names.refs(word)) if len(given) < 2 else ()
    if command == "ssh" and not given:
        return names.builders[1:]
    return () if given else names.machines


def _options(word: str, plugin: str, names: Names) -> Iterable[str]:
    """A command's options, or the values of one: `--good=<ref>`."""
    option, equals, typed = word.partition("=")
    if equals:
        refs = names.refs(typed) if option in _ENDS else []
        return (f"{option}={value}" for value in (names.vms if option == "--vm" else refs))
    if not plugin:
        return ("--help",)
    options = pkgutil.resolve_name(plugin).cmd_options
    ends = {True: "", False: "="}
    return ("--help", *(f"--{o['long']}{ends[o['type'] is bool]}" for o in options))


def _values(word: str, names: Names) -> Iterable[str]:
    """`world=<ref>` and the switches."""
    key, _, typed = word.partition("=")
    if key == "world":
        return (f"{key}={ref}" for ref in ("image", "own", *names.refs(typed)))
    if key == "builder":
        return (f"{key}={one}" for one in names.builders)
    return (f"{key}={one}" for one in ("yes", "no") if key in kinds.SWITCHES)


def _tasks(word: str, allowed: Iterable[str], names: Names) -> Iterable[str]:
    """`kind:ref`, and where there are several machines to test in, `kind:ref:vm`."""
    kind, colon, rest = word.partition(":")
    if not colon:
        return (f"{one}:" for one in allowed)
    if kind not in allowed:
        return ()
    if kind in kinds.MACHINES:
        return (f"{kind}:{vm}" for vm in names.machines)
    ref, second, _ = rest.partition(":")
    if kind in kinds.ON_A_VM and second:
        return (f"{kind}:{ref}:{vm}" for vm in names.vms)
    end = ":" if kind in kinds.ON_A_VM and len(names.vms) > 1 else ""
    return (f"{kind}:{name}{end}" for name in names.refs(ref))
