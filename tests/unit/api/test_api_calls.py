"""What is around the calls of the library: diagnostics, errors, and what would have to wait."""

import asyncio
import logging
from collections.abc import Mapping

import pytest

import posthouse.api
from posthouse.api import (
    HostPatterns,
    TemporaryError,
    find_address,
    is_local_domain,
    map_address,
    open_maps,
    open_table,
)
from posthouse.api.calls import answer, reported
from posthouse.util import log
from posthouse.util.errors import ConfigError
from tests.support.lookups import logged

LOCAL: Mapping[str, str] = {
    "myhostname": "h.test",
    "myorigin": "o.test",
    "mydestination": "h.test",
    "recipient_delimiter": "+",
}


def test_diagnostics_go_to_logging(caplog: pytest.LogCaptureFixture) -> None:
    """As bare texts, with a level each; the program's own log is as before afterwards."""
    with caplog.at_level(logging.DEBUG, "posthouse"), logged() as lines:
        with reported():
            log.info("one")
            log.warning("two")
            log.error("error: three")
            log.fatal("four")
            log.panic("five")
        log.info("six")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "one"),
        ("WARNING", "two"),
        ("ERROR", "error: three"),
        ("CRITICAL", "four"),
        ("CRITICAL", "five"),
    ]
    assert all(record.name.startswith("posthouse.") for record in caplog.records)
    assert lines == ["six"]


def test_mistakes_are_value_errors() -> None:
    """With the reason alone; the log is as before afterwards."""
    with logged() as lines:
        with pytest.raises(ValueError, match=r"^why$"), reported():
            raise ConfigError("why", file="/x", line=3, parameter="p")
        log.info("after")
    assert lines == ["after"]
    with pytest.raises(ValueError, match="missing '}'"):
        HostPatterns("inline:{a=b")


def test_what_waits_is_a_temporary_error() -> None:
    """The library opens no connections."""

    async def wait() -> str:
        await asyncio.sleep(0)
        return "never"

    with pytest.raises(TemporaryError):
        answer(wait())


@pytest.mark.parametrize("spec", ["sqlite:/x.cf", "mysql:/x.cf", "tcp:localhost:1"])
def test_tables_of_servers_are_not_opened(spec: str) -> None:
    """One that is named is an error at once; in a list, what needs it has to wait."""
    with pytest.raises(ValueError, match="the library does not wait for servers"):
        open_table(spec)
    with pytest.raises(TemporaryError):
        open_maps(f"inline:{{a=b}}, {spec}").get("c")


def test_every_name_is_there() -> None:
    """And each has something to say about itself."""
    for name in posthouse.api.__all__:
        assert getattr(posthouse.api, name).__doc__


def test_forms_and_strategies() -> None:
    """Each is one of those that there are."""
    maps = open_maps('inline:{a@b@x.test=inner, {"c@d"@x.test = "p q"@x.test}, x.test=domain}')
    assert find_address(maps, "a@b@x.test", LOCAL) is None
    assert find_address(maps, "a@b@x.test", LOCAL, query="internal") == ("inner", None)
    assert find_address(maps, '"a@b"@x.test', LOCAL, form="external", query="external-first") == ("inner", None)
    assert find_address(maps, "c@d@x.test", LOCAL, result="internal") == ("p q@x.test", None)
    assert find_address(maps, "u@x.test", LOCAL, strategy=("full", "domain")) == ("domain", None)
    assert find_address(maps, "u@s.x.test", LOCAL, strategy=("domain", "parent_domain")) == ("domain", None)
    assert find_address(maps, "u@s.x.test", LOCAL, strategy=("domain", "dot_parent_domain")) is None
    for wrong in ({"form": "other"}, {"query": "other"}, {"result": "other"}, {"strategy": ("other",)}):
        with pytest.raises(ValueError, match='"other" is not one of'):
            find_address(maps, "c@d@x.test", LOCAL, **wrong)


def test_settings_decide() -> None:
    """Origin, local domains, delimiter; nothing is kept between two calls."""
    maps = open_maps("inline:{bob=alice, carol@x.test=dave}")
    assert map_address(maps, "bob+ext@h.test", LOCAL) == ["alice+ext@o.test"]
    assert map_address(maps, "bob@o.test", LOCAL) == ["alice@o.test"]
    assert map_address(maps, "bob-ext@h.test", LOCAL) == []
    assert map_address(maps, "bob-ext@h.test", {**LOCAL, "recipient_delimiter": "-"}, propagate=False) == [
        "alice@o.test"
    ]
    assert map_address(maps, "bob@other.test", LOCAL) == []
    assert is_local_domain("[192.0.2.1]", LOCAL, ["192.0.2.1"])
    assert not is_local_domain("[192.0.2.1]", LOCAL)
    with pytest.raises(TemporaryError):
        is_local_domain("x.test", {**LOCAL, "mydestination": "fail:x"})
