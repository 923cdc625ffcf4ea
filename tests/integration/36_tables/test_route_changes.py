"""A changed table of routes counts without reload, though smtpd and qmgr remember what trivial-rewrite told them."""

import smtplib
import time
from collections.abc import Callable

from tests.conftest import Start
from tests.support.instance import Instance

DEADLINE_S = 20
ETC = "{directory}/etc/tables"


def _write(server: Instance, name: str, text: str) -> None:
    """Replace a table, as editors do it."""
    path = server.config_directory / "tables" / name
    fresh = path.with_suffix(".new")
    fresh.write_text(text, encoding="ascii")
    fresh.rename(path)


def _rcpt(session: smtplib.SMTP, sender: str, recipient: str) -> int:
    session.docmd("RSET")
    assert session.mail(sender)[0] == 250
    return session.rcpt(recipient)[0]


def _fate(server: Instance, session: smtplib.SMTP, sender: str, recipient: str) -> str:
    """Send a message and give what its delivery agent said."""
    assert _rcpt(session, sender, recipient) == 250
    queue_id = session.data(b"Subject: x\r\n\r\n")[1].decode().rpartition(" ")[2]
    return server.wait_log(rf"{queue_id}: to=.* status=sent \((.*)\)")[1]


def _until(answer: Callable[[], object], wanted: object) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while (said := answer()) != wanted:
        assert time.monotonic() < deadline, f"{said!r} is not {wanted!r}"
        time.sleep(0.3)


def test_routes_follow_their_tables(posthouse: Start) -> None:
    """One session, one queue manager: another transport, a domain that is new, and one that goes."""
    server = posthouse(
        started=False,
        main={
            "mynetworks": "192.0.2.1",
            "local_recipient_maps": "",
            "relay_domains": f"known.test, texthash:{ETC}/relay",
            "transport_maps": f"texthash:{ETC}/transport",
            "smtpd_relay_restrictions": "reject_unauth_destination",
        },
    )
    (server.config_directory / "tables").mkdir()
    _write(server, "relay", "other.test x\n")
    _write(server, "transport", "known.test discard:first\n")
    server.start_and_greet()
    with smtplib.SMTP("127.0.0.1", server.port, timeout=20) as session:
        session.ehlo("client.test")
        for _ in range(2):
            assert _fate(server, session, "a@b.test", "u@known.test") == "first"
            assert _rcpt(session, "a@b.test", "u@new.test") == 554
        _write(server, "transport", "known.test discard:second\nnew.test discard:new\n")
        _until(lambda: _fate(server, session, "a@b.test", "u@known.test"), "second")
        _write(server, "relay", "other.test x\nnew.test x\n")
        _until(lambda: _rcpt(session, "a@b.test", "u@new.test"), 250)
        assert _fate(server, session, "a@b.test", "u@new.test") == "new"
        _write(server, "relay", "other.test x\n")
        _until(lambda: _rcpt(session, "a@b.test", "u@new.test"), 554)
    assert "panic" not in server.log()
