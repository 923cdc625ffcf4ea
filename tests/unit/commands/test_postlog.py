"""postlog: each severity says its word, and ends as Debian's postlog does."""

import os
import pty
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.peers import find_peer, peer_environment
from tests.support.servers import OURS


def said(program: str, arguments: list[str], environment: Mapping[str, str]) -> tuple[int, list[str]]:
    """Run it on a terminal, with two lines on standard input; exit status and the lines it shows."""
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [program, *arguments], input=b"first line\nsecond line\n", stderr=theirs, env=environment, check=False
    )
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 4096):
            text += piece
    except OSError:  # the end, on a terminal
        pass
    os.close(ours)
    return done.returncode, text.decode().splitlines()


@pytest.mark.parametrize(
    "words",
    [
        ["-p", "info", "some", "text"], ["-p", "warn", "text"], ["-p", "error", "text"], ["-p", "fatal", "text"],
        ["-p", "panic", "text"], ["-t", "my/tag", "text"], ["-i", "text"], ["-p", "loud", "text"], ["-z"], [],
    ],
)  # fmt: skip
def test_debian_s_postlog_says_the_same(words: list[str], tmp_path: Path) -> None:
    """The line that a terminal shows, and the exit status; errors of use have words of their own."""
    peer = find_peer("postlog")
    if not peer:
        pytest.skip("postlog is not here: make peers")
    (tmp_path / "main.cf").write_text("compatibility_level = 3.6\n")
    arguments = ["-c", str(tmp_path), *words]
    their_status, their_lines = said(peer, arguments, peer_environment())
    status, lines = said(str(OURS / "postlog"), arguments, os.environ)
    assert status == their_status
    if "-z" not in words and "loud" not in words:
        assert lines == [line.replace(f"{peer}: ", "postlog: ") for line in their_lines]
