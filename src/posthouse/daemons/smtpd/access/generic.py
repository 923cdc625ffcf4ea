"""Restrictions that look at nothing but the session: permit, reject, defer, and those on the client.

Source: facts/restrictions.tsv, groups generic and client.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from posthouse.daemons.smtpd import parameters as p
from posthouse.daemons.smtpd.access.check import PERMIT, Check, Rule, Verdict
from posthouse.daemons.smtpd.access.environment import Environment
from posthouse.daemons.smtpd.client import OK, PERMANENT
from posthouse.util.errors import TemporaryError


def _permit(_env: Environment) -> Rule:
    async def permit(_check: Check) -> Verdict:
        return PERMIT

    return permit


def _reject(env: Environment) -> Rule:
    code = env.code(p.REJECT_CODE)

    async def reject(check: Check) -> Verdict:
        return check.refuse_item(code, "5.7.1", check.reply_name, check.reply_class, "Access denied")

    return reject


def _defer(env: Environment) -> Rule:
    code = env.code(p.DEFER_CODE)

    async def defer(check: Check) -> Verdict:
        return check.refuse_item(code, "4.3.2", check.reply_name, check.reply_class, "Try again later")

    return defer


def _defer_if_permit(env: Environment) -> Rule:
    code = env.code(p.DEFER_CODE)

    async def defer_if_permit(check: Check) -> Verdict:
        text = f"<{check.reply_name}>: {check.reply_class} rejected: defer_if_permit requested"
        return check.defer_unless_rejected(code, "4.7.0", text)

    return defer_if_permit


def _defer_if_reject(env: Environment) -> Rule:
    code = env.code(p.DEFER_CODE)

    async def defer_if_reject(check: Check) -> Verdict:
        text = f"<{check.reply_name}>: {check.reply_class} rejected: defer_if_reject requested"
        return check.defer_unless_permitted(code, "4.7.0", text)

    return defer_if_reject


def _reject_unauth_pipelining(_env: Environment) -> Rule:
    async def reject_unauth_pipelining(check: Check) -> Verdict:
        if not check.pipelined:
            return None
        text = "Improper use of SMTP command pipelining"
        return check.refuse_item(503, "5.5.0", check.reply_name, check.reply_class, text)

    return reject_unauth_pipelining


def _reject_plaintext_session(env: Environment) -> Rule:
    code = env.code(p.PLAINTEXT_REJECT_CODE)

    async def reject_plaintext_session(check: Check) -> Verdict:  # no TLS yet: every session is plain text
        return check.refuse(code, "4.7.1", "Session encryption is required")

    return reject_plaintext_session


def _reject_multi_recipient_bounce(env: Environment) -> Rule:
    code = env.code(p.MULTI_RECIPIENT_BOUNCE_REJECT_CODE)

    async def reject_multi_recipient_bounce(check: Check) -> Verdict:
        if check.sender != "" or check.recipient_count < 2:
            return None
        return check.refuse_item(code, "5.5.3", check.reply_name, check.reply_class, "Multi-recipient bounce")

    return reject_multi_recipient_bounce


def make_sleep(seconds: float) -> Rule:
    """Make "sleep N"."""

    async def sleep(_check: Check) -> Verdict:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()  # a plain future: eager code has no task to sleep in
        loop.call_later(seconds, over.set_result, None)
        await over
        return None

    return sleep


def _permit_mynetworks(env: Environment) -> Rule:
    networks = env.networks

    async def permit_mynetworks(check: Check) -> Verdict:
        client = check.client
        if client.in_mynetworks is None:
            try:
                client.in_mynetworks = await networks.matches_client(client.known_name, client.address)
            except TemporaryError:
                return check.lookup_failure(check.reply_name)
        return PERMIT if client.in_mynetworks else None

    return permit_mynetworks


def _permit_inet_interfaces(env: Environment) -> Rule:
    own = env.own_addresses

    async def permit_inet_interfaces(check: Check) -> Verdict:
        return PERMIT if check.client.address in own else None

    return permit_inet_interfaces


def _never(_env: Environment) -> Rule:
    """SASL and TLS client certificates: without them nobody is authenticated, and nobody is permitted."""

    async def never(_check: Check) -> Verdict:
        return None

    return never


def _reject_unknown_client_hostname(env: Environment) -> Rule:
    code = env.code(p.UNKNOWN_CLIENT_REJECT_CODE)

    async def reject_unknown_client_hostname(check: Check) -> Verdict:
        client = check.client
        if client.name_status == OK:
            return None
        text = f"Client host rejected: cannot find your hostname, [{client.address}]"
        return check.refuse(code if client.name_status == PERMANENT else 450, "5.7.25", text)

    return reject_unknown_client_hostname


def _reject_unknown_reverse_client_hostname(env: Environment) -> Rule:
    code = env.code(p.UNKNOWN_CLIENT_REJECT_CODE)

    async def reject_unknown_reverse_client_hostname(check: Check) -> Verdict:
        client = check.client
        if client.reverse_name_status == OK:
            return None
        text = f"Client host rejected: cannot find your reverse hostname, [{client.address}]"
        return check.refuse(code if client.reverse_name_status == PERMANENT else 450, "5.7.1", text)

    return reject_unknown_reverse_client_hostname


SIMPLE: Final[dict[str, Callable[[Environment], Rule]]] = {
    "permit": _permit,
    "reject": _reject,
    "defer": _defer,
    "defer_if_permit": _defer_if_permit,
    "defer_if_reject": _defer_if_reject,
    "reject_unauth_pipelining": _reject_unauth_pipelining,
    "reject_plaintext_session": _reject_plaintext_session,
    "reject_multi_recipient_bounce": _reject_multi_recipient_bounce,
    "permit_mynetworks": _permit_mynetworks,
    "permit_inet_interfaces": _permit_inet_interfaces,
    "permit_sasl_authenticated": _never,
    "permit_tls_clientcerts": _never,
    "permit_tls_all_clientcerts": _never,
    "reject_unknown_client_hostname": _reject_unknown_client_hostname,
    "reject_unknown_client": _reject_unknown_client_hostname,
    "reject_unknown_reverse_client_hostname": _reject_unknown_reverse_client_hostname,
}
