"""docs/recipes.md is true: its tutorial runs, what it ends with is the shipped recipe, and every
key that a recipe or a lab.toml may have is in it.
"""

from __future__ import annotations

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

from labtasks import events, lab, machine, recipe

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


def test_the_tutorial_runs(tmp_path: Path, subtests: pytest.Subtests) -> None:
    programs(tmp_path / "bin")
    env = environment()
    env["PATH"] = f"{tmp_path / 'bin'}:{env['PATH']}"
    where = tmp_path
    for file, text in tutorial():
        if file:
            path = tmp_path / file
            path.write_text(merged(path.read_text() if path.exists() else "", text))
            continue
        with subtests.test(text):
            if text.startswith("doit boot:") and not shutil.which("qemu-system-x86_64"):
                pytest.skip("qemu-system-x86_64 is missing: nothing can be booted")
            started = time.monotonic()
            done = subprocess.run(
                ["sh", "-c", f"{text}\ncode=$?\npwd > '{tmp_path}/pwd'\nexit $code"],
                cwd=where,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=SECONDS,
                check=False,
            )
            sys.stdout.write(f"$ {text}\n{done.stdout}[{time.monotonic() - started:.1f} s]\n")
            where = Path((tmp_path / "pwd").read_text().strip())
            assert done.returncode == 0, done.stdout


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


@pytest.mark.parametrize(
    "structure",
    [
        recipe.Recipe,
        recipe.Part,
        recipe.Option,
        recipe.Version,
        recipe.Abi,
        recipe.Boot,
        recipe.Guest,
        events.ConsoleRules,
        lab.Settings,
    ],
)
def test_every_key_is_documented(structure: type) -> None:
    quoted = re.findall(r"`([^`\n]+)`", RECIPES.partition("\n## Reference")[2])
    words = {word for text in quoted for word in re.findall(r"\w+", text)}
    assert not set(structure.__struct_fields__) - words


def test_no_key_is_made_up() -> None:
    """The first column of the reference's tables has no key that nothing reads."""
    known = {
        field
        for structure in (
            recipe.Recipe,
            recipe.Part,
            recipe.Option,
            recipe.Abi,
            recipe.Boot,
            recipe.Guest,
            events.ConsoleRules,
        )
        for field in structure.__struct_fields__
    } | set(lab.Settings.__struct_fields__)
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


def test_every_setting_of_a_machine_is_documented() -> None:
    text = (DOCS / "machines.md").read_text(encoding="utf-8").partition("\n## Settings")[2]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for cell in rows for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(machine.Vm.__struct_fields__)
