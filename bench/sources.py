"""Sources of a large tree: a first checkout against `git worktree add`, a switch between two
commits 100 files apart against `git checkout`. Argument: a git repository of many files.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from common import DOIT, lab, report, run, seconds

FILES = 100


def main(repository: Path) -> None:
    """Print two figures."""
    with tempfile.TemporaryDirectory(dir=repository.parent) as scratch:
        root = Path(scratch)
        clone = root / "clone"
        run(["git", "clone", "-q", "--shared", "--no-checkout", str(repository), str(clone)], root)
        text = f'repository = "{clone}"\nrecipe = "demo"\n'
        firsts, peers, switches, checkouts = [], [], [], []
        base = run(["git", "rev-parse", "HEAD"], clone).strip()
        tree = root / "tree"
        other = ""
        for _ in range(3):
            here = lab(root / "lab", text)
            firsts.append(seconds(run, [*DOIT, f"src:{base}"], here))
            if tree.exists():
                run(["git", "worktree", "remove", "--force", str(tree)], clone)
            add = ["git", "worktree", "add", "-q", "--detach", str(tree), base]
            peers.append(seconds(run, add, clone))
            other = other or _change(tree)
            run(["git", "checkout", "-q", base], tree)
            checkouts.append(seconds(run, ["git", "checkout", "-q", other], tree))
            switches.append(seconds(run, [*DOIT, f"src:{other}"], here))
            shutil.rmtree(here)
        report("first checkout", min(firsts), min(peers), "at most 1.1 of git worktree add")
        report(
            f"switch, {FILES} files", min(switches), min(checkouts), "at most 1.2 of git checkout"
        )


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
