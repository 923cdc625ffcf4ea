"""Dates, message IDs and Received: fields, as Postfix writes them."""

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.message.date import format_compact, format_date, format_message_id
from posthouse.protocol.message.received import (
    Client,
    Server,
    format_received,
    format_received_internal,
    format_received_local,
    with_protocol,
)

DATE = "Wed, 11 Sep 2024 18:05:54 -0400 (EDT)"
SERVER = Server("mx.example")


def test_date_looks_like_postfix() -> None:
    """Weekday, blank-padded day, offset, zone in parentheses."""
    assert format_date(1726092354, -4 * 3600, "EDT") == DATE
    assert format_date(0) == "Thu,  1 Jan 1970 00:00:00 +0000"
    assert format_date(951_782_400, 19_800) == "Tue, 29 Feb 2000 05:30:00 +0530"


@given(st.integers(-(10**10), 10**11), st.integers(-14 * 60, 14 * 60))
def test_dates_agree_with_the_standard_library(seconds: int, minutes: int) -> None:
    """Every moment and offset gives the date that datetime gives."""
    zone = timezone(timedelta(minutes=minutes))
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc).astimezone(zone) + timedelta(seconds=seconds)  # noqa: UP017
    want = f"{moment:%a, }{moment.day:2d}{moment: %b} {moment.year} {moment:%H:%M:%S %z}"
    assert format_date(seconds, minutes * 60) == want


def test_message_id() -> None:
    """The moment in UTC, the queue ID, the host."""
    assert format_compact(1726092354) == "20240911220554"
    assert format_message_id(1726092354, "4X3vqF3bwhz5Yqq", "h.example") == "<20240911220554.4X3vqF3bwhz5Yqq@h.example>"


def test_received_from_the_network() -> None:
    """One recipient is named, several are not."""
    client = Client("helo.example", "client.example", "192.0.2.1")
    assert format_received(SERVER, client, "ESMTP", "ID", ("a@b.example", DATE)) == (
        b"Received: from helo.example (client.example [192.0.2.1])\n"
        b"\tby mx.example (Postfix) with ESMTP id ID\n"
        b"\tfor <a@b.example>; Wed, 11 Sep 2024 18:05:54 -0400 (EDT)\n"
    )
    assert format_received(
        SERVER, Client("", "unknown", "IPv6:2001:db8::1", ("(using TLS)",)), "SMTP", "ID", ("", "D")
    ) == (
        b"Received: from unknown (unknown [IPv6:2001:db8::1])\n\t(using TLS)\n"
        b"\tby mx.example (Postfix) with SMTP id ID;\n\tD\n"
    )
    assert format_received(SERVER, None, "ESMTP", "ID", ("", "D")) == (
        b"Received: by mx.example (Postfix) with ESMTP id ID;\n\tD\n"
    )


def test_received_from_this_machine() -> None:
    """Local submissions name the user ID, the system's own mail nobody."""
    assert format_received_local(SERVER, 1000, "ID", "D") == (
        b"Received: by mx.example (Postfix, from userid 1000)\n\tid ID; D\n"
    )
    assert format_received_internal(SERVER, "ID", "D") == b"Received: by mx.example (Postfix)\n\tid ID; D\n"


def test_protocol_names() -> None:
    """RFC 3848 and RFC 6531."""
    assert with_protocol("SMTP") == "SMTP"
    assert with_protocol("ESMTP", tls=True) == "ESMTPS"
    assert with_protocol("ESMTP", tls=True, authenticated=True) == "ESMTPSA"
    assert with_protocol("ESMTP", tls=True, smtputf8=True) == "UTF8SMTPS"
