"""A machine without data sets of its own, and a real HTTP server on loopback that misbehaves when told to."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture(autouse=True)
def no_data_around(tmp_path, monkeypatch):
    """No data folder, an empty cache and no proxy: what the tests find is what they put there."""
    for variable in ("NUMBANET_DATA", "NUMBANET_OFFLINE", "NUMBANET_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("numbanet.datasets.files.cache_folder", lambda: tmp_path / "cache")


class Server:
    """Serves ``files`` by path; ``cut[path]`` ends a transfer after that many bytes, once for each time it is set."""

    def __init__(self, url):
        self.url = url
        self.files = {}
        self.cut = {}
        self.ranges = True
        self.requests = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server.state
        begin = 0
        wanted = self.headers.get("Range")
        server.requests.append((self.path, wanted))
        if self.path not in server.files:
            return self.send_error(404)
        content = server.files[self.path]
        if wanted and server.ranges:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if begin >= len(content):
                return self.send_error(416)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        end = server.cut.pop(self.path, len(content))
        self.wfile.write(content[begin:end])
        return None

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.state = Server(f"http://127.0.0.1:{http.server_address[1]}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield http.state
        finally:
            http.shutdown()
            thread.join()
