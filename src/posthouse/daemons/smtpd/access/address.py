"""Restrictions on names and addresses: HELO, sender, recipient; relay control.

Relay control believes trivial-rewrite(8), which takes apart what hides in a local part: an address with %, ! or @ in it
is "routed" and is not relayed for strangers (facts B04.21). DNS answers that do not come make a deferral, never a
permission. Source: facts/restrictions.tsv, groups helo, sender, recipient.
"""

from collections.abc import Callable
from typing import Final

from posthouse.daemons.smtpd import parameters as p
from posthouse.daemons.smtpd.access.check import HELO, PERMIT, RECIPIENT, SENDER, Check, Rule, Verdict, shown
from posthouse.daemons.smtpd.access.environment import Environment
from posthouse.ipc.dns import INVALID, NODATA, NXDOMAIN, OK, TEMPORARY
from posthouse.ipc.origin import NO_UNKNOWN_RECIPIENT_CHECKS, RECEIVE_OVERRIDE_OPTIONS
from posthouse.ipc.rewrite import (
    CLASS_ALIAS,
    CLASS_LOCAL,
    CLASS_RELAY,
    CLASS_VIRTUAL,
    FAILED,
    ROUTED,
    Resolved,
)
from posthouse.protocol.address import split_address
from posthouse.protocol.domain import is_address_literal, is_hostname, is_ipv4_address
from posthouse.protocol.idn import domain_to_ascii
from posthouse.rewriting.local import Rewriter
from posthouse.util.errors import TemporaryError

AUTHORISED: Final = CLASS_LOCAL | CLASS_ALIAS | CLASS_VIRTUAL | CLASS_RELAY
FINAL: Final = CLASS_LOCAL | CLASS_ALIAS | CLASS_VIRTUAL


class _Meaning:
    """What addresses mean: completed, then resolved, since cleanup(8) completes them, too, before they go on."""

    def __init__(self, env: Environment) -> None:
        self._resolver = env.resolver
        self._rewrite = Rewriter(env.settings).rewrite
        self._routing = env.settings[p.ALLOW_UNTRUSTED_ROUTING]

    async def of(self, address: str, sender: str) -> Resolved:
        """Complete and resolve. Raises TemporaryError."""
        resolved = await self._resolver.resolve(self._rewrite(address), sender)
        if resolved.flags & FAILED:
            raise TemporaryError("trivial-rewrite cannot tell now")
        return resolved

    async def is_authorised(self, recipient: str, sender: str) -> bool:
        """Whether mail for the recipient may go through us for anybody. Raises TemporaryError."""
        resolved = await self.of(recipient, sender)
        if resolved.flags & ROUTED and not self._routing:
            return False
        return bool(resolved.flags & AUTHORISED)


def _permit_auth_destination(env: Environment) -> Rule:
    meaning = _Meaning(env)

    async def permit_auth_destination(check: Check) -> Verdict:
        if check.recipient is None:  # none yet, or several
            return None
        try:
            return PERMIT if await meaning.is_authorised(check.recipient, check.sender or "") else None
        except TemporaryError:
            return check.lookup_failure(shown(check.recipient))

    return permit_auth_destination


def _unauth_destination(code: int, status: str) -> Callable[[Environment], Rule]:
    def make(env: Environment) -> Rule:
        meaning = _Meaning(env)
        relay_code = env.code(p.RELAY_DOMAINS_REJECT_CODE)

        async def unauth_destination(check: Check) -> Verdict:
            if check.recipient is None:  # none yet, or several
                return None
            try:
                if await meaning.is_authorised(check.recipient, check.sender or ""):
                    return None
            except TemporaryError:
                return check.lookup_failure(shown(check.recipient))
            used = relay_code - 100 if code == 454 and relay_code >= 500 else relay_code
            return check.refuse(used, status, f"<{shown(check.recipient)}>: Relay access denied")

        return unauth_destination

    return make


def _subject(check: Check, kind: str) -> str:
    return (check.sender if kind == SENDER else check.recipient) or ""


async def no_opinion(_check: Check) -> Verdict:
    """Answer nothing."""
    return None


