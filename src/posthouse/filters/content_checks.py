"""ContentChecks: header_checks, mime_header_checks, nested_header_checks and body_checks, on events of the MIME parser.

Headers are looked up as they are, folded lines joined by LF; body lines one by one, empty ones never. What an event
becomes is a list of events; what else is to be done (REJECT, HOLD ..) is the action, for the caller. Tables that
cannot be asked raise TableError: the message must not be accepted unseen. Sources: header_checks(5), facts B07.13,
B07.18, facts/restrictions.tsv.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from posthouse.filters.actions import DUNNO, EVERYTHING, QUIET, Action, ActionError, Place, Verb, parse_action
from posthouse.protocol.message.mime_events import BodyLine, HeaderField, Part
from posthouse.protocol.text import printable
from posthouse.tables.maps import Maps
from posthouse.tables.table import TableFlags
from posthouse.util import log

# Keys are octets of strangers: nothing is folded, and what is no UTF-8 is looked up, too.
FLAGS: Final = TableFlags(fold=False, utf8=False)
SHOWN: Final = 200  # octets of a line in the log
MIME_HEADERS: Final = frozenset(
    {
        b"content-description",
        b"content-disposition",
        b"content-id",
        b"content-transfer-encoding",
        b"content-type",
        b"mime-version",
    }
)

Line = HeaderField | BodyLine


class Prepended(NamedTuple):
    """A line that goes before the one that was looked at; without line end."""

    data: bytes


class Verdict(NamedTuple):
    """What becomes of a line, and what is to be done with the message."""

    lines: tuple[Line | Prepended, ...]
    action: Action = DUNNO


class Tables(NamedTuple):
    """The tables by what they look at; the fields are named as the parameters are."""

    header_checks: Maps
    mime_header_checks: Maps
    nested_header_checks: Maps
    body_checks: Maps


class ContentChecks:
    """The checks of one service. No state of a message is in it.

    prefix: of parameter names, "smtp_" in smtp(8). allowed: the actions that the service can do.
    """

    __slots__ = ("_allowed", "_prefix", "tables")

    def __init__(self, tables: Tables, *, prefix: str = "", allowed: frozenset[Verb] = EVERYTHING) -> None:
        self.tables = tables
        self._prefix = prefix
        self._allowed = allowed

    async def check(self, line: Line, report: Callable[[Action, str], None]) -> Verdict:
        """Look a line up. report: is given what is to be logged, see `log_line`. Raises TableError."""
        name = parameter_for(line)
        maps: Maps = getattr(self.tables, name)
        if not maps.tables or not line.data:
            return Verdict((line,))
        value = await maps.find(line.data.decode("utf-8", "surrogateescape"))
        if value is None:
            return Verdict((line,))
        place = Place.BODY if isinstance(line, BodyLine) else Place.HEADER
        try:
            action = parse_action(value, place, self._prefix + name, self._allowed)
        except ActionError as error:
            log.warning(str(error))
            return Verdict((line,))
        if action.doubt:
            log.warning(action.doubt)
        if action.verb not in QUIET:
            report(action, f"{place.value} {_shown(line.data)}")
        return Verdict(_edited(line, action), action)


def log_line(queue_id: str, action: Action, what: str, client: str = "") -> str:
    """Make the line for the log. what: place and text of the line; client: from whom it came, "from x[..]; ...".

    Postfix's form, so that tools find it: ID: reject: header Subject: x from ..: text
    """
    seen = f"{what} {client}" if client else what
    text = f": {action.text}" if action.text else ""
    return f"{queue_id}: {action.verb.value}: {seen}{text}"


def parameter_for(line: Line) -> str:
    """Name the parameter whose tables look at this line."""
    if isinstance(line, BodyLine):
        return "body_checks"
    if line.part is Part.MULTIPART or line.name in MIME_HEADERS:
        return "mime_header_checks"
    return "header_checks" if line.part is Part.MAIN else "nested_header_checks"


def _edited(line: Line, action: Action) -> tuple[Line | Prepended, ...]:
    match action.verb:
        case Verb.IGNORE | Verb.STRIP:
            return ()
        case Verb.REPLACE:
            return (line._replace(data=_octets(action.text)),)
        case Verb.PREPEND:
            return (Prepended(_octets(action.text)), line)
        case _:
            return (line,)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _shown(data: bytes) -> str:
    return printable(data[:SHOWN]).decode()
