"""The hold: readers beside the engine, and the engine's way when it cannot wait."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.queue import directory
from posthouse.queue.hold import HoldFile, OverruledError


@pytest.fixture
def ends(tmp_path: Path) -> Iterator[tuple[HoldFile, HoldFile]]:
    """The engine's end and a reader's."""
    both = HoldFile(str(tmp_path)), HoldFile(str(tmp_path))
    yield both
    for end in both:
        end.close()


def test_engine_waits_for_readers_and_is_alone_then(ends: tuple[HoldFile, HoldFile]) -> None:
    """False while somebody reads; True when nobody does, and nobody can begin then."""
    engine, reader = ends
    with reader.held(), engine.unless_held() as is_free:
        assert not is_free
    with engine.unless_held() as is_free:
        assert is_free
        with reader.unless_held() as is_free_too:
            assert not is_free_too
    with reader.held():
        reader.check()


def test_reader_that_was_overruled_hears_of_it(ends: tuple[HoldFile, HoldFile]) -> None:
    """Each time anew; who begins afterwards is not meant."""
    engine, reader = ends
    for _ in range(2):
        with reader.held():
            reader.check()
            with engine.unless_held(overrule=True) as is_free:
                assert is_free
            with pytest.raises(OverruledError, match="could not wait any longer"):
                reader.check()
    with reader.held():
        reader.check()


def test_overruling_nobody_is_not_noted(ends: tuple[HoldFile, HoldFile]) -> None:
    """The number grows only when somebody was reading."""
    engine, reader = ends
    with engine.unless_held(overrule=True):
        pass
    assert reader.number() == 0


def test_moving_where_renaming_is_forbidden_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Landlock's first version lets no file change its directory (EXDEV); nothing else is gone around."""

    def refuse(_source: str, _target: str) -> None:
        raise OSError(error, os.strerror(error))

    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"octets")
    monkeypatch.setattr(os, "rename", refuse)
    error = 13
    with pytest.raises(PermissionError):
        directory.move(str(source), str(target))
    error = 18
    directory.move(str(source), str(target))
    assert (source.exists(), target.read_bytes(), target.stat().st_mode & 0o777) == (False, b"octets", 0o600)
