"""Received: fields as Postfix writes them, for mail from the network and for mail from this machine.

Everything that a client said must be harmless in a header already (the session replaces control characters, blanks
and specials in the HELO name). Sources: RFC 5321 4.4, RFC 3848 (with-protocol), RFC 6531 3.7.3; facts B04.34.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Client:
    """The network client of a message."""

    helo: str  # "" when it said none
    name: str  # verified host name or "unknown"
    address: str  # as in an address literal without brackets: "192.0.2.1", "IPv6:2001:db8::1"
    notes: tuple[str, ...] = ()  # lines about TLS and authentication, without indentation


@dataclass(frozen=True, slots=True)
class Server:
    """Who received it: us."""

    hostname: str  # postconf(5): myhostname
    mail_name: str = "Postfix"  # postconf(5): mail_name


def format_received(
    server: Server, client: Client | None, protocol: str, queue_id: str, trace: tuple[str, str]
) -> bytes:
    """Write the field for a message from the network, with its last line end.

    client: None hides it (postconf(5): smtpd_hide_client_session).
    trace: the recipient when there is exactly one ("" otherwise), and the date.
    """
    recipient, date = trace
    by = f"by {server.hostname} ({server.mail_name}) with {protocol} id {queue_id}"
    end = f"\n\tfor <{recipient}>; {date}\n" if recipient else f";\n\t{date}\n"
    if client is None:
        return f"Received: {by}{end}".encode("utf-8", "surrogateescape")
    notes = "".join([f"\n\t{note}" for note in client.notes])
    text = f"Received: from {client.helo or client.name} ({client.name} [{client.address}]){notes}\n\t{by}{end}"
    return text.encode("utf-8", "surrogateescape")


def format_received_local(server: Server, uid: int, queue_id: str, date: str) -> bytes:
    """Write the field for a message that a local user submitted."""
    return f"Received: by {server.hostname} ({server.mail_name}, from userid {uid})\n\tid {queue_id}; {date}\n".encode()


def format_received_internal(server: Server, queue_id: str, date: str) -> bytes:
    """Write the field for a message that the system itself makes (bounces, notices)."""
    return f"Received: by {server.hostname} ({server.mail_name})\n\tid {queue_id}; {date}\n".encode()


def with_protocol(protocol: str, *, tls: bool = False, authenticated: bool = False, smtputf8: bool = False) -> str:
    """Name the protocol as RFC 3848 and RFC 6531 do: SMTP, ESMTPS, ESMTPSA, UTF8SMTPS ..."""
    name = "UTF8SMTP" if smtputf8 else protocol
    return f"{name}{'S' if tls else ''}{'A' if authenticated else ''}"
