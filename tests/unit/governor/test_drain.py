"""The file that puts a drain in force: read by the governor, written by root."""

import os
from pathlib import Path

import pytest

from posthouse.governor.drain import Drain, end_drain, read_drain, write_drain


@pytest.fixture
def queue(tmp_path: Path) -> str:
    """Make a queue directory."""
    (tmp_path / "pid").mkdir()
    return str(tmp_path)


def test_it_is_there_until_it_is_taken_back(queue: str) -> None:
    """Where the rest goes can change meanwhile, since when it is in force does not."""
    assert read_drain(queue) is None
    first = write_drain(queue, "")
    assert read_drain(queue) == first
    second = write_drain(queue, "[mail2.example.org]:25")
    assert second == Drain("[mail2.example.org]:25", first.since)
    assert read_drain(queue) == second
    assert os.stat(f"{queue}/pid/drain").st_mode & 0o777 == 0o644, "the governor is another user"
    assert end_drain(queue)
    assert not end_drain(queue)
    assert read_drain(queue) is None


@pytest.mark.parametrize("content", ["", "x", "[]", "{}", '{"to": 1}', '{"to": "", "since": "x"}', "x" * 10_000])
def test_what_cannot_be_read_stops_the_intake_all_the_same(queue: str, content: str) -> None:
    """Somebody meant to; only where the rest goes is not known."""
    Path(queue, "pid/drain").write_text(content)
    assert read_drain(queue) == Drain("", 0.0)


def test_a_link_is_not_followed(queue: str) -> None:
    """Neither for reading nor for writing."""
    secret = Path(queue, "secret")
    secret.write_text('{"to": "secret", "since": 1}')
    Path(queue, "pid/drain").symlink_to(secret)
    assert read_drain(queue) == Drain("", 0.0)
    Path(queue, "pid/drain.new").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        write_drain(queue, "")
    assert "secret" in secret.read_text()
