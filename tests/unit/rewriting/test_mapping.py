"""Canonical mapping, masquerading, virtual aliases: results, loops, limits."""

import asyncio

import pytest

from posthouse.config.settings import Settings
from posthouse.rewriting.local import Rewriter
from posthouse.rewriting.mapping import CanonicalMapping, ExpansionError, Masquerade, map_address, map_generic
from posthouse.rewriting.virtual_alias import Limits, VirtualAliases
from posthouse.tables.maps import Maps
from posthouse.tables.matchlist import MatchList
from posthouse.tables.open import open_maps
from posthouse.tables.search_order import SearchRules
from posthouse.util import turns
from posthouse.util.errors import TableError
from tests.support.lookups import logged, now, opener

REWRITER = Rewriter(
    Settings.from_mapping({"compatibility_level": "3.6", "myhostname": "h.example", "mydomain": "example"})
)


async def _is_local(domain: str) -> bool:
    return domain == "h.example"


RULES = SearchRules("+", _is_local)


def _maps(*specs: str) -> Maps:
    return open_maps(specs, opener())


@pytest.mark.parametrize(
    ("address", "results"),
    [
        ("one@a.example", ["two@b.example"]),
        ("one+x@a.example", ["two+x@b.example"]),
        ("many+x@a.example", ["p+x@b.example", '"q r+x"@c.example']),
        ("bare@a.example", ["bare@h.example"]),
        ("x+y@all.example", ["x+y@new.example"]),
        ('"x y"@all.example', ['"x y"@new.example']),
        ("exact+x@a.example", ["e@b.example"]),
        ("none@a.example", []),
        ("joe@h.example", ["joe@far.example"]),
    ],
)
def test_one_address(address: str, results: list[str]) -> None:
    """Extensions go along, @domain keeps the user, results are in standard form."""
    maps = _maps(
        'inline:{one@a.example=two@b.example, {many@a.example = p@b.example, "q r"@c.example}, bare@a.example=bare,'
        " @all.example=@new.example, exact+x@a.example=e@b.example, joe=joe@far.example}"
    )
    assert now(map_address(maps, address, RULES, REWRITER.rewrite)) == results


def test_a_list_behind_a_domain_is_one_address() -> None:
    """What stands before the last at sign of such a value is the local part, whatever it looks like."""
    maps = _maps("inline:{{@a.example = @b.example, c@d.example}, {@e.example = @f.example, g}}")
    assert now(map_address(maps, "u@a.example", RULES, REWRITER.rewrite)) == ['"u@b.example, c"@d.example']
    assert now(map_address(maps, "u@e.example", RULES, REWRITER.rewrite)) == ["u@f.example", "g@h.example"]


def test_what_has_no_domain_gets_the_origin() -> None:
    """Also where an at sign stands in quotes."""
    maps = _maps('inline:{{one@a.example = "x@y"}, two@a.example=bob, {three@a.example = p@b.example, q@b.example}}')
    assert now(map_generic(maps, "one@a.example", RULES, "o.example")) == '"x@y"@o.example'
    assert now(map_generic(maps, "two+x@a.example", RULES, "o.example")) == "bob+x@o.example"
    with logged() as lines:
        assert now(map_generic(maps, "three@a.example", RULES, "o.example")) == "p@b.example"
    assert lines == ["warning: multi-valued smtp_generic_maps result for three@a.example"]


def test_maps_of_addresses_are_asked_in_external_form_only() -> None:
    """Canonical, generic and virtual alias tables have always been written in it."""
    specs = ["inline:{a@b@x.example=wrong@x.example}"]
    assert now(_canonical(*specs).map('"a@b"@x.example')) == '"a@b"@x.example'
    assert now(map_generic(_maps(*specs), '"a@b"@x.example', RULES, "o.example")) is None
    aliases = VirtualAliases(_maps(*specs), RULES, REWRITER)
    assert now(aliases.expand('"a@b"@x.example')) == ['"a@b"@x.example']


