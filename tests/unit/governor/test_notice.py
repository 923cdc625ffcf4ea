"""The warning: what, since when, what was done, what to do; the same numbers in text and in JSON."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from posthouse.config.parameter import ConfigValueError
from posthouse.config.webhook import Webhook
from posthouse.governor import conditions as c
from posthouse.governor.board import Board, Reading, next_steps
from posthouse.governor.certificate import expiry_of
from posthouse.governor.forecast import Forecast
from posthouse.governor.journal import Journal
from posthouse.governor.level import Level
from posthouse.governor.notice import ADVICE, Notice
from posthouse.governor.units import format_bytes, format_seconds

DATE = "Mon, 23 Nov 2026 04:00:00 +0000"


def notice(**fields: object) -> Notice:
    """Make one about the queue disk."""
    given: dict[str, object] = {
        "hostname": "mail.example.test",
        "key": c.QUEUE_SPACE,
        "level": Level.STRAINED,
        "value": "2.0 MB of 16.0 MB free; mail is refused at 1.5 MB",
        "at": DATE,
        "since": DATE,
        "done": "large messages put off with 452 4.3.1",
        "next": "critical: mail put off with 452 4.3.1",
        "numbers": {"queue_free": 2_097_152.0},
    }
    return Notice(**{**given, **fields})  # type: ignore[arg-type]


def test_it_says_all_that_was_asked_for() -> None:
    """What is scarce, since when, what was done, what can be done."""
    body = notice().body()
    for part in ("queue disk: strained", "2.0 MB of 16.0 MB", DATE, "large messages", "postsuper -d", "critical: mail"):
        assert part in body
    assert "queue disk strained: 2.0 MB" in notice().headline


def test_a_forecast_is_the_headline() -> None:
    """It refuses mail in about 5 h at this rate; once mail is refused it is not foretold any more."""
    ahead = Forecast(rate=100.0, seconds=5 * 3600.0, watched_s=600.0)
    assert notice(forecast=ahead).headline == "queue disk refuses mail in about 5 h at this rate"
    assert "351.6 kB an hour, watched for 10 min" in notice(forecast=ahead).body()
    assert "critical:" in notice(forecast=ahead, level=Level.CRITICAL).headline
    boxes = notice(forecast=ahead, key=f"{c.MAILBOX_SPACE}:/var/mail").headline
    assert boxes == "mailbox disk (/var/mail) full in about 5 h at this rate"


def test_json_has_the_same() -> None:
    """For the webhook."""
    found = json.loads(json.dumps(notice(forecast=Forecast(100.0, 18000.0, 600.0)).as_json()))
    assert found["forecast_seconds"] == 18000.0
    assert found["rate_per_second"] == 100.0
    assert found["numbers"]["queue_free"] == 2_097_152.0
    assert found["level"] == "strained"
    assert notice().as_json()["forecast_seconds"] is None


def test_there_is_advice_for_everything() -> None:
    """A warning without advice is a riddle."""
    assert set(ADVICE) == set(c.WORDS)


def test_a_board_warns_when_strained_and_when_a_forecast_stands() -> None:
    """And says how long something has not been normal."""
    board = Board()
    limits = c.space(16 << 20, 1 << 20)

    def read(free: float, now: float) -> None:
        board.take(Reading(c.QUEUE_SPACE, free, limits, "", 1 << 20), now, 1000.0 + now)

    for tick in range(40):  # 20 kB a second, from 12 MB
        read((12 << 20) - 10_000 * tick, tick * 0.5)
        warned = list(board.warnings(tick * 0.5, 6 * 3600.0))
        assert not warned or tick * 0.5 > 5.0, "a forecast must stand for a while"
    entry = board.entries[c.QUEUE_SPACE]
    assert warned == [entry]
    assert entry.gauge.level is Level.NORMAL
    assert entry.forecast is not None
    assert entry.forecast.seconds == pytest.approx(((12 << 20) - 10_000 * 39 - (1 << 20)) / 20_000, rel=0.05)
    assert not list(board.warnings(19.5, 60.0)), "further away than resource_warning_time"
    read(2 << 20, 20.0)
    assert board.level is Level.STRAINED
    assert (entry.since, board.since) == (1020.0, 1020.0)
    assert list(board.warnings(20.0, 0.0)) == [entry]
    assert next_steps(entry) == "critical: mail put off with 452 4.3.1"


def test_no_more_lines_than_allowed() -> None:
    """Ten a second; the next one says how many were left out."""
    now = [0.0]
    journal = Journal(lambda: now[0])
    assert [journal.admit() for _ in range(12)] == [0] * 10 + [-1, -1]
    now[0] = 1.0
    assert [journal.admit(), journal.admit()] == [2, 0]


def test_units() -> None:
    """As people say them."""
    assert [format_bytes(number) for number in (5, 2048, 15_360_000, 3 << 30)] == [
        "5 bytes",
        "2.0 kB",
        "14.6 MB",
        "3.0 GB",
    ]
    assert [format_seconds(number) for number in (40, 300, 18_000, 260_000)] == ["40 s", "5 min", "5 h", "3 days"]


def test_webhooks() -> None:
    """A URL that is none is found when main.cf is read."""
    row = Webhook("resource_notice_webhook", "", doc="")
    assert row.parse("") is None
    assert row.parse("http://127.0.0.1:9095/x?y=1") == ("127.0.0.1", 9095, "/x?y=1")
    found = row.parse("http://[::1]")
    assert found is not None
    assert (found.host, found.port, found.path, found.authority) == ("::1", 80, "/", "[::1]")
    for wrong in ("https://x/", "http://", "x", "http://x:0/", "http://x:70000/", "http://x/a b", "http://x/\r\ny"):
        with pytest.raises(ConfigValueError, match="http://host:port/path"):
            row.parse(wrong)


@pytest.mark.parametrize("days", [1, 400, 20_000])
def test_certificates(tmp_path: Path, days: int) -> None:
    """Made by openssl, with either form of time; cut anywhere, it is refused."""
    path = tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(tmp_path / "key.pem"), "-out", str(path), "-days", str(days), "-subj", "/CN=mail.test"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    text = path.read_bytes()
    assert expiry_of(text) == pytest.approx(time.time() + days * 86400, abs=60)
    for end in range(0, len(text), 7):
        with pytest.raises(ValueError, match="cert"):
            expiry_of(text[: end - 30] + b"-----END CERTIFICATE-----" if end > 60 else text[:end])
