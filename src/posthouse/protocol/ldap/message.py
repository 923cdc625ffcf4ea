"""LDAPv3 messages, as far as a table needs them: bind, StartTLS, search, and their answers. No I/O.

An AnswerReader takes octets as they come, up to the end of one operation. Invariant (tests/unit/protocol/ldap): no
octets make it raise anything but MalformedMessage, and the outcome does not depend on where they were cut.
Source: RFC 4511.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from posthouse.protocol.ldap import ber
from posthouse.protocol.ldap.ber import MalformedMessage, Reader

VERSION: Final = 3
START_TLS: Final = b"1.3.6.1.4.1.1466.20037"
NOTICE_ID: Final = 0  # of what the server says without having been asked (RFC 4511 4.4)
# protocolOp tags
BIND_REQUEST: Final = 0x60
BIND_RESPONSE: Final = 0x61
SEARCH_REQUEST: Final = 0x63
SEARCH_ENTRY: Final = 0x64
SEARCH_DONE: Final = 0x65
SEARCH_REFERENCE: Final = 0x73
EXTENDED_REQUEST: Final = 0x77
EXTENDED_RESPONSE: Final = 0x78
INTERMEDIATE: Final = 0x79
_ENDS: Final = frozenset({BIND_RESPONSE, SEARCH_DONE, EXTENDED_RESPONSE})  # each ends the answer to its own request
# resultCode
SUCCESS: Final = 0
SIZE_LIMIT_EXCEEDED: Final = 4
REFERRAL: Final = 10
NO_SUCH_OBJECT: Final = 32
BUSY: Final = 51
UNAVAILABLE: Final = 52
_NAMES: Final = {
    1: "operationsError",
    2: "protocolError",
    3: "timeLimitExceeded",
    4: "sizeLimitExceeded",
    7: "authMethodNotSupported",
    8: "strongerAuthRequired",
    10: "referral",
    11: "adminLimitExceeded",
    12: "unavailableCriticalExtension",
    13: "confidentialityRequired",
    14: "saslBindInProgress",
    18: "inappropriateMatching",
    32: "noSuchObject",
    34: "invalidDNSyntax",
    48: "inappropriateAuthentication",
    49: "invalidCredentials",
    50: "insufficientAccessRights",
    51: "busy",
    52: "unavailable",
    53: "unwillingToPerform",
    80: "other",
}


class Result(NamedTuple):
    """How an operation ended."""

    code: int
    text: str  # what the server says to it

    def __str__(self) -> str:
        """Name and text."""
        return f"{_NAMES.get(self.code, f'result {self.code}')}{f' ({self.text})' if self.text else ''}"


class Entry(NamedTuple):
    """An entry that was found: its attributes in the server's order."""

    dn: str
    attributes: tuple[tuple[str, tuple[bytes, ...]], ...]


_NONE_YET: Final = Result(SUCCESS, "")


@dataclass(slots=True)
class Answer:
    """All that a server said to one operation."""

    result: Result = _NONE_YET
    entries: list[Entry] = field(default_factory=list)
    references: int = 0  # to entries on other servers


@dataclass(frozen=True, slots=True)
class Search:
    """A search. scope: 0 base, 1 one, 2 sub. dereference: 0 .. 3. filter: as encode_filter writes it."""

    base: str
    scope: int
    filter: bytes
    attributes: Sequence[str]
    dereference: int = 0
    size_limit: int = 0
    time_limit_s: int = 0


def format_search(number: int, search: Search) -> bytes:
    """Write a search."""
    return _message(
        number,
        SEARCH_REQUEST,
        ber.octets(search.base.encode("utf-8", "surrogateescape")),
        ber.integer(search.scope, ber.ENUMERATED),
        ber.integer(search.dereference, ber.ENUMERATED),
        ber.integer(search.size_limit),
        ber.integer(search.time_limit_s),
        ber.boolean(value=False),  # values, and not types alone
        search.filter,
        ber.element(ber.SEQUENCE, *(ber.octets(name.encode("utf-8", "surrogateescape")) for name in search.attributes)),
    )


