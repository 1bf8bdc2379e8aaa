"""Commands that a recipe or an option of it asks for, and what is said where one is missing."""

from __future__ import annotations

import re
import shutil

import pytest
from conftest import path_without
from test_input import said_of

from labtasks.ground.error import UserError
from labtasks.key import guest_tools
from labtasks.lab.binding import Places, bind
from labtasks.lab.lab import load
from labtasks.lab.recipe import find
from labtasks.lab.recipe import load as load_recipe
from labtasks.lab.tools import Tool

CCACHE = """\
[options.ccache]
help = "Whether to compile through ccache."
default = "no"
choices = { no = "", yes = "CCACHE=1" }
tools = { ccache = { Linux = "ccache", FreeBSD = "ccache4" } }
[env]
"""


def bound(name, system="Linux", **settings):
    path = find(name, None)
    return bind(
        load_recipe(path), path=path, settings=settings, system=system,
        places=Places(src="/s", obj="/o", files="/f"), files={},
    )  # fmt: skip


@pytest.fixture
def asking(make_lab, tmp_path):
    """A lab that asks for ccache, where there is none."""
    lab = make_lab()
    path = path_without(tmp_path, "ccache")
    lab.recipe(("[env]\n", f'{CCACHE}PATH = "{path}"\n'))
    lab.doit("src:base")  # the option's default asks for nothing
    lab.configure(options={"ccache": "yes"})
    return lab


def test_an_options_tool_is_missed_before_anything_is_built(asking):
    said = asking.doit("build:base", code=1)
    assert said.lines("the command 'ccache' is missing, which `ccache = \"yes\"` in .options. asks")
    assert said.lines("hint: on Debian: apt-get install ccache$")
    assert "Traceback" not in said.text
    assert not asking.logs("world")
    said = asking.doit("doctor", code=1)
    assert said.lines("^FAIL +tools: the command 'ccache' is missing, which `ccache")


@pytest.mark.parametrize(("system", "remedy"), [
    ("Linux", "there: on Debian: apt-get install ccache"),
    ("FreeBSD", "there: pkg install ccache4"),
])  # fmt: skip
def test_a_machine_that_lacks_it_says_so(asking, system, remedy):
    table = {"host": "localhost", "user": "nobody", "system": system}
    asking.configure(**{
        "options": {"ccache": "yes"}, "builder": "ssh:far", "ssh.far": table,
    })  # fmt: skip

    def answer(text):
        assert "ccache" in text
        questions = "\0cc 12" * text.count("printf")
        return f"{system}\nrelease 1\n\nccache\n{questions}"

    with pytest.raises(UserError) as caught:
        guest_tools.learn(load(asking.directory), answer)
    assert caught.value.message == (
        "ssh far has no 'ccache', which `ccache = \"yes\"` in [options] asks for"
    )
    assert caught.value.hint == remedy


def test_a_compiler_that_an_option_names(make_lab):
    lab = make_lab()
    lab.recipe(
        ("[options.level]", '[options.cross]\nhelp = "prefix"\ndefault = ""\n[options.level]'),
        ('cc = "gcc"', '"{cross}gcc" = "gcc"'),
        ('identity = ["cc --version"]', 'identity = ["{cross}gcc --version"]'),
    )
    lab.configure(options={"cross": "no-such-linux-gnu-"})
    said = lab.doit("kernel:base", code=3)
    assert said.lines(
        "the command 'no-such-linux-gnu-gcc' is missing, "
        'which `cross = "no-such-linux-gnu-"` in .options. asks for'
    )


@pytest.mark.parametrize(("command", "package"), [
    ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("x86_64-linux-gnu-g++", "g++-x86-64-linux-gnu"),
    ("riscv64-linux-gnu-ld", "binutils-riscv64-linux-gnu"),
    ("/usr/lib/llvm-15/bin/clang", "clang-15"),
    ("/usr/lib/llvm-15/bin/ld.lld", "lld-15"),
    ("/usr/lib/llvm-15/bin/llvm-ar", "llvm-15"),
    ("clang-14", "clang-14"),
    ("flex", "of the recipe"),
])  # fmt: skip
def test_debians_packages_of_compilers(command, package):
    tool = Tool(command=command, package="of the recipe")
    assert tool.remedy("Linux") == f"on Debian: apt-get install {package}"
    assert tool.remedy("FreeBSD") == "pkg install of the recipe"


def test_the_shipped_recipes_name_what_their_options_need():
    assert "ccache" not in bound("freebsd").tools
    for system in ("Linux", "FreeBSD", "Darwin"):
        assert bound("freebsd", system, ccache="yes").tools["ccache"].option == 'ccache = "yes"'
    assert "m4" not in bound("freebsd", "FreeBSD").tools  # the base system has it
    clang = bound("freebsd", llvm="/usr/lib/llvm-15/bin").tools["/usr/lib/llvm-15/bin/clang"]
    assert clang.option == 'llvm = "/usr/lib/llvm-15/bin"'
    linux = bound("linux", ccache="yes", cross_compile="arm-linux-gnueabihf-").tools
    assert linux["ccache"].package == "ccache"
    assert linux["arm-linux-gnueabihf-gcc"].option == 'cross_compile = "arm-linux-gnueabihf-"'
    assert linux["gcc"].option == ""
    assert bound("demo", make="bmake").tools["bmake"].option == 'make = "bmake"'


@pytest.mark.parametrize(("old", "new", "where"), [
    ('cc = "gcc"', 'cc = { linux = "gcc" }', r"\[tools\] 'cc'"),
    ("[options.level]", '[options.level]\ntools = { x = { freeBSD = "x" } }',
     r"\[options.level.tools\] 'x'"),
    ("[env]", '[host.linux]\na = "b"\n[env]', r"\[host\]"),
])  # fmt: skip
def test_a_system_that_is_none(make_lab, old, new, where):
    lab = make_lab()
    lab.recipe((old, new))
    message, hint = said_of(lab)
    assert re.search(f"{where}: no system is called '(linux|freeBSD)'$", message)
    assert re.search("did you mean '(Linux|FreeBSD)'", hint)


def test_ccache_itself(make_lab):
    """Where it is installed, nothing is said."""
    if not shutil.which("ccache", path="/usr/bin"):
        pytest.skip("ccache is missing")
    lab = make_lab()
    lab.recipe(("[env]\n", CCACHE))
    lab.configure(options={"ccache": "yes"})
    lab.doit("kernel:base")
