"""What a build's log says went wrong, of the tools that systems are built with."""

from __future__ import annotations

import tomllib

import pytest

from labtasks.build import failure
from labtasks.lab.recipe import SHIPPED


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("cc -c a.c\na.c:3:1: error: expected ';'\nmake: *** [a.o] Error 1", "a.c:3:1: error: e"),
        ("ld: a.o: undefined reference to `b'\ncollect2: error: ld returned 1", "ld: a.o: undefin"),
        ("ld: error: undefined symbol: b\ncollect2: error: ld returned 1", "ld: error: undefined"),
        ("Traceback (most recent call last):\nModuleNotFoundError: No m\nninja: b", "ModuleNotF"),
        ("FAILED: gen.h\nninja: build stopped: subcommand failed.", "FAILED: gen.h"),
        ("-- found\nCMake Error at CMakeLists.txt:3 (project):\n  none", "CMake Error at CMakeL"),
        ("+ make error: all\nmake: *** No rule to make target 'x'.", "make: *** No rule"),
        ("sh: 7: build/make.py: not found", "sh: 7: build/make.py: not found"),
        ("bash: line 1: bmake: command not found", "bash: line 1: bmake: command not found"),
        ("/bin/sh: 1: ccx: not found\nmake: *** [a.o] Error 127", "/bin/sh: 1: ccx: not found"),
        ("\x1b[01m\x1b[Ka.c:3:\x1b[m \x1b[01;31m\x1b[Kerror: \x1b[mx", "a.c:3: error: x"),
        ("ld: b.o: multiple definition of `b'\ncollect2: error: ld", "ld: b.o: multiple defin"),
        ("all is well: checking for cc: not found", ""),
    ],
)  # fmt: skip
def test_the_first_error_is_the_telling_one(log, error):
    found = failure.first_of(log.splitlines())
    assert found.startswith(error) if error else not found


def test_freebsd_names_the_compilers_error_before_makes():
    errors = tomllib.loads((SHIPPED / "freebsd.toml").read_text())["errors"]
    log = "make: error: of a test\nsys/kern/a.c:6:2: error: not yet\n*** [a.o] Error code 1\n"
    assert failure.first_of(log.splitlines(), errors) == "sys/kern/a.c:6:2: error: not yet"
    assert failure.first_of(["make: error: x", "*** [b] Error code 2"], errors).startswith(
        "*** [b]"
    )
