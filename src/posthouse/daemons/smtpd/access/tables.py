"""check_*_access: keys of a client, name or address, looked up in an access(5) table, and what its answers do.

Partial keys (parent domains, networks, user@) go to fixed-string tables only; an answer of DUNNO ends the search. An
address is looked up as what trivial-rewrite(8) makes of it; OK for one with routing in it is DUNNO (facts B04.21).
What a table says is a verdict, a change to the transaction (HOLD, PREPEND ...: kept in Check.actions), or the names of
further restrictions. Anything that is none of these is a configuration error: 451, never accepted (facts B04.23).
Sources: access(5); facts/tables.tsv "access(5) address lookup order", "access(5) host and IP lookup order".
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from posthouse.config.parameters import OWNER_REQUEST_SPECIAL
from posthouse.daemons.smtpd import parameters as p
from posthouse.daemons.smtpd.access.check import (
    CLIENT,
    HELO,
    PERMIT,
    RECIPIENT,
    REVERSE_CLIENT,
    SENDER,
    Check,
    Rule,
    Verdict,
    shown,
)
from posthouse.daemons.smtpd.access.environment import Environment
from posthouse.ipc.rewrite import FAILED, ROUTED
from posthouse.protocol.domain import is_ipv4_address
from posthouse.protocol.status import split_status
from posthouse.rewriting.local import Rewriter
from posthouse.tables.client_search import network_keys, parent_keys
from posthouse.tables.open import open_maps
from posthouse.tables.search_order import SearchRules, Try, find_address
from posthouse.tables.table import Table, fold_key
from posthouse.util import log
from posthouse.util.errors import TableError, TemporaryError

MAX_DEPTH: Final = 100  # restriction classes and tables that name restrictions
_NUMBER: Final = re.compile(r"[0-9]+", re.ASCII)
_BLANK: Final = re.compile(r"[ \t]")
_CODE: Final = re.compile(r"([45][0-9][0-9])(?:[ \t]+(.*)|$)", re.ASCII | re.DOTALL)

# Compiles the restriction names that an access table's answer may consist of; None: a name in it is unknown.
NameCompiler = Callable[[str], "list[Rule] | None"]
ListRunner = Callable[[list[Rule], Check], Awaitable[Verdict]]

_BEFORE_MAIL: Final = frozenset({"CONNECT", "HELO", "EHLO"})
_ONCE: Final = frozenset({"HOLD", "DISCARD"})
_ADDRESS: Final = (re.compile("@"), "user@domain target")
_NEEDS: Final = {
    "FILTER": (re.compile(":"), "transport:destination"),
    "REDIRECT": _ADDRESS,
    "BCC": _ADDRESS,
    "PREPEND": (re.compile(r"^[!-9;-~]+[ \t]*:", re.ASCII), "header: text"),
}

# RFC 3463 details that speak of a sender, and their counterparts for a recipient (facts: DSN adjustment).
_FOR_SENDER: Final = {"1.1": "1.7", "1.2": "1.8", "1.3": "1.7", "1.4": "1.7", "1.5": "1.0", "1.6": "1.7"}
_FOR_RECIPIENT: Final = {"1.7": "1.3", "1.8": "1.2"}


class Access:
    """One table used by one check_*_access; `kind` is what its keys are about."""

    def __init__(self, env: Environment, spec: str, kind: str, names: NameCompiler, run: ListRunner) -> None:
        self._maps = open_maps([spec], env.opener)
        self._table: Table = self._maps.tables[0]
        self._partial = self._table.takes_partial_keys
        self._kind = kind
        self._names = names
        self._run = run
        self._env = env
        self._reject_code = env.code(p.ACCESS_MAP_REJECT_CODE)
        self._defer_code = env.code(p.ACCESS_MAP_DEFER_CODE)
        self._null_key = env.settings[p.SMTPD_NULL_ACCESS_LOOKUP_KEY]
        self._routing = env.settings[p.ALLOW_UNTRUSTED_ROUTING]
        self._rewriter = Rewriter(env.settings)
        self._rules = SearchRules(env.delimiters, owner_request_special=env.settings[OWNER_REQUEST_SPECIAL])
        parents = Try.PARENT_DOMAIN if env.parents_match else Try.DOT_PARENT_DOMAIN
        self._strategy = Try.FULL | Try.NO_EXTENSION | Try.DOMAIN | parents | Try.LOCAL_PART_AT

    def rule(self) -> Rule:
        """Give the restriction."""
        finders: dict[str, Callable[[Check], Awaitable[Verdict]]] = {
            CLIENT: self._client,
            REVERSE_CLIENT: self._reverse_client,
            HELO: self._helo,
            SENDER: self._sender,
            RECIPIENT: self._recipient,
        }
        return finders[self._kind]

    async def _client(self, check: Check) -> Verdict:
        keys = [*self._name_keys(check.client.name), *self._network_keys(check.client.address)]
        return await self._look_up(check, keys, check.client.log_name)

    async def _reverse_client(self, check: Check) -> Verdict:
        name = check.client.reverse_name
        keys = [*self._name_keys(name), *self._network_keys(check.client.address)]
        verdict = await self._look_up(check, keys, name)
        return self._no_permission(check, verdict)

    async def _helo(self, check: Check) -> Verdict:
        if not check.helo:
            return None
        return await self._look_up(check, self._name_keys(check.helo), check.helo)

    async def _sender(self, check: Check) -> Verdict:
        if check.sender is None:
            return None
        if not check.sender:
            return await self._look_up(check, [self._null_key], shown(check.sender))
        return await self._address(check, check.sender)

    async def _recipient(self, check: Check) -> Verdict:
        if not check.recipient:
            return None
        return await self._address(check, check.recipient)

    async def _address(self, check: Check, address: str) -> Verdict:
        """Look up what the address means: in standard form, resolved, in lower case.

        A table must not permit what hides a route in its local part.
        """
        try:
            resolved = await self._env.resolver.resolve(self._rewriter.rewrite(address), check.sender or "")
            if resolved.flags & FAILED:
                return check.lookup_failure(shown(address))
            recipient = fold_key(resolved.recipient, utf8=True)
            found = await find_address(self._maps, recipient, self._rules, self._strategy)
        except TableError:
            return check.refuse_item(451, "4.3.5", shown(address), self._kind, "Server configuration error")
        except TemporaryError:
            return check.lookup_failure(shown(address))
        if found is None:
            return None
        verdict = await self._apply(check, found.value.strip(), shown(address))
        return None if verdict is PERMIT and resolved.flags & ROUTED and not self._routing else verdict

    def _no_permission(self, check: Check, verdict: Verdict) -> Verdict:
        """A name that anybody may give himself must not open the door."""
        if verdict is not PERMIT:
            return verdict
        log.warning(f"{self._table.name}: a result of OK is not allowed here; use DUNNO instead")
        return check.configuration_error()

    async def _look_up(self, check: Check, keys: "list[str] | Iterator[str]", name: str) -> Verdict:
        lookup = self._table.lookup
        try:
            for key in keys:
                value = await lookup(key)
                if value is not None:
                    return await self._apply(check, value.strip(), name)
        except TemporaryError:
            log.warning(f'{self._table.name} lookup error for "{key}"')
            return check.refuse_item(451, "4.3.5", name, self._kind, "Server configuration error")
        return None

    # Keys.

    def _name_keys(self, name: str) -> Iterator[str]:
        if not name:
            return
        yield name
        if self._partial and not (name[-1].isdigit() and is_ipv4_address(name)):
            yield from parent_keys(name, dotted=not self._env.parents_match)

    def _network_keys(self, address: str) -> Iterator[str]:
        yield address
        if self._partial:
            yield from network_keys(address)

    # Actions.

    async def _apply(self, check: Check, value: str, name: str) -> Verdict:
        word = _BLANK.split(value, maxsplit=1)[0]
        word, rest = word.upper(), value[len(word) :].strip()
        if word in ("OK", "RELAY") or _NUMBER.fullmatch(value):
            return PERMIT
        if word == "DUNNO":
            return None
        if word in ("REJECT", "DEFER", "DEFER_IF_REJECT", "DEFER_IF_PERMIT"):
            return self._refusal(check, word, rest, name)
        if (match := _CODE.fullmatch(value)) is not None:
            return self._coded(check, int(match[1]), (match[2] or "").strip(), name)
        if word in ("WARN", "INFO"):
            check.log(word.lower(), f"<{name}>: {self._kind} {rest or f'triggers {word} action'}")
            return None
        if word in ("HOLD", "DISCARD", "FILTER", "REDIRECT", "PREPEND", "BCC"):
            return self._transaction(check, word, rest, name)
        return await self._further(check, value)

    def _refusal(self, check: Check, word: str, rest: str, name: str) -> Verdict:
        default = "5.7.1" if word == "REJECT" else "4.7.1"
        status, text = split_status(rest, default)
        status = self._fix(status)
        if word == "REJECT":
            return check.refuse_item(self._reject_code, status, name, self._kind, text or "Access denied")
        if word == "DEFER":
            return check.refuse_item(self._defer_code, status, name, self._kind, text or "Access denied")
        line = f"<{name}>: {self._kind} rejected: {text or 'Service unavailable'}"
        if word == "DEFER_IF_PERMIT":
            return check.defer_unless_rejected(self._defer_code, status, line)
        return check.defer_unless_permitted(self._defer_code, status, line)

    def _coded(self, check: Check, code: int, rest: str, name: str) -> Verdict:
        status, text = split_status(rest, f"{code // 100}.7.1")
        return check.refuse_item(code, self._fix(status), name, self._kind, text or "Access denied")

    def _fix(self, status: str) -> str:
        """Swap a status for a recipient with the one for a sender, and make one for neither generic."""
        detail = status[2:]
        if not detail.startswith("1."):
            return status
        if self._kind == SENDER:
            detail = _FOR_SENDER.get(detail, detail)
        elif self._kind == RECIPIENT:
            detail = _FOR_RECIPIENT.get(detail, detail)
        else:
            detail = "0.0"
        if detail != status[2:]:
            log.info(f"mapping DSN status {status} into {self._kind} status {status[:2]}{detail}")
        return status[:2] + detail

    def _transaction(self, check: Check, word: str, rest: str, name: str) -> Verdict:
        """Note what is to be done with the message; it stays noted when this recipient is refused (facts B07.23)."""
        table = f"access table {self._table.name}"
        if check.stage in _BEFORE_MAIL:
            log.warning(f"{table}: {word} has no effect in client and HELO restrictions with smtpd_delay_reject = no")
            return None
        if word == "PREPEND" and check.stage == "END-OF-MESSAGE":
            log.warning(f"{table}: action PREPEND must be used before smtpd_end_of_data_restrictions")
            return None
        if word in _NEEDS and not _NEEDS[word][0].search(rest):
            log.warning(f'{table} entry "{name}" requires {_NEEDS[word][1]}')
            return None
        if word in _ONCE:
            if any(action == word for action, _ in check.actions):
                return None
            text = rest or f"triggers {word} action"
        else:
            text = f"triggers {word} {rest}"
        if word != "PREPEND":
            check.log(word.lower(), f"<{name}>: {self._kind} {text}")
        check.actions.append((word, rest))
        return PERMIT if word == "DISCARD" else None

    async def _further(self, check: Check, value: str) -> Verdict:
        """The answer is names of restrictions; tables in it are not allowed, so nothing is opened while serving."""
        rules = self._names(value)
        if rules is None or check.depth >= MAX_DEPTH:
            return check.configuration_error()
        check.depth += 1
        try:
            return await self._run(rules, check)
        finally:
            check.depth -= 1


KINDS: Final = {
    "check_client_access": CLIENT,
    "check_reverse_client_hostname_access": REVERSE_CLIENT,
    "check_helo_access": HELO,
    "check_sender_access": SENDER,
    "check_recipient_access": RECIPIENT,
}
