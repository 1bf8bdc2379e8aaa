"""What can stand before a task's first colon, and before the = of a word for it.

Knows nothing of doit, so that a shell's TAB need not wait for it.
"""

from __future__ import annotations

from typing import get_args

from labtasks.key.key import Kind

KINDS = get_args(Kind)
MACHINES = ("up", "down")
RUNS = ("test", "boot")
TASKS = (*KINDS, *RUNS, *MACHINES)

ON_A_VM = ("install", *RUNS)
"""Tasks whose name ends with a VM's."""

SWITCHES = ("retry", "force", "echo")
"""Words that are yes or no."""

WORDS = ("world", "builder", *SWITCHES)
