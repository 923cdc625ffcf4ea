"""What the tests of scarcity share: one message by hand, and a look at `posthouse status`."""

import json
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any, Final

from tests.support.instance import Instance
from tests.support.net import LOOPBACK, read_reply

LIMIT_S: Final = 30.0  # generous: what is promised is printed, not asserted


def offer(server: Instance, sender: str = "sender@client.test", size: int = 0) -> str:
    """Connect, say EHLO and MAIL; return the reply to MAIL, or an earlier refusal."""
    with socket.create_connection((LOOPBACK, server.port), timeout=30) as sock:
        said = read_reply(sock).decode()
        if not said.startswith("220"):
            return said.strip()
        sock.sendall(b"EHLO client.test\r\n")
        read_reply(sock)
        parameter = f" SIZE={size}" if size else ""
        sock.sendall(f"MAIL FROM:<{sender}>{parameter}\r\n".encode())
        said = read_reply(sock).decode()
        sock.sendall(b"QUIT\r\n")
        return said.strip()


def send(server: Instance, to: str, size: int = 1000, sender: str = "sender@client.test", subject: str = "x") -> str:
    """Send a message of about so many octets; return the last reply that was not what it should be, or the last."""
    body = (b"x" * 70 + b"\r\n") * (size // 72 + 1)
    content = f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\n".encode() + body + b".\r\n"
    commands = [b"EHLO client.test\r\n", f"MAIL FROM:<{sender}>\r\n".encode(), f"RCPT TO:<{to}>\r\n".encode()]
    with socket.create_connection((LOOPBACK, server.port), timeout=60) as sock:
        said = read_reply(sock)
        for command in [*commands, b"DATA\r\n", content]:
            if said[:1] not in b"23":
                break
            sock.sendall(command)
            said = read_reply(sock)
        return said.decode().strip()


def status(server: Instance) -> dict[str, Any]:
    """Return what `posthouse status --json` says of resources."""
    command = [server.program("posthouse"), "status", "--json", "-c", str(server.config_directory)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=30, env=server.environment())
    found: dict[str, Any] = json.loads(done.stdout)["resources"]
    return found


def level(server: Instance, condition: str) -> str:
    """Return the level of one condition; "" when it is not known (yet)."""
    found = (each["level"] for each in status(server)["conditions"] if each["condition"] == condition)
    return next(found, "")


def wait(what: str, happened: Callable[[], bool], limit_s: float = LIMIT_S) -> float:
    """Wait for it; print and return how long it took. Raises AssertionError."""
    begin = time.monotonic()
    while not happened():
        assert time.monotonic() - begin < limit_s, f"{what}: not within {limit_s} s"
        time.sleep(0.02)
    took = time.monotonic() - begin
    print(f"{what}: {took:.2f} s")
    return took


def flush_until(server: Instance, what: str, happened: Callable[[], bool], limit_s: float = 60.0) -> float:
    """Wait for it, and flush meanwhile: what was under way at the first flush is deferred after it."""
    tried = [-1.0]

    def look() -> bool:
        if time.monotonic() - tried[0] > 1:
            flushed = server.command("postqueue", "-f")
            assert flushed.returncode == 0, flushed.stderr
            tried[0] = time.monotonic()
        return happened()

    return wait(what, look, limit_s)
