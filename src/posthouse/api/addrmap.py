"""Addresses in tables, for applications: what to look up, and what becomes of an address."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final

from posthouse.api.calls import answer, opener, reported
from posthouse.api.tables import Maps
from posthouse.config.lists import parse_items
from posthouse.config.settings import Settings
from posthouse.protocol.address import quote_address, split_address, unquote_address
from posthouse.rewriting import login_sender, mapping
from posthouse.rewriting.classes import LocalDomains, search_rules
from posthouse.rewriting.local import read_origin
from posthouse.tables import search_order
from posthouse.tables.map_spec import MapSpec, parse_map_spec
from posthouse.tables.matchlist import ListOptions, MatchList
from posthouse.tables.search_order import Found, SearchRules, Try

__all__ = [
    "Found",
    "MapSpec",
    "find_address",
    "login_owns_sender",
    "map_address",
    "map_generic",
    "masquerade",
    "parse_map_spec",
]

_STRATEGIES: Final = {
    "full": Try.FULL,
    "noext": Try.NO_EXTENSION,
    "localpart_if_local": Try.LOCAL_PART_IF_LOCAL,
    "localpart_at_if_local": Try.LOCAL_PART_AT_IF_LOCAL,
    "at_domain": Try.AT_DOMAIN,
    "domain": Try.DOMAIN,
    "parent_domain": Try.PARENT_DOMAIN,
    "dot_parent_domain": Try.DOT_PARENT_DOMAIN,
    "localpart_at": Try.LOCAL_PART_AT,
}
_USUAL: Final = ("full", "noext", "localpart_if_local", "at_domain")
_QUERIES: Final = {"internal": (False, True), "external": (True, False), "external-first": (True, True)}
_FORMS: Final = ("internal", "external")


def find_address(  # noqa: PLR0913, PLR0917 - all of it is a caller's choice
    maps: Maps,
    addr: str,
    settings: Mapping[str, str],
    form: str = "internal",
    query: str = "external",
    result: str = "external",
    strategy: Collection[str] = _USUAL,
) -> Found | None:
    """Look up an address, whole and in parts. Raises TemporaryError, and ValueError: no such form or strategy."""
    tries = 0
    for name in strategy:
        if name not in _STRATEGIES:
            raise ValueError(f'"{name}" is not one of: {", ".join(_STRATEGIES)}')
        tries |= _STRATEGIES[name]
    rules = _rules(settings, query)
    found = answer(search_order.find_address(maps.maps, _external(addr, form), rules, tries))
    return None if found is None else Found(_in_form(found.value, result), found.extension)


def map_address(  # noqa: PLR0913, PLR0917 - all of it is a caller's choice
    maps: Maps,
    addr: str,
    settings: Mapping[str, str],
    propagate: bool = True,
    form: str = "internal",
    query: str = "external",
    result: str = "internal",
) -> list[str]:
    """Give the addresses that tables have for an address; [] when it is not there. Raises TemporaryError."""
    origin = _origin(settings)
    rules = _rules(settings, query)
    wanted = mapping.map_address(
        maps.maps, _external(addr, form), rules, lambda one: mapping.with_origin(one, origin), propagate=propagate
    )
    return [_in_form(one, result) for one in answer(wanted)]


def map_generic(maps: Maps, addr: str, settings: Mapping[str, str], form: str = "internal") -> str | None:
    """Map one address once, as smtp_generic_maps does; None: no match. Raises TemporaryError."""
    wanted = mapping.map_generic(maps.maps, _external(addr, form), _rules(settings, "external"), _origin(settings))
    mapped = answer(wanted)
    return None if mapped is None else _in_form(mapped, form)


def masquerade(addr: str, domains: str, exceptions: str = "") -> str:
    """Take the host out of an address (external form). Raises TemporaryError: the exceptions cannot be asked.

    domains: as in masquerade_domains; exceptions: users and tables, as in masquerade_exceptions.
    """
    with reported():
        options = ListOptions(label="masquerade_exceptions", strict=False)
        users = MatchList(parse_items(exceptions), opener(), options)
        rule = mapping.Masquerade(parse_items(domains), users)
    return answer(rule.masquerade(addr))


def login_owns_sender(
    maps: Maps, login: str, sender: str, delimiters: str = "", null_sender: str = "<>", wildcard: str = "*"
) -> bool:
    """Whether a login may send as `sender` (internal form, "" for the null sender). Raises TemporaryError."""
    rules = login_sender.LoginRules(delimiters, null_sender, wildcard)
    return answer(login_sender.login_owns_sender(maps.maps, login, sender, rules))


def _rules(settings: Mapping[str, str], query: str) -> SearchRules:
    if query not in _QUERIES:
        raise ValueError(f'"{query}" is not one of: {", ".join(_QUERIES)}')
    external, internal = _QUERIES[query]
    with reported():
        values = Settings.from_mapping(settings)
        rules = search_rules(values, LocalDomains(values, opener(None, settings), own=()))
    return replace(rules, external=external, internal=internal)


def _origin(settings: Mapping[str, str]) -> str:
    with reported():
        return read_origin(Settings.from_mapping(settings))


def _external(address: str, form: str) -> str:
    """Give the external form, quoted no more than it must be."""
    if form not in _FORMS:
        raise ValueError(f'"{form}" is not one of: {", ".join(_FORMS)}')
    internal = unquote_address(address) if form == "external" else address
    return quote_address(internal, bare_local_part=split_address(address).domain is None)


def _in_form(address: str, form: str) -> str:
    if form not in _FORMS:
        raise ValueError(f'"{form}" is not one of: {", ".join(_FORMS)}')
    return unquote_address(address) if form == "internal" else address
