"""`doit build:<sha>` on a built commit, against a doit run that has nothing to do.

With 1,000 further artifacts in the store: copies of real manifests under other keys.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from common import DOIT, best, lab, report, run

ROUNDS = 15


def main() -> None:
    """Print two figures."""
    with tempfile.TemporaryDirectory() as scratch:
        here = lab(Path(scratch) / "lab", 'repository = "demo"\nrecipe = "demo"\n')
        empty = Path(scratch) / "empty"
        empty.mkdir()
        (empty / "dodo.py").write_text('def task_x():\n    return {"actions": None}\n')
        run([*DOIT, "build:good"], here)
        sha = run(["git", "-C", "cache/demo", "rev-parse", "good"], here).strip()
        for name in ("up to date", "up to date, 1,000 artifacts in the store"):
            if name.endswith("store"):
                _fill(here / "cache" / "artifacts")
            ours, peer = best(
                lambda: run([*DOIT, f"build:{sha}"], here), lambda: run(DOIT, empty), ROUNDS
            )
            report(name, ours, peer, "at most 2.0")


def _fill(artifacts: Path) -> None:
    for kind in ("world", "kernel"):
        origin = next((artifacts / kind).iterdir())
        manifest = json.loads((origin / "manifest.json").read_text())
        for number in range(500):
            manifest["key"] = f"{number:064x}"
            home = artifacts / kind / manifest["key"]
            home.mkdir()
            (home / "manifest.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    main()
