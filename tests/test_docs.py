"""The pages are true: their commands run, what the recipes' tutorial ends with is the shipped
recipe, every key and command is in them, and what is made from the code is what the code says.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import environment, programs

import labtasks
from labtasks.command import kinds, main, reference
from labtasks.lab import events, recipe, session

DOCS = Path(__file__).resolve().parent.parent / "docs"
RECIPES = (DOCS / "recipes.md").read_text(encoding="utf-8")
SECONDS = 300
"""One command that takes longer hangs; the whole tutorial takes 15 s on an idle machine."""

_BLOCK = re.compile(
    r'^```(toml title="(?P<file>[^"]+)"|console)\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL
)
_TABLE = re.compile(r"^(?=\[)", re.MULTILINE)


def tutorial() -> Iterator[tuple[str, str]]:
    """What a reader does, in order: (file, fragment) to write, or ("", command) to run."""
    chapter = RECIPES.partition("\n## Tutorial")[2].partition("\n## ")[0]
    for block in _BLOCK.finditer(chapter):
        if block["file"]:
            yield block["file"], block["text"]
        else:
            lines = block["text"].splitlines()
            yield from (("", line[2:]) for line in lines if line.startswith("$ "))


def merged(text: str, fragment: str) -> str:
    """A recipe with a fragment's tables added or, where it has them, replaced; keys likewise."""

    def parts(of: str) -> dict[str, str]:
        head, *tables = _TABLE.split(of)
        lines = [line for line in head.splitlines(keepends=True) if line.strip()]
        keys = {line.partition(" =")[0]: line for line in lines}
        return keys | {table.partition("]")[0]: table for table in tables}

    def ordered(found: dict[str, str]) -> list[str]:
        return sorted(found, key=lambda name: name.startswith("["))

    both = {**parts(text), **parts(fragment)}
    return "".join(both[name] for name in ordered(both))


def needs_qemu(text: str) -> bool:
    """Whether a command boots something, or asks about what was booted."""
    return bool(re.search(r"\b(boot:|test:|bisect\b|verdict\b|brokkr\b)", text))


