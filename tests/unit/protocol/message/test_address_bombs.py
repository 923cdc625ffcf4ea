"""Bombs for what reads and writes addresses and header text: work in proportion to the text, no deep recursion."""

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import pytest

from posthouse.protocol.address import quote_address, split_address, unquote_address
from posthouse.protocol.message.tokens import format_external, parse_address_list, parse_addresses
from posthouse.protocol.message.words import encode_words, header_text
from posthouse.protocol.smtp.content import ContentReader
from posthouse.rewriting.tokens import scan
from tests.support.work import calls, shallow

GROWTH: Final = 2.2  # of work, when the text doubles
OCTETS: Final = 700
UNITS: Final = (
    *(
        "(",
        ")",
        "()",
        "((a))",
        "(\\)",
        '"',
        '"a" ',
        "\\",
        "[",
        "[]",
        "<",
        ">",
        "<>",
        "<a",
        "a<b>",
        "a:",
        "a:b;",
        ":",
        ";",
    ),
    *(
        "a@b.c, ",
        '"x y" <a@b.c>, ',
        "@",
        "@a,",
        "a@",
        "a ",
        "a.",
        ".",
        ",",
        " ",
        "\n\t",
        "!",
        "a!",
        "%",
        "\0",
        "\u00fc@",
        "=?x?Q?=41?= ",
    ),
)
FUNCTIONS: Final[dict[str, Callable[[str], object]]] = {
    "parse, write": lambda text: format_external(parse_address_list(text), fold=True),
    "addresses": parse_addresses,
    "read all, keep little": lambda text: parse_address_list(text, 100),
    "quote": quote_address,
    "unquote": unquote_address,
    "split": split_address,
    "one address": scan,
    "words": lambda text: encode_words("x" + text, "comment"),
    "phrase": lambda text: header_text(text, "phrase"),
    "comment": lambda text: header_text(text, "comment"),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_work_grows_with_the_text(function: str) -> None:
    """Each unit repeated, from n to 2n to 4n."""
    run = FUNCTIONS[function]
    for unit in UNITS:
        texts = [unit * ((OCTETS << step) // len(unit)) for step in range(3)]
        with shallow():
            work = [calls(lambda text=text: run(text)) for text in texts]  # type: ignore[misc]
        assert all(after <= GROWTH * before + 20 for before, after in pairwise(work)), (unit, work)


def test_content_octet_by_octet() -> None:
    """Tiny pieces: each costs the same, whatever came before; nothing is kept but what is undecided."""

    def read(data: bytes) -> None:
        reader = ContentReader()
        for place in range(len(data)):
            reader.feed(data[place : place + 1])

    for line in (b"line\r\n", b"\r\n", b"\r", b"..\r\n", b"\n", b".\r", b"\r\n.\r"):
        work = [calls(lambda data=line * (300 << step): read(data)) for step in range(3)]  # type: ignore[misc]
        assert all(after <= GROWTH * before + 20 for before, after in pairwise(work)), (line, work)
