"""What several internal protocols say of a message: its client, its recipients, what was asked of delivery."""

from typing import Final

import msgspec

from posthouse.ipc.codec import Decoder, encode

NOTIFY_NEVER, NOTIFY_SUCCESS, NOTIFY_FAILURE, NOTIFY_DELAY = 1, 2, 4, 8  # RFC 3461 4.1; 0: not given
TRACE_DELIVERY, TRACE_VERIFY = 1, 2  # sendmail -v: tell what became of it; sendmail -bv: only try

# What cleanup(8) leaves out (Envelope.overrides): the first three are words of receive_override_options.
NO_HEADER_BODY_CHECKS: Final = 1  # header_checks and its kin, body_checks
NO_ADDRESS_MAPPINGS: Final = (
    2  # canonical and virtual alias tables, masquerading; no_address_mappings sets NO_COPIES, too
)
NO_MILTERS: Final = 4
NO_COPIES: Final = 8  # always_bcc, sender_bcc_maps, recipient_bcc_maps
# Mail that was made here or has passed cleanup before (notices, what local(8) forwards): no copies and, unless
# internal_mail_filter_classes has its class, no checks.
INTERNAL_MAIL: Final = NO_HEADER_BODY_CHECKS | NO_MILTERS | NO_COPIES


class ClientInfo(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a message came from; empty strings where it does not apply."""

    name: str = ""
    address: str = ""
    port: str = ""
    reverse_name: str = ""
    helo: str = ""
    protocol: str = ""  # SMTP, ESMTP
    sasl_method: str = ""
    sasl_username: str = ""
    sasl_sender: str = ""
    log_ident: str = ""  # queue ID at the first Posthouse that saw it
    rewrite_context: str = "local"  # or "remote": headers of strangers are not completed
    uid: int = -1  # of a local submission


class Recipient(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One envelope recipient."""

    address: str
    original: str = ""  # as first given, when rewriting changed it
    dsn_orcpt: str = ""  # "type;xtext" of ORCPT, decoded xtext
    notify: int = 0  # NOTIFY_* bits


class Envelope(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Everything of a message that is neither content nor a recipient."""

    queue_id: str
    sender: str
    arrival: float  # seconds since the epoch
    size: int = 0  # octets of content (LF line ends), known once the content is there
    encoding: str = ""  # "7bit", "8bit" or not known
    smtputf8: bool = False
    dsn_ret: str = ""  # "FULL", "HDRS"
    dsn_envid: str = ""
    client: ClientInfo = ClientInfo()
    message_id: str = ""
    internal: bool = False  # made by ourselves: notices, probes; no content checks
    verp: str = ""
    hold: str = ""  # why it goes to the hold queue; empty: it does not
    trace: int = 0  # TRACE_... bits: sendmail -v, -bv
    full_name: str = ""  # sendmail -F, for a From: header that is missing
    # What content_filter, access tables and header and body checks ask for; cleanup's checks set these, too, with
    # `replace`, before the envelope is finished.
    filter: str = ""  # "transport:nexthop" that all recipients go to, whatever their addresses say; FILTER
    redirect: str = ""  # the only recipient that is left, whoever was given; REDIRECT
    bcc: tuple[str, ...] = ()  # further recipients that nobody is told about, each once; BCC
    discard: str = ""  # why it is answered with 250 and not stored; empty: it is; DISCARD
    overrides: int = 0  # NO_... bits: what cleanup leaves out
    finds_smtputf8: bool = False  # cleanup looks for UTF-8 that nobody announced (smtputf8_autodetect_classes)
    returns: bool = False  # who hands it over cannot tell the sender: what cleanup refuses for good is returned
    refusal: str = ""  # "5.4.0 text": why cleanup refused it; qmgr returns it to the sender without a delivery
    expanded: tuple[Recipient, ...] = ()  # aliases whose sender wants to hear of success (RFC 3461 5.2.7.3)


encode_envelope: Final = encode  # for the queue: what `decode_envelope` reads
decode_envelope: Final = Decoder[Envelope](Envelope).decode


class RecipientResult(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What became of one recipient in one attempt."""

    rcpt_id: int
    outcome: int  # SENT, DEFERRED, BOUNCED
    dsn: str  # RFC 3463, "2.0.0"
    text: str  # what the log says in parentheses
    relay: str = ""  # "host[address]:port", "local", "none"
    remote_mta: str = ""  # RFC 3464 Remote-MTA: name, when a remote server answered
    diagnostic: str = ""  # "smtp; 550 5.1.1 ..." (RFC 3464 Diagnostic-Code)
    action: str = ""  # "delivered", "relayed", "expanded" for success notices
    finished: float = 0.0


SENT, DEFERRED, BOUNCED = 0, 1, 2
