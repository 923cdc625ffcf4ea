"""What the check finds, as it is logged at start."""

import pytest

from posthouse.commands.orders.notes import MAX_ERRORS, notes_of
from posthouse.config.findings import ERROR, NOTE, WARNING, Finding
from posthouse.util.errors import ConfigError


def test_errors_stop_the_start_and_are_shown_with_their_places() -> None:
    """One a line, the first ones."""
    errors = [Finding("x", ERROR, "main.cf", number, "bad", "mail waits", "mend it") for number in range(1, 30)]
    with pytest.raises(ConfigError) as caught:
        notes_of(errors)
    lines = str(caught.value).split("\n")
    assert lines[0] == "main.cf:1: bad; mail waits; mend it"
    assert len(lines) == MAX_ERRORS


def test_what_the_start_itself_shows_is_not_logged() -> None:
    """Files that the daemons read as root, and ports that master binds or has got."""
    found = [
        Finding("not-checked", NOTE, "main.cf", 1, "a file"),
        Finding("privileged-port", NOTE, "master.cf", 1, "a port"),
        Finding("set-twice", WARNING, "main.cf", 2, "a name", "the later one counts"),
    ]
    assert notes_of(found) == ["main.cf:2: a name; the later one counts"]
