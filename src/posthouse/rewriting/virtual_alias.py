"""Virtual aliases: one recipient becomes several, and those again, until nothing more is found.

An address that stands in its own expansion stays and is not looked up again. Limits keep a mistake in a table from
filling the queue; what is beyond them is never delivered in part. Sources: virtual(5); facts B07.05.
"""

import asyncio
from dataclasses import dataclass, replace
from typing import Final

from posthouse.config.parameter import Integer
from posthouse.config.parameters import VIRTUAL_ALIAS_MAPS
from posthouse.rewriting.local import Rewriter
from posthouse.rewriting.mapping import ExpansionError, lookup_problem, map_address
from posthouse.tables.maps import Maps
from posthouse.tables.search_order import SearchRules
from posthouse.tables.table import fold_key, printable
from posthouse.util.errors import TableError
from posthouse.util.turns import Turns

MANY: Final = 100  # results; with more, other work has its turns in between
VIRTUAL_ALIAS_RECURSION_LIMIT: Final = Integer(
    "virtual_alias_recursion_limit", "1000", doc="How deeply virtual aliases may be nested.", minimum=1
)
VIRTUAL_ALIAS_EXPANSION_LIMIT: Final = Integer(
    "virtual_alias_expansion_limit", "1000", doc="How many recipients one recipient may become.", minimum=1
)
VIRTUAL_ALIAS_ADDRESS_LENGTH_LIMIT: Final = Integer(
    "virtual_alias_address_length_limit",
    "1000",
    doc="How many characters long an address may become by aliases that refer to themselves.",
    minimum=1,
)
PARAMETERS: Final = (
    VIRTUAL_ALIAS_RECURSION_LIMIT,
    VIRTUAL_ALIAS_EXPANSION_LIMIT,
    VIRTUAL_ALIAS_ADDRESS_LENGTH_LIMIT,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """postconf(5): virtual_alias_recursion_limit, _expansion_limit, _address_length_limit (characters)."""

    recursion: int = 1000
    expansion: int = 1000
    address_length: int = 1000


class VirtualAliases:
    """virtual_alias_maps with all that belongs to them."""

    def __init__(
        self,
        maps: Maps,
        rules: SearchRules,
        rewriter: Rewriter,
        *,
        propagate: bool = True,
        limits: Limits = Limits(),
    ) -> None:
        """propagate: "virtual" is in propagate_unmatched_extensions."""
        self._maps = maps
        self._rules = replace(rules, internal=False)
        self._rewrite = rewriter.rewrite
        self._trace = rewriter.trace
        self._propagate = propagate
        self._limits = limits

    def __bool__(self) -> bool:
        return bool(self._maps)

    async def expand(self, address: str) -> list[str]:
        """Give the final recipients, without duplicates, in the order in which they were found.

        Raises TableError, ExpansionError (4.6.0 Alias expansion error).
        """
        if not self._maps:
            return [address]
        waiting = [(address, 0)]
        self_mapped: set[str] = set()
        final: dict[str, str] = {}
        found = 1
        turns: Turns | None = None
        while waiting:
            if found > MANY:
                turns = turns or Turns(asyncio.get_running_loop())
                await turns.rest()
            current, depth = waiting.pop()
            key = fold_key(current, utf8=True)
            if depth >= self._limits.recursion and key not in self_mapped:
                raise _refused(f"unreasonable virtual_alias_maps map nesting for {printable(current)}")
            results = [] if key in self_mapped else await self._look_up(current)
            if not results:
                final.setdefault(key, current)
                continue
            found += len(results) - 1
            if found > self._limits.expansion:
                raise _refused(f"unreasonable virtual_alias_maps map expansion size for {printable(address)}")
            if any(fold_key(result, utf8=True) == key for result in results):
                self_mapped.add(key)
            # Only the first of several results goes deeper; the others are what the limit of the expansion is about.
            waiting += [(result, 0) for result in reversed(results[1:])]
            waiting.append((results[0], depth + 1))
        return list(final.values())

    async def _look_up(self, address: str) -> list[str]:
        try:
            results = await map_address(
                self._maps,
                address,
                self._rules,
                self._rewrite,
                propagate=self._propagate,
                name=VIRTUAL_ALIAS_MAPS.name,
            )
        except TableError as error:
            raise lookup_problem(VIRTUAL_ALIAS_MAPS.name, address) from error
        if self._trace is not None:
            self._trace.told(VIRTUAL_ALIAS_MAPS.name, address, ", ".join(results) or address)
        for result in results:
            if len(result) > self._limits.address_length:
                shown = printable(result[:300])
                raise _refused(f"unreasonable virtual_alias_maps result {shown}... for {printable(address)}")
        return results


def _refused(why: str) -> ExpansionError:
    return ExpansionError(f"{why} -- message not accepted, try again later")
