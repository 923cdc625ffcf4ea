"""One HTTP POST with JSON, for the webhook: HTTP/1.1 over TCP, one request a connection, a limit for everything.

The answer's status line is all that is read. Source: RFC 9112.
"""

import asyncio
import ipaddress
import os
import socket
from typing import Final

from posthouse.config.webhook import Endpoint
from posthouse.ipc.dns import OK
from posthouse.net.dns_client import DnsClient
from posthouse.util.json_line import json_line

LIMIT_S: Final = 10.0
MAX_ANSWER: Final = 4096  # bytes that are looked at


class WebhookError(Exception):
    """It was not told; str() says why."""


async def post(loop: asyncio.AbstractEventLoop, dns: DnsClient, endpoint: Endpoint, fields: dict[str, object]) -> None:
    """Tell it. Raises WebhookError."""
    try:
        async with asyncio.timeout(LIMIT_S):
            status = await _exchange(loop, await _address(dns, endpoint.host), endpoint, json_line(fields))
    except TimeoutError:
        raise WebhookError(f"no answer within {LIMIT_S:.0f} s") from None
    except OSError as error:
        raise WebhookError(os.strerror(error.errno) if error.errno else str(error)) from None
    if not 200 <= status < 300:
        raise WebhookError(f"it answered {status}")


async def _address(dns: DnsClient, host: str) -> str:
    if host.lower() == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    for rrtype in ("A", "AAAA"):
        answer = await dns.lookup(host, rrtype)
        if answer.status == OK and answer.records:
            return answer.records[0].data
    raise WebhookError(f"{host} has no address")


async def _exchange(loop: asyncio.AbstractEventLoop, address: str, endpoint: Endpoint, body: bytes) -> int:
    head = (
        f"POST {endpoint.path} HTTP/1.1\r\nHost: {endpoint.authority}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nUser-Agent: Posthouse\r\nConnection: close\r\n\r\n"
    )
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (address, endpoint.port))
        await loop.sock_sendall(sock, head.encode("ascii") + body)
        answer = b""
        while b"\r\n" not in answer and len(answer) < MAX_ANSWER:
            piece = await loop.sock_recv(sock, MAX_ANSWER)
            if not piece:
                break
            answer += piece
    words = answer.split(b" ", 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1][:3].isdigit():
        raise WebhookError("what it answered is no HTTP")
    return int(words[1][:3])
