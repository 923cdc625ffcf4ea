"""The arguments of MAIL, RCPT, BDAT and VRFY: the command line to an event, or to the reply that refuses it.

Nearly every client writes the plain form, which one pattern takes; everything else goes through split_command and
parse_path. Parameters are strict: ASCII digits only, each at most once. Sources: RFC 5321 4.1.1.2, 4.1.1.3;
RFC 1870 6; RFC 3030 2; RFC 6152; RFC 6531 3.4; RFC 3461 4. Reply texts: facts (smtpd.c).
"""

import re
from dataclasses import dataclass
from typing import Final

from posthouse.protocol.domain import is_hostname
from posthouse.protocol.smtp import replies
from posthouse.protocol.smtp.events import Mail, Rcpt, Vrfy
from posthouse.protocol.smtp.paths import CommandWord, parse_path, split_command
from posthouse.protocol.smtp.replies import Reply
from posthouse.protocol.status import decode_xtext

# Dot-string = Atom *("." Atom); the at-domain is checked by is_hostname (RFC 5321 4.1.2)
_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_OPTIONS: Final = r"(?: +([!-~][ -~]*+))?"  # where str.split() finds blanks only
_PLAIN: Final = rf"<({_ATEXT}(?:\.{_ATEXT})*@([A-Za-z0-9._-]+))>{_OPTIONS}"
_PLAIN_MAIL: Final = re.compile(rf"[Ff][Rr][Oo][Mm]:(?:(<>){_OPTIONS}|{_PLAIN})", re.ASCII)
_PLAIN_RCPT: Final = re.compile(rf"[Tt][Oo]:{_PLAIN}", re.ASCII)

_BLANKS: Final = re.compile(r"[ \t\n\v\f\r]+")
_SIZE: Final = re.compile(r"[0-9]+", re.ASCII)
_CHUNK: Final = re.compile(r"[ \t\v\f\r]*([0-9]+)(?:[ \t\v\f\r]+([Ll][Aa][Ss][Tt]))?[ \t\v\f\r]*", re.ASCII)
MAX_CHUNK: Final = (1 << 63) - 1  # octets; more do not fit into a file's size
_ARRIVAL: Final = re.compile(r"[1-9][0-9]{0,11}", re.ASCII)
MAX_SIZE_DIGITS: Final = 18  # a number with more does not fit into a file's size (RFC 1870 allows 20)
_NOTIFY: Final = frozenset({"NEVER", "SUCCESS", "FAILURE", "DELAY"})
_NEVER: Final = frozenset({"NEVER"})
# original-recipient-address = atom ";" xtext (RFC 3461 4.2)
_ORCPT: Final = re.compile(rf"({_ATEXT});([!-~]+)", re.ASCII)
_UTF8_ORCPT: Final = re.compile(r"([Uu][Tt][Ff]-8);(.+)", re.DOTALL)
_UTF8_ESCAPE: Final = re.compile(r"\\x\{([0-9A-F]{2,6})\}", re.ASCII)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
_NO_NOTIFY: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Syntax:
    """What of the syntax the settings decide."""

    strict_envelopes: bool = False  # postconf(5): strict_rfc821_envelopes
    smtputf8: bool = True  # postconf(5): smtputf8_enable, and not in smtpd_discard_ehlo_keywords
    dsn: bool = True  # "dsn" not in smtpd_discard_ehlo_keywords
    arrival: bool = False  # whether anybody may say XARRIVAL
    min_user: bool = True  # postconf(5): allow_min_user
    null_domain: bool = False  # postconf(5): resolve_null_domain


def upper(word: str) -> str:
    """Give a word of the protocol in upper case: only letters of ASCII have two cases there."""
    return word.upper() if word.isascii() else word


def parse_mail(argument: str, syntax: Syntax) -> Mail | Reply:
    """Read what stands behind MAIL."""
    match = _PLAIN_MAIL.fullmatch(argument)
    if match is not None and not syntax.strict_envelopes:
        null, null_options, address, domain, options = match.groups()
        if null is not None:
            mail = Mail("", null)
            return mail if null_options is None else _mail_options(mail, null_options.split(), syntax)
        if is_hostname(domain) and _is_allowed(address, syntax):
            mail = Mail(address, f"<{address}>")
            return mail if options is None else _mail_options(mail, options.split(), syntax)
    words = split_command(argument)
    if len(words) < 2 or words[0].text.lower() != "from:":
        return replies.MAIL_SYNTAX
    sender = _path(words[1], syntax, allow_null=True)
    if sender is None or not _is_allowed(sender, syntax):
        return replies.BAD_SENDER
    return _mail_options(Mail(sender, words[1].text), _split_options(words[2:]), syntax)


