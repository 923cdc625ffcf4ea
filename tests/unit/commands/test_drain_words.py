"""posthouse drain: what may be written behind it."""

import pytest

from posthouse.commands.drain import main, next_hop, seconds


@pytest.mark.parametrize(("text", "value"), [("90", 90.0), ("5s", 5.0), ("2m", 120.0), ("1h", 3600.0), ("1d", 86400.0)])
def test_times(text: str, value: float) -> None:
    """As in main.cf."""
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "x", "-1", "1w", "1.5", "1 s", "\uff19"])
def test_what_is_no_time(text: str) -> None:
    """It is refused, not guessed."""
    with pytest.raises(ValueError, match="is no time"):
        seconds(text)


@pytest.mark.parametrize(
    "text", ["", "mail2.example.org", "[mail2.example.org]:25", "[192.0.2.1]", "[2001:db8::1]:smtp"]
)
def test_hosts(text: str) -> None:
    """As in relayhost."""
    assert next_hop(text) == text


@pytest.mark.parametrize("text", ["a b", "[x", "smtp:[x]:25:26", "x\n", "[::1]:", "a,b", "$(id)"])
def test_what_is_no_host(text: str) -> None:
    """It is refused before anything is done."""
    with pytest.raises(ValueError, match="write a host"):
        next_hop(text)


@pytest.mark.parametrize("words", [["--to", "a b"], ["--limit", "x"], ["more"], ["--what"]])
def test_wrong_use(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 64, the reason and the usage."""
    assert main(words) == 64
    said = capsys.readouterr().err
    assert said.startswith("posthouse drain: ")
    assert "usage: posthouse drain" in said
