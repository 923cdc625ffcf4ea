"""The sender of address probes: made, and known again in its own time."""

import pytest

from posthouse.config.settings import Settings
from posthouse.rewriting.local import Rewriter
from posthouse.rewriting.probe_sender import ProbeSender

REWRITER = Rewriter(Settings.from_mapping({"myhostname": "mail.test", "myorigin": "origin.test"}))
NOW = 1_700_000_000.0


def _sender(text: str, ttl_s: float = 0.0) -> ProbeSender:
    return ProbeSender(text, ttl_s, REWRITER.rewrite)


def test_a_sender_that_stays() -> None:
    """It is completed, and known whatever its case."""
    sender = _sender("probe")
    assert sender.make(NOW) == "probe@origin.test"
    assert sender.match("Probe@Origin.test", NOW + 1e9) == "probe@origin.test"
    assert sender.match("probe1@origin.test", NOW) is None
    assert sender.match("", NOW) is None


@pytest.mark.parametrize("text", ["", "<>"])
def test_the_null_sender_never_changes(text: str) -> None:
    """It has no tail to change."""
    sender = _sender(text, 60.0)
    assert sender.make(NOW) == ""
    assert sender.match("", NOW) == ""
    assert sender.match("a@origin.test", NOW) is None


@pytest.mark.parametrize(("slots", "known"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_sender_with_a_time_stamp(slots: int, known: bool) -> None:
    """It is ours in its slot and in both of its neighbours, though a server changes its case."""
    sender = _sender('"a b"', 60.0)
    made = sender.make(NOW)
    assert made.startswith('"a b')
    assert made != '"a b"@origin.test'
    for address in (made, made.lower(), made.upper()):
        assert sender.match(address, NOW + slots * 60) == ('"a b"@origin.test' if known else None)


def test_what_only_looks_like_a_probes_sender() -> None:
    """No stamp, a stamp of other letters, another domain, another user, a stamp without end."""
    sender = _sender("probe", 60.0)
    local_part, _, _ = sender.make(NOW).partition("@")
    foreign = ("probe@origin.test", "probeaeiou@origin.test", f"{local_part}@other.test", f"x{local_part}@origin.test")
    for address in (*foreign, local_part, "", "probe" + "1" * 10_000 + "@origin.test", f"{local_part}é@origin.test"):
        assert sender.match(address, NOW) is None
