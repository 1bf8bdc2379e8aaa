"""Servers on the loopback that take messages: a web hook and a mail server."""

from __future__ import annotations

import contextlib
import http.server
import json
import socketserver
import threading
from collections.abc import Iterator


class Hook:
    """What was posted; the answers are taken from `answers`, and 200 when they are used up."""

    def __init__(self) -> None:
        self.got: list[dict] = []
        self.answers: list[int] = []
        self.asked = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"json://user:s3cret-word@127.0.0.1:{self.port}/t0ken"


@contextlib.contextmanager
def hook() -> Iterator[Hook]:
    found = Hook()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found.asked += 1
            code = found.answers.pop(0) if found.answers else 200
            if code == 200:
                found.got.append(body)
            self.send_response(code)
            self.end_headers()

        def log_message(self, *_):
            pass

    with _served(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        found.port = port
        yield found


@contextlib.contextmanager
def mail() -> Iterator[tuple[int, list[str]]]:
    """Its port, and the mails it took."""
    took: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                word = line.split()[0].upper() if line.split() else b""
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    text = b""
                    while (line := self.rfile.readline()) not in (b".\r\n", b""):
                        text += line
                    took.append(text.decode())
                answers = {b"EHLO": b"250-here\r\n250 AUTH PLAIN", b"AUTH": b"235 it is you"}
                self.wfile.write(answers.get(word, b"250 ok") + b"\r\n")
                if word == b"QUIT":
                    return

    with _served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, took


@contextlib.contextmanager
def _served(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
