"""The fuzz run of the parsers of content: a sample of it is clean, and it finds what is wrong."""

from typing import Final
from unittest import mock

import pytest

from posthouse.protocol.message import mime, mime_header
from posthouse.protocol.message.mime import MimeParser
from posthouse.protocol.message.quoted_printable import LineEncoder
from tests.fuzz import content, root
from tests.support.fuzz_sample import run_sample

SAMPLE: Final = 4_000  # inputs; make fuzz-content tries a million


def test_a_sample_is_clean() -> None:
    """The same program as `make fuzz-content`."""
    run_sample("content", SAMPLE)


@pytest.mark.parametrize(
    ("owner", "name", "broken", "target"),
    [
        (MimeParser, "_find_mark", lambda _self, _data, _position, usable: usable, "mime"),
        (MimeParser, "_eight_bit_piece", lambda _self, chunk: (0, len(chunk)), "mime"),
        (LineEncoder, "flush", lambda _self: b"", "conversion"),
        (LineEncoder, "encode", lambda _self, piece, **_: [piece], "conversion"),
        (mime, "parse_encoding", lambda value: value, "conversion"),
        (mime_header, "_boundaries", lambda value, *_: [value], "values"),
    ],
)
def test_it_finds_what_is_wrong(owner: object, name: str, broken: object, target: str) -> None:
    """A parser with a mistake in it does not get through."""
    chosen = [each for each in content.targets() if each.name.startswith(target)]
    with mock.patch.object(owner, name, broken), pytest.raises(root.Finding, match=f"(?s){target}.*BLOCK=1"):
        root.run_block(chosen, 7, 1)
