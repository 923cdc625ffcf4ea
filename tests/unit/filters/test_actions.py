"""What a check table says: every action, and what cannot be done."""

import pytest

from posthouse.filters.actions import DUNNO, EDITS, Action, ActionError, Place, Verb, parse_action


@pytest.mark.parametrize(
    ("value", "action"),
    [
        ("DUNNO", DUNNO),
        ("ok", DUNNO),
        ("OK what ever", DUNNO),
        ("ignore", Action(Verb.IGNORE)),
        ("STRIP gone", Action(Verb.STRIP, "gone")),
        ("WARN\tseen ", Action(Verb.WARN, "seen ")),
        ("INFO", Action(Verb.INFO)),
        ("PASS", Action(Verb.PASS)),
        ("HOLD wait", Action(Verb.HOLD, "wait")),
        ("DISCARD", Action(Verb.DISCARD)),
        ("REDIRECT a@b.test", Action(Verb.REDIRECT, "a@b.test")),
        ("BCC a@b.test", Action(Verb.BCC, "a@b.test")),
        ("FILTER smtp:[::1]:10025", Action(Verb.FILTER, "smtp:[::1]:10025")),
        ("FILTER smtp:", Action(Verb.FILTER, "smtp:")),
        ("PREPEND X-A: b", Action(Verb.PREPEND, "X-A: b")),
        ("REPLACE  X-A:b", Action(Verb.REPLACE, "X-A:b")),
        ("REJECT", Action(Verb.REJECT, "5.7.1 message content rejected")),
        ("REJECT no", Action(Verb.REJECT, "5.7.1 no")),
        ("reject 4.3.2 later", Action(Verb.REJECT, "4.3.2 later")),
    ],
)
def test_actions(value: str, action: Action) -> None:
    """Any case; the text is as it stands, a refusal has a status."""
    assert parse_action(value, Place.HEADER, "header_checks") == action


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "unknown command in header_checks map: "),
        ("REJECTED x", "unknown command in header_checks map: REJECTED x"),
        ("PREPEND", "PREPEND action without text in header_checks map"),
        ("REPLACE no header", 'bad REPLACE header text "no header" in header_checks map'),
        ("PREPEND :x", 'bad PREPEND header text ":x" in header_checks map'),
        ("REDIRECT root", 'bad REDIRECT address "root" in header_checks map, need user@domain'),
        ("BCC @", 'bad BCC address "@" in header_checks map, need user@domain'),
        ("FILTER", "missing FILTER destination in header_checks map"),
        ("FILTER smtp", 'bad FILTER destination "smtp" in header_checks map'),
    ],
)
def test_what_cannot_be_done(value: str, words: str) -> None:
    """The text names the table."""
    with pytest.raises(ActionError) as caught:
        parse_action(value, Place.HEADER, "header_checks")
    assert str(caught.value).startswith(words)


def test_a_refusal_with_the_status_of_a_success_is_for_now_only() -> None:
    """As Postfix: the line is not passed, and the log says what is wrong with the table."""
    action = parse_action("REJECT 2.0.0 fine", Place.HEADER, "header_checks")
    assert action == (Verb.REJECT, "4.0.0 fine", action.doubt)
    assert action.doubt == 'bad REJECT text "2.0.0 fine" in header_checks map, need 4.x.x or 5.x.x'
    assert parse_action("REJECT 2 apples", Place.BODY, "body_checks") == (Verb.REJECT, "5.7.1 2 apples", "")


def test_body_lines_are_replaced_by_any_text() -> None:
    """Only headers must look like headers."""
    assert parse_action("REPLACE any text", Place.BODY, "body_checks") == Action(Verb.REPLACE, "any text")


@pytest.mark.parametrize("verb", [verb for verb in Verb if verb not in EDITS])
def test_a_client_cannot_do_everything(verb: Verb) -> None:
    """smtp_header_checks: what is for cleanup only is named."""
    with pytest.raises(ActionError, match=f"unsupported command in smtp_header_checks map: {verb.name} a@b.c:d"):
        parse_action(f"{verb.name} a@b.c:d", Place.HEADER, "smtp_header_checks", EDITS)
