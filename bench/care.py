"""`doit status` and `doit gc` on a store of 10,000 artifacts; the peer is a walk over its files.

A manifest that a real build wrote stands ten thousand times, each with a layer of its own.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from common import DOIT, lab, report, run, seconds

COUNT = 10_000


def main() -> None:
    """Print both figures."""
    with tempfile.TemporaryDirectory() as scratch:
        here = lab(Path(scratch) / "lab", 'repository = "demo"\nrecipe = "demo"\n')
        run([*DOIT, "src:HEAD"], here)
        cache = here / "cache"
        (sealed,) = (cache / "artifacts" / "src").glob("*/manifest.json")
        _many(cache, json.loads(sealed.read_text()))
        walk = seconds(run, ["du", "-s", "cache"], here)
        status = min(seconds(run, [*DOIT, "status"], here) for _ in range(3))
        report("doit status of 10,000 artifacts, and du", status, walk, "at most 0.5 s")
        gone = seconds(run, [*DOIT, "gc", "--days", "1"], here)
        left = len(os.listdir(cache / "artifacts" / "kernel"))
        report("doit gc of them, and du", gone, walk, f"at most 10 s; {left} left")


def _many(cache: Path, manifest: dict[str, object]) -> None:
    for number in range(COUNT):
        key, layer = f"{number:064x}", f"k{number:015x}"
        home, tree = cache / "artifacts" / "kernel" / key, cache / "layers" / layer / "t"
        home.mkdir(parents=True)
        tree.mkdir(parents=True)
        (tree / "kernel").write_text(layer)
        (tree.parent / "files").write_text("[]")
        one = {**manifest, "kind": "kernel", "key": key, "stack": [layer], "links": {}}
        one |= {"finished": 1000.0 + number, "bytes": 16}
        (home / "manifest.json").write_text(json.dumps(one))
        os.utime(tree.parent, (1000, 1000))


if __name__ == "__main__":
    sys.exit(main())
