"""A mistake in main.cf stops the start, and the operator reads where it is and what to do."""

import re

import pytest

from tests.conftest import Start
from tests.support import net
from tests.support.instance import MASTER_CF, Instance

# what is appended to main.cf -> words that must be in the answer
MISTAKES = (
    pytest.param("this line has no equals sign\n", ["="], id="syntax error"),
    pytest.param("virtual_alias_maps = hasch:/etc/aliases\n", ["hasch", "virtual_alias_maps"], id="unknown table type"),
    pytest.param(
        "virtual_alias_maps = texthash:/nonexistent/table\n", ["/nonexistent/table", "virtual_alias_maps"], id="no file"
    ),
    pytest.param("smtpd_timeout = banana\n", ["smtpd_timeout", "banana"], id="not a time"),
    pytest.param("message_size_limit = -5\n", ["message_size_limit", "-5"], id="below the smallest value"),
    pytest.param("smtpd_helo_required = perhaps\n", ["smtpd_helo_required", "perhaps"], id="neither yes nor no"),
    pytest.param("smtpd_recipient_restrictions = permit_mynetwork\n", ["permit_mynetwork"], id="unknown restriction"),
)


def refused_start(server: Instance) -> str:
    """Start; return what was said. Fails when it runs."""
    done = server.command("postfix", "start")
    assert done.returncode != 0, f"it started\n{server.log()}"
    assert net.greeting(server.port, 0.5) == b""
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize(("line", "words"), MISTAKES)
def test_mistake_in_main_cf_is_named_with_its_line(posthouse: Start, line: str, words: list[str]) -> None:
    """The answer names file, line, parameter and value."""
    server = posthouse(started=False)
    main_cf = server.config_directory / "main.cf"
    text = main_cf.read_text(encoding="utf-8") + line
    main_cf.write_text(text, encoding="utf-8")
    said = refused_start(server)
    number = text.count("\n")
    assert re.search(rf"main\.cf[:,] ?(line )?{number}\b", said), said
    for word in words:
        assert word in said


def test_unreadable_table_is_named(posthouse: Start) -> None:
    """A directory where a file should be cannot be read, by root neither."""
    server = posthouse(main={"virtual_alias_maps": "texthash:{directory}"}, started=False)
    said = refused_start(server)
    assert re.search(r"main\.cf[:,] ?(line )?[0-9]+", said), said
    assert "virtual_alias_maps" in said


def test_mistake_in_master_cf_is_named_with_its_line(posthouse: Start) -> None:
    """A service line with too few fields."""
    server = posthouse(master_cf=MASTER_CF + "broken unix n\n", started=False)
    said = refused_start(server)
    assert re.search(rf"master\.cf[:,] ?(line )?{MASTER_CF.count(chr(10)) + 1}\b", said), said


def test_second_instance_on_the_same_data_is_refused(posthouse: Start) -> None:
    """Two masters on one queue would both own it."""
    first = posthouse()
    second = posthouse(
        main={"queue_directory": str(first.queue_directory), "data_directory": str(first.data_directory)}, started=False
    )
    refused_start(second)
    assert net.greeting(first.port).startswith(b"220")
