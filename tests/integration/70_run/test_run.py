"""`make run`: the first two minutes of somebody who has just cloned this."""

import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import maildir, net, processes
from tests.support.instance import is_same_process
from tests.support.servers import OURS

PORT = 2525


@pytest.fixture
def directory() -> Iterator[Path]:
    """Make a directory that every user may enter: started by root, the server goes on as somebody else."""
    with tempfile.TemporaryDirectory(prefix="run-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def read_until(running: "subprocess.Popen[str]", words: str, limit_s: float = 60) -> str:
    """Read the server's output up to a line with these words and the one after it."""
    assert running.stdout is not None
    said, deadline = "", time.monotonic() + limit_s
    while words not in said:
        line = running.stdout.readline()
        assert line, f"it ended: {said}"
        assert time.monotonic() < deadline, said
        said += line
    while not re.search(rf"{words}.*\n+ .*\n", said):
        said += running.stdout.readline()
    return said


@pytest.mark.parametrize(
    ("before", "number"),
    [("", signal.SIGINT), ("trap '' INT;", signal.SIGINT), ("", signal.SIGTERM)],
    ids=["Ctrl-C", "in the background", "SIGTERM"],
)
def test_run_delivers_a_message_and_tells_how_to_send_another(
    directory: Path, before: str, number: signal.Signals
) -> None:
    """It needs no main.cf, shows where the first message is and how long each step took, and leaves nothing behind."""
    assert net.greeting(PORT, 0.5) == b"", f"something listens on {PORT} already"
    command = ["/bin/sh", "-c", f'{before} exec "$0" run', str(OURS / "posthouse")]
    running = subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True)
    try:
        said = read_until(running, "send another one with")
        [place] = re.findall(r"^ +(/\S+/new/\S+)$", said, re.MULTILINE)
        assert b"Subject: Welcome" in Path(place).read_bytes()
        assert len(re.findall(r"[0-9.]+ ms$", said, re.MULTILINE)) >= 4
        another = said.splitlines()[-1].strip() or said.splitlines()[-2].strip()
        subprocess.run(["/bin/sh", "-c", another], check=True, timeout=30)
        mailbox = Path(place).parent.parent
        assert len(maildir.wait_messages(mailbox, 2)) == 2
        everything = processes.tree(running.pid)
        assert len(everything) > 3
        running.send_signal(number)
        assert running.wait(20) == 0
        deadline = time.monotonic() + 10
        while left := [process for process in everything if is_same_process(process)]:
            assert time.monotonic() < deadline, f"still there: {left}"
            time.sleep(0.05)
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGINT)
            running.wait(20)
        assert running.stdout is not None
        running.stdout.close()
