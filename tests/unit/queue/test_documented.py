"""docs/queue.md names tests as its witnesses: they exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_test_that_the_document_names_exists() -> None:
    """Files by name, functions by name or by a part of it between two dots."""
    text = (ROOT / "docs" / "queue.md").read_text(encoding="utf-8")
    paths = list((ROOT / "tests").rglob("test_*.py"))
    files = {path.stem for path in paths}
    code = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    named = set(re.findall(r"`(?:\w+/)*(test_\w+|…\w+…?|test_\w+…)`", text))
    assert len(named) > 20
    for name in sorted(named):
        part = name.strip("…")
        assert part in files or re.search(rf"def \w*{part}", code), name
