"""EditedEnvelope: sender and recipients of a message while a mail filter changes them.

Parameters come as in SMTP (RET=, ENVID=, NOTIFY=, ORCPT=); a wrong one is ignored with a warning, the others count.
Nothing is rewritten and no alias followed here. Sources: RFC 3461 4, RFC 6533 3; API "Messages".
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from posthouse.protocol import utf8_xtext
from posthouse.protocol.status import decode_xtext
from posthouse.protocol.text import printable
from posthouse.util import log

NEVER: Final = frozenset({"NEVER"})
_NOTIFY: Final = frozenset({"NEVER", "SUCCESS", "FAILURE", "DELAY"})
_NOBODY: Final[frozenset[str]] = frozenset()
_TYPE: Final = re.compile(r"[!-:<-~]+", re.ASCII)
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
SHOWN: Final = 100  # characters of a wrong parameter in the log


class Recipient(NamedTuple):
    """Who gets the message.

    original: the address before alias expansion, "" when it was not kept. orig_rcpt: DSN original recipient, decoded,
    "type;text". notify: of NEVER, SUCCESS, FAILURE, DELAY.
    """

    address: str
    original: str = ""
    orig_rcpt: str = ""
    notify: frozenset[str] = _NOBODY


class EditedEnvelope:
    """The envelope. sender: "" is the null sender. ret: FULL, HDRS or "". envelope_id: decoded."""

    def __init__(self, sender: str, recipients: Iterable[Recipient], *, ret: str = "", envelope_id: str = "") -> None:
        self.sender = sender
        self.ret = ret
        self.envelope_id = envelope_id
        self._copies_for_sender: list[Recipient] = []  # of the sender that a filter set last
        self._copies: list[Recipient] = []  # that checks asked for
        self._recipients = list(recipients)
        self._keys = _keys(self._recipients)

    @property
    def recipients(self) -> list[Recipient]:
        """All recipients, those of copies first; whoever gets a copy twice, once."""
        found = dict.fromkeys((*self._copies_for_sender, *self._copies))
        return [*found, *self._recipients]

    def change_sender(self, address: str, arguments: str = "") -> None:
        """Set another sender. Copies that the one before had brought are gone. arguments: RET=, ENVID=."""
        self.sender = address
        self._copies_for_sender = []
        for keyword, value, word in _arguments(arguments):
            if keyword == "RET" and value.upper() in ("FULL", "HDRS"):
                self.ret = value.upper()
            elif keyword == "ENVID" and (text := _decoded(value)) is not None:
                self.envelope_id = text
            else:
                _ignored(word)

    def copy_for_sender(self, address: str) -> None:
        """Add who gets a copy because of the sender (sender_bcc_maps); nobody is told of it."""
        self._copies_for_sender.append(Recipient(address, address, notify=NEVER))

    def copy(self, address: str) -> None:
        """Add who gets a copy because of the content (BCC)."""
        self._copies.append(Recipient(address, address))

    def add(self, address: str, arguments: str = "", *, keeps_original: bool = True) -> None:
        """Add a recipient, unless there is an equal one. arguments: NOTIFY=, ORCPT=.

        keeps_original: recipients that differ in nothing but their original address are two (postconf(5):
        enable_original_recipient).
        """
        wanted = Recipient(address, address)
        for keyword, value, word in _arguments(arguments):
            if keyword == "NOTIFY" and (notify := _notify(value)):
                wanted = wanted._replace(notify=notify)
            elif keyword == "ORCPT" and (orig_rcpt := _orig_rcpt(value)):
                wanted = wanted._replace(orig_rcpt=orig_rcpt)
            else:
                _ignored(word)
        if (wanted if keeps_original else _without_original(wanted)) not in self._keys:
            self._recipients.append(wanted)
            self._keys |= _keys([wanted])

    def delete(self, address: str) -> None:
        """Take out whom this address has brought: all that its aliases gave. Nobody: nothing happens."""
        for recipients in (self._copies_for_sender, self._copies, self._recipients):
            recipients[:] = [rcpt for rcpt in recipients if (rcpt.original or rcpt.address) != address]
        self._keys = _keys(self._recipients)


def _keys(recipients: Iterable[Recipient]) -> set[Recipient]:
    """Give what a recipient that is added is compared with: recipients with and without their original address."""
    pairs = ((rcpt._replace(original=rcpt.original or rcpt.address), _without_original(rcpt)) for rcpt in recipients)
    return {key for pair in pairs for key in pair}


def _without_original(recipient: Recipient) -> Recipient:
    return recipient._replace(original="")


def _arguments(text: str) -> list[tuple[str, str, str]]:
    """Split parameters: keyword in upper case, value, and the whole word."""
    words = text.split()
    return [(keyword.upper(), value, word) for word in words for keyword, _, value in (word.partition("="),)]


def _notify(value: str) -> frozenset[str]:
    """Read NEVER or a list of the others; empty: it is wrong."""
    names = frozenset(value.upper().split(","))
    return names if names <= _NOTIFY and ("NEVER" not in names or names == NEVER) else _NOBODY


def _orig_rcpt(value: str) -> str:
    """Read "type;text"; empty: it is wrong."""
    kind, _, encoded = value.partition(";")
    text = _decoded(encoded, utf8=kind.lower() == "utf-8")
    return f"{kind};{text}" if text and _TYPE.fullmatch(kind) is not None else ""


def _decoded(value: str, *, utf8: bool = False) -> str | None:
    """Decode xtext, or utf-8-addr-xtext; None: malformed, or with controls other than tabs."""
    try:
        text = utf8_xtext.decode(value) if utf8 else _from_xtext(value)
    except ValueError:
        return None
    return None if _CONTROLS.search(text) else text


def _from_xtext(value: str) -> str:
    """Decode xtext. Raises ValueError."""
    octets = decode_xtext(value.encode("utf-8", "surrogateescape"))
    if octets is None:
        raise ValueError("no xtext")
    return octets.decode("utf-8", "surrogateescape")


def _ignored(word: str) -> None:
    shown = printable(word[:SHOWN].encode("utf-8", "surrogateescape")).decode()
    log.warning(f'wrong parameter from a mail filter ignored: "{shown}"')
