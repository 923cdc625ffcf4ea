"""A whole server that asks other servers for recipients: behind its walls, while they hang, and when they are back."""

import smtplib
import time
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support import certificates, net
from tests.support.instance import Instance
from tests.support.table_rigs import RIGS, Rig
from tests.support.tls_server import TlsServer

KNOWN, UNKNOWN = "user@example.org", "nobody@example.org"
LIMIT_S = 60


def start_server(posthouse: Start, table: str, settings: str) -> Instance:
    """Start a server that relays to example.org, for the recipients in a table."""
    server: Instance = posthouse(
        main={
            "relay_domains": "example.org",
            "relay_recipient_maps": table,
            "smtpd_recipient_restrictions": "reject_unlisted_recipient, permit_mynetworks, reject",
        },
        files={"table.cf": settings},
    )
    return server


def codes(server: Instance) -> list[int]:
    """Ask smtpd about a recipient that is known and about one that is not."""
    found = []
    for recipient in (KNOWN, UNKNOWN):
        with smtplib.SMTP("127.0.0.1", server.port, timeout=LIMIT_S) as client:
            client.helo("client.test")
            client.mail("sender@client.test")
            found.append(client.rcpt(recipient)[0])
    return found


def wait_codes(server: Instance, expected: list[int]) -> None:
    """Wait until it answers so; nothing but that and "later" may come meanwhile."""
    deadline = time.monotonic() + LIMIT_S
    while (found := codes(server)) != expected:
        assert all(code in (451, right) for code, right in zip(found, expected, strict=True)), found
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


@pytest.mark.root
@pytest.mark.parametrize("kind", RIGS, ids=lambda kind: kind.kind)
def test_recipients(kind: type[Rig], posthouse: Start, tmp_path: Path) -> None:
    """Found and not found; 451 while the server hangs and while it is away; as before when it is back."""
    if reason := kind.why_not():
        pytest.skip(reason)
    with kind(tmp_path) as rig:
        table, settings = rig.spec(2), ""
        if table.startswith(f"{kind.kind}:/"):
            settings, table = Path(table.partition(":")[2]).read_text(), f"{kind.kind}:{{directory}}/etc/table.cf"
        server = start_server(posthouse, table, settings)
        wait_codes(server, [250, 550])
        if settings:  # socketmap: and tcp: wait 100 seconds
            rig.pause()
            time.sleep(1.1)  # answers are remembered for a second
            assert codes(server) == [451, 451]
            rig.go_on()
            wait_codes(server, [250, 550])
        rig.stop()
        time.sleep(1.1)
        assert codes(server) == [451, 451]
        rig.start()
        wait_codes(server, [250, 550])
        assert "panic" not in server.log()


@pytest.mark.root
def test_recipients_over_tls(posthouse: Start, tmp_path: Path) -> None:
    """https-json: by the server's name, with an authority of its own."""
    if reason := certificates.why_not():
        pytest.skip(reason)
    files = certificates.make(tmp_path)
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"ok"'
    with TlsServer(files, answer) as tls:
        settings = f"url = https://localhost:{tls.port}/%s\ntls_ca_file = {{directory}}/etc/ca.pem\ntimeout = 10\n"
        server: Instance = posthouse(
            main={
                "relay_domains": "example.org",
                "relay_recipient_maps": "https-json:{directory}/etc/table.cf",
                "smtpd_recipient_restrictions": "reject_unlisted_recipient, permit_mynetworks, reject",
            },
            files={"table.cf": settings, "ca.pem": files.ca.read_text()},
        )
        wait_codes(server, [250, 250])
        assert "panic" not in server.log()


@pytest.mark.root
def test_a_mongodb_that_is_away(posthouse: Start) -> None:
    """Behind the walls too it is an error of the connection, and of nothing else."""
    settings = (
        f"uri = mongodb://127.0.0.1:{net.free_port()}/\ndbname = a\ncollection = b\ntimeout = 2\n"
        'query_filter = {"mail": "%s"}\nresult_attribute = path\n'
    )
    server = start_server(posthouse, "mongodb:{directory}/etc/table.cf", settings)
    assert codes(server) == [451, 451]
    assert "[Errno 111]" in server.log()
    assert "panic" not in server.log()