def _reject_unlisted(kind: str) -> Callable[[Environment], Rule]:
    def make(env: Environment) -> Rule:
        if NO_UNKNOWN_RECIPIENT_CHECKS in env.settings[RECEIVE_OVERRIDE_OPTIONS]:
            return no_opinion

        async def reject_unlisted(check: Check) -> Verdict:
            address = _subject(check, kind)
            if not address:
                return None
            try:
                problem = await env.listed.find_problem(check.sender or "", address, is_sender=kind == SENDER)
            except TemporaryError:
                return check.lookup_failure(shown(address))
            if problem is None:
                return None
            # RFC 3463: x.1.1 speaks of a destination mailbox; a sender that does not exist is x.1.0.
            status = "5.1.0" if kind == SENDER and problem.status.endswith(".1.1") else problem.status
            return check.refuse_item(problem.code, status, shown(address), kind, problem.text)

        return reject_unlisted

    return make


def is_fully_qualified(domain: str) -> bool:
    """Whether a name is an address literal or a host name with at least two labels."""
    if domain.startswith("["):
        return is_address_literal(domain)
    name = ascii_domain(domain.removesuffix("."))
    return "." in name and is_hostname(name)


def ascii_domain(domain: str) -> str:
    """Give the A-label form; what has none stays as it is (and is found to be no host name)."""
    return domain if domain.isascii() else domain_to_ascii(domain) or domain


def _reject_non_fqdn_address(kind: str) -> Callable[[Environment], Rule]:
    def make(env: Environment) -> Rule:
        code = env.code(p.NON_FQDN_REJECT_CODE)

        async def reject_non_fqdn(check: Check) -> Verdict:
            address = _subject(check, kind)
            if not address:
                return None
            domain = split_address(address).domain
            if domain is not None and is_fully_qualified(domain):
                return None
            return check.refuse_item(code, "5.5.2", shown(address), kind, "need fully-qualified address")

        return reject_non_fqdn

    return make


def _reject_non_fqdn_helo(env: Environment) -> Rule:
    code = env.code(p.NON_FQDN_REJECT_CODE)

    async def reject_non_fqdn_helo_hostname(check: Check) -> Verdict:
        name = check.helo
        if name is None or is_fully_qualified(name):
            return None
        return check.refuse_item(code, "5.5.2", name, HELO, "need fully-qualified hostname")

    return reject_non_fqdn_helo_hostname


def _reject_invalid_helo(env: Environment) -> Rule:
    code = env.code(p.INVALID_HOSTNAME_REJECT_CODE)

    async def reject_invalid_helo_hostname(check: Check) -> Verdict:
        name = check.helo
        if name is None or _is_good_helo(name):
            return None
        is_address = name.startswith("[") or _is_numeric(name.removesuffix("."))
        text = "invalid ip address" if is_address else "Invalid name"
        return check.refuse_item(code, "5.5.2", name, HELO, text)

    return reject_invalid_helo_hostname


def _is_good_helo(name: str) -> bool:
    if name.startswith("["):
        return is_address_literal(name)
    name = name.removesuffix(".")
    return is_ipv4_address(name) if _is_numeric(name) else is_hostname(ascii_domain(name))


def _is_numeric(name: str) -> bool:
    return bool(name) and not name.strip("0123456789.")


def _reject_unknown_helo(env: Environment) -> Rule:
    code = env.code(p.UNKNOWN_HOSTNAME_REJECT_CODE)
    defer = env.settings[p.UNKNOWN_HELO_HOSTNAME_TEMPFAIL_ACTION] == "defer"

    async def reject_unknown_helo_hostname(check: Check) -> Verdict:
        name = check.helo
        if name is None or name.startswith("["):
            return None
        status = await _first_status(env, ascii_domain(name.removesuffix(".")), ("A", "AAAA", "MX"))
        if status == OK:
            return None
        text = "Host not found"
        if status != TEMPORARY:
            return check.refuse_item(code, "5.7.1", name, HELO, text)
        if defer:
            return check.refuse_item(450, "4.7.1", name, HELO, text)
        return check.defer_unless_rejected(450, "4.7.1", f"<{name}>: {HELO} rejected: {text}")

    return reject_unknown_helo_hostname


