"""The local zone, and one JSON object on one line."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.util.clock import local_zone
from posthouse.util.json_line import json_line


@pytest.mark.parametrize(
    ("zone", "moment", "expected"),
    [
        ("UTC", 0, (0, "UTC")),
        ("CET-1CEST,M3.5.0,M10.5.0/3", 1_700_000_000, (3600, "CET")),
        ("CET-1CEST,M3.5.0,M10.5.0/3", 1_690_000_000, (7200, "CEST")),
        ("NST3:30", 1_700_000_000, (-12600, "NST")),
    ],
)
def test_local_zone(monkeypatch: pytest.MonkeyPatch, zone: str, moment: int, expected: tuple[int, str]) -> None:
    """East is positive, summer time counts at the moment that is asked about."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    assert local_zone(moment) == expected
    monkeypatch.undo()
    time.tzset()


def test_json_line_is_compact_and_keeps_letters() -> None:
    """No blanks, no escapes for what UTF-8 can say."""
    assert json_line({"a": 1, "b": ["ü", None, True]}) == '{"a":1,"b":["ü",null,true]}'.encode()


@given(st.text(st.characters(codec=None)))
def test_any_text_becomes_one_line_that_json_reads(text: str) -> None:
    """Surrogates are replaced, line ends are escaped."""
    line = json_line({"text": text})
    assert b"\n" not in line
    read = json.loads(line)["text"]
    assert read == text.encode("utf-8", "replace").decode()
