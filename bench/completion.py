"""What a TAB costs: `labtasks completion --line`, with refs of the demo, against plain Python."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from common import best, lab, report, run

ROUNDS = 15


def main() -> None:
    """Print one figure."""
    with tempfile.TemporaryDirectory() as scratch:
        here = lab(Path(scratch) / "lab", 'repository = "demo"\nrecipe = "demo"\n')
        run([sys.executable, "-m", "labtasks.command.main", "demo", "cache/demo"], here)
        asked = ["completion", "--line", "doit test:go"]
        ours, peer = best(
            lambda: run([sys.executable, "-m", "labtasks.command.main", *asked], here),
            lambda: run([sys.executable, "-c", ""], here),
            ROUNDS,
        )
        report("a TAB", ours, peer, "at most 0.3 s")


if __name__ == "__main__":
    main()
