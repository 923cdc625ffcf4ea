"""A whole server whose users are in a database: it receives, it defers while the database hangs, and it goes on."""

import os
import smtplib
import sqlite3
import time
from pathlib import Path

import pytest

from tests.conftest import Start
from tests.support.databases import NAME, PASSWORD, USER, Database, MariaDb, Postgres
from tests.support.instance import Instance
from tests.support.maildir import wait_messages

SETTINGS = f"user = {USER}\npassword = {PASSWORD}\ndbname = {NAME}\ntimeout = 1\n"
QUERY = "query = SELECT 'box/' FROM lookup WHERE k = '%s'\n"
KNOWN, UNKNOWN = "jane.doe@mail.example.org", "nobody@mail.example.org"
LIMIT_S = 60


def start_server(posthouse: Start, tables: str, settings: str) -> Instance:
    """Start a server that hosts mail.example.org. Only root may read the file with the password."""
    server = posthouse(
        started=False,
        main={
            "virtual_mailbox_domains": "mail.example.org",
            "virtual_mailbox_maps": tables,
            "virtual_mailbox_base": "{mail}",
            "virtual_uid_maps": "static:65534",
            "virtual_gid_maps": "static:65534",
            "smtpd_recipient_restrictions": "reject_unlisted_recipient, permit_mynetworks, reject",
        },
        files={"boxes.cf": settings + QUERY},
    )
    os.chown(server.mail_directory, 65534, 65534)
    (server.config_directory / "boxes.cf").chmod(0o600)
    server.start_and_greet()
    return server


def rcpt_code(server: Instance, recipient: str) -> int:
    """Ask smtpd about a recipient."""
    with smtplib.SMTP("127.0.0.1", server.port, timeout=LIMIT_S) as client:
        client.helo("client.test")
        client.mail("sender@client.test")
        return client.rcpt(recipient)[0]


def send(server: Instance, recipient: str) -> None:
    """Send a message; raises when it is not accepted."""
    with smtplib.SMTP("127.0.0.1", server.port, timeout=LIMIT_S) as client:
        client.sendmail("sender@client.test", [recipient], "Subject: test\r\n\r\ntext\r\n")


def settings_of(database: Database) -> str:
    """Give the servers' attribute: the port of PostgreSQL, the socket of MariaDB."""
    hosts = f"unix:{database.socket}" if isinstance(database, MariaDb) else f"127.0.0.1:{database.port}"
    return f"hosts = {hosts}\n{SETTINGS}"


def check_hanging(server: Instance, database: Database) -> None:
    """What is asked while the database hangs is put off, never refused; afterwards all is as before."""
    database.freeze()
    try:
        time.sleep(1.1)  # answers are remembered for a second
        assert [rcpt_code(server, KNOWN), rcpt_code(server, UNKNOWN)] == [451, 451]
        assert rcpt_code(server, "user@example.test") in (250, 550), "what needs no database is not held up"
    finally:
        database.thaw()
    deadline = time.monotonic() + LIMIT_S
    while (codes := [rcpt_code(server, KNOWN), rcpt_code(server, UNKNOWN)]) != [250, 550]:
        assert 250 not in codes[1:], codes
        assert time.monotonic() < deadline, codes
        time.sleep(0.2)


@pytest.mark.root
@pytest.mark.parametrize("prefix", ["", "proxy:"], ids=["direct", "proxy"])
def test_users_in_postgresql(posthouse: Start, postgres: Postgres, prefix: str) -> None:
    """Direct and with proxy:, by TCP to an address or a name, and with a password that needs quoting."""
    settings = settings_of(postgres)
    if prefix:
        settings = settings.replace("127.0.0.1", "localhost")
    server = start_server(posthouse, f"{prefix}pgsql:{{directory}}/etc/boxes.cf", settings)
    assert [rcpt_code(server, KNOWN), rcpt_code(server, UNKNOWN)] == [250, 550]
    send(server, KNOWN)
    wait_messages(server.mail_directory, 1)
    check_hanging(server, postgres)
    send(server, KNOWN)
    wait_messages(server.mail_directory, 2)
    assert "panic" not in server.log()


