"""Small servers of the socketmap, tcp_table and HTTP protocols, each a process of its own that can be stopped.

usage: python small_table_server.py socketmap|tcp|http PORT FILE

FILE has the entries as JSON. They are not under test; the socketmap and tcp servers are written from the manual pages
and share no code with what they test.
"""

import http.server
import json
import socketserver
import sys
import urllib.parse

ENTRIES: dict[str, str] = {}


class SocketMapHandler(socketserver.StreamRequestHandler):
    """socketmap_table(5)."""

    def handle(self) -> None:
        """Answer until the client leaves."""
        while digits := self._digits():
            query = self.rfile.read(int(digits)).decode()
            assert self.rfile.read(1) == b","
            _, _, key = query.partition(" ")
            answer = f"OK {ENTRIES[key]}" if key in ENTRIES else "NOTFOUND "
            data = answer.encode()
            self.wfile.write(str(len(data)).encode() + b":" + data + b",")

    def _digits(self) -> bytes:
        digits = b""
        while (octet := self.rfile.read(1)) not in (b":", b""):
            digits += octet
        return digits


class TcpHandler(socketserver.StreamRequestHandler):
    """tcp_table(5)."""

    def handle(self) -> None:
        """Answer until the client leaves."""
        while line := self.rfile.readline():
            verb, _, key = line.rstrip(b"\n").partition(b" ")
            assert verb == b"get"
            value = ENTRIES.get(urllib.parse.unquote(key.decode()))
            answer = f"200 {urllib.parse.quote(value)}" if value is not None else "500 no such key"
            self.wfile.write(answer.encode() + b"\n")


class HttpHandler(http.server.BaseHTTPRequestHandler):
    """GET /key gives {"value": ...} or 404."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer."""
        key = urllib.parse.unquote(self.path.removeprefix("/lookup/"))
        body = json.dumps({"value": ENTRIES.get(key)}).encode()
        self.send_response(200 if key in ENTRIES else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


class Server(socketserver.ThreadingTCPServer):
    """One thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100


HANDLERS = {"socketmap": SocketMapHandler, "tcp": TcpHandler, "http": HttpHandler}

if __name__ == "__main__":
    kind, port, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        ENTRIES.update(json.load(file))
    with Server(("127.0.0.1", int(port)), HANDLERS[kind]) as server:
        server.serve_forever()
