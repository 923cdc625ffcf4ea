"""Taking an address apart until the domain that is left is not ours: user%remote@local goes to user@remote.

Routing operators are looked for in quoted local parts, too; else "user@remote"@local would slip past relay control at
a system that takes the quotes away. Sources: facts B08.02, B08.03, B08.06, B08.11; resolve_dequoted_address.
"""

from dataclasses import dataclass, replace
from typing import Final

from posthouse.config.parameters import ALLOW_PERCENT_HACK, EMPTY_ADDRESS_RECIPIENT, MYHOSTNAME, SWAP_BANGPATH
from posthouse.config.settings import Settings
from posthouse.protocol.address import quote_local_part, quote_routed_address
from posthouse.rewriting.classes import LocalDomains
from posthouse.rewriting.local import Rewriter
from posthouse.rewriting.parameters import RESOLVE_DEQUOTED_ADDRESS, RESOLVE_NULL_DOMAIN
from posthouse.rewriting.tokens import AT, DOT, EMPTY, QUOTED, Token, find_last, internal, scan

MAX_ROUNDS: Final = 20  # domains of ours, one behind the other; nobody but an attacker has more than two or three


class RoutingError(Exception):
    """The address names more of our own domains than are worth following: it is wrong."""


@dataclass(frozen=True, slots=True)
class Unrolled:
    """The recipient in external form, and its domain."""

    recipient: str
    domain: str
    internal_local_part: str = ""

    def with_domain(self, domain: str) -> "Unrolled":
        """Put another domain in place."""
        return replace(self, recipient=self.recipient[: -len(self.domain)] + domain, domain=domain)


class Unroller:
    """The rules of one system."""

    def __init__(self, settings: Settings, rewriter: Rewriter, domains: LocalDomains) -> None:
        self._rewriter = rewriter
        self._domains = domains
        self._hostname = settings[MYHOSTNAME]
        self._empty = settings[EMPTY_ADDRESS_RECIPIENT]
        self._null_domain = settings[RESOLVE_NULL_DOMAIN]
        self._operators = "@"
        if settings[ALLOW_PERCENT_HACK]:
            self._operators += "%"
        if settings[SWAP_BANGPATH]:
            self._operators += "!"
        self._dequote = settings[RESOLVE_DEQUOTED_ADDRESS]

    async def unroll(self, address: str) -> Unrolled:
        """Take an address (external form) apart. Raises TableError: mydestination cannot be asked; RoutingError."""
        tokens = _open_route(scan(address, comments=True))
        saved: list[Token] = []  # the last domain of ours that was taken off
        for _ in range(MAX_ROUNDS):
            self._strip(tokens)
            at = find_last(tokens, "@")
            if at >= 0:
                domain = tokens[at:]
                if len(domain) > 1 and not await self._domains.is_local(internal(domain[1:])):
                    return _unrolled(tokens, at)
                saved = domain
                del tokens[at:]
            if self._has_operator(tokens):
                self._rewriter.rewrite_tokens(tokens, self._rewriter.local)
                continue
            if self._crack(tokens):
                continue
            if not tokens or tokens == [EMPTY]:
                tokens[:] = scan(self._empty)
                continue
            break
        else:
            raise RoutingError
        domain = saved or [AT, *scan(self._hostname)]
        return _unrolled([*tokens, *domain], len(tokens))

    def _strip(self, tokens: list[Token]) -> None:
        """Drop a dot at the end of the domain, and with resolve_null_domain an "@" at the end."""
        if len(tokens) > 1 and tokens[-1] == DOT and tokens[-2] not in (DOT, AT) and find_last(tokens, "@") >= 0:
            tokens.pop()
        if self._null_domain and tokens and tokens[-1] == AT:
            tokens.pop()

    def _has_operator(self, tokens: list[Token]) -> bool:
        return any(find_last(tokens, operator) >= 0 for operator in self._operators)

    def _crack(self, tokens: list[Token]) -> bool:
        """Open a quoted local part that has a routing operator in it; tells whether there was one."""
        if not self._dequote or len(tokens) != 1 or tokens[0].kind != QUOTED:
            return False
        text = tokens[0].text
        for operator in self._operators:
            place = text.rfind(operator)
            if place < 0:
                continue
            if operator != "!":
                text = quote_routed_address(text[:place] + "@" + text[place + 1 :])
            tokens[:] = scan(text, comments=True)
            self._rewriter.rewrite_tokens(tokens, self._rewriter.local)
            return True
        return False


def _open_route(tokens: list[Token]) -> list[Token]:
    """Take a source route out of the quotes of a local part: a system that removes the quotes will follow it."""
    if tokens and tokens[0].kind == QUOTED and tokens[0].text.startswith("@") and ":" in tokens[0].text:
        route, colon, local_part = tokens[0].text.partition(":")
        return [*scan(route + colon), *scan(quote_local_part(local_part)), *tokens[1:]]
    return tokens


def _unrolled(tokens: list[Token], at: int) -> Unrolled:
    domain = internal(tokens[at + 1 :])
    bare = internal([*tokens[:at], AT])[:-1]
    return Unrolled(f"{quote_local_part(bare)}@{domain}", domain, bare)