@pytest.mark.root
def test_users_in_mariadb(posthouse: Start, mariadb: MariaDb) -> None:
    """The same by a UNIX socket."""
    server = start_server(posthouse, "mysql:{directory}/etc/boxes.cf", settings_of(mariadb))
    assert [rcpt_code(server, KNOWN), rcpt_code(server, UNKNOWN)] == [250, 550]
    send(server, KNOWN)
    wait_messages(server.mail_directory, 1)
    check_hanging(server, mariadb)
    assert "panic" not in server.log()


@pytest.mark.root
def test_mail_that_was_accepted_waits_for_the_database(posthouse: Start, postgres: Postgres) -> None:
    """virtual(8) defers what it cannot look up, and delivers it later; nothing is returned."""
    server = start_server(posthouse, "pgsql:{directory}/etc/boxes.cf", settings_of(postgres))
    send(server, KNOWN)
    wait_messages(server.mail_directory, 1)
    with smtplib.SMTP("127.0.0.1", server.port, timeout=LIMIT_S) as client:
        client.helo("client.test")
        client.mail("sender@client.test")
        assert client.rcpt(KNOWN)[0] == 250
        postgres.freeze()
        try:
            time.sleep(1.1)
            assert client.data("Subject: later\r\n\r\ntext\r\n")[0] == 250
            server.wait_log("status=deferred", LIMIT_S)
        finally:
            postgres.thaw()
    server.command("postqueue", "-f")
    wait_messages(server.mail_directory, 2, LIMIT_S)
    assert "status=bounced" not in server.log()


@pytest.mark.root
def test_domains_in_a_database(posthouse: Start, postgres: Postgres) -> None:
    """While it hangs nobody knows whose mail it is: 451 and not "Relay access denied"; afterwards as before."""
    server = posthouse(
        main={
            "virtual_mailbox_domains": "pgsql:{directory}/etc/domains.cf",
            "virtual_mailbox_maps": "static:box/",
            "virtual_transport": "discard",
            "mynetworks": "192.0.2.0/24",
        },
        files={
            "domains.cf": settings_of(postgres)
            + "query = SELECT 'x' FROM lookup WHERE split_part(k, '@', 2) = '%s' LIMIT 1\n"
        },
    )
    assert [rcpt_code(server, "any@mail.example.org"), rcpt_code(server, "any@far.test")] == [250, 554]
    postgres.freeze()
    try:
        time.sleep(1.1)
        assert [rcpt_code(server, "new@mail.example.org"), rcpt_code(server, "new@far.test")] == [451, 451]
    finally:
        postgres.thaw()
    deadline = time.monotonic() + LIMIT_S
    while (codes := [rcpt_code(server, "new@mail.example.org"), rcpt_code(server, "new@far.test")]) != [250, 554]:
        assert time.monotonic() < deadline, codes
        time.sleep(0.2)
    send(server, "any@mail.example.org")
    server.wait_log("to=<any@mail.example.org>, relay=none, .*status=sent", LIMIT_S)
    assert "panic" not in server.log()


@pytest.mark.root
def test_users_in_sqlite(posthouse: Start) -> None:
    """The file is replaced while the server runs; a writer that holds it defers mail."""
    server = start_server(
        posthouse, "sqlite:{directory}/etc/boxes.cf", "dbpath = {directory}/data/users.db\ntimeout = 1\n"
    )
    path = server.data_directory / "users.db"
    make_sqlite(path, KNOWN)
    assert [rcpt_code(server, KNOWN), rcpt_code(server, UNKNOWN)] == [250, 550]
    send(server, KNOWN)
    wait_messages(server.mail_directory, 1)
    fresh = path.with_name("fresh.db")
    make_sqlite(fresh, UNKNOWN)
    fresh.rename(path)
    time.sleep(1.1)
    assert [rcpt_code(server, KNOWN), rcpt_code(server, UNKNOWN)] == [550, 250]
    with sqlite3.connect(path, isolation_level=None) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        time.sleep(1.1)
        assert rcpt_code(server, UNKNOWN) == 451
        writer.execute("ROLLBACK")
    writer.close()
    assert rcpt_code(server, UNKNOWN) == 250
    assert "panic" not in server.log()


def make_sqlite(path: Path, key: str) -> None:
    """Make a database with one key."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE lookup (k TEXT, v TEXT)")
        database.execute("INSERT INTO lookup VALUES (?, 'x')", (key,))
    database.close()
    path.chmod(0o644)
