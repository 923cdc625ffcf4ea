"""Files of settings of tables: syntax, types, places of mistakes, names of old."""

from pathlib import Path

import pytest

from posthouse.config.settings import Settings
from posthouse.tables.client_config import ClientConfig, read_config
from posthouse.tables.file_table import Origin
from posthouse.tables.needs import Needs, needs_of
from posthouse.tables.table import DEFAULT_FLAGS
from posthouse.util.errors import ConfigError
from tests.support.lookups import logged

NOTHING = Settings.from_mapping({})


def read(tmp_path: Path, text: str) -> ClientConfig:
    """Read a file with this text."""
    path = tmp_path / "table.cf"
    path.write_text(text, encoding="utf-8")
    return read_config(Origin("pgsql", str(path), DEFAULT_FLAGS), NOTHING)


def test_values(tmp_path: Path) -> None:
    """main.cf's syntax: continued lines, comments, the last one counts; $ is text."""
    config = read(tmp_path, "# x\nquery = SELECT $1\n  FROM x\nuser = a\nuser = b\nempty =\nhosts = one, two\n three\n")
    assert config.text("query") == "SELECT $1  FROM x"
    assert config.text("user") == "b"
    assert (config.text("empty", "d"), config.text("missing", "d")) == ("", "d")
    assert config.items("hosts") == ("one", "two", "three")


def test_typed_values(tmp_path: Path) -> None:
    """Numbers, times and booleans; an empty value is the default."""
    config = read(tmp_path, "n = 5\nt = 2m\nb = YES\nempty =\n")
    assert (config.integer("n", 1), config.integer("empty", 7)) == (5, 7)
    assert (config.seconds("t", 1), config.seconds("n", 1), config.seconds("missing", 1.5)) == (120, 5, 1.5)
    assert (config.boolean("b", default=False), config.boolean("empty", default=True)) == (True, True)


@pytest.mark.parametrize(
    ("attribute", "ask", "why"),
    [
        ("n = five", lambda config: config.integer("n", 1), '"five" is not a whole number'),
        ("n = ٣", lambda config: config.integer("n", 1), "is not a whole number"),
        ("n = -1", lambda config: config.integer("n", 1), "too small"),
        ("n = 9", lambda config: config.integer("n", 1, 0, 8), "too large"),
        ("n = 5x", lambda config: config.seconds("n", 1), "is not a time"),
        ("n = maybe", lambda config: config.boolean("n", default=True), "neither"),
        ("n = {a", lambda config: config.items("n"), "missing '}'"),
        ("n =", lambda config: config.required("n"), "it is missing"),
    ],
)
def test_mistakes_have_a_place(tmp_path: Path, attribute: str, ask: object, why: str) -> None:
    """File, line and attribute."""
    config = read(tmp_path, f"# comment\n\n{attribute}\n")
    with pytest.raises(ConfigError, match=why) as caught:
        ask(config)  # type: ignore[operator]
    assert str(caught.value).startswith(f"{tmp_path}/table.cf:3: n: ")


def test_attributes_that_nobody_asks_for(tmp_path: Path) -> None:
    """Each is a warning, without its value: that may be a password under a misspelled name."""
    config = read(tmp_path, "query = x\nquerry = y\n")
    config.text("query")
    with logged() as lines:
        config.finish()
    assert lines == [f"warning: {tmp_path}/table.cf, line 2: unused parameter: querry"]


def test_a_file_that_is_missing_or_wrong(tmp_path: Path) -> None:
    """Both name the file."""
    with pytest.raises(ConfigError, match=r"open /nowhere/x\.cf: No such file"):
        read_config(Origin("pgsql", "/nowhere/x.cf", DEFAULT_FLAGS), NOTHING)
    with pytest.raises(ConfigError, match="missing '='") as caught:
        read(tmp_path, "a = b\nnonsense\n")
    assert caught.value.line == 2


def test_names_of_old() -> None:
    """Without "/" and "." attributes are main.cf's, and expanded as there."""
    settings = Settings.from_mapping({"users_user": "$domain_admin", "domain_admin": "ann", "users_hosts": "a b"})
    config = read_config(Origin("mysql", "users", DEFAULT_FLAGS), settings)
    assert (config.text("user"), config.items("hosts"), config.is_set("password")) == ("ann", ("a", "b"), False)
    with logged() as lines:
        config.finish()
    assert lines == []


@pytest.mark.parametrize(
    ("kind", "text", "needs"),
    [
        ("sqlite", "dbpath = /srv/db/users.db", Needs(files=("/srv/db/users.db",))),
        ("pgsql", "hosts = unix:/run/postgresql", Needs(sockets=("/run/postgresql",))),
        ("pgsql", "hosts = unix:/run/postgresql, db.test", Needs(sockets=("/run/postgresql",), network=True)),
        ("pgsql", "user = x", Needs(network=True)),
        ("mysql", "hosts=a\ntls_CAfile = /etc/db/ca.pem", Needs(files=("/etc/db/ca.pem",), network=True)),
        (
            "mysql",
            "hosts=a\ndomain = lmdb:/etc/p/domains",
            Needs(("/etc/p/domains",), (), True, (("lmdb", "/etc/p/domains"),)),
        ),
        ("ldap", "server_host = ldapi://%2Frun%2Fldapi", Needs(sockets=("/run/ldapi",))),
        ("ldap", "server_host = ldap://one ldap://two", Needs(network=True)),
        ("pgsql", "nonsense", Needs()),
    ],
)  # fmt: skip
def test_what_a_table_needs(tmp_path: Path, kind: str, text: str, needs: Needs) -> None:
    """For the walls: files, sockets, the network, further tables."""
    path = tmp_path / "table.cf"
    path.write_text(text + "\n", encoding="utf-8")
    assert needs_of(kind, str(path), NOTHING) == needs


def test_what_tables_without_a_file_need() -> None:
    """socketmap and tcp have their server in the name."""
    assert needs_of("socketmap", "unix:/run/maps/socket:users", NOTHING) == Needs(sockets=("/run/maps/socket",))
    assert needs_of("tcp", "127.0.0.1:555", NOTHING) == Needs(network=True)


def test_no_password_is_quoted(tmp_path: Path) -> None:
    """A forgotten "=" is told with its line; what stands there goes into no log."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "user = x\npassword hunter2\n")
    assert "table.cf:2: missing '=' after attribute name" in str(caught.value)
    assert "hunter2" not in str(caught.value)