def test_without_propagation_the_extension_is_lost() -> None:
    """propagate_unmatched_extensions may say so."""
    maps = _maps("inline:{one@a.example=two@b.example}")
    assert now(map_address(maps, "one+x@a.example", RULES, REWRITER.rewrite, propagate=False)) == ["two@b.example"]
    assert now(map_generic(maps, "one@a.example", RULES, "o.example")) == "two@b.example"
    assert now(map_generic(maps, "two@a.example", RULES, "o.example")) is None


def _canonical(*specs: str) -> CanonicalMapping:
    return CanonicalMapping("canonical_maps", _maps(*specs), RULES, REWRITER, propagate=True)


def test_canonical_mapping_goes_on_until_nothing_changes() -> None:
    """Also over several tables; an address that maps to itself ends it."""
    mapping = _canonical(
        "inline:{a@x.example=b@x.example}", "inline:{b@x.example=c@x.example, c@x.example=C@x.example}"
    )
    assert now(mapping.map("a@x.example")) == "C@x.example"
    assert now(mapping.map("z@x.example")) == "z@x.example"
    assert now(_canonical().map("a@x.example")) == "a@x.example"


def test_canonical_circles_end() -> None:
    """After ten rounds, with a warning: a mistake in this table stops no mail."""
    with logged() as lines:
        mapping = _canonical("inline:{a@x.example=b@x.example, b@x.example=a@x.example}")
        assert now(mapping.map("a@x.example")) == "a@x.example"
    assert lines == ["warning: unreasonable canonical_maps map nesting for a@x.example -- 10 rounds are enough"]


@pytest.mark.parametrize("value", [",", ":", "(nobody)", "group:;"])
def test_a_value_without_an_address_is_an_error(value: str) -> None:
    """The mail waits until the table is mended; it is not delivered as if nothing were there."""
    with logged() as lines, pytest.raises(TableError):
        now(_canonical(f"static:{value}").map("a@x.example"))
    assert lines[0] == f'warning: canonical_maps lookup of a@x.example returns non-address result "{value}"'


def test_canonical_takes_the_first_of_several() -> None:
    """With a warning."""
    with logged() as lines:
        assert now(_canonical("inline:{{a@x.example = b@x.example, c@x.example}}").map("a@x.example")) == "b@x.example"
    assert lines == ["warning: multi-valued canonical_maps entry for a@x.example"]


def test_a_failing_table_is_no_mapping() -> None:
    """The message is not accepted now; the error says so for the log line with its queue ID."""
    problem = "^canonical_maps map lookup problem for a@x.example -- message not accepted, try again later$"
    with logged() as lines, pytest.raises(TableError, match=problem):
        now(_canonical("fail:x").map("a@x.example"))
    assert lines == ['warning: fail:x lookup error for "a@x.example"']


@pytest.mark.parametrize(
    ("domains", "address", "expected"),
    [
        ("example.org", "u@host.example.org", "u@example.org"),
        ("example.org", "u@a.b.EXAMPLE.org", "u@example.org"),
        ("example.org", "u@example.org", "u@example.org"),
        ("example.org", "u@badexample.org", "u@badexample.org"),
        ("example.org", "u", "u"),
        ("a.example.org example.org", "u@x.a.example.org", "u@a.example.org"),
        ("!keep.example.org example.org", "u@h.keep.example.org", "u@h.keep.example.org"),
        ("!keep.example.org example.org", "u@h.example.org", "u@example.org"),
        ("example.org", "root@host.example.org", "root@host.example.org"),
        ("example.org", '"a b"@host.example.org', '"a b"@host.example.org'),
        ("example.org", '"c d"@host.example.org', '"c d"@example.org'),
        ("!!a.example", "u@h.a.example", "u@a.example"),
        ("!!!a.example", "u@h.a.example", "u@h.a.example"),
        ("bücher.example", "u@h.BÜCHER.example", "u@bücher.example"),
    ],
)
def test_masquerading(domains: str, address: str, expected: str) -> None:
    """The first domain that fits decides; exceptions are user names, with their quotes."""
    exceptions = MatchList(["root", '"a b"', "c d"], opener())
    assert now(Masquerade(domains.split(), exceptions).masquerade(address)) == expected


