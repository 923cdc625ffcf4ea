"""The order in which an address is looked up: whole, without extension, by user, by domain.

Each derived key is tried in all tables before the next key. Pattern tables see the whole address only. Addresses come
in external form; each key is looked up in that form, then, where it differs, in internal form, for tables from before
Postfix 3.2. Sources: canonical(5), virtual(5), transport(5); facts/tables.tsv "address lookup order".
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from posthouse.protocol.address import (
    join_address,
    quote_local_part,
    split_address,
    split_extension,
    unquote_address,
)
from posthouse.tables.maps import Maps

IsLocal = Callable[[str], Awaitable[bool]]


class Try:
    """What to look up, combined with "|". The order is this one, whatever is chosen. Plain numbers: this is hot."""

    FULL: Final = 1  # user+extension@domain
    NO_EXTENSION: Final = 2  # user@domain
    LOCAL_PART_IF_LOCAL: Final = 4  # user+extension, user; for our own domains
    LOCAL_PART_AT_IF_LOCAL: Final = 8  # user+extension@, user@; for our own domains
    AT_DOMAIN: Final = 16  # @domain
    DOMAIN: Final = 32  # domain
    PARENT_DOMAIN: Final = 64  # with DOMAIN: its parents
    DOT_PARENT_DOMAIN: Final = 128  # with DOMAIN: .parent
    LOCAL_PART_AT: Final = 256  # user+extension@, user@


DEFAULT: Final = Try.FULL | Try.NO_EXTENSION | Try.LOCAL_PART_IF_LOCAL | Try.AT_DOMAIN


class Found(NamedTuple):
    """A value, and the extension (with its delimiter) that was not part of the key, if there was one."""

    value: str
    extension: str | None


async def _nobody(_domain: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class SearchRules:
    """What looking up addresses needs to know about this system.

    delimiters: recipient_delimiter. is_local: whether a domain is $myorigin, in $mydestination or an own address.
    external, internal: which forms of an address are looked up.
    """

    delimiters: str = ""
    is_local: IsLocal = _nobody
    owner_request_special: bool = True
    external: bool = True
    internal: bool = True


class _Keys(NamedTuple):
    """The parts of one address. Where its two forms differ a part has two keys, external before internal."""

    full: tuple[str, ...]
    local_part: tuple[str, ...]
    bare: tuple[str, ...]  # the whole without extension; empty when there is none
    user: tuple[str, ...]  # local part without extension
    domain: str | None
    extension: str | None  # with its delimiter


def _parts(address: str, rules: SearchRules) -> _Keys:
    local_part, domain = split_address(unquote_address(address))
    user, extension, delimiter = split_extension(
        local_part, rules.delimiters, owner_request_special=rules.owner_request_special
    )

    def forms(internal: str) -> tuple[str, ...]:
        chosen = (quote_local_part(internal),) if rules.external else ()
        return tuple(dict.fromkeys((*chosen, internal))) if rules.internal else chosen

    locals_, users = forms(local_part), forms(user) if extension is not None else ()
    return _Keys(
        tuple(join_address(key, domain) for key in locals_),
        locals_,
        tuple(join_address(key, domain) for key in users),
        users,
        domain,
        None if extension is None else delimiter + extension,
    )


async def find_address(
    maps: Maps,
    address: str,
    rules: SearchRules = SearchRules(),
    strategy: int = DEFAULT,
) -> Found | None:
    """Look up an address (external form). Raises TableError."""
    if not maps or not address:
        return None
    if '"' not in address and "\\" not in address and address.count("@") < 2:
        return await _find(maps, _plain_parts(address, rules), rules, strategy)
    return await _find(maps, _parts(address, rules), rules, strategy)


def _plain_parts(address: str, rules: SearchRules) -> _Keys:
    """The same for an address whose two forms are equal."""
    local_part, at, name = address.partition("@")
    domain = name if at else None
    if rules.delimiters:
        user, extension, delimiter = split_extension(
            local_part, rules.delimiters, owner_request_special=rules.owner_request_special
        )
        if extension is not None:
            bare = join_address(user, domain)
            return _Keys((address,), (local_part,), (bare,), (user,), domain, delimiter + extension)
    return _Keys((address,), (local_part,), (), (), domain, None)


async def _find(maps: Maps, keys: _Keys, rules: SearchRules, strategy: int) -> Found | None:
    found = await _find_address(maps, keys, strategy)
    if found is not None or keys.domain is None or not maps.has_fixed:
        return found
    found = await _find_local(maps, keys, rules, strategy)
    if found is not None:
        return found
    for key in _domain_keys(keys.domain, strategy):
        if (value := await maps.find_partial(key)) is not None:
            return Found(value, None)
    return await _find_user(maps, keys, "@") if strategy & Try.LOCAL_PART_AT else None


async def _find_address(maps: Maps, keys: _Keys, strategy: int) -> Found | None:
    """Look up the address itself, and without its extension."""
    if strategy & Try.FULL:
        for key in keys.full:
            if (value := await maps.find(key)) is not None:
                return Found(value, None)
    if strategy & Try.NO_EXTENSION:
        for key in keys.bare:
            if (value := await maps.find_partial(key)) is not None:
                return Found(value, keys.extension)
    return None


async def _find_local(maps: Maps, keys: _Keys, rules: SearchRules, strategy: int) -> Found | None:
    """Look up the local part alone, when the domain is ours."""
    wanted = strategy & (Try.LOCAL_PART_IF_LOCAL | Try.LOCAL_PART_AT_IF_LOCAL)
    if not wanted or keys.domain is None or not await rules.is_local(keys.domain):
        return None
    if wanted & Try.LOCAL_PART_IF_LOCAL and (found := await _find_user(maps, keys, "")) is not None:
        return found
    return await _find_user(maps, keys, "@") if wanted & Try.LOCAL_PART_AT_IF_LOCAL else None


async def _find_user(maps: Maps, keys: _Keys, end: str) -> Found | None:
    for key in keys.local_part:
        if (value := await maps.find_partial(key + end)) is not None:
            return Found(value, None)
    for key in keys.user:
        if (value := await maps.find_partial(key + end)) is not None:
            return Found(value, keys.extension)
    return None


def _domain_keys(domain: str, strategy: int) -> list[str]:
    keys = []
    if strategy & Try.AT_DOMAIN:
        keys.append("@" + domain)
    if strategy & Try.DOMAIN:
        keys.append(domain)
        skip = 1 if strategy & Try.PARENT_DOMAIN else 0
        if strategy & (Try.PARENT_DOMAIN | Try.DOT_PARENT_DOMAIN):
            at = domain.find(".", 1)
            while at >= 0:
                keys.append(domain[at + skip :])
                at = domain.find(".", at + 1)
    return keys
