"""TLS to databases: encrypted, verified where that is asked for, and refused where the certificate is another's."""

import asyncio
from pathlib import Path

import pytest

from posthouse.util.errors import ConfigError, TableError
from tests.support.databases import NAME, PASSWORD, USER, MariaDb, Postgres
from tests.support.lookups import opener

LOGIN = f"user = {USER}\npassword = {PASSWORD}\ndbname = {NAME}\ntimeout = 20\n"


def look_up(kind: str, path: Path, text: str) -> str | None:
    """Ask a table with these settings."""
    path.write_text(LOGIN + text, encoding="utf-8")

    async def ask() -> str | None:
        tables = opener()
        try:
            return await tables.open(f"{kind}:{path}").lookup("alpha")
        finally:
            tables.close()
            await asyncio.sleep(0.05)

    return asyncio.run(ask())


def test_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    """As libpq's connection strings say it."""
    query = "query = SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND '%s' <> ''\n"
    place = f"hosts = postgresql://localhost:{postgres.port}/?sslmode=verify-full&sslrootcert="
    files = postgres.tls
    assert look_up("pgsql", tmp_path / "x.cf", f"{place}{files.ca}\n{query}") == "TLSv1.3"
    with pytest.raises(TableError, match="certificate verify failed"):
        look_up("pgsql", tmp_path / "x.cf", f"{place}{files.other_ca}\n{query}")
    plain = f"hosts = postgresql://localhost:{postgres.port}/?sslmode=disable\n{query}"
    assert look_up("pgsql", tmp_path / "x.cf", plain) is None, "version is NULL"


def test_mariadb(mariadb: MariaDb, tmp_path: Path) -> None:
    """As the attributes say it."""
    status = "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_version'"
    query = f"hosts = 127.0.0.1:{mariadb.port}\nquery = {status} AND '%s' <> ''\n"
    files = mariadb.tls
    verified = f"{query}tls_CAfile = {files.ca}\ntls_verify_cert = yes\n"
    assert look_up("mysql", tmp_path / "x.cf", verified) == "TLSv1.3"
    assert look_up("mysql", tmp_path / "x.cf", f"{query}tls_ciphers = DEFAULT\n") == "TLSv1.3", "not verified"
    assert look_up("mysql", tmp_path / "x.cf", query) is None
    with pytest.raises(TableError, match=r"(?i)certificate"):
        look_up("mysql", tmp_path / "x.cf", f"{query}tls_CAfile = {files.other_ca}\n")


def test_mistakes_in_tls_settings(tmp_path: Path) -> None:
    """Named when the table is opened."""
    path = tmp_path / "x.cf"
    for text in ("tls_CAfile = /nowhere/ca.pem", "tls_ciphers = nonsense"):
        path.write_text(f"{LOGIN}query = SELECT 1\n{text}\n", encoding="utf-8")
        with pytest.raises(ConfigError, match="cannot set TLS up"):
            opener().open(f"mysql:{path}")


def test_settings_in_an_option_file(mariadb: MariaDb, tmp_path: Path) -> None:
    """Those of [client], and of another group on top; the table's own attributes win."""
    quoted = PASSWORD  # as it is: our files have no escapes
    (tmp_path / "my.cnf").write_text(
        f'[client]\nuser = wrong\nssl-ca = "{mariadb.tls.ca}"\n[posthouse]\nuser={USER}\npassword={quoted}\n'
        f"database = {NAME}\n!includedir /nowhere\n"
    )
    path = tmp_path / "x.cf"
    path.write_text(
        f"option_file = {tmp_path}/my.cnf\noption_group = posthouse\nhosts = 127.0.0.1:{mariadb.port}\n"
        "query = SELECT v FROM lookup WHERE k = '%s'\n"
    )

    async def ask() -> str | None:
        tables = opener()
        try:
            return await tables.open(f"mysql:{path}").lookup("alpha")
        finally:
            tables.close()
            await asyncio.sleep(0.05)

    assert asyncio.run(ask()) == "one"
