"""Canonical mapping, masquerading and smtp_generic_maps: one address becomes another.

All addresses are in external form, and in no other are they looked up here. Which addresses of a message are mapped by
what is cleanup(8)'s business.
Sources: canonical(5), generic(5), ADDRESS_REWRITING_README; facts B07.04, B07.08; API "Addresses in tables".
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from posthouse.protocol.address import add_extension, quote_address, split_address, unquote_address
from posthouse.rewriting.address_list import split_addresses
from posthouse.rewriting.local import Rewriter
from posthouse.tables.maps import Maps
from posthouse.tables.matchlist import MatchList
from posthouse.tables.search_order import SearchRules, find_address
from posthouse.tables.table import fold_key, printable
from posthouse.util import log
from posthouse.util.errors import TableError, TemporaryError

MAX_ROUNDS: Final = 10  # canonical tables applied to their own results (facts B07.04)


class ExpansionError(TemporaryError):
    """Tables lead in circles or give too much. The message is not accepted now: 4.6.0 Alias expansion error."""


async def map_address(
    maps: Maps,
    address: str,
    rules: SearchRules,
    rewrite: Callable[[str], str],
    *,
    propagate: bool = True,
    name: str = "map",
) -> list[str]:
    """Give the addresses that a table has for `address`; [] when it is not there.

    rewrite: what completes a result, usually Rewriter.rewrite. propagate: an extension that was not part of the key is
    added to each result. "@domain" keeps the local part. name: of the parameter, for messages.
    Raises TableError: also for a value without any address, which is a mistake and not a "no".
    """
    found = await find_address(maps, address, rules)
    if found is None:
        return []
    value, extension = found
    if value.startswith("@"):  # all of the value is the domain, whatever is in it
        local_part = unquote_address(split_address(address).local_part)
        value, extension = quote_address(local_part + value), None
    results = []
    for one in split_addresses(value):
        mapped = rewrite(one)
        if propagate and extension:
            mapped = quote_address(add_extension(unquote_address(mapped), extension))
        results.append(mapped)
    if not results:
        log.warning(f'{name} lookup of {printable(address)} returns non-address result "{printable(value)}"')
        raise TableError(f"{name}: no address")
    return results


async def map_generic(
    maps: Maps, address: str, rules: SearchRules, origin: str, *, propagate: bool = True
) -> str | None:
    """Map one address once, as smtp_generic_maps does; None: no match. A bare user gets origin. Raises TableError."""
    rules = replace(rules, internal=False)
    name = "smtp_generic_maps"
    results = await map_address(
        maps, address, rules, lambda one: with_origin(one, origin), propagate=propagate, name=name
    )
    if len(results) > 1:
        log.warning(f"multi-valued {name} result for {printable(address)}")
    return results[0] if results else None


def with_origin(address: str, origin: str) -> str:
    """Complete an address (external form) that has no domain."""
    return address if split_address(address).domain is not None else f"{address}@{origin}"


def lookup_problem(name: str, address: str) -> TableError:
    """Make the error of a mapping whose table cannot be asked; who knows the message logs it."""
    return TableError(f"{name} map lookup problem for {printable(address)} -- message not accepted, try again later")


class CanonicalMapping:
    """One of canonical_maps, sender_canonical_maps, recipient_canonical_maps."""

    def __init__(self, name: str, maps: Maps, rules: SearchRules, rewriter: Rewriter, *, propagate: bool) -> None:
        """name: the parameter, for messages."""
        self.name = name
        self._maps = maps
        self._rules = replace(rules, internal=False)
        self._rewrite = rewriter.rewrite
        self._trace = rewriter.trace
        self._propagate = propagate

    def __bool__(self) -> bool:
        return bool(self._maps)

    async def map(self, address: str) -> str:
        """Map until nothing changes, or until it has gone on for too long. Raises TableError."""
        if not self._maps:
            return address
        for _ in range(MAX_ROUNDS):
            results = await self._once(address)
            if self._trace is not None:
                self._trace.told(self.name, address, ", ".join(results) or address)
            if not results:
                return address
            if len(results) > 1:
                log.warning(f"multi-valued {self.name} entry for {printable(address)}")
            before, address = address, results[0]
            if fold_key(before, utf8=True) == fold_key(address, utf8=True):
                return address
        log.warning(f"unreasonable {self.name} map nesting for {printable(address)} -- {MAX_ROUNDS} rounds are enough")
        return address

    async def _once(self, address: str) -> list[str]:
        try:
            return await map_address(
                self._maps, address, self._rules, self._rewrite, propagate=self._propagate, name=self.name
            )
        except TableError as error:
            raise lookup_problem(self.name, address) from error


class Masquerade:
    """masquerade_domains: addresses of hosts below a domain get the domain itself."""

    def __init__(self, domains: Iterable[str], exceptions: MatchList | None = None) -> None:
        """domains: in order, "!domain" leaves its addresses alone. exceptions: users who keep their host.

        Exceptions are asked for local parts as they stand, with their quotes.
        """
        self._domains = [(fold_key(text.lstrip("!"), utf8=True), _is_negated(text)) for text in domains]
        self._exceptions = exceptions

    def __bool__(self) -> bool:
        return bool(self._domains)

    async def masquerade(self, address: str) -> str:
        """Give the address with the host removed. Raises TableError: the exceptions cannot be asked."""
        local_part, domain = split_address(address)
        if domain is None or not self._domains:
            return address
        if self._exceptions and await self._exceptions.matches(local_part):
            return address
        folded = fold_key(domain, utf8=True)
        for parent, keeps in self._domains:
            if folded == parent or folded.endswith("." + parent):
                return address if keeps or folded == parent else f"{local_part}@{parent}"
        return address


def _is_negated(pattern: str) -> bool:
    """Whether an odd number of "!" stands before a pattern."""
    return (len(pattern) - len(pattern.lstrip("!"))) % 2 == 1
