"""MessageEditor, through the library: headers, envelope and body as a mail filter changes them, and what checks say."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.api import MessageEditor, QueuedMessage, Recipient, TemporaryError

LINES = (b"Received: from us", b"\tby us", b"From: a@a.test", b"Subject: x", b"", b"text", b"")
MESSAGE = QueuedMessage("a@a.test", (Recipient("b@b.test", "b@b.test"),), LINES)


def edited(checks: str = "", message: QueuedMessage = MESSAGE, **settings: str) -> MessageEditor:
    """Begin to edit a message."""
    return MessageEditor(message, {"milter_header_checks": checks, **settings})


def test_what_is_not_edited_is_identical() -> None:
    """The header's first lines, the body's octets and the envelope."""
    lines = (b"A\t : \xff ", b" \t", b"B:", b"no header", b"\r", b"", b"x")
    message = QueuedMessage("", (Recipient("b"), Recipient("b")), lines, 1.5, "HDRS", "id", {"a": "b"})
    editor = edited(message=message)
    assert editor.result() == QueuedMessage(
        "", [Recipient("b"), Recipient("b")], list(lines), 1.5, "HDRS", "id", {"a": "b"}
    )
    editor.add_header("C", "d")
    assert editor.result().lines == [*lines[:3], b"C: d", *lines[3:]]
    assert message.lines == lines


def test_a_body_in_place_of_another() -> None:
    """The last one counts; a message without a body gets the empty line, too."""
    editor = edited()
    editor.replace_body([b"one", b"", b"two"])
    editor.replace_body([b"three"])
    assert editor.result().lines == [*LINES[:4], b"", b"three"]
    editor = edited(message=QueuedMessage("", (), (b"A: b",)))
    editor.replace_body([b"c"])
    assert editor.result().lines == [b"A: b", b"", b"c"]


@pytest.mark.parametrize(
    ("action", "header", "field", "value", "text"),
    [
        ("REJECT go away", [b"X: y"], "reject", "message content rejected", "5.7.1 go away"),
        ("REJECT 4.7.0", [b"X: y"], "reject", "message content rejected", "4.7.0 message content rejected"),
        ("DISCARD gone", [], "discard", True, "gone"),
        ("HOLD", [b"X: y"], "hold", True, ""),
        ("FILTER a:b", [b"X: y"], "content_filter", "a:b", "a:b"),
        ("REDIRECT c@c.test", [b"X: y"], "redirect_to", "c@c.test", "c@c.test"),
        ("REPLACE Z: y", [b"Z: y"], "hold", False, "Z: y"),
        ("STRIP odd", [], "hold", False, "odd"),
        ("WARN", [b"X: y"], "hold", False, ""),
    ],
)
def test_what_checks_do(
    caplog: pytest.LogCaptureFixture, action: str, header: list[bytes], field: str, value: object, text: str
) -> None:
    """To the message, to the header that was looked at, and in the log."""
    editor = edited(f"static:{{{action}}}")
    with caplog.at_level(logging.INFO, "posthouse"):
        editor.add_header("X", "y")
    result = editor.result()
    assert result.lines == [*LINES[:4], *header, *LINES[4:]]
    assert getattr(result, field) == value
    word = action.partition(" ")[0].lower()
    verb = "warning" if word == "warn" else word
    assert caplog.messages == [
        f"NOQUEUE: milter-header-{verb}: header X: y from localhost[127.0.0.1]; from=<a@a.test> to=<b@b.test>: {text}"
    ]


@pytest.mark.parametrize("action", ["DUNNO", "IGNORE", "PREPEND A: b"])
def test_quiet_checks(caplog: pytest.LogCaptureFixture, action: str) -> None:
    """IGNORE leaves a header that was to be changed as it is; PREPEND is not for headers of filters."""
    editor = edited(f"static:{{{action}}}")
    with caplog.at_level(logging.INFO, "posthouse"):
        editor.change_header(1, "subject", "y")
    assert editor.result().lines[3] == (b"Subject: x" if action == "IGNORE" else b"subject: y")
    wanted = [f"unsupported command in milter_header_checks map: {action}"] if "PREPEND" in action else []
    assert caplog.messages == wanted


def test_one_list_of_tables_for_all_headers() -> None:
    """MIME headers are no exception, as they are in header_checks."""
    editor = edited("regexp:{{/^Content-Type: a/ HOLD}}")
    editor.add_header("Content-Type", "a/b")
    assert editor.result().hold


def test_nothing_is_looked_up_after_a_refusal() -> None:
    """Nor does what was asked for before count: the message goes nowhere."""
    editor = edited("regexp:{{/1/ FILTER a:b}, {/2/ REJECT}, {/3/ DISCARD}, {/4/ IGNORE}}")
    for value in "1234":
        editor.add_header("A", value)
    result = editor.result()
    assert result.lines[4:8] == [b"A: 1", b"A: 2", b"A: 3", b"A: 4"]
    assert (result.reject, result.content_filter, result.discard) == ("message content rejected", None, False)


def test_a_table_that_cannot_be_asked_is_no_consent() -> None:
    """The filter's request fails, and so does the message."""
    editor = edited("fail:x")
    with pytest.raises(TemporaryError):
        editor.insert_header(1, "A", "b")
    assert editor.result().lines == list(LINES)


