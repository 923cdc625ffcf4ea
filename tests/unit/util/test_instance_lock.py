"""One master at a time."""

import os
from pathlib import Path

import pytest

from posthouse.util.fatal import Fatal
from posthouse.util.instance_lock import lock_instance


@pytest.fixture
def place(tmp_path: Path) -> str:
    """Make both directories, which here are one."""
    (tmp_path / "pid").mkdir()
    return str(tmp_path)


def test_both_locks_are_taken_and_the_number_is_written(place: str) -> None:
    """As Postfix's master writes it: in a field of 32."""
    held = lock_instance(place, place)
    assert Path(place, "pid/master.pid").read_text() == f"{os.getpid():32d}\n"
    with pytest.raises(Fatal, match=f"already running: .*/pid/master.pid is locked by process {os.getpid()}"):
        lock_instance(place, place)
    for descriptor in held:
        os.close(descriptor)
    for descriptor in lock_instance(place, place):
        os.close(descriptor)


@pytest.mark.parametrize("content", [b"", b"x\n", b"\xb2", b"1 2", b"9" * 70 + b"x"])
def test_a_holder_without_a_number_is_another_process(place: str, content: bytes) -> None:
    """The file is only read for the message, and believed when it has ASCII digits."""
    held = lock_instance(place, place)
    Path(place, "pid/master.pid").write_bytes(content)
    expected = "process 9999" if content.startswith(b"9") else "another process"
    with pytest.raises(Fatal, match=f"locked by {expected}"):
        lock_instance(place, place)
    for descriptor in held:
        os.close(descriptor)


def test_a_file_that_cannot_be_opened_is_named(place: str) -> None:
    """A missing directory, or a link that leads elsewhere."""
    with pytest.raises(Fatal, match=r"open lock file /nonexistent/pid/master\.pid: No such file"):
        lock_instance("/nonexistent", place)
    os.symlink("/etc/passwd", f"{place}/master.lock")
    with pytest.raises(Fatal, match=r"open lock file .*master\.lock: Too many levels of symbolic links"):
        lock_instance(place, place)
