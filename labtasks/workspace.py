"""The workspace this host can give: overlays where there are any, else the lane of copies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from labtasks.builder import Trees, Workspace
from labtasks.lab import Lab
from labtasks.lane import Copy
from labtasks.overlay import Overlay
from labtasks.store import Store


@contextlib.contextmanager
def open_workspace(lab: Lab, store: Store, name: str, trees: Trees) -> Iterator[Workspace]:
    """The workspace this host can give, gone afterwards. The lane of copies takes one at a time."""
    kind = lab.namespace
    with contextlib.ExitStack() as stack:
        if kind == "none":
            stack.enter_context(store.lane(name))
        scratch = stack.enter_context(store.workspace(name, trees.uses))
        if kind == "none":
            yield Copy(
                layers=store.layers, scratch=scratch, trees=trees, recipe=lab.recipe, jobs=lab.jobs
            )
        else:
            yield Overlay(
                layers=store.layers, scratch=scratch, trees=trees, recipe=lab.recipe,
                jobs=lab.jobs, kind=kind,
            )  # fmt: skip