def test_copies() -> None:
    """Of a sender only as long as it is the sender; whoever gets two, gets one."""
    editor = edited("regexp:{{/1/ BCC d@d.test}}", sender_bcc_maps="inline:{c@c.test=x@x.test, e@e.test=y@y.test}")
    editor.change_sender("<c@c.test>")
    editor.add_header("A", "1")
    editor.add_header("A", "1")
    never = frozenset({"NEVER"})
    others = [Recipient("d@d.test", "d@d.test"), *MESSAGE.recipients]
    assert editor.result().recipients == [Recipient("x@x.test", "x@x.test", "", never), *others]
    editor.change_sender("e@e.test")
    assert editor.result().recipients == [Recipient("y@y.test", "y@y.test", "", never), *others]
    editor.change_sender("<>")
    assert (editor.result().sender, editor.result().recipients) == ("", others)


@pytest.mark.parametrize(
    ("arguments", "ret", "envelope_id", "wrong"),
    [
        ("ret=full ENVID=a+2Bb", "FULL", "a+b", 0),
        ("RET=HDRS", "HDRS", "", 0),
        ("RET=NONE ENVID=a+0Ab ENVID=+zz BODY=7BIT x", "", "", 5),
    ],
)
def test_parameters_of_a_sender(
    caplog: pytest.LogCaptureFixture, arguments: str, ret: str, envelope_id: str, wrong: int
) -> None:
    """What is wrong is left out, and said."""
    editor = edited()
    editor.change_sender("c@c.test", arguments)
    assert (editor.result().ret, editor.result().envelope_id) == (ret, envelope_id)
    assert len(caplog.messages) == wrong


@pytest.mark.parametrize(
    ("arguments", "orig_rcpt", "notify", "wrong"),
    [
        ("NOTIFY=success,Delay ORCPT=rfc822;a+20b", "rfc822;a b", {"SUCCESS", "DELAY"}, 0),
        ("ORCPT=UTF-8;\\x{E4}+x", "UTF-8;\xe4+x", set(), 0),
        ("NOTIFY=NEVER,DELAY NOTIFY= ORCPT=;x ORCPT=rfc822; ORCPT=rfc822;a+0Db ORCPT=utf-8;\\x", "", set(), 6),
    ],
)
def test_parameters_of_a_recipient(
    caplog: pytest.LogCaptureFixture, arguments: str, orig_rcpt: str, notify: set[str], wrong: int
) -> None:
    """What is wrong is left out, and said."""
    editor = edited()
    editor.add_recipient('"c d"@c.test', arguments)
    wanted = Recipient("c d@c.test", "c d@c.test", orig_rcpt, frozenset(notify))
    assert editor.result().recipients[-1] == wanted
    assert len(caplog.messages) == wrong


@pytest.mark.parametrize(("keeps", "count"), [("yes", 3), ("no", 2)])
def test_equal_recipients(keeps: str, count: int) -> None:
    """An alias that leads to an address that is there, too, is another recipient where its name is kept."""
    message = QueuedMessage("", (Recipient("b@b.test", "alias@b.test"), Recipient("c@b.test", "alias@b.test")), ())
    editor = edited(message=message, enable_original_recipient=keeps)
    editor.add_recipient("b@b.test")
    editor.add_recipient("b@b.test")
    assert len(editor.result().recipients) == count
    editor.delete_recipient("alias@b.test")
    editor.delete_recipient("nobody@b.test")
    editor.add_recipient("b@b.test")
    assert editor.result().recipients == [Recipient("b@b.test", "b@b.test")]


def test_no_address() -> None:
    """A recipient that is none is a mistake of the caller; so is a setting that cannot be."""
    with pytest.raises(ValueError, match="no address"):
        edited().add_recipient("<>")
    with pytest.raises(ValueError, match="yes"):
        edited().configure({"enable_original_recipient": "maybe"})


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.sampled_from(["", "NOTIFY=NEVER"])), max_size=20))
def test_any_recipients_give_what_a_list_would(edits: list[tuple[bool, str, str]]) -> None:
    """Added when not there, deleted wherever they are; the order is that of adding."""
    editor = edited()
    model = list(MESSAGE.recipients)
    for adds, name, arguments in edits:
        one = Recipient(name, name, "", frozenset({"NEVER"} if arguments else ()))
        if adds:
            editor.add_recipient(name, arguments)
            model += [one] if one not in model else []
        else:
            editor.delete_recipient(name)
            model = [rcpt for rcpt in model if rcpt.original != name]
    assert editor.result().recipients == model
