"""Raw paths of a build -> paths of a trace: where its two trees lay, and the links in them.

It does not know what was done to a path, nor where the knowledge of a link comes from.
"""

from __future__ import annotations

from collections.abc import Mapping

_MOST_LINKS = 40  # followed for one path, as in the kernel: they can form a ring

_Real = tuple[str, tuple[str, ...]]  # an absolute path, and the links on the way to it


class Trees:
    """Where a build saw its two trees, and the symbolic links in them: raw paths -> trace paths.

    Links matter: a FreeBSD kernel reads sys/amd64/include through a link named `machine` in its
    object directory, and a change of the header is a change of the file behind the link. They
    are what the caller passes ({"obj/.../machine": "/mnt/src/sys/amd64/include"}, targets as
    readlink shows them; links from outside by their absolute paths, kept as `doors`) and what
    the tracer saw made or read.
    """

    def __init__(self, src: str, obj: str, links: Mapping[str, str] | None = None) -> None:
        src, obj = src.rstrip("/"), obj.rstrip("/")
        self.in_tree = src == obj
        # The longer first: objects may lie in a directory inside the sources.
        self.roots = sorted(
            {src: "src"}.items() if self.in_tree else {src: "src", obj: "obj"}.items(),
            key=lambda root: -len(root[0]),
        )
        self._links: dict[str, str] = {}
        self._known: dict[str, _Real] = {}
        where = {short: root for root, short in self.roots}
        self.doors = [path for path in links or {} if path.startswith("/")]
        for path, target in (links or {}).items():
            tree, _, rest = path.partition("/")
            self.add_link(f"{where[tree]}/{rest}" if tree else path, target)

    def add_link(self, path: str, target: str) -> None:
        """Learn of a link at an absolute path."""
        directory, _, name = path.rpartition("/")
        full = f"{self.directory(directory)}/{name}"
        if self._links.get(full) != target:
            self._links[full] = target
            self._known.clear()

    def directory(self, path: str) -> str:
        """An absolute path without `.`, `..`, doubled slashes and known links."""
        return self._real(path)[0]

    def names(self, path: str) -> tuple[str, ...]:
        """The trace paths that a use of this absolute path concerns; () outside the trees.

        The file itself comes last, before it the links (in the trees) that lead to it.
        """
        return (*self.way(path), *self.own(path))

    def way(self, path: str) -> tuple[str, ...]:
        """The links that lead to a path's folder: whoever writes there does not write to them."""
        _, links = self._real(path.rpartition("/")[0])
        return tuple(short for p in links if (short := self._short(p)))

    def own(self, path: str) -> tuple[str, ...]:
        """The file itself, last; before it the path, if that is a link, and further ones."""
        above, _, name = path.rpartition("/")
        full, links = self._step((self._real(above)[0], ()), name)
        return tuple(short for p in (*links, full) if (short := self._short(p)))

    def _real(self, path: str, depth: int = 0) -> _Real:
        """Where a directory really is. Walks down from the nearest parent it knows."""
        pending: list[tuple[str, str]] = []
        at = path
        while (real := self._known.get(at)) is None and at:
            above, _, name = at.rpartition("/")
            pending.append((at, name))
            at = above
        real = real or ("", ())
        for at, name in reversed(pending):
            real = self._known[at] = self._step(real, name, depth)
        return real

    def _step(self, at: _Real, name: str, depth: int = 0) -> _Real:
        above, links = at
        if name in ("", "."):
            return at
        if name == "..":
            return _above(above), links
        full = f"{above}/{name}"
        target = self._links.get(full)
        if target is None or depth == _MOST_LINKS:
            return full, links
        base = target if target.startswith("/") else f"{above}/{target}"
        real, more = self._real(base, depth + 1)
        return real, (*links, full, *more)

    def _short(self, full: str) -> str | None:
        for root, short in self.roots:
            if full == root or full.startswith(root + "/"):
                return short + full[len(root) :]
        return None


def _above(path: str) -> str:
    return path.rpartition("/")[0]