def format_simple_bind(number: int, dn: str, password: str) -> bytes:
    """Log in by name and password; both empty: anonymously."""
    return _message(
        number, BIND_REQUEST, ber.integer(VERSION), ber.octets(dn.encode()), ber.octets(password.encode(), 0x80)
    )


def format_sasl_bind(number: int, mechanism: str, credentials: bytes, dn: str = "") -> bytes:
    """Log in by a SASL mechanism that has one step."""
    sasl = ber.element(0xA3, ber.octets(mechanism.encode("ascii")), ber.octets(credentials))
    return _message(number, BIND_REQUEST, ber.integer(VERSION), ber.octets(dn.encode()), sasl)


def format_start_tls(number: int) -> bytes:
    """Ask for TLS from now on (RFC 4511 4.14)."""
    return _message(number, EXTENDED_REQUEST, ber.octets(START_TLS, 0x80))


def _message(number: int, tag: int, *content: bytes) -> bytes:
    return ber.element(ber.SEQUENCE, ber.integer(number), ber.element(tag, *content))


class AnswerReader:
    """See the module's docstring. number: of the request; limit: octets of all that belongs to its answer.

    end: the tag that ends it. The end of another operation would make "nothing found" of a search that failed.
    """

    def __init__(self, number: int, limit: int, end: int = SEARCH_DONE) -> None:
        self._number = number
        self._end = end
        self._limit = limit
        self._size = 0
        self._data = bytearray()
        self._answer = Answer()

    def receive(self, data: bytes) -> Answer | None:
        """Take octets; None: more are needed. Raises MalformedMessage."""
        self._size += len(data)
        if self._size > self._limit + ber.MAX_LENGTH_OCTETS:
            raise MalformedMessage(f"an answer of more than {self._limit} octets")
        self._data += data
        at = 0
        while (found := ber.header(self._data, at, self._limit)) is not None and found.end <= len(self._data):
            if found.tag != ber.SEQUENCE:
                raise MalformedMessage("no message of LDAP")
            at = found.end
            if self._take(Reader(bytes(self._data[found.begin : found.end]))):
                if at != len(self._data):
                    raise MalformedMessage("octets behind the answer")
                return self._answer
        if found is not None and found.tag != ber.SEQUENCE:
            raise MalformedMessage("no message of LDAP")
        del self._data[:at]
        return None

    def _take(self, message: Reader) -> bool:
        """Take one message; tells whether it is the last of the answer."""
        number = message.integer()
        found = message.take()
        content = message.of(found)
        if number != self._number:
            if number == NOTICE_ID and found.tag == EXTENDED_RESPONSE:
                raise MalformedMessage(f"the server ends the session: {_result(content)}")
            raise MalformedMessage("an answer to another request")
        if found.tag == SEARCH_ENTRY:
            self._answer.entries.append(_entry(content))
        elif found.tag == SEARCH_REFERENCE:
            self._answer.references += 1
        elif found.tag == self._end:
            self._answer.result = _result(content)
            return True
        elif found.tag in _ENDS:
            raise MalformedMessage("an answer to another kind of request")
        elif found.tag != INTERMEDIATE:
            raise MalformedMessage(f"a message with tag {found.tag:#04x}")
        return False


def _result(content: Reader) -> Result:
    code = content.integer(ber.ENUMERATED)
    content.octets()  # matchedDN
    text = content.octets().decode("utf-8", "replace")
    return Result(code, "".join(character if character.isprintable() else "?" for character in text[:200]))


def _entry(content: Reader) -> Entry:
    dn = _text(content.octets())
    attributes = []
    listed = content.inside(ber.SEQUENCE)
    while listed:
        attribute = listed.inside(ber.SEQUENCE)
        name = _text(attribute.octets())
        values = attribute.inside(ber.SET)
        found = []
        while values:
            found.append(values.octets())
        attributes.append((name, tuple(found)))
    return Entry(dn, tuple(attributes))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")
