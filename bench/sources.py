"""Sources of a large tree: a first checkout against `git worktree add`, a switch between two
commits 100 files apart against `git checkout`. Argument: a git repository of many files.

The best of three rounds, or of those that end within four minutes: on a busy machine the processor
seconds, shown below the wall's, say more.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from common import DOIT, cost, lab, report, run

FILES = 100
ROUNDS = 3
PATIENCE = 240.0


def main(repository: Path) -> None:
    """Print two figures."""
    with tempfile.TemporaryDirectory(dir=repository.parent) as scratch:
        root = Path(scratch)
        clone = root / "clone"
        run(["git", "clone", "-q", "--shared", "--no-checkout", str(repository), str(clone)], root)
        text = f'repository = "{clone}"\nrecipe = "demo"\n'
        firsts, peers, switches, checkouts = [], [], [], []
        began = time.monotonic()
        base = run(["git", "rev-parse", "HEAD"], clone).strip()
        tree = root / "tree"
        other = ""
        while len(firsts) < ROUNDS and (not firsts or time.monotonic() < began + PATIENCE):
            here = lab(root / "lab", text)
            firsts.append(cost(run, [*DOIT, f"src:{base}"], here))
            if tree.exists():
                run(["git", "worktree", "remove", "--force", str(tree)], clone)
            add = ["git", "worktree", "add", "-q", "--detach", str(tree), base]
            peers.append(cost(run, add, clone))
            other = other or _change(tree)
            run(["git", "checkout", "-q", base], tree)
            checkouts.append(cost(run, ["git", "checkout", "-q", other], tree))
            switches.append(cost(run, [*DOIT, f"src:{other}"], here))
            shutil.rmtree(here)
        _report("first checkout", firsts, peers, "at most 1.1 of git worktree add")
        _report(f"switch, {FILES} files", switches, checkouts, "at most 1.2 of git checkout")


def _report(
    name: str, ours: list[tuple[float, float]], peer: list[tuple[float, float]], goal: str
) -> None:
    for which, unit in enumerate(("s", "cpu")):
        report(name, min(c[which] for c in ours), min(c[which] for c in peer), goal, unit)


def _change(tree: Path) -> str:
    """A commit that changes 100 text files, spread over the tree; its id."""
    names = run(["git", "ls-files", "*.c"], tree).splitlines()
    for name in names[:: max(1, len(names) // FILES)][:FILES]:
        with (tree / name).open("ab") as file:
            file.write(b"\n/* changed */\n")
    who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    run(["git", *who, "commit", "-qam", "100 files"], tree)
    return run(["git", "rev-parse", "HEAD"], tree).strip()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
