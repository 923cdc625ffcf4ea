"""What the findings of a check become in the log at start."""

import pytest

from posthouse.commands.orders.notes import notes_of
from posthouse.config.checks.values import BAD_VALUE, NO_EFFECT, NO_EFFECT_WORDS, NOT_SUPPORTED
from posthouse.config.findings import Place
from posthouse.util.errors import ConfigError


def test_parameters_that_do_nothing_are_named_with_their_places() -> None:
    """One line for those that may come to work, one for those that never need to."""
    findings = [
        NOT_SUPPORTED.at(Place("/etc/main.cf", 3), "header_checks is not built yet"),
        NO_EFFECT.at(Place("/etc/main.cf", 4), f"daemon_directory{NO_EFFECT_WORDS}: daemons are modules"),
        NOT_SUPPORTED.at(Place("/etc/master.cf", 9), "smtpd_milters is not built yet"),
    ]
    assert notes_of(findings) == [
        (
            "parameters that are not built yet have no effect: "
            "header_checks (/etc/main.cf:3), smtpd_milters (/etc/master.cf:9)"
        ),
        "parameters that Posthouse has no use for: daemon_directory (/etc/main.cf:4)",
    ]


def test_nothing_is_said_about_nothing() -> None:
    """A clean check leaves no line."""
    assert notes_of([]) == []


def test_an_error_stops_the_start() -> None:
    """With place and reason; the notes can wait."""
    findings = [BAD_VALUE.at(Place("/etc/main.cf", 3), "max_use: no number", consequence="")]
    with pytest.raises(ConfigError, match=r"main\.cf:3: max_use: no number"):
        notes_of(findings)
