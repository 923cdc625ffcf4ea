"""smtp_generic_maps: envelope and header addresses, and the headers that are left alone."""

import pytest

from posthouse.rewriting.generic import MAX_TOKENS, GenericMaps
from posthouse.tables.open import open_maps
from posthouse.tables.search_order import SearchRules
from posthouse.util.errors import TableError
from posthouse.util.turns import Turns
from tests.support.fake_loop import FakeLoop
from tests.support.lookups import now, opener


async def _is_local(domain: str) -> bool:
    return domain == "h.example"


def maps(*specs: str, propagate: bool = False) -> GenericMaps:
    """Open tables."""
    return GenericMaps(open_maps(specs, opener()), SearchRules("+", _is_local), "o.example", propagate=propagate)


GENERIC = 'inline:{a@h.example=x@far.example, bare=y, @w.example=@far.example, {odd@h.example = "no address"}}'


@pytest.mark.parametrize(
    ("address", "without", "with_extension"),
    [
        ("a@h.example", "x@far.example", "x@far.example"),
        ("a+e@h.example", "x@far.example", "x+e@far.example"),
        ("any+e@w.example", "any+e@far.example", "any+e@far.example"),
        ("bare@h.example", "y@o.example", "y@o.example"),
        ("b@h.example", "b@h.example", "b@h.example"),
        ("", "", ""),
    ],
)
def test_addresses(address: str, without: str, with_extension: str) -> None:
    """An extension goes along where propagate_unmatched_extensions has "generic"."""
    assert now(maps(GENERIC).map(address)) == without
    assert now(maps(GENERIC, propagate=True).map(address)) == with_extension


@pytest.mark.parametrize(
    ("name", "field", "after"),
    [
        (b"from", b"From : A <a@h.example>", b"From: A <x@far.example>"),
        (b"to", b"To: \xff <a@h.example>,\n b@b.example", b"To: \xff <x@far.example>, b@b.example"),
        (b"to", b"To:\tb@b.example ,\n  c@c.example", b"To:\tb@b.example ,\n  c@c.example"),
        (b"x-to", b"X-To: a@h.example", b"X-To: a@h.example"),
        (b"subject", b"Subject: a@h.example", b"Subject: a@h.example"),
        (b"to", b"To:", b"To:"),
        (b"cc", b"Cc: " + b"a@h.example," * 8, b"Cc: " + b", ".join([b"x@far.example"] * 4) + b",\n\t"),
    ],
)
def test_headers(name: bytes, field: bytes, after: bytes, loop: FakeLoop) -> None:
    """Written anew only where an address is another one; long lists are folded."""
    written = now(maps(GENERIC).rewrite(name, field, Turns(loop)))
    assert written.startswith(after)
    assert (after == field) == (written == field)


def test_an_answer_that_is_no_address_stays_out_of_headers(loop: FakeLoop) -> None:
    """Two addresses in place of one would be another header; none at all is a mistake, and the mail waits."""
    generic = maps("inline:{a@h.example=(comment), {b@h.example = x y}}")
    with pytest.raises(TableError):
        now(generic.rewrite(b"to", b"To: a@h.example", Turns(loop)))
    assert now(generic.rewrite(b"to", b"To: b@h.example", Turns(loop))) == b"To: x@o.example"


class CountedTurns(Turns):
    """Turns that count how often work offers to rest."""

    count = 0

    async def rest(self) -> None:
        """Count."""
        self.count += 1
        await super().rest()


def test_a_header_of_many_addresses_is_mapped_in_many_turns(loop: FakeLoop) -> None:
    """Others may go on between any two; what is beyond the limit of tokens is lost, as in cleanup(8)."""
    turns = CountedTurns(loop)
    read = MAX_TOKENS // 6  # user, @, host, dot, domain, comma
    field = b"To: " + b", ".join([b"a@h.example"] * read * 2)
    assert now(maps(GENERIC).rewrite(b"to", field, turns)).count(b"x@far.example") == read
    assert turns.count > read


def test_a_table_that_cannot_be_asked(loop: FakeLoop) -> None:
    """Mail waits; nobody's internal address goes out."""
    with pytest.raises(TableError):
        now(maps("fail:x").rewrite(b"to", b"To: a@h.example", Turns(loop)))
