"""Which tables proxymap(8) serves."""

from pathlib import Path

import pytest

from posthouse.config.parameters import PROXY_READ_MAPS
from posthouse.config.settings import Settings
from posthouse.tables.served import served_tables
from tests.support.lookups import logged


@pytest.mark.parametrize(
    ("items", "tables"),
    [
        (["proxy:lmdb:/a", "lmdb:/b", "permit"], {"lmdb:/a"}),
        (["!proxy:lmdb:/a", "proxy:proxy:cidr:/c"], {"lmdb:/a", "cidr:/c"}),
        (["{ check_client_access proxy:cidr:/c, { search_order = x } }"], {"cidr:/c"}),
        (["proxy:inline:{ a=b, {c = d e} }"], {"inline:{ a=b, {c = d e} }"}),
        (["proxy:unionmap:{proxy:lmdb:/a,static:b}"], {"unionmap:{proxy:lmdb:/a,static:b}"}),
        (["[::1]", "proxy:", "{open"], set()),
    ],
)
def test_what_is_named_with_proxy(items: list[str], tables: set[str]) -> None:
    """In lists of all kinds, whatever stands around it."""
    assert served_tables(items) == tables


def test_everything_that_looks_like_a_table() -> None:
    """For listings."""
    assert served_tables(["proxy:lmdb:/a", "lmdb:/b", "permit", "[::1]"], proxied_only=False) == {"lmdb:/a", "lmdb:/b"}


def test_files_are_read(tmp_path: Path) -> None:
    """A missing one is a warning."""
    (tmp_path / "list").write_text("# proxy:lmdb:/no\nproxy:lmdb:/yes\n")
    with logged() as lines:
        assert served_tables([f"{tmp_path}/list", f"{tmp_path}/missing"]) == {"lmdb:/yes"}
    assert "No such file" in lines[0]


def test_a_stock_configuration_approves_the_account_file() -> None:
    """Through local_recipient_maps; alias_maps is not written with proxy:."""
    settings = Settings.from_mapping({"myhostname": "mail.example"})
    assert served_tables(settings[PROXY_READ_MAPS]) == {"unix:passwd.byname"}
