"""The child that acts as a user: jobs in, answers out; nothing it is not meant for."""

import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from posthouse.delivery import as_user, maildir
from posthouse.ipc.as_user import (
    AGENT,
    NAME,
    NO_SPACE,
    NOT_FOUND,
    OK,
    OVER_QUOTA,
    REFUSED,
    TRY_LATER,
    VERSION,
    Finished,
    ReadFile,
    RunCommand,
    ToChild,
    WriteMailbox,
    WriteMaildir,
)
from posthouse.ipc.record import Hello
from posthouse.ipc.runas_wire import JobKind
from posthouse.ipc.stream import encode_frame

FROM = b"From s@x Mon Nov  6 12:00:00 2023\n"


class Child:
    """A child in a thread, and the agent's end of its socket."""

    def __init__(self, kind: JobKind) -> None:
        self.sock, theirs = socket.socketpair()
        self._thread = threading.Thread(target=as_user.serve, args=(theirs.detach(), int(kind)))
        self._thread.start()
        self.sock.sendall(encode_frame(Hello(NAME, VERSION)))
        self.greeting = self._frame()

    def ask(self, *jobs: ToChild, descriptors: tuple[int, ...] = ()) -> list[Finished]:
        """Send jobs together; their answers in the order they come."""
        data = b"".join(map(encode_frame, jobs))
        if descriptors:
            socket.send_fds(self.sock, [data], list(descriptors))
        else:
            self.sock.sendall(data)
        return [AGENT.decode(self._frame()) for _ in jobs]

    def _frame(self) -> bytes:
        (length,) = struct.unpack(">I", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            assert piece, "the child went away"
            data += piece
        return data

    def close(self) -> None:
        """Let it go."""
        self.sock.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture(params=[JobKind.MAILBOX])
def child(request: pytest.FixtureRequest) -> Iterator[Child]:
    """Start a child."""
    made = Child(request.param)
    yield made
    made.close()


def to_maildir(number: int, path: Path, content: bytes = b"x\n", *, lent: bool = False) -> WriteMaildir:
    """Make a job."""
    return WriteMaildir(number, str(path), "mail.x", b"Head: er\n", content, lent)


def to_mbox(path: Path, *, size_limit: int = 0) -> WriteMailbox:
    """Make a job."""
    return WriteMailbox(5, str(path), FROM, b"", b"x\n", False, size_limit, ["fcntl"], True)


def test_it_greets(child: Child) -> None:
    """With the protocol's name and version."""
    assert encode_frame(Hello(NAME, VERSION))[4:] == child.greeting


def test_many_maildir_files_are_made_durable_together(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is answered after it."""
    maildir.make(str(tmp_path / "box"))
    real, batches = maildir.deliver, list[int]()

    def deliver(drafts: Sequence[maildir.Draft]) -> list[OSError | None]:
        batches.append(len(drafts))
        return real(drafts)

    monkeypatch.setattr(maildir, "deliver", deliver)
    answers = child.ask(*(to_maildir(number, tmp_path / "box") for number in range(20)))
    assert sorted(answer.id for answer in answers) == list(range(20))
    assert {(answer.ending, answer.text) for answer in answers} == {(OK, "delivered to maildir")}
    assert len(list((tmp_path / "box" / "new").iterdir())) == 20
    assert sum(batches) == 20
    assert len(batches) < 20


def test_many_small_jobs_do_not_need_many_descriptors(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many come at a time: mail must not wait because files were open for other mail."""
    monkeypatch.setattr(as_user, "MAX_DRAFTS", 10)
    real, batches = maildir.deliver, list[int]()

    def deliver(drafts: Sequence[maildir.Draft]) -> list[OSError | None]:
        batches.append(len(drafts))
        return real(drafts)

    monkeypatch.setattr(maildir, "deliver", deliver)
    answers = child.ask(*(to_maildir(number, tmp_path / "box") for number in range(45)))
    assert {answer.ending for answer in answers} == {OK}
    assert len(list((tmp_path / "box" / "new").iterdir())) == 45
    assert sum(batches) == 45
    assert max(batches) <= 10


def test_what_cannot_be_made_durable_is_not_delivered(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut could take the file away."""

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    maildir.make(str(tmp_path / "box"))
    monkeypatch.setattr(os, "fsync", fail)
    [answer] = child.ask(to_maildir(1, tmp_path / "box"))
    assert answer.ending == TRY_LATER
    assert "Input/output error" in answer.text


def test_large_content_comes_as_a_descriptor(child: Child, tmp_path: Path) -> None:
    """Read from its begin, wherever it stands; two of them with their own jobs."""
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.write_text(f"content of {path.name}\n")
    files = [path.open("rb") for path in paths]
    files[0].read()
    jobs = [to_maildir(number, tmp_path / f"box{number}", b"", lent=True) for number in (0, 1)]
    child.ask(*jobs, descriptors=tuple(file.fileno() for file in files))
    for file in files:
        file.close()
    for number, name in enumerate("ab"):
        [file] = (tmp_path / f"box{number}" / "new").iterdir()  # type: ignore[assignment]
        assert Path(str(file)).read_text() == f"Head: er\ncontent of {name}\n"


def test_a_mailbox_is_appended_to(child: Child, tmp_path: Path) -> None:
    """And says how it ended when not well."""
    assert child.ask(to_mbox(tmp_path / "user"))[0].text == "delivered to mailbox"
    (tmp_path / "link").symlink_to(tmp_path / "user")
    endings = [
        child.ask(to_mbox(path, size_limit=limit))[0].ending
        for path, limit in ((tmp_path / "user", 10), (tmp_path / "link", 0), (tmp_path / "none" / "user", 0))
    ]
    assert endings == [OVER_QUOTA, REFUSED, NOT_FOUND]


@pytest.mark.parametrize(
    ("number", "ending"), [(28, NO_SPACE), (122, OVER_QUOTA), (27, OVER_QUOTA), (13, TRY_LATER), (5, TRY_LATER)]
)
def test_what_the_file_system_says_becomes_an_ending(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, ending: int
) -> None:
    """No space, over quota, file too big, no permission, a broken disk."""

    def fail(*_arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(maildir, "write", fail)
    assert child.ask(to_maildir(1, tmp_path / "box"))[0].ending == ending


def test_a_file_is_read(child: Child, tmp_path: Path) -> None:
    """A .forward or an :include: file."""
    (tmp_path / ".forward").write_bytes(b"a@x\n")
    assert child.ask(ReadFile(1, str(tmp_path / ".forward"), 100)) == [Finished(1, OK, "", b"a@x\n", 0)]
    assert child.ask(ReadFile(2, str(tmp_path / "none"), 100))[0].ending == NOT_FOUND


def command(text: str = "cat; exit 3") -> RunCommand:
    """Make a job."""
    return RunCommand(1, text, "", {}, b"head ", b"content", False, 10.0)


@pytest.mark.parametrize("child", [JobKind.COMMAND], indirect=True)
def test_a_command_is_run(child: Child) -> None:
    """Its status and output come back."""
    assert child.ask(command()) == [Finished(1, OK, "", b"head content", 3)]


def test_a_child_for_mailboxes_runs_no_command(child: Child, tmp_path: Path) -> None:
    """virtual(8) may not ask for one, and could otherwise have it this way."""
    [answer] = child.ask(command(f"touch {tmp_path}/done"))
    assert (answer.ending, answer.data) == (REFUSED, b"")
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("child", [JobKind.COMMAND], indirect=True)
def test_a_child_for_commands_touches_no_mailbox(child: Child, tmp_path: Path) -> None:
    """Each is for one thing."""
    assert child.ask(to_maildir(1, tmp_path / "box"))[0].ending == REFUSED
    assert not (tmp_path / "box").exists()


def test_answers_keep_their_numbers_when_some_fail(child: Child, tmp_path: Path) -> None:
    """In one batch."""
    (tmp_path / "file").write_text("")
    answers = child.ask(
        to_maildir(1, tmp_path / "box"), to_maildir(2, tmp_path / "file"), ReadFile(3, str(tmp_path), 10)
    )
    assert {answer.id: answer.ending for answer in answers} == {1: OK, 2: NOT_FOUND, 3: NOT_FOUND}
