"""Compilers behind ccache: its answers are taken, and what traces prove is true all the same."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

MASKS = Path("/usr/lib/ccache")
"""Where Debian puts links to ccache that are called as compilers are."""

pytestmark = pytest.mark.skipif(not (MASKS / "cc").exists(), reason="Debian's ccache is not here")

HEADERS = ("kernel-header", "earlier-header", "shared-header")


def hits(folder: Path) -> int:
    done = subprocess.run(
        ["/usr/bin/ccache", "--print-stats"], env={"CCACHE_DIR": str(folder)},
        check=True, capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    found = re.findall(r"(?m)^(?:direct|preprocessed)_cache_hit\s+(\d+)", done.stdout)
    return sum(map(int, found))


def test_what_ccache_answers_is_traced_as_if_it_were_compiled(make_lab, tmp_path):
    folder = tmp_path / "ccache"
    labs = [make_lab(name) for name in ("one", "two")]
    for lab in labs:
        lab.recipe(
            ("[env]", f'[env]\nPATH = "{MASKS}:/usr/bin:/bin"\nCCACHE_DIR = "{folder}"'),
        )
        lab.doit("build:base")
    assert hits(folder) >= 4  # the second lab compiles nothing of its kernel
    assert labs[0].content("kernel", "base") == labs[1].content("kernel", "base")
    # The second lab's base was never really compiled: still each change is seen in what it read.
    said = labs[1].doit(*[f"kernel:{change}" for change in HEADERS])
    for change in HEADERS:
        assert said.rung("kernel", labs[1].repo.short(change)) == "incremental", said.text
    labs[1].doit("verify", "kernel:earlier-header")
    said = labs[1].doit("kernel:arch-header")
    assert said.rung("kernel", labs[1].repo.short("arch-header")) == "trace", said.text
