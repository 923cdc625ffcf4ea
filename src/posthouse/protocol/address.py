"""Envelope addresses: local part and domain, quoting, address extensions.

Two forms. *External*: as in SMTP without the angle brackets, the local part quoted where it must be; this is what
travels between the daemons and stands in the queue. *Internal*: without quoting, the domain after the last "@".
The empty string is the null sender. Whether a domain is valid: domain.py, idn.py; parsing of paths: smtp/paths.py.
Sources: RFC 5321 4.1.2, RFC 5322 3.2; facts B11.03 (names that are never split).
"""

import re
from typing import Final, NamedTuple

# dot-string, with every octet above 127 taken as text (RFC 6532 3.2)
_TEXT: Final = r'[^\x00-\x20\x7f()<>@,;:\\"\[\].]+'
_DOT_STRING: Final = re.compile(rf"{_TEXT}(?:\.{_TEXT})*")
_TO_ESCAPE: Final = re.compile(r'["\\\r\n]')
_QUOTING: Final = re.compile(r'["\\]')
_ESCAPED: Final = re.compile(r"\\(.)|\"", re.DOTALL)

POSTMASTER: Final = "postmaster"
MAILER_DAEMON: Final = "mailer-daemon"
DOUBLE_BOUNCE: Final = "double-bounce"  # postconf(5): double_bounce_sender


class Parts(NamedTuple):
    """An address taken apart at its last at sign; `domain` is None without one."""

    local_part: str
    domain: str | None


class Extension(NamedTuple):
    """A local part taken apart at its delimiter; `extension` (without delimiter) is None without one."""

    local_part: str
    extension: str | None
    delimiter: str = ""


def split_address(address: str) -> Parts:
    """Split at the last "@"; works on both forms."""
    local_part, at, domain = address.rpartition("@")
    if not at or (domain.endswith('"') and '"' in local_part):  # the last "@" stands inside of the quotes
        return Parts(address, None)
    return Parts(local_part, domain)


def join_address(local_part: str, domain: str | None) -> str:
    """Put an address together again."""
    return local_part if domain is None else f"{local_part}@{domain}"


def is_dot_string(text: str, *, eight_bit_clean: bool = True) -> bool:
    """Whether a local part needs no quotes."""
    return _DOT_STRING.fullmatch(text) is not None and (eight_bit_clean or text.isascii())


def quote_local_part(local_part: str, *, eight_bit_clean: bool = True) -> str:
    """Turn an internal local part into its external form: quotes only where they are needed."""
    if is_dot_string(local_part, eight_bit_clean=eight_bit_clean):
        return local_part
    return f'"{_TO_ESCAPE.sub(_escape, local_part)}"'


def unquote_local_part(local_part: str) -> str:
    """Take quotes and backslashes out of an external local part."""
    if _QUOTING.search(local_part) is None:
        return local_part
    return _ESCAPED.sub(r"\1", local_part)


def quote_address(address: str, *, eight_bit_clean: bool = True, bare_local_part: bool = False) -> str:
    """Turn an internal address into its external form; the null sender stays empty.

    bare_local_part: `address` has no domain; an "@" in it belongs to the local part.
    """
    if not address:
        return ""
    if bare_local_part:
        return quote_local_part(address, eight_bit_clean=eight_bit_clean)
    local_part, at, domain = address.rpartition("@")
    if not at:
        return quote_local_part(address, eight_bit_clean=eight_bit_clean)
    return f"{quote_local_part(local_part, eight_bit_clean=eight_bit_clean)}@{domain}"


def quote_routed_address(address: str) -> str:
    """Do the same for an address with a source route (@one,@two:user@domain) in front; it stays outside of quotes."""
    end = address.find(":") + 1 if address.startswith("@") else 0
    quoted = quote_address(address[end:])
    return address[:end] + (quoted or '""') if end else quoted


def unquote_address(address: str) -> str:
    """Turn an external address into its internal form."""
    if _QUOTING.search(address) is None:
        return address
    local_part, domain = split_address(address)
    return join_address(unquote_local_part(local_part), domain)


def split_extension(
    local_part: str, delimiters: str, *, owner_request_special: bool = True, double_bounce: str = DOUBLE_BOUNCE
) -> Extension:
    """Split "user+extension" at the first of `delimiters` (recipient_delimiter; "" never splits).

    Never split: the system's own names, a local part that would become empty and, where "-" is a delimiter,
    owner-LIST and LIST-request.
    """
    end = min((at for each in delimiters if (at := local_part.find(each)) >= 0), default=0)
    if end == 0 or _is_special(local_part.lower(), delimiters, double_bounce, owner_request_special):
        return Extension(local_part, None)
    return Extension(local_part[:end], local_part[end + 1 :], local_part[end])


def add_extension(address: str, extension: str) -> str:
    """Put `extension` (with its delimiter) at the end of the local part of an internal address."""
    local_part, domain = split_address(address)
    return join_address(local_part + extension, domain)


def _is_special(name: str, delimiters: str, double_bounce: str, owner_request_special: bool) -> bool:
    if name in {POSTMASTER, MAILER_DAEMON} or name == double_bounce.lower():
        return True
    if "-" not in delimiters or not owner_request_special:
        return False
    return name.startswith("owner-") or (name.endswith("-request") and len(name) > len("-request"))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return " " if character in "\r\n" else "\\" + character