def parse_rcpt(argument: str, syntax: Syntax) -> Rcpt | Reply:
    """Read what stands behind RCPT."""
    match = _PLAIN_RCPT.fullmatch(argument)
    if match is not None and is_hostname(match[2]) and _is_allowed(match[1], syntax):
        address, _, options = match.groups()
        rcpt = Rcpt(address, f"<{address}>")
        return rcpt if options is None else _rcpt_options(rcpt, options.split(), syntax)
    words = split_command(argument)
    if len(words) < 2 or words[0].text.lower() != "to:":
        return replies.RCPT_SYNTAX
    recipient = _path(words[1], syntax)
    if recipient is None or not _is_allowed(recipient, syntax):
        return replies.BAD_RECIPIENT
    return _rcpt_options(Rcpt(recipient, words[1].text), _split_options(words[2:]), syntax)


def _path(word: CommandWord, syntax: Syntax, *, allow_null: bool = False) -> str | None:
    strict, null_domain = syntax.strict_envelopes, syntax.null_domain
    return parse_path(word.text, strict=strict, allow_null=allow_null, null_domain=null_domain) if word.ok else None


def _is_allowed(address: str, syntax: Syntax) -> bool:
    """Whether no command can take the address for an option (allow_min_user)."""
    return syntax.min_user or not address.startswith(("-", '"-'))


def parse_vrfy(argument: str, syntax: Syntax) -> Vrfy | Reply:
    """Read what stands behind VRFY: an address, and maybe SMTPUTF8 (RFC 6531 3.7.4.2)."""
    words: list[CommandWord] = split_command(argument)
    if not words:
        return replies.VRFY_UTF8_SYNTAX if syntax.smtputf8 else replies.VRFY_SYNTAX
    smtputf8 = len(words) > 1 and upper(words[-1].text) == "SMTPUTF8" and syntax.smtputf8
    if smtputf8:
        words.pop()
    text = " ".join(word.text for word in words)
    address = parse_path(text, strict=False) if all(word.ok for word in words) else None
    return replies.BAD_RECIPIENT if address is None else Vrfy(address, text, smtputf8)


def parse_bdat(argument: str) -> tuple[int, bool] | None:
    """Read what stands behind BDAT: how many octets, and whether they are the last. None: it is malformed."""
    match = _CHUNK.fullmatch(argument)
    if match is None:
        return None
    digits = match[1].lstrip("0")
    size = int(digits) if 0 < len(digits) <= len(str(MAX_CHUNK)) else 0 if not digits else MAX_CHUNK + 1
    return None if size > MAX_CHUNK else (size, match[2] is not None)


def _split_options(words: list[CommandWord]) -> list[str]:
    """Split parameters at blanks: quotes and brackets mean nothing there (RFC 5321 4.1.2, esmtp-value)."""
    return [option for word in words for option in _BLANKS.split(word.text) if option]


def _mail_options(mail: Mail, options: list[str], syntax: Syntax) -> Mail | Reply:
    seen = set()
    for option in options:
        keyword, equals, value = option.partition("=")
        keyword = upper(keyword)
        error = _mail_option(mail, keyword, value if equals else None, syntax)
        if error is None and keyword in seen:
            error = _REPEATED.get(keyword, replies.unsupported(option))
        if error is not None:
            return replies.unsupported(option) if error is _UNSUPPORTED else error
        seen.add(keyword)
    return mail


_UNSUPPORTED: Final = replies.unsupported("")
_REPEATED: Final = {"SIZE": replies.BAD_SIZE, "RET": replies.BAD_RET, "ENVID": replies.BAD_ENVID}


