"""Bringing addresses to standard form: user@domain, with a full domain name.

In the local context an incomplete address gets myorigin and mydomain, in the remote context
remote_header_rewrite_domain (nothing when that is empty). No tables are involved, so every daemon does this itself.
Sources: ADDRESS_REWRITING_README; facts B08.01, B08.02.
"""

import re
from dataclasses import dataclass
from typing import Final

from posthouse.config.parameter import String
from posthouse.config.parameters import (
    ALLOW_PERCENT_HACK,
    APPEND_AT_MYORIGIN,
    APPEND_DOT_MYDOMAIN,
    MYDOMAIN,
    MYORIGIN,
    SWAP_BANGPATH,
)
from posthouse.config.settings import Settings
from posthouse.protocol.address import quote_address
from posthouse.rewriting.tokens import AT, DOT, EMPTY, LITERAL, Token, find_first, find_last, internal, scan
from posthouse.rewriting.trace import Trace
from posthouse.util.errors import ConfigError

REMOTE_HEADER_REWRITE_DOMAIN: Final = String(
    "remote_header_rewrite_domain",
    "",
    doc="The domain that incomplete addresses in headers of remote mail get; empty: such headers are left alone.",
)
PARAMETERS: Final = (
    MYORIGIN,
    MYDOMAIN,
    SWAP_BANGPATH,
    ALLOW_PERCENT_HACK,
    APPEND_AT_MYORIGIN,
    APPEND_DOT_MYDOMAIN,
    REMOTE_HEADER_REWRITE_DOMAIN,
)

SPELLING: Final = "spelling"  # in a trace: quotes and blanks that are not needed, a bracket that is missing
# user@host.domain without quotes, routing operators, literal or final dot: nothing to rewrite in it
STANDARD_FORM: Final = re.compile(
    r'[^\x00-\x20\x7f()<>@,;:\\"\[\].%!]+(?:\.[^\x00-\x20\x7f()<>@,;:\\"\[\].%!]+)*'
    r"@[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+"
)


@dataclass(frozen=True, slots=True)
class Domains:
    """What a context appends: `origin` to a bare user, `parent` to a domain of one label; "" for nothing."""

    origin: str
    parent: str


def read_origin(settings: Settings) -> str:
    """Give myorigin; an absolute path names a file whose first word it is. Raises ConfigError."""
    origin = settings[MYORIGIN]
    if not origin.startswith("/"):
        return origin
    try:
        with open(origin, "rb") as file:
            words = file.read(4096).decode("utf-8", "surrogateescape").split()
    except OSError as error:
        raise settings.error(MYORIGIN.name, f"open {origin}: {error.strerror}") from None
    if not words:
        raise settings.error(MYORIGIN.name, f"{origin} is empty; write the domain into it")
    return words[0]


class Rewriter:
    """The rules of one system."""

    def __init__(self, settings: Settings, trace: Trace | None = None) -> None:
        """Read the settings. Raises ConfigError."""
        self.trace = trace
        self._swap_bangpath = settings[SWAP_BANGPATH]
        self._percent_hack = settings[ALLOW_PERCENT_HACK]
        self._append_origin = settings[APPEND_AT_MYORIGIN]
        self._append_parent = settings[APPEND_DOT_MYDOMAIN]
        remote = settings[REMOTE_HEADER_REWRITE_DOMAIN]
        self.local = Domains(read_origin(settings), settings[MYDOMAIN])
        self.remote = Domains(remote, remote)

    @property
    def rewrites_remote(self) -> bool:
        """Whether headers of remote mail are rewritten at all."""
        return bool(self.remote.origin)

    def rewrite(self, address: str, context: str = "local") -> str:
        """Give the standard form of an address (external form). context: "local" or "remote".

        Quotes are left where the local part needs them, and nowhere else.
        """
        if STANDARD_FORM.fullmatch(address) is not None:
            return address
        if context not in ("local", "remote"):
            raise ConfigError(f'unknown rewriting context "{context}"; there are local and remote')
        tokens = scan(address, comments=True)
        if self.trace is not None and tokens[:1] != [AT] and standard_form(tokens) != address:
            self._tell(SPELLING, tokens)
        self.rewrite_tokens(tokens, self.local if context == "local" else self.remote)
        return standard_form(tokens)

    def rewrite_tokens(self, tokens: list[Token], domains: Domains) -> None:
        """Bring an address to standard form in place. The empty address stays empty."""
        if not tokens or tokens == [EMPTY]:
            return
        if tokens == [AT]:  # as good as empty
            tokens[:] = [EMPTY]
            return
        if tokens[0] == AT and 0 < (colon := find_first(tokens, ":")) < len(tokens) - 1:
            del tokens[: colon + 1]  # source route, RFC 5321 appendix C
            self._tell("source route", tokens)
        if find_last(tokens, "@") < 0:
            self._add_domain(tokens, domains)
        if self._append_parent and domains.parent and _qualify(tokens, domains.parent):
            self._tell(APPEND_DOT_MYDOMAIN.name, tokens)
        if len(tokens) > 1 and tokens[-1] == DOT and tokens[-2] not in (DOT, AT):
            tokens.pop()
            self._tell("final dot", tokens)

    def _add_domain(self, tokens: list[Token], domains: Domains) -> None:
        """Turn host!user, user%host and user into user@host."""
        if self._swap_bangpath and (bang := find_first(tokens, "!")) >= 0:
            tokens[:] = [*(tokens[bang + 1 :] or [EMPTY]), AT, *tokens[:bang]]
            self._tell(SWAP_BANGPATH.name, tokens)
        elif self._percent_hack and (percent := find_last(tokens, "%")) >= 0:
            tokens[percent] = AT
            if percent == 0:
                tokens.insert(0, EMPTY)
            self._tell(ALLOW_PERCENT_HACK.name, tokens)
        elif self._append_origin and domains.origin:
            tokens += [AT, *scan(domains.origin)]
            self._tell(APPEND_AT_MYORIGIN.name, tokens)

    def _tell(self, rule: str, tokens: list[Token]) -> None:
        if self.trace is not None:
            self.trace.told(rule, "", standard_form(tokens))


def standard_form(tokens: list[Token]) -> str:
    """Write an address in external form; what is empty, but there, gets quotes."""
    text = internal(tokens)
    return quote_address(text) if text or not tokens else '""'


def _qualify(tokens: list[Token], parent: str) -> bool:
    """Append the parent domain to a domain without a dot. Broken forms are left alone, so that errors show them."""
    at = find_last(tokens, "@")
    domain = tokens[at + 1 :]
    if at < 0 or not domain or DOT in domain or any(token.kind == LITERAL for token in domain):
        return False
    tokens += [DOT, *scan(parent)]
    return True
