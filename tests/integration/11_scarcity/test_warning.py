"""Warned before it is refused: by mail and by webhook, with numbers that are right, once an hour."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, Final

import pytest

from tests.conftest import Start
from tests.support import maildir
from tests.support.instance import Instance
from tests.support.mailboxes import Boxes, box, give_away
from tests.support.net import LOOPBACK
from tests.support.scarcity import offer, status, wait
from tests.support.small_disk import STEP, SmallDisk, ext4

pytestmark = pytest.mark.root
LIMIT: Final = 300_000  # message_size_limit: mail is refused at the reserve's size, a sixteenth of the disk
PAUSE_S: Final = 0.2  # between steps of 64 kB: 300 kB a second


class Hook:
    """A real HTTP server that keeps what is posted."""

    def __init__(self) -> None:
        posted: list[tuple[float, str, str, dict[str, Any]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posted.append((time.monotonic(), self.path, self.headers["Content-Type"], json.loads(body)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                del arguments

        self.posted = posted
        self._server = HTTPServer((LOOPBACK, 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be undone at the end, after the servers have stopped."""
    with ExitStack() as undone:
        yield undone


@dataclass(slots=True)
class Filling:
    """What happened while a disk was filled."""

    warned_at: float
    refused_at: float
    free_when_warned: int
    rate: float  # bytes a second


def fill(server: Instance, disk: SmallDisk) -> Filling:
    """Fill step by step until mail is refused."""
    warned_at, free_when_warned = 0.0, 0
    begin = time.monotonic(), disk.free
    while disk.step():
        if not warned_at and maildir.messages(box(server, "postmaster")):
            warned_at, free_when_warned = time.monotonic(), disk.free
        if offer(server).startswith("452"):
            break
        time.sleep(PAUSE_S)
    refused_at = time.monotonic()
    return Filling(warned_at, refused_at, free_when_warned, (begin[1] - disk.free) / (refused_at - begin[0]))


def check_message(text: str, seen: Filling) -> None:
    """Hold its numbers against what happened."""
    found = re.search(r"Forecast:  (\S+) (\wB) an hour.*refused in about (\d+) (s|min)", text)
    assert found is not None, text
    rate = float(found[1]) * {"kB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}[found[2]] / 3600
    seconds = float(found[3]) * (60 if found[4] == "min" else 1)
    left = seen.refused_at - seen.warned_at
    print(f"foretold {rate:.0f} bytes/s and {seconds:.0f} s, really {seen.rate:.0f} and {left:.0f}")
    assert rate == pytest.approx(seen.rate, rel=0.4)
    assert seconds == pytest.approx(left, rel=0.5)
    now = re.search(r"Now:       (\S+) MB of", text)
    assert now is not None
    assert abs(float(now[1]) * (1 << 20) - seen.free_when_warned) < 20 * STEP
    assert "Subject: mail.example.test: queue disk refuses mail in about" in text
    assert "What you can do:" in text


def test_a_disk_that_fills_slowly(stack: ExitStack, posthouse: Start) -> None:
    """The forecast comes first, then the levels, then the refusal; what it says of rate and time holds."""
    hook = Hook()
    stack.callback(hook.close)
    main = {"mydestination": "", "message_size_limit": str(LIMIT), "resource_notice_recipient": "postmaster@box.test"}
    main["resource_notice_webhook"] = f"http://{LOOPBACK}:{hook.port}/scarce?from=posthouse"
    server = posthouse(started=False, **Boxes(["postmaster"]).options(**main))
    give_away(server)
    disk = stack.enter_context(ext4(server.queue_directory, 16 << 20))
    stack.callback(server.stop)
    server.start_and_greet()
    wait("the reserve is there", lambda: status(server)["numbers"].get("reserve_bytes_held", 0) > 0)
    seen = fill(server, disk)
    assert 0 < seen.warned_at < seen.refused_at, "the warning comes before the refusal"
    print(f"warned {seen.refused_at - seen.warned_at:.1f} s before the refusal, {seen.free_when_warned} bytes free")
    [message] = maildir.messages(box(server, "postmaster"))
    check_message(message.decode(), seen)

    [(posted_at, path, kind, fields)] = hook.posted
    assert (path, kind) == ("/scarce?from=posthouse", "application/json")
    assert posted_at < seen.refused_at
    assert fields["condition"] == "queue_space"
    assert fields["rate_per_second"] == pytest.approx(seen.rate, rel=0.4)
    assert fields["headline"] in message.decode()
    wait("critical", lambda: status(server)["level"] == "critical")
    assert server.command("postfix", "reload").returncode == 0
    wait("after a reload", lambda: status(server)["level"] == "critical")
    time.sleep(3)
    assert len(maildir.messages(box(server, "postmaster"))) == 1, "one an hour, whatever else changes"


def test_a_webhook_that_does_not_answer_holds_up_nothing(stack: ExitStack, posthouse: Start) -> None:
    """Nobody listens at its port: a line in the log, and the message is sent all the same."""
    hook = Hook()
    hook.close()
    main = {"mydestination": "", "message_size_limit": "20000000", "resource_notice_recipient": "postmaster@box.test"}
    main["resource_notice_webhook"] = f"http://localhost:{hook.port}/"
    server = posthouse(started=False, **Boxes(["postmaster"]).options(**main))
    give_away(server)
    stack.enter_context(ext4(server.queue_directory, 16 << 20))
    stack.callback(server.stop)
    server.start_and_greet()
    [message] = maildir.wait_messages(box(server, "postmaster"), 1, 30)
    assert b"queue disk critical" in message
    server.wait_log(r"resource_notice_webhook: localhost:\d+: Connection refused")