class Reader:
    """Somebody who types a page's commands, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = folder
        programs(folder / "bin")
        self.env = environment(PATH=f"{folder / 'bin'}:{os.environ['PATH']}", HOME=str(folder))
        self.env.pop("LABTASKS_NOTIFY", None)

    def types(self, text: str) -> None:
        if needs_qemu(text) and not shutil.which("qemu-system-x86_64"):
            pytest.skip("qemu-system-x86_64 is missing: nothing can be booted")
        started = time.monotonic()
        done = subprocess.run(
            ["sh", "-c", f"{text}\ncode=$?\npwd > '{self.folder}/pwd'\nexit $code"],
            cwd=self.where,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        sys.stdout.write(f"$ {text}\n{done.stdout}[{time.monotonic() - started:.1f} s]\n")
        self.where = Path((self.folder / "pwd").read_text().strip())
        assert done.returncode == 0, done.stdout


def typed(page: str) -> list[str]:
    """The commands of a page's console blocks, but for those that are marked as not for tests."""
    blocks = re.findall(r"^```console\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line[2:] for line in lines if line.startswith("$ ")]


def text_of(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def test_the_recipes_tutorial_runs(tmp_path: Path, subtests: pytest.Subtests) -> None:
    reader = Reader(tmp_path)
    for file, text in tutorial():
        if file:
            path = tmp_path / file
            path.write_text(merged(path.read_text() if path.exists() else "", text))
            continue
        with subtests.test(text):
            reader.types(text)


IN_ONE_LAB = ("tutorial.md", "commands.md", "troubleshooting.md")
"""Pages whose commands are typed one after the other, in the lab that the first one makes."""


def test_the_pages_commands_run(tmp_path: Path, subtests: pytest.Subtests) -> None:
    reader = Reader(tmp_path)
    for page in IN_ONE_LAB:
        for text in typed(page):
            with subtests.test(f"{page}: {text}"):
                reader.types(text)


def test_no_command_is_left_out() -> None:
    """A page's commands stand in console blocks, and somebody types them or a mark says not."""
    for path in DOCS.glob("*.md"):
        text = re.sub(r"^```.*?^```$", "", text_of(path.name), flags=re.MULTILINE | re.DOTALL)
        assert not re.findall(
            r"^    \$? ?(?:doit|labtasks|eitri|brokkr|muninn) .*", text, re.MULTILINE
        )
        if path.name not in (*IN_ONE_LAB, "recipes.md"):
            assert not typed(path.name), f"{path.name}: no test types these"


def test_lab_toml_s_page_is_what_the_code_says() -> None:
    assert text_of("lab.md") == reference.page(), "labtasks reference > docs/lab.md"


def test_the_refusals_page_is_what_the_code_says() -> None:
    made = subprocess.run(
        [sys.executable, DOCS.parent / ".ci" / "refusals.py"], capture_output=True, check=True
    )
    assert text_of("refusals.md") == made.stdout.decode(), (
        "python .ci/refusals.py > docs/refusals.md"
    )


def test_every_refusal_has_a_hint() -> None:
    """But for the reasons not to believe a build, which lead to a clean one by themselves."""
    sections = text_of("refusals.md").split("\n## ")[1:]
    reasons = ("build/doubt\n", "build/leftover\n")
    bare = [s for s in sections if "|  |" in s and not s.startswith(reasons)]
    assert not bare, [line for s in bare for line in s.splitlines() if line.endswith("|  |")]


def test_what_troubleshooting_quotes_is_said_somewhere() -> None:
    sources = (DOCS.parent / "labtasks").glob("*/*.py")
    said = " ".join(re.sub(r'"\s*f?"', "", path.read_text(encoding="utf-8")) for path in sources)
    said = re.sub(r"[`\\]", "", said)
    rows = [
        line.split("|")[1] for line in text_of("troubleshooting.md").splitlines() if "|" in line
    ]
    quoted = [words for row in rows for words in re.findall(r"\*([^*`]+)\*", row)]
    assert len(quoted) > 20
    assert [words for words in quoted if words not in said] == []


def test_every_command_is_documented() -> None:
    text = text_of("commands.md")
    missing = [kind for kind in kinds.TASKS if f"`{kind}:" not in text]
    for name, plugin in main._plugins().items():
        command = pkgutil.resolve_name(plugin)
        missing += [] if f"`doit {name}" in text else [name]
        missing += [o["long"] for o in command.cmd_options if f"--{o['long']}" not in text]
        assert command.doc_purpose
        assert command.doc_description
    assert not missing


def test_the_site_is_whole(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        argv, cwd=DOCS.parent, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "not included" not in done.stderr
    for path in DOCS.glob("*.md"):
        assert (tmp_path / f"{path.stem}.html").exists()


def test_the_tutorial_ends_with_the_shipped_recipe(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    text = ""
    for file, fragment in tutorial():
        text = merged(text, fragment) if file else text
    path.write_text(text)
    written = tomllib.loads(text)
    shipped = tomllib.loads((recipe.SHIPPED / "demo.toml").read_text(encoding="utf-8"))
    assert {**written, "about": ""} == {**shipped, "about": ""}
    assert recipe.load(path).kernel.steps


STRUCTURES = (
    recipe.Recipe, recipe.Part, recipe.Option, recipe.Version, recipe.Abi, recipe.Guest,
    recipe.Disk, session.Shell, session.Login, events.ConsoleRules,
)  # fmt: skip
"""What a recipe is made of."""


@pytest.mark.parametrize("structure", STRUCTURES)
def test_every_key_is_documented(structure: type) -> None:
    quoted = re.findall(r"`([^`\n]+)`", RECIPES.partition("\n## Reference")[2])
    words = {word for text in quoted for word in re.findall(r"\w+", text)}
    assert not set(structure.__struct_fields__) - words


def test_no_key_is_made_up() -> None:
    """The first column of the reference's tables has no key that nothing reads."""
    known = {field for structure in STRUCTURES for field in structure.__struct_fields__}
    reference = RECIPES.partition("\n## Reference")[2]
    first = [line.split("|")[1] for line in reference.splitlines() if line.startswith("| `")]
    named = {
        re.split(r"\W", name)[0] for cell in first for name in re.findall(r"`\[?(\w.*?)`", cell)
    }
    assert named <= known


def test_every_event_is_documented() -> None:
    chapter = RECIPES.partition("\n### [console]")[2].partition("\n### ")[0]
    table = chapter.partition("| event | |\n|---|---|\n")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines() for name in row.split("|")[1].strip().split(", ")}
    assert named == {event.value for event in events.EventName}


def test_every_package_has_its_place() -> None:
    """A newcomer finds each package named where the way of a commit is told, in its order."""
    root = Path(labtasks.__file__).parent
    packages = {path.parent.name for path in root.glob("*/__init__.py")}
    guide = re.findall(r"^    (\w+)  ", labtasks.__doc__ or "", re.MULTILINE)
    assert guide == re.findall(r"^\| `(\w+)` \|", text_of("design.md"), re.MULTILINE)
    assert set(guide) == packages


PACKAGES = [found.name for found in pkgutil.iter_modules(labtasks.__path__) if found.ispkg]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_has_its_place(package: str) -> None:
    """A package's docstring names its modules, and nothing that is none."""
    made = importlib.import_module(f"labtasks.{package}")
    first = re.findall(r"^(\S.*?)  ", made.__doc__ or "", re.MULTILINE)
    assert {*" ".join(first).split()} == {
        found.name for found in pkgutil.iter_modules(made.__path__)
    }
