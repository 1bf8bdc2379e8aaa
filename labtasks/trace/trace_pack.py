"""A trace's tables <-> bytes: one table of paths, arrays of numbers, deflated.

Reading keeps the arrays as they are: a stored trace has tens of thousands of rows, and a question
needs a few. It does not know what the tables mean.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, chain

Row = Sequence[int]  # the numbers of jobs, ascending
Rows = Mapping[str, Row]  # by path

_MAGIC = f"labtasks trace 3 {sys.byteorder}\n".encode()


def pack(texts: Sequence[Iterable[str]], tables: Sequence[Rows]) -> bytes:
    """Lists of strings and tables as bytes."""
    paths = sorted(set().union(*tables))
    number_of = {path: number for number, path in enumerate(paths)}
    chunks = [_pack_strings(strings) for strings in (*texts, paths)]
    for rows in tables:
        chunks.append(_pack_numbers(map(number_of.__getitem__, rows)))
        chunks.append(_pack_numbers(map(len, rows.values())))
        chunks.append(_pack_numbers(chain.from_iterable(rows.values())))
    body = b"".join(len(chunk).to_bytes(4, "little") + chunk for chunk in chunks)
    return _MAGIC + zlib.compress(body, 1)


def unpack(data: bytes, *, texts: int) -> tuple[list[list[str]], list[Rows]]:
    """What `pack` made these bytes of, of which `texts` lists. ValueError for anything else."""
    if not data.startswith(_MAGIC):
        raise ValueError("not a trace, or one of another version")
    try:
        chunks = list(_chunks(zlib.decompress(data[len(_MAGIC) :])))
        *found, paths = (_strings(chunk) for chunk in chunks[: texts + 1])
        arrays = [array("I", chunk) for chunk in chunks[texts + 1 :]]
        tables: list[Rows] = [
            _Stored(paths, ids, lengths, flat)
            for ids, lengths, flat in zip(arrays[::3], arrays[1::3], arrays[2::3], strict=True)
        ]
    except (zlib.error, ValueError) as error:
        raise ValueError(f"a damaged trace: {error}") from error
    return found, tables


class _Stored(Mapping[str, Row]):
    """The rows of a stored trace. Of thousands only few are asked for: they are cut out then."""

    def __init__(
        self, paths: list[str], ids: array[int], lengths: array[int], flat: array[int]
    ) -> None:
        self._paths, self._ids, self._flat = paths, ids, flat
        self._ends = array("I", accumulate(lengths, initial=0))
        known = max(ids, default=-1) < len(paths)
        if not known or len(ids) != len(lengths) or self._ends[-1] != len(flat):
            raise ValueError("rows and their lengths differ")

    @cached_property
    def _place(self) -> dict[str, int]:
        return dict(
            zip(map(self._paths.__getitem__, self._ids), range(len(self._ids)), strict=True)
        )

    def __getitem__(self, path: str) -> Row:
        place = self._place[path]
        return self._flat[self._ends[place] : self._ends[place + 1]]

    def __contains__(self, path: object) -> bool:
        return path in self._place

    def __iter__(self) -> Iterator[str]:
        return iter(self._place)

    def __len__(self) -> int:
        return len(self._place)


def _pack_strings(strings: Iterable[str]) -> bytes:
    return "".join(s + "\0" for s in strings).encode("utf-8", "surrogateescape")


def _strings(chunk: bytes) -> list[str]:
    return chunk.decode("utf-8", "surrogateescape").split("\0")[:-1]


def _pack_numbers(numbers: Iterable[int]) -> bytes:
    return array("I", numbers).tobytes()


def _chunks(body: bytes) -> Iterator[bytes]:
    view = memoryview(body)
    while view:
        end = 4 + int.from_bytes(view[:4], "little")
        yield bytes(view[4:end])
        view = view[end:]
