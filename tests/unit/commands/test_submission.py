"""Handing a message over: the socket, or maildrop when nobody serves it."""

import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.commands import submission
from posthouse.commands.submission import Message, find_queue_directory, format_submission, submit
from posthouse.ipc.submit import MAX_CONTENT_RECORD, SubmissionReader


class Queue:
    """A queue directory with a maildrop, maybe with somebody at the submit socket."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.etc = directory / "etc"
        self.etc.mkdir()
        (self.etc / "main.cf").write_text(f"queue_directory = {directory}\n")
        for name in ("submit", "maildrop"):
            (directory / name).mkdir()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self.received = b""

    def serve(self, answer: bytes, *, read: int = 1 << 20) -> None:
        """Answer one submission."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.directory / "submit" / "submit"))
        self._listener.listen()
        self._thread = threading.Thread(target=self._answer, args=(self._listener, answer, read))
        self._thread.start()

    def _answer(self, listener: socket.socket, answer: bytes, read: int) -> None:
        sock, _address = listener.accept()
        with sock:
            self.received = sock.recv(read) if read else b""
            sock.sendall(answer)

    def close(self) -> None:
        """End it."""
        if self._thread is not None:
            self._thread.join(5)
        if self._listener is not None:
            self._listener.close()

    def dropped(self) -> list[Path]:
        """Files in maildrop."""
        return list((self.directory / "maildrop").iterdir())


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    """Make a queue directory."""
    made = Queue(tmp_path)
    yield made
    made.close()


def test_the_system_answers(queue: Queue) -> None:
    """Code, status, text."""
    queue.serve(b"250 2.0.0 Ok: queued as 3ABC\n")
    answer = submit(b"records", str(queue.etc))
    assert (answer.code, answer.dsn, answer.text) == (250, "2.0.0", "Ok: queued as 3ABC")
    assert queue.received == b"records"
    assert queue.dropped() == []


def test_a_refusal_is_the_answer(queue: Queue) -> None:
    """It does not go to maildrop instead."""
    queue.serve(b"552 5.3.4 too big\n")
    answer = submit(b"records", str(queue.etc))
    assert (answer.code, answer.text) == (552, "too big")
    assert queue.dropped() == []


@pytest.mark.parametrize("said", [b"", b"250", b"banana\n", b"25 2.0.0 x\n", "٢٥٠ 2.0.0 x\n".encode()])
def test_a_system_that_dies_before_it_answers(queue: Queue, said: bytes) -> None:
    """The message goes the other way; twice is better than never."""
    queue.serve(said)
    assert submit(b"records", str(queue.etc)).code == 250
    assert len(queue.dropped()) == 1


def test_a_system_that_is_down(queue: Queue) -> None:
    """The message waits in maildrop, complete and readable."""
    answer = submit(b"records", str(queue.etc))
    assert (answer.code, answer.text) == (250, "left in maildrop")
    [path] = queue.dropped()
    assert path.read_bytes() == b"records"
    assert path.stat().st_mode & 0o7777 == 0o444
    assert re.fullmatch("[0-9a-f]{32}", path.name)


def test_a_maildrop_that_cannot_be_written(queue: Queue) -> None:
    """A temporary error that says where."""
    (queue.directory / "maildrop").rmdir()
    answer = submit(b"records", str(queue.etc))
    assert (answer.code, answer.dsn) == (451, "4.3.0")
    assert f"{queue.directory}/maildrop: No such file or directory" in answer.text


def test_a_full_disk_leaves_nothing(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a file that is not complete."""

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    assert submit(b"records", str(queue.etc)).code == 451
    assert queue.dropped() == []


def test_a_file_is_complete_only_when_it_is_on_disk(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content, then mode, then the name."""
    steps: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda _descriptor: steps.append("fsync"))
    monkeypatch.setattr(os, "fchmod", lambda _descriptor, mode: steps.append(f"{mode:o}"))
    monkeypatch.setattr(submission, "_sync_file_system", lambda _descriptor: steps.append("sync name"))
    submit(b"records", str(queue.etc))
    assert steps == ["fsync", "444", "fsync", "sync name"]


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        (None, "/var/spool/postfix"),
        ("", "/var/spool/postfix"),
        ("queue_directory = /q\n", "/q"),
        ("queue_directory=/q \n", "/q"),
        ("#queue_directory = /no\nqueue_directory = /a\nqueue_directory = /b\n", "/b"),
        ("queue_directory_x = /no\n", "/var/spool/postfix"),
        ("data = /d\nqueue_directory = $data/q\n", "/d/q"),
        ("queue_directory =\n  /q\n", "/q"),
        ("queue_directory = /q\n# comment\n\n", "/q"),
    ],
)
def test_the_queue_directory(tmp_path: Path, main: str | None, expected: str) -> None:
    """Read from main.cf the short way where that does."""
    if main is not None:
        (tmp_path / "main.cf").write_text(main)
    assert find_queue_directory(str(tmp_path)) == expected


def test_the_configuration_s_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """-C, or MAIL_CONFIG."""
    (tmp_path / "main.cf").write_text("queue_directory = /q\n")
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    assert find_queue_directory("") == "/q"


def test_a_main_cf_that_makes_no_sense_is_a_temporary_error(tmp_path: Path) -> None:
    """Whoever sends mail cannot mend it; the program keeps the message."""
    (tmp_path / "main.cf").write_text("queue_directory = ${x\n")
    answer = submit(b"records", str(tmp_path))
    assert (answer.code, answer.dsn) == (451, "4.3.5")
    assert "main.cf:1" in answer.text


def test_large_content_goes_in_several_records() -> None:
    """And comes back as one."""
    message = Message()
    message.recipients = ["a@x"]
    message.content = b"x" * (2 * MAX_CONTENT_RECORD + 1)
    reader = SubmissionReader()
    pieces = list(reader.feed(format_submission(message)))
    assert [len(piece) for piece in pieces] == [MAX_CONTENT_RECORD, MAX_CONTENT_RECORD, 1]
    assert reader.complete


def test_line_breaks_in_the_envelope_become_blanks() -> None:
    """As Postfix makes them; octets that are no UTF-8 become question marks."""
    message = Message()
    message.sender = "a\r\nb\0c\udcff"
    reader = SubmissionReader()
    list(reader.feed(format_submission(message)))
    assert reader.envelope.sender == "a  b c?"
