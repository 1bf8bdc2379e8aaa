"""Every benchmark that needs no tree of its own, and those whose tree the arguments name.

bench/run.py [LINUX_REPOSITORY]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run them one after the other."""
    runs = [["up_to_date.py"], ["completion.py"], ["steps.py"], ["undisturbed.py"]]
    runs += [["care.py"], ["bisects.py"], ["verdicts.py"], ["objfs.py", "clone", "--sizes", "1"]]
    if len(sys.argv) > 1:
        runs.append(["sources.py", sys.argv[1]])
    for name, *words in runs:
        print(f"-- {name} {' '.join(words)}", flush=True)
        subprocess.run([sys.executable, str(HERE / name), *words], check=True)


if __name__ == "__main__":
    main()
