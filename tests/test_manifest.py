"""Manifests: kept as written, and equal wherever the same was built."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labtasks.store.manifest import Manifest, Step

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
layers = st.lists(st.text("0123456789abcdef", min_size=1, max_size=5), max_size=3)
TEXTS = (
    "family", "digest", "commit", "tree", "built_from", "subject", "rung", "base", "why", "tracer",
    "reproduce", "log", "host", "below_digest",
)  # fmt: skip
manifests = st.builds(
    Manifest,
    kind=st.sampled_from(["src", "world", "kernel", "build"]),
    key=st.text("0123456789abcdef", min_size=64, max_size=64),
    inputs=st.lists(st.tuples(names, names), max_size=3),
    links=st.dictionaries(names, names, max_size=2),
    stack=layers,
    below=layers,
    warnings=st.lists(names, max_size=2),
    steps=st.lists(st.builds(Step, text=names, seconds=st.floats(0, 1e6)), max_size=2),
    date=st.integers(-(2**40), 2**40),
    newest=st.floats(0, 1e12),
    finished=st.floats(0, 1e12),
    seconds=st.floats(0, 1e6),
    **dict.fromkeys(TEXTS, names),
)


@given(manifests)
def test_written_and_read(manifest):
    data = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    assert msgspec.json.decode(data, type=Manifest) == manifest


def test_published_and_got(built):
    """Put into the store, found there, and gone when forgotten; no other one is touched."""
    store, base = built.store, built.manifest("kernel", "base")
    other = msgspec.structs.replace(
        base, key=base.key[::-1], subject="another \u00e4\n", finished=0
    )
    store.publish(other, trace=None, tree=None)
    assert store.get("kernel", other.key) == other
    assert store.all("kernel") == [base, other]
    assert store.forget("kernel", other.key)
    assert not store.forget("kernel", other.key)
    assert store.all("kernel") == [base]


def test_digests_leave_out_what_is_volatile(make_lab):
    """The same content built in two caches, by other ways and at other times, has one digest."""
    one, other = make_lab("one", jobs=1), make_lab("other")
    one.doit("build:base", "build:kernel-c")
    other.doit("build:kernel-c")
    for kind in ("src", "world", "kernel", "build"):
        first, second = one.manifest(kind, "kernel-c"), other.manifest(kind, "kernel-c")
        assert first.digest == second.digest
        assert first.key == second.key
        assert first.finished != second.finished
    assert one.manifest("kernel", "kernel-c").rung == "incremental"
    assert other.manifest("kernel", "kernel-c").rung == "clean"


def test_what_a_manifest_tells(built):
    manifest = built.manifest("kernel", "base")
    assert manifest.name == f"kernel:{built.repo.short('base')}"
    assert manifest.reproduce == f"doit kernel:{manifest.commit}"
    assert manifest.tree == built.repo.git("rev-parse", "base^{tree}")
    assert [step.text for step in manifest.steps] == ["make -j2 -f sys/Makefile "]
    assert manifest.jobs == manifest.jobs_total > 0
    assert manifest.tracer == "strace"
    assert dict(manifest.inputs)["tree sys"] == built.repo.git("rev-parse", "base:sys")
    assert manifest.below == built.manifest("world", "base").stack
    assert manifest.subject == "base"


@pytest.mark.parametrize("kind", ["world", "kernel"])
def test_an_alias_tells_of_what_it_is(built, kind):
    built.doit("build:arch")
    base, alias = built.manifest(kind, "base"), built.manifest(kind, "arch")
    assert (alias.digest, alias.stack) == (base.digest, base.stack)
    assert alias.rung == "trace"
    assert alias.base == base.name
    assert alias.built_from == base.tree
    assert "nothing of which its build read" in alias.why
