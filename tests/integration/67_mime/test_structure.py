"""Which lines of a message are headers, and which are body: ours and Debian's Postfix say the same.

Postfix's parser is asked by postmap(1), which looks up every header (-hm) or body line (-bm) of a message in a table.
"""

import random
import subprocess
from pathlib import Path
from typing import Final

import pytest

from posthouse.protocol.message.mime import ALL_LINES, MimeParser
from posthouse.protocol.message.mime_events import BodyLine, HeaderField, Limits
from tests.support.mime_messages import Tree, lines
from tests.support.peers import find_peer, peer_environment

MESSAGES: Final = 150  # of each block
LIMIT_S: Final = 30
MAIN_CF: Final = "compatibility_level = 3.6\nmyhostname = mail.test\nmime_nesting_limit = 1\nheader_size_limit = 200\n"
LIMITS: Final = Limits(nesting=1, header_size=200, line_length=1 << 20)  # postmap reads whole lines

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not find_peer("postmap"), reason="Debian's postmap is not here"),
]


def theirs(message: bytes, what: str, directory: Path) -> bytes:
    """Let Postfix find all headers ("h") or body lines ("b"), each with a mark behind it."""
    command = [find_peer("postmap"), "-c", str(directory), "-q", "-", f"-{what}m", "static:found"]
    environment = peer_environment()
    done = subprocess.run(command, input=message, capture_output=True, timeout=LIMIT_S, env=environment, check=False)
    return done.stdout


def ours(message: bytes, what: type[HeaderField | BodyLine]) -> bytes:
    """Find the same in the same form."""
    parser = MimeParser(LIMITS, body_lines=ALL_LINES)
    events = [*parser.feed(message), *parser.close()]
    return b"".join([event.data + b"\tfound\n" for event in events if isinstance(event, what)])


@pytest.mark.parametrize("kind", ["lines", "trees"])
def test_both_find_the_same_headers_and_body_lines(kind: str, tmp_path: Path) -> None:
    """Lines in any order, and well-formed messages, some of which nest too deep."""
    (tmp_path / "main.cf").write_text(MAIN_CF)
    different, structured = [], 0
    for seed in range(MESSAGES):
        source = random.Random(seed)
        message = Tree(source).text if kind == "trees" else lines(source).replace(b"\0", b"").rstrip(b"\n") + b"\n"
        headers = theirs(message, "h", tmp_path)
        structured += b"ontent-" in headers
        if ours(message, HeaderField) != headers or ours(message, BodyLine) != theirs(message, "b", tmp_path):
            different.append(seed)
    assert not different
    assert structured > MESSAGES // 5