def _aliases(*specs: str, limits: Limits | None = None) -> VirtualAliases:
    return VirtualAliases(_maps(*specs), RULES, REWRITER, limits=limits or Limits())


def test_aliases_of_aliases() -> None:
    """Depth first, in the order of the tables, each recipient once."""
    aliases = _aliases(
        "inline:{{all@v.example = a@v.example, b@v.example, A@v.example}, {a@v.example = x@r.example, y@r.example},"
        " {b@v.example = y@r.example, z@r.example}}"
    )
    assert now(aliases.expand("all@v.example")) == ["x@r.example", "y@r.example", "z@r.example"]
    assert now(aliases.expand("other@v.example")) == ["other@v.example"]
    assert now(_aliases().expand("all@v.example")) == ["all@v.example"]


def test_an_address_may_stand_in_its_own_expansion() -> None:
    """It stays, and is not looked up again."""
    aliases = _aliases("inline:{{me@v.example = Me@v.example, copy@r.example}}")
    assert now(aliases.expand("me@v.example")) == ["Me@v.example", "copy@r.example"]


def test_catch_alls_and_extensions() -> None:
    """As in virtual(5)."""
    aliases = _aliases("inline:{joe@v.example=joe@r.example, @v.example=all@r.example, @w.example=@v.example}")
    assert now(aliases.expand("joe+x@v.example")) == ["joe+x@r.example"]
    assert now(aliases.expand("jim+x@v.example")) == ["all@r.example"]
    assert now(aliases.expand("joe+x@w.example")) == ["joe+x@r.example"]


@pytest.mark.parametrize(
    ("spec", "limits", "message"),
    [
        ("inline:{a@v.example=b@v.example, b@v.example=a@v.example}", Limits(), "map nesting for"),
        ("inline:{{a@v.example = b@v.example c@v.example d@v.example}}", Limits(expansion=2), "map expansion size for"),
        ("inline:{a@v.example=bbbbbbbbbbbbbbbbbbbbbbbbbbb@v.example}", Limits(address_length=20), "result"),
    ],
)
def test_limits(spec: str, limits: Limits, message: str) -> None:
    """What is beyond them is not accepted, and never delivered in part."""
    with pytest.raises(ExpansionError, match=rf"{message}.* -- message not accepted, try again later$"):
        now(_aliases(spec, limits=limits).expand("a@v.example"))


@pytest.mark.parametrize(("address", "least"), [("d", 1), ("s", 1), ("c", 2), ("u", 2), ("b", 3), ("a", 4)])
def test_how_deep_aliases_may_be_nested(address: str, least: int) -> None:
    """virtual_alias_recursion_limit counts lookups, the last one included that finds nothing; not those of a circle."""
    spec = "inline:{a@x=b@x,b@x=c@x,c@x=d@x,{s@x=s@x, q@y},u@x=s@x}"
    assert now(_aliases(spec, limits=Limits(recursion=least)).expand(f"{address}@x"))
    if least > 1:
        with logged(), pytest.raises(ExpansionError):
            now(_aliases(spec, limits=Limits(recursion=least - 1)).expand(f"{address}@x"))


def test_a_growing_circle_ends() -> None:
    """a → a+x → a+x+x …: stopped by the length or the depth."""
    with logged(), pytest.raises(ExpansionError):
        now(_aliases("regexp:{{/^(.*)@v/ ${1}x@v.example}}").expand("a@v.example"))


def test_a_long_expansion_leaves_others_their_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """An alias of 900 people: the loop comes round between them."""
    monkeypatch.setattr(turns, "TURN_S", 0.0)
    people = ",".join(f"u{number}@r.example" for number in range(900))
    aliases = _aliases(f"inline:{{{{all@v.example={people}}}}}")

    async def expand() -> tuple[int, int]:
        rounds, expanding = 0, asyncio.ensure_future(aliases.expand("all@v.example"))
        while not expanding.done():
            rounds += 1
            await asyncio.sleep(0)
        return rounds, len(expanding.result())

    rounds, expanded = asyncio.run(expand())
    assert expanded == 900
    assert rounds > 700
