"""Queue IDs: made as Postfix makes them, read back, and nothing else taken for one."""

from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.queue_id import format_long_id, format_short_id, parse_queue_id


def test_long_id_is_read_as_postfix_wrote_it() -> None:
    """An ID from a real Postfix log tells the second the message arrived in."""
    parsed = parse_queue_id("4X3vqF3bwhz5Yqq")
    assert parsed is not None
    assert parsed.seconds == 1726092537
    assert format_long_id(parsed.seconds or 0, parsed.microseconds, parsed.number) == "4X3vqF3bwhz5Yqq"


@given(st.integers(0, 2**34), st.integers(0, 999_999), st.integers(0, 2**64))
def test_long_id_round_trip(sec: int, usec: int, number: int) -> None:
    """What format_long_id wrote, parse_queue_id reads."""
    parsed = parse_queue_id(format_long_id(sec, usec, number))
    assert parsed is not None
    assert (parsed.seconds, parsed.microseconds, parsed.number) == (sec, usec, number)
    assert parsed.is_long


@given(st.integers(0, 999_999), st.integers(0, 2**40))
def test_short_id_round_trip(usec: int, number: int) -> None:
    """Short IDs are hexadecimal and do not tell the second."""
    parsed = parse_queue_id(format_short_id(usec, number))
    assert parsed is not None
    assert (parsed.seconds, parsed.microseconds, parsed.number, parsed.is_long) == (None, usec, number, False)


def test_long_ids_sort_by_time() -> None:
    """A later second makes a greater ID, whatever the rest."""
    assert format_long_id(1_700_000_000, 999_999, 5) < format_long_id(1_700_000_001, 0, 1)


def test_other_text_is_no_queue_id() -> None:
    """Lower case hexadecimal, path parts, other digits, and text beyond the alphabet are refused."""
    for text in ("", "3f2a91b2c", "../../etc", "4X3vqF3bwhz", "ALL", "4X3vqF3bwhz5Yq\n", "٣٤٥٦٧٨٩٠"):
        assert parse_queue_id(text) is None, text


@given(st.text(max_size=30))
def test_any_text_is_read_without_raising(text: str) -> None:
    """Nothing an operator types makes the parser raise."""
    parse_queue_id(text)


def test_seconds_of_a_far_future_get_more_characters() -> None:
    """Six characters last until the year 2596; then there are seven."""
    assert len(format_long_id(52**6, 0, 0)) == len(format_long_id(52**6 - 1, 0, 0)) + 1
