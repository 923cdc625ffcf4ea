"""Paths: the address in MAIL FROM and RCPT TO, from the octets of the command to an address or None.

Lenient as Postfix is with strict_rfc821_envelopes = no: the angle brackets may be missing, comments and a source
route are dropped, quotes that nobody needs disappear. Never accepted: control characters, two addresses, a missing
local part (an empty one in quotes is one), a domain that is none.
Sources: RFC 5321 4.1.2, 3.6.1 and appendix C (routes are ignored); RFC 6531.
"""

import re
from dataclasses import dataclass
from typing import Final

from posthouse.protocol.address import quote_address
from posthouse.protocol.idn import is_valid_domain
from posthouse.protocol.message.tokens import Node, format_internal, parse_address_list

MAX_TOKENS: Final = 512  # of one path; more is no address

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
# What split_command cuts at; C's isspace, not Python's
_BLANKS: Final = re.compile(r"[ \t\n\v\f\r]+")
_SPECIAL: Final = re.compile(r'["<>\\: \t\n\v\f\r]')


@dataclass(frozen=True, slots=True)
class CommandWord:
    """A word of a command line; not `ok`: a quote or bracket in it has no end."""

    text: str
    ok: bool = True


def split_command(line: str) -> list[CommandWord]:
    """Split a command line at white space that stands in no quotes or brackets.

    A colon that completes "from:" or "to:" ends the word, so that the blank behind it may be missing or not.
    """
    words: list[CommandWord] = []
    position, end = 0, len(line)
    while True:
        if blank := _BLANKS.match(line, position):
            position = blank.end()
        if position >= end:
            return words
        start = position
        position, ok = _word_end(line, start)
        words.append(CommandWord(line[start:position], ok))


def parse_path(text: str, *, strict: bool = False, allow_null: bool = False, null_domain: bool = False) -> str | None:
    """Return the address of a path in external form ("" for "<>"); None: no valid path.

    strict: strict_rfc821_envelopes, one address in angle brackets and nothing else. null_domain: resolve_null_domain,
    "user@" is an address.
    """
    if text == "<>":
        return "" if allow_null else None
    if _CONTROLS.search(text) is not None:
        return None
    if strict and not (text.startswith("<") and text.endswith(">")):
        return None
    nodes = parse_address_list(text, MAX_TOKENS)
    addresses = [node for node in nodes if node.kind == "address"]
    if not addresses:
        return "" if allow_null and not strict and _is_empty_route(nodes) else None
    if len(addresses) > 1 or (strict and len(nodes) != 3):
        return None
    tokens = _without_route(addresses[0].children)
    if not _is_one_address(tokens):
        return None
    if allow_null and [(node.kind, node.text) for node in tokens] == [("quoted", "")]:
        return ""
    internal = format_internal(tokens)
    if null_domain and internal.endswith("@"):
        return quote_address(internal)
    return _check(internal, allows_empty=tokens[0].kind != "op" and not strict)


def _is_one_address(tokens: list[Node]) -> bool:
    """Whether no two words stand side by side and nothing in there separates addresses."""
    before = "op"
    for node in tokens:
        if node.kind == "op":
            if node.text in ",;<>":
                return False
        elif before != "op":
            return False
        before = node.kind
    return bool(tokens)


def _check(internal: str, *, allows_empty: bool) -> str | None:
    local_part, at, domain = internal.rpartition("@")
    if not at:
        return quote_address(internal) or None
    plain = domain.removesuffix(".")
    if not (local_part or allows_empty) or not is_valid_domain(plain):
        return None
    if "." in plain:
        domain = plain  # the dot of a single label says that it is the whole name (append_dot_mydomain)
    return quote_address(f"{local_part}@{domain}")


def _without_route(tokens: list[Node]) -> list[Node]:
    """Drop "@one,@two:" in front of an address."""
    if not (tokens[0].kind == "op" and tokens[0].text == "@"):
        return tokens
    for index, node in enumerate(tokens):
        if node.kind == "op" and node.text == ":":
            return tokens[index + 1 :]
    return tokens


def _is_empty_route(nodes: list[Node]) -> bool:
    """Whether this is "<>" with blanks or comments in it."""
    return [node.text for node in nodes if node.kind != "comment"] == ["<", ">"]


def _word_end(line: str, start: int) -> tuple[int, bool]:
    """Find the end of the word that begins at `start`."""
    position, end, depth, quoted = start, len(line), 0, False
    while match := _SPECIAL.search(line, position):
        character = match[0]
        position = match.end()
        if character == "\\":
            position = min(position + 1, end)
        elif character == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif character == "<":
            depth += 1
        elif character == ">":
            depth = max(depth - 1, 0)
        elif depth:
            continue
        elif character != ":":
            return match.start(), True
        elif line[start:position].lower() in {"to:", "from:"}:
            return position, True
    return end, not quoted and not depth
