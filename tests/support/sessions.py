"""Whole SMTP sessions to be held with two servers that must answer and log the same: what one is, and who listens.

A session goes to a listener with settings of its own (SERVICES). The sessions are in session_dialogs.py.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.support import net

SILENCE_S: Final = 10
CLOSED: Final = "closed"

COMMON: Final[Mapping[str, str]] = {
    "mynetworks": "192.0.2.0/24",
    "mydestination": "here.test",
    "local_transport": "discard:",
    "local_recipient_maps": "",
    "smtpd_client_port_logging": "yes",
    "smtpd_peername_lookup": "no",
    "smtpd_error_sleep_time": "0",
    "smtpd_soft_error_limit": "100",
    "smtpd_hard_error_limit": "100",
    "smtpd_forbid_unauth_pipelining": "yes",
    "smtpd_forbid_bare_newline": "normalize",
    "smtpd_forbid_bare_newline_exclusions": "",
    "notify_classes": "",
    "smtpd_relay_restrictions": "reject_unauth_destination",
}
PIPELINING: Final = "reject_unauth_pipelining"
LET_PASS: Final = {"smtpd_forbid_unauth_pipelining": "no"}
AT_ONCE: Final = LET_PASS | {"smtpd_delay_reject": "no"}
SERVICES: Final[Mapping[str, Mapping[str, str]]] = {
    "plain": {},
    "noted": LET_PASS,
    "data": LET_PASS | {"smtpd_data_restrictions": PIPELINING},
    "end": LET_PASS | {"smtpd_end_of_data_restrictions": PIPELINING},
    "rcpt": LET_PASS | {"smtpd_recipient_restrictions": PIPELINING},
    "late": LET_PASS | {"smtpd_client_restrictions": PIPELINING},
    "late-helo": LET_PASS | {"smtpd_helo_restrictions": PIPELINING},
    "late-mail": LET_PASS | {"smtpd_sender_restrictions": PIPELINING},
    "helo": AT_ONCE | {"smtpd_helo_restrictions": PIPELINING},
    "mail": AT_ONCE | {"smtpd_sender_restrictions": PIPELINING},
    "warn": LET_PASS | {"smtpd_data_restrictions": f"warn_if_reject {PIPELINING}"},
    "soft": LET_PASS | {"smtpd_data_restrictions": PIPELINING, "soft_bounce": "yes"},
    "forbidden-data": {"smtpd_data_restrictions": PIPELINING},
    "denied": {"smtpd_delay_reject": "no", "smtpd_client_restrictions": "reject"},
    "deferred": {"smtpd_delay_reject": "no", "smtpd_client_restrictions": "defer"},
    "away": {"smtpd_delay_reject": "no",
             "smtpd_client_restrictions": "check_client_access inline:{{127.0.0.1 = 421 Go}}"},
    "gone": {"smtpd_delay_reject": "no",
             "smtpd_client_restrictions": "check_client_access inline:{{127.0.0.1 = 521 Go}}"},
    "helo-denied": {"smtpd_delay_reject": "no", "smtpd_helo_restrictions": "reject"},
    "helo-needed": {"smtpd_helo_required": "yes"},
    "helo-strict": {"smtpd_delay_reject": "no", "smtpd_helo_required": "yes",
                    "smtpd_helo_restrictions": "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname"},
    "mail-denied": {"smtpd_delay_reject": "no", "smtpd_sender_restrictions": "reject"},
    "data-denied": {"smtpd_data_restrictions": "reject"},
    "end-denied": {"smtpd_end_of_data_restrictions": "reject"},
    "quiet": {"disable_vrfy_command": "yes"},
    "strict": {"strict_rfc821_envelopes": "yes"},
    "words": {"smtpd_noop_commands": "xnop, expn", "smtpd_forbidden_commands": "bogus"},
    "soft-errors": {"smtpd_soft_error_limit": "2", "smtpd_hard_error_limit": "100"},
    "errors": {"smtpd_soft_error_limit": "1", "smtpd_hard_error_limit": "3"},
    "junk": {"smtpd_junk_command_limit": "2", "smtpd_hard_error_limit": "3", "smtpd_noop_commands": "xnop"},
    "few": {"smtpd_recipient_limit": "2", "smtpd_recipient_overshoot_limit": "2", "smtpd_hard_error_limit": "3"},
    "short": {"line_length_limit": "512"},
    "small": {"message_size_limit": "2000"},
    "no-utf8": {"smtputf8_enable": "no"},
    "strict-utf8": {"strict_smtputf8": "yes"},
    "timeout": {"smtpd_timeout": "1s"},
    "discard": {"smtpd_discard_ehlo_keywords": "chunking, DSN"},
    "discard-all": {"smtpd_discard_ehlo_keywords": "pipelining size vrfy etrn starttls auth enhancedstatuscodes "
                    "8bitmime dsn smtputf8 chunking xverp xclient xforward"},
    "discard-most": {"smtpd_discard_ehlo_keywords": "chunking pipelining size vrfy etrn starttls auth 8bitmime dsn "
                     "smtputf8 xverp xclient xforward help"},
    "discard-unknown": {"smtpd_discard_ehlo_keywords": "nonsense, chunking"},
    "discard-silent": {"smtpd_discard_ehlo_keywords": "silent-discard, chunking"},
    "discard-only-silent": {"smtpd_discard_ehlo_keywords": "silent-discard"},
    "map": {"smtpd_discard_ehlo_keyword_address_maps": "inline:{{127.0.0.1 = dsn, size}}"},
    "map-other": {"smtpd_discard_ehlo_keywords": "chunking",
                  "smtpd_discard_ehlo_keyword_address_maps": "inline:{{192.0.2.1 = dsn, size}}"},
    "map-both": {"smtpd_discard_ehlo_keywords": "chunking",
                 "smtpd_discard_ehlo_keyword_address_maps": "cidr:{{127.0.0.0/8 dsn}}, inline:{127.0.0.1=size}"},
    "map-silent": {"smtpd_discard_ehlo_keyword_address_maps": "static:{silent-discard dsn}"},
    "map-empty": {"smtpd_discard_ehlo_keywords": "chunking",
                  "smtpd_discard_ehlo_keyword_address_maps": "inline:{{127.0.0.1 = none}}"},
    "map-unknown": {"smtpd_discard_ehlo_keyword_address_maps": "static:nonsense"},
    "map-fails": {"smtpd_discard_ehlo_keywords": "chunking", "smtpd_discard_ehlo_keyword_address_maps": "fail:x"},
    "map-denied": {"smtpd_discard_ehlo_keyword_address_maps": "static:dsn", "smtpd_delay_reject": "no",
                   "smtpd_client_restrictions": "reject"},
}  # fmt: skip

Step = bytes | tuple[bytes, int]  # what is sent at once, and how many replies it gets


@dataclass(frozen=True, slots=True)
class Session:
    """One connection. row: the two are known to differ, and this line of docs/compatibility.md says how."""

    name: str
    steps: Sequence[Step]
    service: str = "plain"
    row: str = ""


@dataclass(slots=True)
class Held:
    """A session that was held: the replies, the greeting first, and the client's port."""

    replies: list[str]
    port: int


def hold(session: Session, port: int) -> Held:
    """Hold a session; stops where the server closes."""
    with net.connect_from_new_port(port, SILENCE_S) as sock, sock.makefile("rb") as stream:
        held = Held([], sock.getsockname()[1])
        for step in ((b"", 1), *session.steps):
            data, count = step if isinstance(step, tuple) else (step, 1)
            try:
                sock.sendall(data)
                for _ in range(count):
                    held.replies.append(_reply(stream.readline, held.port))
            except ConnectionError:
                held.replies.append(CLOSED)
            except TimeoutError:
                held.replies.append("silent")
                break
            if held.replies[-1] == CLOSED:
                break
        return held


def _reply(read_line: Callable[[], bytes], own_port: int) -> str:
    """Read a reply: all lines, without what is never the same, and without what is not built yet."""
    got = []
    while line := read_line():
        text = line.decode("utf-8", "replace").rstrip("\r\n").replace(f"]:{own_port}", "]:PORT")
        if text[4:] != "ETRN":
            got.append(re.sub(r"queued as \w+", "queued as ID", text))
        if line[3:4] != b"-":
            break
    return "|".join(got) or CLOSED
