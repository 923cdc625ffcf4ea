"""Patterns, lists of clients and local domains for applications."""

from collections.abc import Iterable, Mapping

from posthouse.api.calls import answer, opener, reported
from posthouse.config.lists import parse_items, split_tokens
from posthouse.config.settings import Settings
from posthouse.protocol.ip_pattern import IPv4Pattern
from posthouse.rewriting.classes import LocalDomains
from posthouse.tables import client_search
from posthouse.tables.matchlist import Kind, ListOptions, MatchList
from posthouse.tables.open import open_maps
from posthouse.util.path_prefix import is_path_allowed

__all__ = ["HostPatterns", "IPv4Pattern", "find_client_policy", "is_local_domain", "path_allowed"]


class HostPatterns:
    """A list of host names, addresses, networks, files and tables, as in mynetworks."""

    def __init__(self, text: str, parent_domains: bool = True, name: str = "", base_dir: str | None = None) -> None:
        """Read the list. parent_domains: a domain is for its subdomains too; name: the parameter. Raises ValueError."""
        options = ListOptions(Kind.HOST, parents=parent_domains, label=name, strict=False)
        with reported():
            self._list = MatchList(parse_items(text), opener(base_dir), options)

    def matches(self, name: str, address: str) -> bool:
        """Whether a client is in the list. Raises TemporaryError: a pattern or table cannot be used."""
        return answer(self._list.matches_client(name, address))


def is_local_domain(domain: str, settings: Mapping[str, str], own_addresses: Iterable[str] = ()) -> bool:
    """Whether mail for a domain is delivered here: in mydestination, or one of `own_addresses` in brackets.

    Raises ValueError: wrong settings; TemporaryError: a table cannot be asked.
    """
    with reported():
        local = LocalDomains(Settings.from_mapping(settings), opener(None, settings), own=own_addresses)
    return answer(local.is_local(domain))


def find_client_policy(spec: str, name: str | None, address: str | None) -> str | None:
    """Give what a list of tables says about a client by name and parent domains, then by address and networks.

    Raises TemporaryError.
    """
    with reported():
        maps = open_maps(parse_items(spec), opener())
    return answer(client_search.find_client_policy(maps, name, address))


def path_allowed(path: str, parents: str) -> bool:
    """Whether `path` is one of the directories in a list, or below. Relative names and "/../" are refused."""
    with reported():
        return is_path_allowed(path, split_tokens(parents))
