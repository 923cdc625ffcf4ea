"""Files that values name are read behind the walls: Debian's /etc/mailname, and tables in places of their own."""

import smtplib

import pytest

from tests.conftest import Start


@pytest.mark.root
def test_myorigin_and_mydestination_in_files(posthouse: Start) -> None:
    """Every daemon that rewrites or looks addresses up can read them."""
    server = posthouse(
        started=False,
        main={
            "myorigin": "{directory}/names/mailname",
            "mydestination": "texthash:{directory}/lists/domains",
            "local_recipient_maps": "inline:{{bob=x}}",
            "transport_maps": "inline:{{bob@listed.test=discard:}}",
        },
    )
    for name, text in (("names/mailname", "listed.test\n"), ("lists/domains", "listed.test x\n")):
        path = server.directory / name
        path.parent.mkdir()
        path.write_text(text, encoding="ascii")
    server.start_and_greet()
    with smtplib.SMTP("127.0.0.1", server.port, timeout=30) as client:
        client.helo("client.test")
        client.mail("")
        assert client.rcpt("alice@listed.test")[0] == 550, "it is local, and she is unknown"
        assert client.rcpt("bob")[0] == 250
        assert client.data("Subject: x\r\n\r\n")[0] == 250
    server.wait_log("to=<bob@listed.test>, orig_to=<bob>, relay=none")
    assert "refused an operation" not in server.log()