def _mail_option(mail: Mail, keyword: str, value: str | None, syntax: Syntax) -> Reply | None:
    """Take one parameter of MAIL; return the reply that refuses it."""
    if value is None:
        if keyword != "SMTPUTF8" or not syntax.smtputf8:
            return _UNSUPPORTED
        mail.smtputf8 = True
        return None
    if keyword == "SIZE":
        return _size(mail, value)
    if keyword == "BODY":
        mail.body = upper(value)
        return None if mail.body in {"7BIT", "8BITMIME"} else _UNSUPPORTED
    if keyword == "AUTH":  # RFC 4954 5: who does not trust the client takes it and forgets it; Postfix does
        return None
    if keyword == "RET":
        return _ret(mail, upper(value), syntax)
    if keyword == "ENVID":
        return _envid(mail, value, syntax)
    if keyword == "XARRIVAL" and syntax.arrival and _ARRIVAL.fullmatch(value):
        mail.arrival = int(value)
        return None
    return _UNSUPPORTED


def _size(mail: Mail, value: str) -> Reply | None:
    if _SIZE.fullmatch(value) is None:
        return replies.BAD_SIZE
    if len(value.lstrip("0")) > MAX_SIZE_DIGITS:
        return replies.TOO_BIG_TO_COUNT
    mail.size = int(value)
    return None


def _ret(mail: Mail, value: str, syntax: Syntax) -> Reply | None:
    if not syntax.dsn:
        return replies.NO_DSN
    mail.ret = value
    return None if value in {"FULL", "HDRS"} else replies.BAD_RET


def _envid(mail: Mail, value: str, syntax: Syntax) -> Reply | None:
    """ENVID is printable text in xtext (RFC 3461 4.4)."""
    if not syntax.dsn:
        return replies.NO_DSN
    text = decode_xtext(value.encode("utf-8", "surrogateescape"))
    if not text or not text.isascii() or not text.decode("ascii").isprintable():
        return replies.BAD_ENVID
    mail.envid = text.decode("ascii")
    return None


def _rcpt_options(rcpt: Rcpt, options: list[str], syntax: Syntax) -> Rcpt | Reply:
    seen = set()
    for option in options:
        keyword, _, value = option.partition("=")
        keyword = upper(keyword)
        if keyword not in {"NOTIFY", "ORCPT"}:
            return replies.unsupported(option)
        if not syntax.dsn:
            return replies.NO_DSN
        good = keyword not in seen and (_notify(rcpt, value) if keyword == "NOTIFY" else _orcpt(rcpt, value))
        if not good:
            return replies.BAD_NOTIFY if keyword == "NOTIFY" else replies.BAD_ORCPT
        seen.add(keyword)
    return rcpt


def _notify(rcpt: Rcpt, value: str) -> bool:
    """NOTIFY=NEVER, or a list of the others (RFC 3461 4.1)."""
    names = upper(value).split(",")
    rcpt.notify = frozenset(names)
    return rcpt.notify <= _NOTIFY and ("NEVER" not in names or rcpt.notify == _NEVER)


def _orcpt(rcpt: Rcpt, value: str) -> bool:
    """ORCPT=type;address, the address in xtext or (type utf-8) in its own encoding (RFC 6533 3)."""
    if (match := _UTF8_ORCPT.fullmatch(value)) is not None:
        text = _decode_utf8_address(match[2])
    elif (match := _ORCPT.fullmatch(value)) is not None:
        octets = decode_xtext(match[2].encode("ascii"))
        text = None if octets is None else octets.decode("utf-8", "surrogateescape")
    else:
        return False
    if not text or match is None:
        return False
    # A control character in xtext is legal and would end a field of the delivery report: it stays visible instead.
    rcpt.orcpt = f"{match[1]};{_CONTROLS.sub('?', text)}"
    return True


def _decode_utf8_address(text: str) -> str | None:
    """Read utf-8-addr-xtext or utf-8-addr-unitext."""
    octets: bytes | None = text.encode("utf-8", "surrogateescape")
    if octets is not None and text.isascii():
        octets = decode_xtext(octets)
    if octets is None:
        return None
    plain = octets.decode("utf-8", "surrogateescape")
    try:
        plain = _UTF8_ESCAPE.sub(lambda match: chr(int(match[1], 16)), plain)
    except (ValueError, OverflowError):
        return None
    return None if "\\" in plain or any(0xD800 <= ord(character) <= 0xDFFF for character in plain) else plain
