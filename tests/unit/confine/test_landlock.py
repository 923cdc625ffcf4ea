"""Landlock in real processes: what the rules name can be done, everything else answers EACCES."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.confine import landlock
from posthouse.confine.rules import Rules
from tests.support import net
from tests.support.confined_child import behind_walls

LANDLOCK = ("landlock",)


def read(path: Path) -> Callable[[], object]:
    """Make an attempt at reading."""
    return lambda: path.read_text(encoding="ascii")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a directory with two files and a directory."""
    (tmp_path / "table").write_text("a", encoding="ascii")
    (tmp_path / "secret").write_text("b", encoding="ascii")
    (tmp_path / "store").mkdir()
    return tmp_path


def test_a_file_rule_is_for_that_file(place: Path) -> None:
    """Its neighbour stays out of reach: opening is refused, looking is not."""
    rules = Rules("x", reads=(str(place / "table"),))
    assert behind_walls(rules, read(place / "table"), only=LANDLOCK) == "ok: 'a'"
    assert behind_walls(rules, read(place / "secret"), only=LANDLOCK) == "EACCES"
    assert behind_walls(rules, lambda: os.stat(place / "secret").st_size, only=LANDLOCK) == "ok: 1"
    assert behind_walls(rules, lambda: (place / "table").write_text("x"), only=LANDLOCK) == "EACCES"


def test_a_directory_rule_covers_what_comes_later(place: Path) -> None:
    """A table that is replaced by renaming can be opened again."""
    rules = Rules("x", reads=(str(place),))
    ready, go = os.pipe(), os.pipe()

    def after_replacement() -> str:
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        return (place / "table").read_text(encoding="ascii")

    def replace() -> None:
        os.read(ready[0], 1)
        (place / "new").write_text("c", encoding="ascii")
        (place / "new").rename(place / "table")
        os.write(go[1], b"x")

    helper = threading.Thread(target=replace)
    helper.start()
    assert behind_walls(rules, after_replacement, only=LANDLOCK) == "ok: 'c'"
    helper.join()


def test_writes_are_for_the_named_directory(place: Path) -> None:
    """Make, write, rename, link, remove inside; nothing outside, also not by a link that leads out."""
    store = place / "store"
    rules = Rules("x", writes=(str(store),))

    def everything() -> list[str]:
        (store / "one").write_text("1", encoding="ascii")
        (store / "one").rename(store / "two")
        os.link(store / "two", store / "three")
        (store / "sub").mkdir()
        os.rename(store / "three", store / "sub" / "three")
        os.truncate(store / "two", 0)
        os.unlink(store / "two")
        return sorted(os.listdir(store))

    assert behind_walls(rules, everything, only=LANDLOCK) == "ok: ['sub']"
    (store / "out").symlink_to(place / "secret")
    assert behind_walls(rules, read(store / "out"), only=LANDLOCK) == "EACCES"
    assert behind_walls(rules, lambda: os.rename(place / "table", store / "table"), only=LANDLOCK) in (
        "EACCES",
        "EXDEV",
    )
    assert behind_walls(rules, lambda: os.mkfifo(store / "fifo"), only=LANDLOCK) == "EACCES"
    assert behind_walls(rules, lambda: os.symlink("x", store / "link"), only=LANDLOCK) == "EACCES"


def test_appends_write_and_do_not_read(place: Path) -> None:
    """A log file is written to; it is neither read nor removed."""
    log = place / "table"
    rules = Rules("x", appends=(str(log),))

    def append() -> int:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        return os.write(descriptor, b"line\n")

    assert behind_walls(rules, append, only=LANDLOCK) == "ok: 5"
    assert behind_walls(rules, read(log), only=LANDLOCK) == "EACCES"
    assert behind_walls(rules, lambda: os.unlink(log), only=LANDLOCK) == "EACCES"


def test_ports() -> None:
    """TCP goes to the ports named, from the ports named; with ANY_PORT to all."""
    listener = socket.create_server((net.LOOPBACK, 0))
    port = listener.getsockname()[1]

    def connect() -> bool:
        with socket.socket() as sock:
            sock.connect((net.LOOPBACK, port))
            return True

    def bind() -> bool:
        with socket.socket() as sock:
            sock.bind((net.LOOPBACK, 0))
            return True

    assert behind_walls(Rules("x"), connect, only=LANDLOCK) == "EACCES"
    assert behind_walls(Rules("x", tcp_connect=(port,)), connect, only=LANDLOCK) == "ok: True"
    assert behind_walls(Rules("x", tcp_connect=None), connect, only=LANDLOCK) == "ok: True"
    assert behind_walls(Rules("x", tcp_connect=None), bind, only=LANDLOCK) == "EACCES"
    assert behind_walls(Rules("x", tcp_connect=None, tcp_bind=(0,)), bind, only=LANDLOCK) == "ok: True"
    assert behind_walls(Rules("x"), connect, only=LANDLOCK, newest_abi=3) == "ok: True"  # that kernel has no ports
    listener.close()


def test_nobody_outside_is_signalled_or_reached_by_an_abstract_socket() -> None:
    """The parent cannot be signalled, an abstract socket of another process not connected to."""
    name = b"\0posthouse-test-%d" % os.getpid()

    def connect() -> None:
        socket.socket(socket.AF_UNIX).connect(name)

    def signal_parent() -> None:
        os.kill(os.getppid(), 0)

    with socket.socket(socket.AF_UNIX) as outside:
        outside.bind(name)
        outside.listen()
        for attempt in (connect, signal_parent):
            assert behind_walls(Rules("x"), attempt, only=LANDLOCK) == "EPERM"
            assert behind_walls(Rules("x"), attempt, only=LANDLOCK, newest_abi=5) == "ok: None"


def test_who_runs_commands_is_not_restricted_here(place: Path) -> None:
    """A command of a user may need anything the user may do."""
    assert behind_walls(Rules("x", executes=True), read(place / "secret"), only=LANDLOCK) == "ok: 'b'"


def test_missing_is_named_by_version() -> None:
    """Each older kernel lacks more, and no Landlock at all says so in one word."""
    lacking = [len(landlock.missing(abi)) for abi in range(1, landlock.NEWEST_ABI + 1)]
    assert lacking == sorted(lacking, reverse=True)
    assert lacking[-1] == 0
    assert landlock.missing(0)[0].startswith("Landlock: files")
