"""postlogd's file and its copy on standard output, which may be slow, full or gone."""

import os
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.daemons.postlogd.copy import BUFFER, FULL, StandardCopy, WithCopy, write_all
from posthouse.daemons.postlogd.service import PostlogService
from posthouse.util import log
from posthouse.util.log import FileSink

LIMIT_S = 20.0  # of a wait for the writing thread; not an aim


class Pipe:
    """A pipe whose writing end is standard output."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        self._open = {self.reader, self.writer}

    def close(self, descriptor: int) -> None:
        """Close one end, once."""
        if descriptor in self._open:
            self._open.discard(descriptor)
            os.close(descriptor)

    def read(self, size: int) -> bytes:
        """Read so much, however many pieces it comes in."""
        data = b""
        while len(data) < size:
            data += os.read(self.reader, size - len(data))
        return data


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Make a pipe. A test that leaves a thread writing into it closes the reader, which ends the write."""
    made = Pipe()
    yield made
    made.close(made.reader)


class Said(list[bytes]):
    """A sink that keeps postlogd's own lines."""

    def write(self, lines: list[tuple[int, bytes]]) -> int:
        """Take all."""
        self += [line for _, line in lines]
        return len(lines)


@pytest.fixture
def own_lines(monkeypatch: pytest.MonkeyPatch) -> Said:
    """Give what the service itself logs."""
    said = Said()
    monkeypatch.setattr(log, "LOG", log.Log())
    log.LOG.open("postfix/postlogd", said)
    return said


class Postlogd:
    """The service with its socket and file, in this process."""

    def __init__(self, path: Path, copy: StandardCopy | None) -> None:
        self.path = path
        self.service = PostlogService(str(path), copy)
        self._client, self._server = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._server.setblocking(False)

    def log(self, *lines: bytes) -> None:
        """Let it read one datagram for each line."""
        for line in lines:
            self._client.send(line + b"\n")
            self.service.datagrams(self._server)

    def close(self) -> None:
        """Close sockets and file."""
        self._client.close()
        self._server.close()
        os.close(self.service.descriptor)


@pytest.fixture
def postlogd(tmp_path: Path, pipe: Pipe) -> Iterator[Postlogd]:
    """Run one that copies to the pipe."""
    made = Postlogd(tmp_path / "maillog", StandardCopy(pipe.writer))
    yield made
    made.close()


def test_each_line_goes_to_both(postlogd: Postlogd, pipe: Pipe) -> None:
    """File and standard output hold the same octets, control characters replaced in both."""
    postlogd.log(b"one", b"two\x1b[2J", b"three")
    wanted = b"one\ntwo?[2J\nthree\n"
    assert pipe.read(len(wanted)) == wanted
    assert postlogd.path.read_bytes() == wanted


def test_without_a_copy_nothing_is_started(tmp_path: Path) -> None:
    """As Postfix: the file alone, and no thread."""
    before = threading.active_count()
    plain = Postlogd(tmp_path / "maillog", None)
    plain.log(b"one")
    plain.service.closing()
    assert plain.path.read_bytes() == b"one\n"
    assert threading.active_count() == before
    plain.close()


def test_a_closed_standard_output_costs_the_file_nothing(postlogd: Postlogd, pipe: Pipe, own_lines: Said) -> None:
    """Every line is in the file, and the reason is logged once."""
    pipe.close(pipe.reader)
    wanted = [b"line %d" % number for number in range(50)]
    for line in wanted:
        postlogd.log(line)
        postlogd.service.closing()  # the thread has tried
    assert postlogd.path.read_bytes().splitlines() == wanted
    [said] = own_lines
    assert said.endswith(b"warning: standard output does not take the log: Broken pipe; maillog_file has every line")


def test_a_full_standard_output_costs_the_file_nothing_and_stops_nobody(
    postlogd: Postlogd, pipe: Pipe, own_lines: Said
) -> None:
    """The reader does not read: lines beyond the buffer are missing there, counted, and told when it reads again."""
    line = b"x" * 1000
    count = 3 * BUFFER // len(line)  # the thread may hold a bufferful while the next one gathers
    postlogd.log(*[line] * count)
    assert postlogd.path.read_bytes() == (line + b"\n") * count
    assert [FULL.encode() in said for said in own_lines] == [True]
    copied = b""
    while len(own_lines) < 2:
        copied += os.read(pipe.reader, 1 << 20)
        postlogd.log(b"more")
    said = own_lines[1]
    lost = int(said.split(b"takes the log again; ")[1].split(b" lines")[0])
    assert count // 4 < lost < count
    assert set(copied.splitlines()[:-1]) <= {line, b"more"}


def test_what_was_taken_in_part_does_not_join_what_comes_later(tmp_path: Path) -> None:
    """A full disk took half a line of standard output; the next line begins at a line's begin."""
    with (tmp_path / "stdout").open("wb") as file:
        copy = StandardCopy(file.fileno())
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (6, before[1]))
        try:
            copy.put(b"first line\n")
            copy.close(LIMIT_S)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "File too large" in copy.news()
        copy.put(b"second line\n")
        copy.close(LIMIT_S)
    assert (tmp_path / "stdout").read_bytes() == b"first \nsecond line\n"
    assert copy.news() == "standard output takes the log again; 1 lines did not reach it"


def test_a_pipe_that_somebody_made_non_blocking_loses_nothing(pipe: Pipe) -> None:
    """It is full now and then, which is no failure."""
    os.set_blocking(pipe.writer, False)
    data = b"x" * 999 + b"\n"
    copy = StandardCopy(pipe.writer)
    for _ in range(500):
        copy.put(data)
    assert pipe.read(500 * len(data)) == data * 500
    assert copy.news() == ""


def test_own_lines_go_to_both(tmp_path: Path, pipe: Pipe) -> None:
    """What postlogd itself has to say stands beside the others' lines."""
    with (tmp_path / "maillog").open("wb", buffering=0) as file:
        sink = WithCopy(FileSink(file.fileno()), StandardCopy(pipe.writer))
        assert sink.write([(6, b"one"), (4, b"two")]) == 2
        assert pipe.read(8) == b"one\ntwo\n"
    assert (tmp_path / "maillog").read_bytes() == b"one\ntwo\n"


def test_a_write_that_fails_gives_what_is_left() -> None:
    """And the system's word for why."""
    reader, writer = os.pipe()
    os.close(reader)
    assert write_all(writer, b"line\n") == (b"line\n", "Broken pipe")
    os.close(writer)
