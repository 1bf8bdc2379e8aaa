"""What muninn adds to a command: a fixed part, a part per MB of output, and its memory.

Messages go to a web hook on the loopback. The peer is the command alone.
"""

from __future__ import annotations

import http.server
import os
import resource
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence

from common import PROJECT, report, seconds

MUNINN = (sys.executable, "-m", "labtasks.notice.muninn")
ROUNDS = 5
MB = 1024


class _Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Take anything."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _says(size: int) -> list[str]:
    """A command that says so many MB."""
    text = f"import os\nb = b'x' * 65535 + b'\\n'\nfor _ in range({size * 16}): os.write(1, b)"
    return [sys.executable, "-c", text]


def _piped(argv: Sequence[str]) -> None:
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as run:
        subprocess.run(["cat"], stdin=run.stdout, stdout=subprocess.DEVNULL, check=True)


def _filed(argv: Sequence[str]) -> None:
    with tempfile.TemporaryFile() as file:
        subprocess.run(argv, stdout=file, check=True)


def main() -> None:
    """Print five figures."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["LABTASKS_NOTIFY"] = f"json://127.0.0.1:{server.server_address[1]}/"
    os.environ["NO_PROXY"] = "127.0.0.1"
    os.environ["PYTHONPATH"] = str(PROJECT)
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp()
    for name, argv in (("true", ["true"]), ("sleep 2", ["sleep", "2"])):
        ours = min(seconds(_piped, [*MUNINN, *argv]) for _ in range(ROUNDS))
        peer = min(seconds(_piped, argv) for _ in range(ROUNDS))
        report(f"muninn {name}", ours, peer, "at most 0.3 s more")
    for name, way in (("pipe", _piped), ("file", _filed)):
        slopes = []
        for prefix in ((*MUNINN,), ()):
            little = min(seconds(way, [*prefix, *_says(1)]) for _ in range(ROUNDS))
            much = min(seconds(way, [*prefix, *_says(MB)]) for _ in range(3))
            slopes.append((much - little) / (MB - 1) * 1000)
        report(f"1 MB of output to a {name}", *slopes, "no measurable cost", "ms")
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    small = _peak()
    report("memory with 1 GB of output", most, small, "flat", "MB")
    server.shutdown()


def _peak() -> float:
    """Megabytes of a muninn whose command says nothing."""
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:]); print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"  # noqa: E501
    said = subprocess.run(
        [sys.executable, "-c", code, *MUNINN, "true"], capture_output=True, check=True
    )
    return int(said.stdout) / 1024


if __name__ == "__main__":
    main()
