"""A history in lanes, as pictures of commits have it: one row each, lines from child to parent.

Pure geometry in whole numbers: knows nothing of verdicts, nor of how it is drawn.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

FREE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One commit's row. Lanes in `above` come in at its top, those in `below` go on at its bottom.

    The commit is in `lane`. Lines run from it to the lanes `to`; every (from, to) of `moved` is a
    line that passes by and changes its lane. `outside`: a parent is not in the picture.
    """

    commit: str
    lane: int
    above: tuple[int, ...]
    to: tuple[int, ...]
    moved: tuple[tuple[int, int], ...]
    below: tuple[int, ...]
    outside: bool

    @property
    def passing(self) -> tuple[int, ...]:
        """Lanes that go straight through."""
        gone = {self.lane, *(old for old, _ in self.moved)}
        return tuple(lane for lane in self.above if lane not in gone)

    @property
    def width(self) -> int:
        """How many lanes the row needs."""
        return 1 + max((self.lane, *self.above, *self.below))


def layout(history: Sequence[tuple[str, tuple[str, ...]]]) -> list[Row]:
    """The rows of commits and their parents, children first. Parents that come too early, as in
    no topological order, count as outside.
    """
    lanes: list[str] = []  # the commit that each lane leads to
    rows = []
    left = {commit for commit, _ in history}
    for commit, parents in history:
        left.discard(commit)
        above = _taken(lanes)
        lane = lanes.index(commit) if commit in lanes else _first_free(lanes)
        lanes[lane] = FREE
        inside = [parent for parent in dict.fromkeys(parents) if parent in left]
        to, moved = _lead(lanes, lane, inside)
        rows.append(
            Row(
                commit=commit,
                lane=lane,
                above=above,
                to=to,
                moved=moved,
                below=_taken(lanes),
                outside=len(inside) < len(set(parents)),
            )
        )
    return rows


def _lead(
    lanes: list[str], lane: int, parents: Collection[str]
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Give each parent a lane, the first one the commit's own: so the main line stays straight
    where a branch had asked for the same parent before.
    """
    to, moved = [], []
    for parent in parents:
        at = lanes.index(parent) if parent in lanes else None
        if at is None:
            at = lane if lanes[lane] == FREE else _first_free(lanes)
        elif lane < at and lanes[lane] == FREE:
            moved.append((at, lane))
            lanes[at] = FREE
            at = lane
        lanes[at] = parent
        to.append(at)
    while lanes and lanes[-1] == FREE:
        lanes.pop()
    return tuple(to), tuple(moved)


def _first_free(lanes: list[str]) -> int:
    if FREE not in lanes:
        lanes.append(FREE)
    return lanes.index(FREE)


def _taken(lanes: Sequence[str]) -> tuple[int, ...]:
    return tuple(at for at, commit in enumerate(lanes) if commit != FREE)
