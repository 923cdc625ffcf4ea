"""What posthouse drain counts, and when it says that nothing is left."""

from pathlib import Path

import pytest

from posthouse.commands.drain.ledger import MAILDROP, NOT_TAKEN, QUEUES, SPOOL, Standing, standing, table
from posthouse.ipc.governor import Picture


def queue(tmp_path: Path, dropped: int = 0, spooled: int = 0) -> str:
    """Make a queue directory with so many files."""
    for directory, count in (("maildrop", dropped), ("posthouse/spool/a", spooled)):
        (tmp_path / directory).mkdir(parents=True)
        for number in range(count):
            (tmp_path / directory / str(number)).touch(0o444)
    return str(tmp_path)


def picture(sessions: int) -> Picture:
    """Make what the governor says."""
    return Picture(1, 0, 0.0, [], [], {"sessions": float(sessions)}, [])


def test_everything_is_counted(tmp_path: Path) -> None:
    """Queues by name, maildrop, files of content, sessions."""
    now = standing({"incoming": 1, "deferred": 3, "hold": 2, "corrupt": 9}, picture(4), queue(tmp_path, 5, 6))
    assert now.places == {"incoming": 1, "active": 0, "deferred": 3, "hold": 2, MAILDROP: 5, SPOOL: 6}
    assert (now.moving, now.total, now.sessions, now.empty) == (9, 11, 4, False)


@pytest.mark.parametrize("name", [*QUEUES, MAILDROP, SPOOL])
def test_nothing_is_left_only_when_everything_is_empty(name: str) -> None:
    """A file without a message is something, too; what waits on hold or on the disk does not move."""
    nothing = dict.fromkeys((*QUEUES, MAILDROP, SPOOL), 0)
    assert Standing(nothing, 0).empty
    assert not Standing(nothing, 1).empty, "a client may be in the middle of a message"
    something = Standing({**nothing, name: 1}, 0)
    assert not something.empty
    assert something.moving == (name not in ("hold", SPOOL))
    assert something.total == (name != SPOOL)


def test_without_a_governor_or_a_spool(tmp_path: Path) -> None:
    """What cannot be asked is not made up: whether clients are connected is not known, so it is not over."""
    (tmp_path / "maildrop").mkdir()
    assert standing({}, picture(0), str(tmp_path)).empty
    unknown = standing({}, None, str(tmp_path))
    assert not unknown.empty
    assert table(unknown, unknown).splitlines()[-1].split() == ["sessions", "?", "?"]


def test_the_table_is_aligned() -> None:
    """Each number stands below its heading."""
    before = Standing({"incoming": 1, "deferred": 12345}, 2)
    lines = table(before, Standing({"incoming": 0, "deferred": 0}, 0)).splitlines()
    assert lines[0].split() == ["before", "after"]
    assert {len(line) for line in lines} == {32}


def test_what_pickup_never_takes_is_counted_apart(tmp_path: Path) -> None:
    """Nobody waits for a file of Postfix's sendmail, and it is not said that nothing is left."""
    directory = queue(tmp_path, 1)
    (tmp_path / "maildrop" / "4CE7CE69").touch(0o744)
    now = standing({}, picture(0), directory)
    assert (now.places[MAILDROP], now.places[NOT_TAKEN]) == (1, 1)
    assert (now.moving, now.total, now.empty) == (1, 2, False)
    assert "not taken            0         1" in table(standing({}, picture(0), queue(tmp_path / "other")), now)
