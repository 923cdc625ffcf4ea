"""A restore that did not come to its end, and is begun again."""

import os
from pathlib import Path

import pytest

from posthouse.queue.sqlite import care
from tests.contract.queue.harness import Harness, message, verified

LARGE = b"x" * 100_000


@pytest.mark.parametrize("left", [LARGE, LARGE[:5000]])
def test_restore_that_was_interrupted_can_be_repeated(tmp_path: Path, left: bytes) -> None:
    """What the first attempt left of the content, whole or half of it, is in nobody's way."""
    (tmp_path / "queue").mkdir()
    (tmp_path / "other").mkdir()
    harness = Harness(str(tmp_path / "queue"))
    harness.put(message("LARGE", content=harness.spool(LARGE)))
    harness.close()
    care.back_up(harness.directory, str(tmp_path / "copy"), lambda *_: None)
    [name] = os.listdir(tmp_path / "copy" / "spool")
    Harness(str(tmp_path / "other")).close()
    spool = tmp_path / "other" / "posthouse" / "spool"
    (spool / name).write_bytes(left)
    care.restore(str(tmp_path / "other"), str(tmp_path / "copy"), lambda *_: None)
    again = Harness(str(tmp_path / "other"))
    assert again.content(again.get("LARGE").key) == LARGE
    assert verified(again.store, again.loop) == []
    again.close()
