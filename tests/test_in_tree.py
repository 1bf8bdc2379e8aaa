"""Objects among the sources: what a build leaves is sealed, the sources it lies among are not."""

from __future__ import annotations

import subprocess

import pytest
from conftest import Repo, stack_content

RECIPE = """
about = "objects in tree"
in_tree = true
identity = ["cc --version"]
[kernel]
steps = ["make -j{jobs} -C {obj}"]
outputs = ["kernel", "**/*.o"]
depends = ["**/*.d"]
unseen = ["Makefile"]
"""

MAKEFILE = """\
OBJECTS = $(patsubst %.c,%.o,$(wildcard sys/*.c))
kernel: $(OBJECTS) Makefile
	ld -r -o $@ $(OBJECTS)
sys/%.o: sys/%.c Makefile
	cc -Iinclude -MD -c -o $@ $<
-include $(wildcard sys/*.d)
"""


@pytest.fixture
def repo(tmp_path):
    repo = Repo(tmp_path / "repo")
    repo.create()
    repo.write("Makefile", MAKEFILE)
    repo.write("include/h.h", "#define H 1\n")
    repo.write("sys/a.c", "#include <h.h>\nint a = H;\n")
    repo.write("sys/b.c", "int b;\n")
    repo.write("docs", "read me\n")
    repo.commit("base", tag="base")
    repo.write("sys/b.c", "int b = 2;\n")
    repo.commit("one file", tag="file")
    repo.write("include/h.h", "#define H 2\n")
    repo.commit("header", tag="header")
    repo.write("docs", "read me again\n")
    repo.commit("docs", tag="docs")
    return repo


def clean(repo, ref, folder):
    folder.mkdir()
    repo.git("archive", "-o", str(folder / "tar"), ref)
    subprocess.run(["tar", "-xf", folder / "tar", "-C", folder], check=True)
    subprocess.run(["make", "-C", folder], check=True, stdout=subprocess.DEVNULL)
    return (folder / "kernel").read_bytes()


@pytest.mark.parametrize(
    ("driver", "depth"), [("root", 24), ("root", 2), ("user", 24), ("copy", 24)]
)
def test_incremental_in_tree(make_lab, repo, tmp_path, driver, depth):
    lab = make_lab(driver=driver, repo=repo, depth=depth)
    (lab.directory / "tiny.toml").write_text(RECIPE)
    refs = ("base", "file", "header", "docs")
    said = lab.doit(*[f"kernel:{ref}" for ref in refs])
    rungs = [said.rung("kernel", repo.short(ref)) for ref in refs]
    assert rungs == ["clean", "incremental", "incremental", "trace"], said.text
    for ref in refs:
        manifest = lab.manifest("kernel", ref)
        for layer in manifest.stack:
            files = {p.name for p in (lab.store.layers / layer / "t").rglob("*")}
            assert not files & {"a.c", "b.c", "h.h", "Makefile", "docs"}, said.text
        (kernel,) = stack_content(lab.store.layers, manifest.stack, ("kernel",)).items()
        path = next(
            found for layer in manifest.stack
            if (found := lab.store.layers / layer / "t" / "kernel").exists()
        )  # fmt: skip
        assert path.read_bytes() == clean(repo, ref, tmp_path / f"clean-{ref}"), kernel
    lab.doit("verify", "kernel:header")


def test_links_that_a_build_makes_among_its_sources_are_followed(make_lab, repo):
    """A tree that links its headers into place: a change behind such a link is seen."""
    repo.write("Makefile", "links: ; ln -sfn ../include sys/inc\n" + MAKEFILE)
    repo.write("sys/b.c", '#include "inc/h.h"\nint b = H;\n')
    repo.commit("linked", tag="linked")
    repo.write("include/h.h", "#define H 3\n")
    repo.commit("behind a link", tag="behind")
    lab = make_lab(repo=repo)
    steps = RECIPE.replace('"make -j{jobs} -C {obj}"', '"make links", "make kernel"')
    (lab.directory / "tiny.toml").write_text(steps)
    said = lab.doit("kernel:linked", "kernel:behind")
    assert said.rung("kernel", repo.short("behind")) == "incremental", said.text
    lab.doit("verify", "kernel:behind")


def test_sources_that_a_build_changes_are_kept_apart(make_lab, repo):
    """Out of tree, what a build writes into its sources is said, and is not there next time."""
    repo.write("Makefile", "$(O)/kernel:\n\techo gen > gen.h; mkdir -p $(O); cp gen.h $@\n")
    repo.commit("writes into its sources", tag="writes")
    lab = make_lab(repo=repo)
    (lab.directory / "tiny.toml").write_text(
        'about = "out of tree"\n[kernel]\nsteps = ["make O={obj} {obj}/kernel"]\n'
    )
    said = lab.doit("kernel:writes")
    assert said.lines("note: the build wrote into its sources: gen.h")
    assert not list(lab.store.layers.glob("s*/t/gen.h"))
