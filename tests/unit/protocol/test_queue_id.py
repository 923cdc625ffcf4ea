"""Queue IDs: made as Postfix makes them, read back, and nothing else taken for one."""

from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.queue_id import ALPHABET, format_long_id, format_short_id, number_text, write_number


def value(text: str, base: int) -> int:
    """Read a number as Postfix's documentation says: digits and consonants, the most significant first."""
    total = 0
    for character in text:
        total = total * base + ALPHABET.index(character)
    return total


def test_long_id_is_written_as_postfix_writes_it() -> None:
    """An ID from a real Postfix log: second, microsecond, inode."""
    assert format_long_id(1_726_092_537, 508_180, 740_920) == "4X3vqF3bwhz5Yqq"


@given(st.integers(0, 2**34), st.integers(0, 999_999), st.integers(0, 2**64))
def test_long_id_round_trip(sec: int, usec: int, number: int) -> None:
    """Its three parts can be read back; the separator stands once behind the microseconds."""
    moment, _, tail = format_long_id(sec, usec, number).rpartition("z")
    assert (value(moment[:-4], 52), value(moment[-4:], 52), value(tail, 51)) == (sec, usec, number)


@given(st.integers(0, 999_999), st.integers(0, 2**40))
def test_short_id_round_trip(usec: int, number: int) -> None:
    """Short IDs are hexadecimal and do not tell the second."""
    text = format_short_id(usec, number)
    assert (int(text[:5], 16), int(text[5:], 16)) == (usec, number)


@given(st.integers(0, 999_999), st.integers(0, 2**64 - 1))
def test_the_number_as_it_is_written(usec: int, number: int) -> None:
    """From an ID of the form that is asked for, and from nothing else."""
    long, short = format_long_id(1_700_000_000, usec, number), format_short_id(usec, number)
    assert number_text(long, short=False) == write_number(number, short=False)
    assert number_text(short, short=True) == write_number(number, short=True)
    assert number_text(long, short=True) is None
    assert number_text(f"{long}z", short=False) is None


def test_long_ids_sort_by_time() -> None:
    """A later second makes a greater ID, whatever the rest."""
    assert format_long_id(1_700_000_000, 999_999, 5) < format_long_id(1_700_000_001, 0, 1)


def test_other_text_is_no_queue_id() -> None:
    """Lower case hexadecimal, path parts, other digits, and text beyond the alphabet are refused."""
    for text in ("", "3f2a91b2c", "../../etc", "4X3vqF3bwhz", "ALL", "4X3vqF3bwhz5Yq\n", "٣٤٥٦٧٨٩٠"):
        assert number_text(text, short=False) is None, text
        assert number_text(text, short=True) is None, text


@given(st.text(max_size=30))
def test_any_text_is_read_without_raising(text: str) -> None:
    """Nothing a client says makes the parser raise, and a number is part of its ID."""
    for short in (False, True):
        assert text.endswith(number_text(text, short=short) or "")


def test_seconds_of_a_far_future_get_more_characters() -> None:
    """Six characters last until the year 2596; then there are seven."""
    assert len(format_long_id(52**6, 0, 0)) == len(format_long_id(52**6 - 1, 0, 0)) + 1
