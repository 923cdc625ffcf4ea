"""ContentChecks: which table looks at a line, and what becomes of it."""

import logging
from pathlib import Path

import pytest

from posthouse.api import ContentChecks, MimeEvent, MimeParser, RejectMessage, TemporaryError, end_header_block
from posthouse.filters.actions import Action, Verb
from posthouse.filters.content_checks import log_line

MESSAGE = (
    b"Subject: a\nContent-Type: multipart/x; boundary=b\nMime-Version: 1.0\nContent-X: y\n\n"
    b"--b\nX-Part: 1\ncontent-type: message/rfc822\n\nTo: nested\nContent-Id: 3\n\nbody\n"
)


def checked(checks: ContentChecks, message: bytes = MESSAGE) -> list[MimeEvent]:
    """Give what is left of headers and body."""
    events = [event for event in MimeParser().parse(message) if event.kind in ("header", "body")]
    return [line for event in events for line in checks.check(event)]


def data(events: list[MimeEvent]) -> list[bytes]:
    """Give the texts that are not empty."""
    return [event.data for event in events if event.data]


@pytest.mark.parametrize(
    ("tables", "gone"),
    [
        ({"header_checks": "static:IGNORE"}, [b"Subject: a", b"Content-X: y"]),
        (
            {"mime_header_checks": "static:IGNORE"},
            [
                b"Content-Type: multipart/x; boundary=b",
                b"Mime-Version: 1.0",
                b"X-Part: 1",
                b"content-type: message/rfc822",
                b"Content-Id: 3",
            ],
        ),
        ({"nested_header_checks": "static:IGNORE"}, [b"To: nested"]),
        ({"body_checks": "static:IGNORE"}, [b"--b", b"body"]),
    ],
)
def test_which_table_looks_at_a_line(tables: dict[str, str], gone: list[bytes]) -> None:
    """MIME headers have a table of their own wherever they stand, and so have the headers of parts."""
    left = data(checked(ContentChecks(**tables)))
    assert [line for line in data(checked(ContentChecks())) if line not in left] == gone


def test_lines_that_are_put_before_and_in_place(caplog: pytest.LogCaptureFixture) -> None:
    """And the log says so, in Postfix's form."""
    checks = ContentChecks("static:{PREPEND X-A: b}", body_checks="static:{REPLACE text}", queue_id="Q")
    with caplog.at_level(logging.INFO, "posthouse"):
        events = checked(checks, b"To: x\n\nold\xff\n")
    assert [(event.kind, event.data) for event in events] == [
        ("prepended", b"X-A: b"),
        ("header", b"To: x"),
        ("body", b""),
        ("body", b"text"),
    ]
    assert caplog.messages[-2] == "Q: prepend: header To: x: X-A: b"
    assert caplog.messages[-1] == "Q: replace: body old?: text"


def test_patterns_see_a_header_with_its_folds_and_its_octets(tmp_path: Path) -> None:
    """One lookup for a logical header; octets that are no UTF-8 do not hide a line."""
    (tmp_path / "rules").write_text("/^To: x.*folded$/ STRIP\n/bad.$/ IGNORE\n")
    checks = ContentChecks("regexp:rules", body_checks="regexp:rules", base_dir=str(tmp_path))
    assert data(checked(checks, b"To: x\n folded\nA: b\n\nbad\xff\ngood\xff\n")) == [b"A: b", b"good\xff"]


def test_fixed_tables_match_as_they_are_written() -> None:
    """header_checks are not folded: a table of strings has the string or not."""
    checks = ContentChecks(body_checks="inline:{{Text = IGNORE}}")
    assert data(checked(checks, b"\nText\ntext\n")) == [b"text"]


def test_long_lines_are_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Two hundred octets, and no control characters."""
    with caplog.at_level(logging.INFO, "posthouse"):
        checked(ContentChecks(body_checks="static:warn", queue_id="Q"), b"\n\t" + b"x" * 300 + b"\n")
    assert caplog.messages == ["Q: warning: body ?" + "x" * 199]


def test_a_mistake_in_a_table_is_a_warning_and_the_line_passes(caplog: pytest.LogCaptureFixture) -> None:
    """As with DUNNO."""
    with caplog.at_level(logging.INFO, "posthouse"):
        assert data(checked(ContentChecks(body_checks="static:{FILTER x}"), b"\na\n")) == [b"a"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_table_that_cannot_be_asked_is_not_passed_by() -> None:
    """The message is neither accepted nor refused for good."""
    with pytest.raises(TemporaryError):
        checked(ContentChecks("fail:x"))


def test_other_events_are_not_looked_up() -> None:
    """They have no line."""
    with pytest.raises(ValueError, match="end_of_headers"):
        ContentChecks("static:ignore").check(MimeEvent("end_of_headers"))


def test_the_log_names_the_client() -> None:
    """Where it is known, between the line and the text."""
    client = "from a.test[192.0.2.1]; from=<s@a.test> proto=ESMTP helo=<a.test>"
    line = log_line("Q", Action(Verb.REJECT, "5.7.1 no"), "header Subject: x", client)
    assert line == f"Q: reject: header Subject: x {client}: 5.7.1 no"


BAD = [b"Received: x", b" folded", b"no header", b"To: y"]


def test_a_header_block_that_no_empty_line_ends() -> None:
    """Three ways; what is sound stays as it is, with each of them."""
    assert end_header_block(BAD) == [*BAD[:2], b"", *BAD[2:]]
    notice = b"MIME-Error: message header was not terminated by empty line"
    assert end_header_block(BAD, "add_header") == [*BAD[:2], notice, b"", *BAD[2:]]
    with pytest.raises(RejectMessage, match=r"^5\.6\.0 non-empty end-of-header$"):
        end_header_block(BAD, "reject")
    for action in ("fix_quietly", "add_header", "reject"):
        assert end_header_block([b"A: b", b"", b"text"], action) == [b"A: b", b"", b"text"]
        assert end_header_block([], action) == []
    with pytest.raises(ValueError, match="bad action"):
        end_header_block(BAD, "no")


def test_long_lines_of_a_body_stay_whole() -> None:
    """They are read in pieces, and put together."""
    lines = [b"A: b", b"", b"x" * 5000, b"y" * 2048, b"z"]
    assert end_header_block(lines) == lines
