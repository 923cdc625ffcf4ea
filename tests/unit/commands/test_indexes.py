"""Which indexes the start makes: those that are missing, from text that is there, by the right command."""

from pathlib import Path

import pytest

from posthouse.commands.postfix.indexes import make_missing_indexes, missing_indexes
from posthouse.config.settings import Settings


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Make source texts, one of them with its index."""
    (tmp_path / "aliases").write_text("office: root\n", encoding="ascii")
    (tmp_path / "virtual").write_text("a@x.test b@x.test\n", encoding="ascii")
    (tmp_path / "made").write_text("a b\n", encoding="ascii")
    (tmp_path / "made.lmdb").write_bytes(b"")
    return tmp_path


def settings(etc: Path, **values: str) -> Settings:
    """Give settings; {etc} is filled in."""
    filled = {name: text.replace("{etc}", str(etc)) for name, text in values.items()}
    return Settings.from_mapping({"alias_maps": "", "alias_database": "", **filled})


def test_aliases_are_made_by_postalias_and_others_by_postmap(etc: Path) -> None:
    """The same text means another thing to each; a list that repeats $alias_maps does not make it a map."""
    given = settings(
        etc,
        alias_maps="hash:{etc}/aliases",
        local_recipient_maps="proxy:unix:passwd.byname $alias_maps",
        smtpd_sender_restrictions="check_sender_access btree:{etc}/virtual",
    )
    assert list(missing_indexes(given)) == [
        ("postalias", f"hash:{etc}/aliases", f"{etc}/aliases.lmdb"),
        ("postmap", f"btree:{etc}/virtual", f"{etc}/virtual.lmdb"),
    ]


def test_nothing_is_made_twice_or_without_text(etc: Path) -> None:
    """An index that exists stays; without text there is nothing to make one of; lmdb: is the administrator's."""
    maps = "hash:{etc}/made, hash:{etc}/absent, lmdb:{etc}/virtual, texthash:{etc}/virtual"
    assert list(missing_indexes(settings(etc, virtual_alias_maps=maps))) == []


def test_index_is_made_and_told(etc: Path) -> None:
    """One line says what was made; the next start has nothing to do."""
    said: list[tuple[str, str]] = []
    given = settings(etc, virtual_alias_maps="hash:{etc}/virtual")
    (etc / "main.cf").write_text("compatibility_level = 3.6\n", encoding="ascii")
    given = Settings.from_mapping(given.explicit, config_directory=str(etc))
    make_missing_indexes(given, lambda severity, text: said.append((severity, text)))
    assert said == [("info", f"made {etc}/virtual.lmdb from its source text, as postmap would")]
    assert list(missing_indexes(given)) == []


def test_index_that_cannot_be_made_is_told(etc: Path) -> None:
    """The start goes on, with the reason in the log."""
    said: list[tuple[str, str]] = []
    given = Settings.from_mapping(
        {"alias_maps": "", "alias_database": "", "virtual_alias_maps": f"hash:{etc}/virtual"},
        config_directory=str(etc / "no such directory"),
    )
    make_missing_indexes(given, lambda severity, text: said.append((severity, text)))
    [(severity, text)] = said
    assert severity == "warning"
    assert text.startswith(f"hash:{etc}/virtual has no index and none could be made; mail that needs it waits: ")


def test_an_index_of_postfix_is_told_once(etc: Path) -> None:
    """It is used as it is, and not made anew from a text that may have been edited since."""
    said: list[tuple[str, str]] = []
    (etc / "virtual.db").write_bytes(b"")
    given = settings(etc, virtual_alias_maps="hash:{etc}/virtual", relocated_maps="btree:{etc}/virtual")
    make_missing_indexes(given, lambda severity, text: said.append((severity, text)))
    new = f"the next postmap makes {etc}/virtual.lmdb"
    assert said == [("info", f"hash:{etc}/virtual is read from {etc}/virtual.db, which Postfix wrote; {new}")]
    assert not (etc / "virtual.lmdb").exists()
