"""Layers by themselves: what a stack shows, what was altered, copies, globs, odd names."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from conftest import can_unshare
from hypothesis import given
from hypothesis import strategies as st

from labtasks.ground import globs
from labtasks.store import layer
from labtasks.store import seal as seals
from labtasks.store.layer import Entry, LayerId

needs_mknod = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes whiteouts by mknod")


def entry(path, kind="f", content="x"):
    return Entry(path, kind, 0o644, len(content), content, 0, 0)


@pytest.fixture
def shown(tmp_path):
    """What layers of entries (oldest first) show together, as path -> content."""

    def show(*layers):
        for number, found in enumerate(layers):
            named = {e.path for e in found}
            parents = {str(up) for e in found for up in Path(e.path).parents} - {".", *named}
            folder = tmp_path / f"layer{number}"
            folder.mkdir()
            folders = [entry(up, "d", "") for up in sorted(parents)]
            layer.write_entries(folder, [*folders, *found])
        stack = [LayerId(f"layer{n}") for n in reversed(range(len(layers)))]
        return {path: e.digest for path, e in layer.merged(tmp_path, stack).items()}

    return show


def test_newer_files_hide_older_ones(shown):
    files = shown([entry("a", content="1"), entry("b")], [entry("a", content="2")])
    assert files == {"a": "2", "b": "x"}


BELOW = [entry("a"), entry("d/b"), entry("d/e/c"), entry("dd")]


@pytest.mark.parametrize(
    ("top", "left"),
    [
        ([entry("a", "w")], {"d/b", "d/e/c", "dd"}),
        ([entry("d", "w")], {"a", "dd"}),
        ([entry("d/e", "w")], {"a", "d/b", "dd"}),
        ([entry("d", "o"), entry("d/b")], {"a", "d/b", "dd"}),
        ([entry("d", "f")], {"a", "d", "dd"}),
        ([entry("d", "l")], {"a", "d", "dd"}),
        ([entry("a/new")], {"a/new", "d/b", "d/e/c", "dd"}),
        ([entry("none", "w")], {"a", "d/b", "d/e/c", "dd"}),
    ],
)
def test_what_hides_what(shown, top, left):
    assert shown(BELOW, top).keys() == left


def test_what_was_hidden_comes_back_when_written_again(shown):
    assert shown([entry("a")], [entry("a", "w")], [entry("a", content="2")]) == {"a": "2"}


def test_a_folder_that_comes_back_is_empty(shown):
    assert shown(BELOW, [entry("d", "w")], [entry("d/new")]).keys() == {"a", "d/new", "dd"}


def test_a_folder_becomes_a_file_and_back(shown):
    files = shown(BELOW, [entry("d")], [entry("d", "o"), entry("d/c")])
    assert files.keys() == {"a", "d/c", "dd"}


def seal(layers, name, files, *, gone=(), opaque=()):
    """A real layer on disk; its entries as sealing lists them."""
    tree = layers / name / "t"
    tree.mkdir(parents=True)
    for path, text in files.items():
        full = tree / path
        full.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("-> "):
            full.symlink_to(text[3:])
        else:
            full.write_text(text)
    for path in gone:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        layer.whiteout(tree / path)
    for path in opaque:
        os.setxattr(tree / path, layer.OPAQUE, b"y")
    layer.write_entries(layers / name, layer.scan(tree))
    return LayerId(name)


def stack_of_three(layers):
    """Newest first."""
    one = seal(layers, "one", {"a": "1", "d/b": "1", "d/e/c": "1", "f": "1", "link": "-> a"})
    two = seal(layers, "two", {"a": "2", "d/new": "2"}, gone=["f"])
    three = seal(layers, "three", {"f": "3"}, gone=["d"])
    return [three, two, one]


@needs_mknod
@pytest.mark.skipif(not can_unshare("root"), reason="no mount namespace to be had")
def test_a_listing_is_what_an_overlay_shows(tmp_path):
    """The kernel's word against ours, for the same folders."""
    stack = stack_of_three(tmp_path)
    try:
        os.setxattr(tmp_path, layer.OPAQUE, b"n")
    except OSError:
        pytest.skip("no user attributes on this file system")
    opaque = seal(tmp_path, "four", {"d2/x": "4"}, opaque=["d2"])
    under = seal(tmp_path, "zero", {"d2/hidden": "0"})
    for use in (stack, stack[1:], [opaque, *stack, under], [*stack, opaque, under]):
        lowers = ":".join(f"{name}/t" for name in use)
        text = f"mount -t overlay overlay -o lowerdir={lowers},userxattr /mnt; cd /mnt; "
        text += r"find . ! -type d -printf '%P\n'"
        said = subprocess.run(
            ["unshare", "--mount", "sh", "-e", "-c", text],
            cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert set(layer.merged(tmp_path, use)) == set(said.stdout.split())


@needs_mknod
@pytest.mark.parametrize("whiteouts", [True, False])
def test_copying_out_gives_what_the_listing_says(tmp_path, whiteouts):
    stack = stack_of_three(tmp_path / "layers")
    layer.copy_out(tmp_path / "layers", stack, tmp_path / "out", whiteouts=whiteouts)
    copied = {e.path: e for e in layer.scan(tmp_path / "out")}
    listed = layer.merged(tmp_path / "layers", stack)
    assert {p for p, e in copied.items() if e.type in "fl"} == listed.keys()
    for path, e in listed.items():
        assert (copied[path].digest, copied[path].mtime) == (e.digest, e.mtime)
    assert {p for p, e in copied.items() if e.type == "w"} == ({"d"} if whiteouts else set())


@needs_mknod
def test_altered_names_the_file_and_its_layer(tmp_path):
    stack = stack_of_three(tmp_path)
    assert seals.altered(tmp_path, stack, None) == []
    (tmp_path / "three/t/f").write_text("changed")
    assert seals.altered(tmp_path, stack, None) == ["three/t/f"]
    assert seals.altered(tmp_path, stack, ["a", "link"]) == []
    assert seals.altered(tmp_path, stack[1:], None) == []
    (tmp_path / "two/t/a").unlink()
    assert seals.altered(tmp_path, stack, ["a"]) == ["two/t/a"]
    (tmp_path / "one/t/a").write_text("hidden by layer two, and changed")
    assert seals.altered(tmp_path, stack, ["a"]) == ["two/t/a"]


def test_altered_content_with_its_time_put_back(tmp_path):
    (name,) = [seal(tmp_path, "one", {"a": "1", "link": "-> a"})]
    path = tmp_path / "one/t/a"
    info = path.stat()
    clock = tmp_path / "clock"
    clock.touch()
    while clock.stat().st_ctime_ns <= info.st_ctime_ns:  # it ticks some hundred times a second
        clock.touch()
    path.write_text("2")
    os.utime(path, ns=(info.st_mtime_ns, info.st_mtime_ns))
    assert seals.altered(tmp_path, [name], None) == ["one/t/a"]
    path.write_text("1")
    os.utime(path, ns=(info.st_mtime_ns, info.st_mtime_ns))
    assert seals.altered(tmp_path, [name], None) == []
    (known,) = (e for e in layer.entries(tmp_path, name) if e.path == "a")
    assert known.ctime == path.stat().st_ctime_ns, "it is read once"
    path.chmod(0o600)
    assert seals.altered(tmp_path, [name], None) == ["one/t/a"]


GLOBS = [
    ("**", ["a", "a/b", "a/b/c"], []),
    ("*", ["a", "b.o"], ["a/b"]),
    ("*.o", ["a.o", ".o"], ["a.c", "d/a.o", "a.oo"]),
    ("**/*.o", ["a.o", "d/a.o", "d/e/a.o"], ["a.o/b"]),
    ("d/**", ["d/a", "d/e/f"], ["d", "dd/a"]),
    ("d/**/f", ["d/f", "d/e/f", "d/e/g/f"], ["d/ef", "f"]),
    ("a?c", ["abc", "a.c"], ["ac", "a/c"]),
    ("a+(b)[c].^$", ["a+(b)[c].^$"], ["aab"]),
    ("sys/**/kernel", ["sys/kernel", "sys/amd64/GENERIC/kernel"], ["sys/kernel/x", "xsys/kernel"]),
    ("**/.depend*", [".depend", "d/.depend.a.o"], ["d/x.depend"]),
    ("line*", ["line\nbreak"], []),
]


@pytest.mark.parametrize(("glob", "yes", "no"), GLOBS)
def test_globs(glob, yes, no):
    match = globs.matcher((glob,))
    assert [p for p in yes if not match(p)] == []
    assert [p for p in no if match(p)] == []


def test_globs_that_take_away():
    match = globs.matcher(("**",), ("**/*.d", "log"))
    assert [p for p in ("a", "a.d", "x/a.d", "log", "x/log") if match(p)] == ["a", "x/log"]
    assert not globs.matcher(())("a")


listings = st.dictionaries(
    st.text("abc/", min_size=1, max_size=5), st.text("xy", max_size=3), max_size=5
)


@given(listings, listings)
def test_a_digest_tells_contents_apart(one, other):
    def digest(files):
        return layer.content_digest({p: entry(p, content=c) for p, c in files.items()}, bool)

    assert (digest(one) == digest(other)) == (one == other)


def test_a_digest_leaves_times_out_and_modes_in():
    a = Entry("a", "f", 0o644, 1, "x", 1, 1)
    later = Entry("a", "f", 0o644, 1, "x", 2, 3)
    program = Entry("a", "f", 0o755, 1, "x", 1, 1)
    digests = [layer.content_digest({"a": e}, bool) for e in (a, later, program)]
    assert digests[0] == digests[1] != digests[2]


ODD = ["a b", "new\nline", "tab\t", "-rf", "ä", "caf\udce9", "'\"$(x)`", "back\\slash", "* ?"]


@pytest.mark.parametrize("name", ODD)
def test_odd_names_in_a_layer(tmp_path, name):
    tree = tmp_path / "layers" / "one" / "t"
    (tree / "d").mkdir(parents=True)
    (tree / "d" / name).write_text("text")
    (tree / f"{name}.link").symlink_to(name)
    layer.write_entries(tmp_path / "layers" / "one", layer.scan(tree))
    stack = [LayerId("one")]
    listed = layer.merged(tmp_path / "layers", stack)
    assert set(listed) == {f"d/{name}", f"{name}.link"}
    assert seals.altered(tmp_path / "layers", stack, None) == []
    assert layer.content_digest(listed, bool)
    layer.copy_out(tmp_path / "layers", stack, tmp_path / "out")
    assert (tmp_path / "out" / "d" / name).read_text() == "text"
    assert os.readlink(tmp_path / "out" / f"{name}.link") == name


def test_scan_sees_every_kind(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_text("1")
    (tmp_path / "l").symlink_to("nowhere")
    os.mkfifo(tmp_path / "p")
    found = {e.path: e for e in layer.scan(tmp_path)}
    assert {p: e.type for p, e in found.items()} == {"d": "d", "d/f": "f", "l": "l", "p": "s"}
    assert found["l"].digest == "nowhere"
    assert len(found["d/f"].digest) == 64


def test_remove_needs_no_permission(tmp_path):
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "f").touch()
    outside = tmp_path / "outside"
    outside.mkdir()
    (deep / "link").symlink_to(outside)
    for folder in (deep, deep.parent):
        folder.chmod(0)
    layer.remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert stat.S_IMODE(outside.stat().st_mode) & 0o700
