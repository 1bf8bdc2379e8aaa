"""Where a build is a guest: a machine that is reached by ssh, and the trees it gives to one build.

The trees lie at /mnt there, as everywhere: src, obj, files, out and home. How they come to be
there, and what is kept of them for the next build, differs: a disk of a virtual machine
(guest_disk), folders of any other (remote_folder). Knows nothing of what is built.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from labtasks.ground import namespace
from labtasks.ground.error import InfraError, LostError
from labtasks.site import ssh
from labtasks.site.ssh import Remote
from labtasks.store.layer import LayerId

STEP = "/var/run/labtasks.step"
"""Tells of what runs for us; a folder that no restart survives."""

LEADERS = "$(ps -o pgid= -o sid= -p $$ 2>/dev/null || echo $$ $$)"
"""The process group and the session of a shell; where there is no ps, the login shell is trusted to
have gone.
"""

END_STEP = """\
end_step() {
	read -r group session since <"$1" || return 0
	case $(ps -ww -o args= -p "$session" 2>/dev/null) in ''|*"$1"*) ;; *) return 0 ;; esac
	kill -KILL -- "-$group" 2>/dev/null
	tries=0
	while [ $tries -lt 50 ] && ps -A -o pid= -o sid= 2>/dev/null | {
		left=1
		while read -r pid sid; do
			[ "$sid" = "$session" ] && kill -KILL "$pid" 2>/dev/null && left=0
		done
		[ $left = 0 ]
	}; do sleep 0.1; tries=$((tries + 1)); done
}
"""
"""Shell text: `end_step <file>` ends what LEADERS in that file tell of. BSD's make gives each job a
process group of its own, so the whole session goes; one whose leader was not told to write that
file is somebody else's by now.
"""


@dataclass(slots=True, kw_only=True)
class Site(ABC):
    """One machine, given to one build. `what` it is called, `cpus` it has, and the commands' way
    in. `frozen` says whether the sources cannot be written any more.
    """

    what: str
    to: Remote
    cpus: int
    frozen: bool = False

    root = namespace.ROOT
    """Where the trees are."""

    ours = False
    """Whether its clock is ours to set."""

    @abstractmethod
    def open(self, scratch: Path, layers: Path, base: LayerId | None, first: str) -> str:
        """Put the trees there: as they were kept with the layer `base`, or empty folders. What the
        shell text `first` prints. Raises InfraError.
        """

    @abstractmethod
    def keeps(self, layers: Path, name: LayerId) -> bool:
        """Whether the trees were kept that a layer was made in."""

    @abstractmethod
    def within(self, text: str) -> str:
        """Shell text that runs `text` where the trees are."""

    def step(self, text: str) -> str:
        """As `within`, for a command that `close` ends if it still runs."""
        return self.within(f"echo {LEADERS} >{STEP}; {text}")

    @abstractmethod
    def freeze(self) -> None:
        """Make the sources read-only, where the system can."""

    @abstractmethod
    def detach(self) -> None:
        """Nothing is changed there any more: sources can be written again, the trees are whole."""

    @abstractmethod
    def keep(self, layers: Path, scratch: Path, name: LayerId) -> None:
        """Keep the trees with a layer that is about to be sealed, and lies in `scratch`/layer."""

    @abstractmethod
    def close(self) -> None:
        """End what still runs there and leave nothing behind but what is kept. Raises InfraError
        when the machine does not obey.
        """

    @abstractmethod
    def console(self) -> str:
        """Where to look when it is lost."""

    def run(self, script: str, *, data: bytes = b"") -> str:
        """Run shell text where the trees are; what it prints. Raises InfraError when it fails,
        LostError when it could not be run.
        """
        return self.ask(self.within(script), data=data)

    def ask(self, command: str, *, data: bytes = b"") -> str:
        """Run a command there, wherever the trees are; otherwise as `run`."""
        try:
            answer = ssh.query(self.to, command, data=data, timeout=600)
        except InfraError as error:
            raise self.lost(error.message) from None
        if answer.code:
            raise self.failed(answer.error.splitlines(), answer.complaint)
        return answer.text

    def failed(self, lines: Sequence[str], said: str) -> InfraError:
        """The refusal for a command that failed there: of the lines that it left, the one that
        speaks of a full disk, else `said`.
        """
        full = next((line for line in lines if "No space left on device" in line), "")
        if full:
            return InfraError(
                f"{self.what}: no space left there: {full}",
                hint="more room there; in a VM, /tmp is its memory",
            )
        return InfraError(f"{self.what}: {said}", hint=self.console())

    def lost(self, said: str) -> InfraError:
        """The refusal for a machine that is gone: a LostError, unless more is known."""
        return LostError(
            f"{self.what} was lost in mid-build ({said})",
            hint=f"nothing of the build is kept; {self.console()}",
        )
