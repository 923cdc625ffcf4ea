"""What the octets of an SMTP client mean: read slowly and obviously, with nothing of protocol/smtp.

A Reading walks over all that a client sends, and is told each reply. It knows where a command ends, which octets are
content, what the content says, and whether a command may come now. Sources: RFC 5321 2.3.8, 4.1, 4.5.2; RFC 3030 2;
postconf(5): smtpd_forbid_bare_newline.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

COMMANDS: Final = frozenset(
    {b"EHLO", b"HELO", b"MAIL", b"RCPT", b"DATA", b"BDAT", b"RSET", b"NOOP", b"VRFY", b"HELP", b"QUIT"}
)
BLANKS: Final = b" \t\n\v\f\r"
MOST: Final = (1 << 63) - 1  # octets of a chunk


class Message(NamedTuple):
    """Content: in LF form, its size with CRLF line ends, and what was odd about it."""

    text: bytes
    size: int
    bare_lf: bool
    bare_cr: bool


class Request(NamedTuple):
    """What gets one reply. kind: a command in upper case, "" for none; "." for content, "+" and "LAST" for chunks."""

    kind: str
    line: bytes = b""  # of a command
    message: Message | None = None
    octets: int = 0  # of a chunk
    skipped: bool = False  # the octets of a chunk that is refused already


@dataclass
class Rules:
    """The settings that decide what octets mean."""

    mode: str = "normalize"
    line_limit: int = 2048
    check_utf8: bool = True
    chunking: bool = True
    skip_limit: int = 0
    noop: frozenset[bytes] = frozenset()  # words that do nothing

    @property
    def lenient(self) -> bool:
        """Whether a bare LF beside the dot ends content."""
        return self.mode in ("no", "note")


def after_data(octets: bytes, *, lenient: bool = False) -> tuple[Message, int] | None:
    """Read content behind DATA; None: its end is not there. The number is of the octets that it took."""
    out: list[bytes] = []
    bare_lf = bare_cr = False
    at, behind_crlf = 0, True
    while (end := octets.find(b"\n", at)) >= 0:
        line = octets[at:end]
        at = end + 1
        crlf = line.endswith(b"\r")
        line = line[:-1] if crlf else line
        if line == b"." and (lenient or (crlf and behind_crlf)):
            text = b"".join(out)
            return Message(text, len(text) + len(out), bare_lf, bare_cr), at
        bare_lf = bare_lf or not crlf
        bare_cr = bare_cr or b"\r" in line
        behind_crlf = crlf
        if line != b".":  # a dot beside a bare LF is neither an end nor content
            out.append((line[1:] if line[:1] == b"." else line) + b"\n")
    return None


def of_chunks(octets: bytes) -> Message:
    """Read content that came by BDAT."""
    lines = octets.split(b"\n")
    out: list[bytes] = []
    bare_lf = bare_cr = False
    for number, octets_of_line in enumerate(lines):
        last = number == len(lines) - 1
        if last and not octets_of_line:
            break
        crlf = not last and octets_of_line.endswith(b"\r")
        line = octets_of_line[:-1] if crlf else octets_of_line
        bare_lf = bare_lf or not (crlf or last)
        bare_cr = bare_cr or b"\r" in line
        out.append(line + b"\n")
    text = b"".join(out)
    return Message(text, len(text) + len(out), bare_lf, bare_cr)


def count_of(argument: bytes) -> tuple[int, bool] | None:
    """Read what stands behind BDAT."""
    words = argument.split()
    if not 1 <= len(words) <= 2 or not words[0].isdigit() or (len(words) == 2 and words[1].upper() != b"LAST"):
        return None
    digits = words[0].lstrip(b"0") or b"0"
    return None if len(digits) > 19 or int(digits) > MOST else (int(digits), len(words) == 2)


@dataclass
class Reading:
    """See the module's docstring. Call `next`, then `answer` with the code of the reply, and so on."""

    rules: Rules
    octets: bytes
    at: int = 0
    esmtp: bool = False
    greeted: bool = False
    mail: bool = False
    recipients: int = 0
    chunks: str = ""  # "good" or "bad" ones have come, and the last one has not
    gathered: bytes = b""  # the octets of good ones
    content: bool = False  # behind 354
    chunk: tuple[int, bool, bool] | None = None  # octets, whether it is the last one, whether it is refused
    closed: bool = False
    pending: Request | None = field(default=None, repr=False)

    def next(self) -> Request | None:
        """Give what comes next; None: it is not complete."""
        if self.closed:
            return None
        if self.content:
            found = after_data(self.octets[self.at :], lenient=self.rules.lenient)
            if found is None:
                return None
            self.at += found[1]
            self.pending = Request(".", message=found[0])
        elif self.chunk is not None:
            self.pending = self._chunk()
        else:
            self.pending = self._command()
        return self.pending

    def _chunk(self) -> Request | None:
        assert self.chunk is not None
        octets, last, refused = self.chunk
        if len(self.octets) - self.at < octets:
            return None
        data = self.octets[self.at : self.at + octets]
        self.at += octets
        if refused:
            return Request("BDAT", octets=octets, skipped=True)
        self.gathered += data
        return Request("LAST" if last else "+", message=of_chunks(self.gathered), octets=octets)

    def _command(self) -> Request | None:
        limit = self.rules.line_limit
        end = self.octets.find(b"\n", self.at)
        if end < 0 or end - self.at > limit + 1:
            return Request("too long") if len(self.octets) - self.at >= limit + 2 else None
        line = self.octets[self.at : end]
        self.at = end + 1
        crlf = line.endswith(b"\r")
        line = line[:-1] if crlf else line
        if len(line) > limit:
            return Request("too long", line)
        if not crlf and self.rules.mode == "reject":
            return Request("bare LF", line)
        if self.rules.check_utf8 and not is_utf8(line):
            return Request("bad UTF-8", line)
        words = line.split(None, 1)  # of octets: at white space of ASCII, as C has it
        verb = words[0].upper() if words else b""
        if verb in self.rules.noop:
            return Request("ignored", line)
        return Request(verb.decode("latin-1") if verb in COMMANDS else "", line)

    def argument(self, request: Request) -> bytes:
        """Give what stands behind the verb."""
        return request.line.lstrip(BLANKS)[len(request.kind) :]

    def may_come(self, kind: str) -> bool:
        """Whether a command may come now."""
        if kind == "MAIL":
            return not self.mail and not self.chunks
        if kind == "RCPT":
            return self.mail and not self.chunks
        if kind == "DATA":
            return self.mail and self.recipients > 0 and not self.chunks
        if kind == "BDAT":
            return self.mail and self.recipients > 0 and self.chunks != "bad"
        return True

    @property
    def refuses_chunk(self) -> bool:
        """Whether the octets under way are of a chunk that may not come."""
        return self.chunk is not None and self.chunk[2]

    @property
    def is_too_much(self) -> bool:
        """Whether nobody will read the octets of the chunk under way if it is refused."""
        return self.chunk is not None and 0 < self.rules.skip_limit < self.chunk[0]

    def begin_chunk(self, request: Request) -> bool:
        """Take a BDAT command; False: it is answered at once, and that is the end."""
        found = count_of(self.argument(request)) if self.rules.chunking else None
        if found is None:
            return False
        octets, last = found
        refused = not self.may_come("BDAT") or (not octets and not last)
        self.chunk = (octets, last, refused)
        if refused and self.is_too_much:
            self.chunk = None
        return self.chunk is not None

    def answer(self, code: int, *, closes: bool = False) -> None:
        """Take the reply to what `next` gave."""
        request, self.pending = self.pending, None
        assert request is not None
        self.closed = closes or code in (421, 521)
        good = code < 400
        kind = request.kind
        if kind in (".", "LAST"):
            self._forget()
        elif kind == "+" or (kind == "BDAT" and request.skipped):
            self._after_chunk(good=good)
        elif good and kind in ("EHLO", "HELO"):
            self._forget()
            self.esmtp, self.greeted = self.esmtp or kind == "EHLO", True
        elif good and kind == "RSET":
            self._forget()
        elif good and kind == "MAIL":
            self.mail, self.recipients = True, 0
        elif good and kind == "RCPT":
            self.recipients += 1
        elif good and kind == "DATA":
            self.content = True
        elif good and kind == "QUIT":
            self.closed = True

    def _after_chunk(self, *, good: bool) -> None:
        assert self.chunk is not None
        _, last, refused = self.chunk
        self.chunk = None
        if last:
            self._forget()
        else:
            self.chunks = "good" if good and not refused else "bad"

    def _forget(self) -> None:
        self.mail = self.content = False
        self.recipients, self.chunks, self.gathered, self.chunk = 0, "", b"", None


def is_utf8(line: bytes) -> bool:
    """Tell whether octets are UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