async def _first_status(env: Environment, name: str, types: tuple[str, ...]) -> int:
    """OK when any type has a record, TEMPORARY when none has and one did not answer, else NXDOMAIN."""
    found = NXDOMAIN
    for rrtype in types:
        try:
            answer = await env.dns.lookup(name, rrtype)
        except TemporaryError:
            found = TEMPORARY
            continue
        if answer.status == OK:
            return OK
        if answer.status == TEMPORARY:
            found = TEMPORARY
    return found


def _reject_unknown_domain(kind: str) -> Callable[[Environment], Rule]:
    def make(env: Environment) -> Rule:
        code = env.code(p.UNKNOWN_ADDRESS_REJECT_CODE)
        defer = env.settings[p.UNKNOWN_ADDRESS_TEMPFAIL_ACTION] == "defer"
        status = "5.1.8" if kind == SENDER else "5.1.2"
        meaning = _Meaning(env)

        async def reject_unknown_domain(check: Check) -> Verdict:
            address = _subject(check, kind)
            if not address:
                return None
            try:
                resolved = await meaning.of(address, check.sender or "")
            except TemporaryError:
                return check.lookup_failure(shown(address))
            domain = split_address(resolved.recipient).domain
            if resolved.flags & FINAL or not domain or domain.startswith("["):
                return None
            problem = await _domain_problem(env, ascii_domain(domain.removesuffix(".")))
            if problem == "":
                return None
            if problem == NULL_MX:
                null_code, null_status = (550, "5.7.27") if kind == SENDER else (556, "5.1.10")
                text = f"Domain {domain} does not accept mail (nullMX)"
                return check.refuse_item(null_code, null_status, shown(address), kind, text)
            if problem != NO_ANSWER:
                return check.refuse_item(code, status, shown(address), kind, problem)
            temporary = "4.1.8" if kind == SENDER else "4.1.2"
            if defer:
                return check.refuse_item(450, temporary, shown(address), kind, "Domain not found")
            text = f"<{shown(address)}>: {kind} rejected: Domain not found"
            return check.defer_unless_rejected(450, temporary, text)

        return reject_unknown_domain

    return make


NULL_MX: Final = "null MX"
NO_ANSWER: Final = "no answer"


async def _domain_problem(env: Environment, domain: str) -> str:
    """Why a domain cannot get mail: "" when it can, NULL_MX, NO_ANSWER, or the text to reply with."""
    if not is_hostname(domain):
        return "Domain not found"
    try:
        answer = await env.dns.lookup(domain, "MX")
    except TemporaryError:
        return NO_ANSWER
    if answer.status == OK:
        if [record.data for record in answer.records] == ["."]:
            return NULL_MX
        return ""
    if answer.status == TEMPORARY:
        return NO_ANSWER
    if answer.status == INVALID:
        return "Malformed DNS server reply"
    if answer.status in (NXDOMAIN, NODATA):
        status = await _first_status(env, domain, ("A", "AAAA"))
        return "" if status == OK else NO_ANSWER if status == TEMPORARY else "Domain not found"
    return NO_ANSWER


SIMPLE: Final[dict[str, Callable[[Environment], Rule]]] = {
    "permit_auth_destination": _permit_auth_destination,
    "reject_unauth_destination": _unauth_destination(554, "5.7.1"),
    "defer_unauth_destination": _unauth_destination(454, "4.7.1"),
    "reject_unlisted_recipient": _reject_unlisted(RECIPIENT),
    "check_recipient_maps": _reject_unlisted(RECIPIENT),
    "reject_unlisted_sender": _reject_unlisted(SENDER),
    "reject_non_fqdn_sender": _reject_non_fqdn_address(SENDER),
    "reject_non_fqdn_recipient": _reject_non_fqdn_address(RECIPIENT),
    "reject_non_fqdn_helo_hostname": _reject_non_fqdn_helo,
    "reject_non_fqdn_hostname": _reject_non_fqdn_helo,
    "reject_invalid_helo_hostname": _reject_invalid_helo,
    "reject_invalid_hostname": _reject_invalid_helo,
    "reject_unknown_helo_hostname": _reject_unknown_helo,
    "reject_unknown_hostname": _reject_unknown_helo,
    "reject_unknown_sender_domain": _reject_unknown_domain(SENDER),
    "reject_unknown_address": _reject_unknown_domain(SENDER),
    "reject_unknown_recipient_domain": _reject_unknown_domain(RECIPIENT),
}
