"""Tables as applications use them: modes, flags, changes, errors."""

import logging
from pathlib import Path

import pytest

from posthouse import api


@pytest.mark.parametrize("kind", ["lmdb", "hash", "btree", "cdb"])
def test_an_index_is_made_and_read(kind: str, tmp_path: Path) -> None:
    """mode="create" writes the file when the table is closed."""
    table = api.open_table(f"{kind}:map", mode="create", flags=frozenset({"fold"}), base_dir=str(tmp_path))
    table.put("Alpha", "one")
    table.put("beta", "two")
    assert table.delete("BETA")
    assert not table.delete("beta")
    assert not list(tmp_path.iterdir())
    table.close()
    made = api.open_table(f"{kind}:map", flags=frozenset({"fold"}), base_dir=str(tmp_path))
    assert (made.get("ALPHA"), made.get("beta"), list(made.items())) == ("one", None, [("alpha", "one")])
    assert made.flags == {"fold"}
    made.close()


def test_an_index_is_changed(tmp_path: Path) -> None:
    """mode="write" changes what is there, at once."""
    api.open_table("lmdb:map", mode="create", base_dir=str(tmp_path)).close()
    table = api.open_table("lmdb:map", mode="write", base_dir=str(tmp_path))
    table.put("a", "1")
    assert (table.get("a"), table.delete("a"), table.delete("a"), table.get("a")) == ("1", True, False, None)


@pytest.mark.parametrize("spec", ["static:x", "cdb:map", "inline:{a=b}", "regexp:{{/a/ b}}", "debug:static:x"])
def test_some_tables_are_only_read(spec: str) -> None:
    """In Postfix's words."""
    with pytest.raises(ValueError, match="map requires O_RDONLY access mode"):
        api.open_table(spec, mode="write")


def test_debug_logs_everything(caplog: pytest.LogCaptureFixture) -> None:
    """Lookups, changes and listings; also those that fail."""
    caplog.set_level(logging.INFO)
    table = api.open_table("debug:internal:x", mode="write")
    table.put("a", "1")
    assert (table.get("a"), list(table.items()), table.delete("b")) == ("1", [("a", "1")], False)
    failing = api.open_table("debug:fail:x", mode="write")
    for action in (lambda: failing.get("a"), lambda: failing.put("a", "b"), lambda: failing.delete("a")):
        with pytest.raises(api.TemporaryError):
            action()
    assert [record.getMessage() for record in caplog.records] == [
        'internal:x update: "a" = "1": success',
        'internal:x lookup: "a" = "1"',
        'internal:x sequence: "a" = "1"',
        "internal:x sequence: found EOF",
        'internal:x delete: "b": failed',
        'fail:x lookup: "a" = "error" (fail:x: table lookup problem)',
        'fail:x update: "a" = "b": error (fail:x: table lookup problem)',
        'fail:x delete: "a": error (fail:x: table lookup problem)',
    ]


def test_a_table_that_cannot_be_opened() -> None:
    """ValueError with the bare reason; in a list, every lookup fails."""
    with pytest.raises(ValueError, match=r"^open database /nowhere/map\.db: No such file or directory$"):
        api.open_table("hash:/nowhere/map")
    maps = api.open_maps("inline:{a=1}, texthash:/nowhere/map")
    assert (maps.get("a"), maps.get("")) == ("1", None)
    with pytest.raises(api.TemporaryError):
        maps.get("b")


def test_served_tables_leave_out_what_stands_in_main_cf() -> None:
    """Asking another process for static:x would win nothing."""
    settings = {
        "proxy_read_maps": "$transport_maps static:x inline:{a=b} cidr:{{::/0 x}}",
        "transport_maps": "proxy:hash:/t",
    }
    assert api.served_tables(settings) == ["hash:/t"]
    assert api.served_tables(settings, proxied_only=False) == ["hash:/t"]
    assert api.inline_rules("{{a b}, { c d }}") == "a b\nc d\n"
