"""Address headers (RFC 822 and RFC 5322): text to a tree of tokens and back, for the rewriting of To:, From: and kin.

Every text gives a tree: malformed input is read as Postfix reads it (missing commas put in, missing terminators
added), and the time is linear in its length. Nodes of an address list:

    address(atom "wietse", op "@", atom "porcupine", op ".", atom "org")   op ","   comment "(...)"   group ":"  op ";"

Phrases stand as atoms before op "<"; comments inside of an address are moved behind it. What an address means is not
known here. Source: facts (tok822); RFC 822 6.1.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["address", "group", "op", "atom", "quoted", "comment", "literal"]

MAX_PHRASE: Final = 250  # octets of text beside an address; Postfix's defence against mailers with short buffers

_SPECIALS: Final = r'()<>\[\],.:;@"%!'
_TOKEN: Final = re.compile(
    rf"""[ \t\r\n]*(?:
      (?P<comment>\() |
      "(?P<quoted>(?:[^"\\]++|\\.)*+)(?:"|\\?\Z) |
      \[(?P<literal>(?:[^\]\\]++|\\.)*+)(?:\]|\\?\Z) |
      (?P<op>[),.:;<>@%!\]]) |
      (?P<atom>(?:[^ \t\r\n\\{_SPECIALS}]++|\\.)++)
    )""",
    re.DOTALL | re.VERBOSE,
)
_COMMENT_PART: Final = re.compile(r"[()]|\\.?", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE: Final = re.compile(r'["\\]')
_IN_LITERAL: Final = re.compile(r"[\]\\]")
_BACKSLASHED: Final = r"\\\g<0>"
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LINE_ENDS: Final = re.compile(r"[\r\n]")
_NOT_ATOM: Final = re.compile(rf"[ \t\x00-\x1f\x7f\\{_SPECIALS}]")
_IN_PHRASES: Final = frozenset(".%!")  # operators that are mere punctuation beside an address
_WORDS: Final = frozenset({"atom", "quoted", "literal"})


@dataclass(slots=True)
class Node:
    """A token, or an address with its tokens as children."""

    kind: Kind
    text: str = ""
    children: list["Node"] = field(default_factory=list)
    blank: bool = field(default=False, compare=False)  # whether a blank stood before it: "J. Random" keeps its looks


def parse_address_list(text: str, max_tokens: int | None = None) -> list[Node]:
    """Parse a header's address list; of the text behind the first `max_tokens` tokens nothing is read."""
    return group_tokens(read_tokens(text, max_tokens))


def read_tokens(text: str, max_tokens: int | None = None) -> list[Node]:
    """Do the first half of `parse_address_list`, for who has other things to do in between."""
    return list(_scan(text, max_tokens))


def group_tokens(tokens: list[Node]) -> list[Node]:
    """Do the second half."""
    return _Parser(tokens).parse()


def parse_addresses(text: str) -> list[str]:
    """Return the addresses of a list in internal form, without comments and phrases."""
    return [format_internal(node.children) for node in parse_address_list(text) if node.kind == "address"]


def format_internal(nodes: Sequence[Node]) -> str:
    """Write nodes in internal form: words without quotes."""
    if _is_one_address(nodes):
        return "".join(_join(nodes, external=False, comma=",", phrase=False))
    return "".join(_join(nodes, external=False, comma=", "))


def format_external(nodes: Sequence[Node], *, fold: bool = False) -> str:
    """Write nodes as they may stand in a header; `fold` breaks the line behind each comma.

    An element with more than MAX_PHRASE octets beside its address becomes the address alone (see `oversized`).
    """
    return (",\n" if fold else ", ").join(external_elements(nodes))


def external_elements(nodes: Sequence[Node]) -> Iterator[str]:
    """Give what `format_external` writes, one element of the list after the other, without the commas."""
    if _is_one_address(nodes):
        yield "".join(_join(nodes, external=True, comma=",", phrase=False))
        return
    for element in _elements(nodes):
        text = "".join(_join(element, external=True, comma=","))
        yield f"<{_external_last_address(element)}>" if _oversized(element, text) else text


def oversized(element: Sequence[Node]) -> bool:
    """Whether the text beside the address of a comma-separated element is too long to be passed on."""
    return _oversized(element, "".join(_join(element, external=True, comma=",")))


def _oversized(element: Sequence[Node], text: str) -> bool:
    if len(element) == 1 and element[0].kind == "address":
        return False
    beside = len(text) - len(_external_last_address(element))
    if beside * 4 <= MAX_PHRASE:  # octets are at most four times the characters
        return False
    octets = len(text.encode("utf-8", "surrogateescape"))
    return octets - len(_external_last_address(element).encode("utf-8", "surrogateescape")) > MAX_PHRASE


def oversized_texts(nodes: Sequence[Node]) -> Iterator[str]:
    """Give the whole text (external form) of each element that format_external cuts down to its address."""
    if not _is_one_address(nodes):
        for element in _elements(nodes):
            text = "".join(_join(element, external=True, comma=","))
            if _oversized(element, text):
                yield text


def _scan(text: str, max_tokens: int | None) -> Iterator[Node]:
    position, count, end = 0, 0, len(text)
    while position < end and (max_tokens is None or count < max_tokens):
        match = _TOKEN.match(text, position)
        if match is None:  # blanks or a lone backslash at the end
            return
        count += 1
        blank = text[position] in " \t\r\n"
        position = match.end()
        kind, value = match.lastgroup, match[match.lastgroup or 0]
        if kind == "comment":
            comment, position = _scan_comment(text, match.start("comment"))
            yield Node("comment", comment)
        elif kind == "op":
            yield Node("op", value, [], blank)
        else:
            word = _LINE_ENDS.sub(" ", _ESCAPED.sub(r"\1", value) if "\\" in value else value)
            if kind == "literal":
                yield Node("literal", f"[{word}]")
            else:
                yield Node("atom" if kind == "atom" and not _NOT_ATOM.search(word) else "quoted", word, [], blank)


def _scan_comment(text: str, start: int) -> tuple[str, int]:
    """Read a comment with those inside of it; one that is not ended gets its parentheses."""
    depth = 0
    for match in _COMMENT_PART.finditer(text, start):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")":
            depth -= 1
            if depth == 0:
                return text[start : match.end()], match.end()
        elif match[0] == "\\":  # nothing behind it
            return text[start : match.start()] + ")" * depth, len(text)
    return text[start:] + ")" * depth, len(text)


class _Parser:
    """Groups a flat list of tokens into addresses; every token is looked at a fixed number of times."""

    def __init__(self, tokens: list[Node]) -> None:
        self._tokens = tokens
        self._out: list[Node] = []
        self._run: list[Node] = []  # words, comments and operators that may be a phrase or addresses
        self._is_phrase = True  # whether the run has no operator but those of phrases
        self._last_close = max((i for i, t in enumerate(tokens) if t.kind == "op" and t.text == ">"), default=-1)
        self._last_semicolon = max((i for i, t in enumerate(tokens) if t.kind == "op" and t.text == ";"), default=-1)
        self._need_comma = False

    def parse(self) -> list[Node]:
        index, tokens = 0, self._tokens
        while index < len(tokens):
            token = tokens[index]
            if token.kind != "op" or token.text not in "<,;:>":
                self._take(token)
            elif token.text == "<" and index < self._last_close:
                index = self._route_address(index)
            elif token.text == ":" and self._starts_group(index):
                self._out += [*self._run, Node("group", ":")]
                self._begin_run()
                self._need_comma = False
            elif token.text == ":" and self._run:
                self._take(token)
            else:
                self._addresses()
                self._out.append(token)
                self._need_comma = token.text == ";"
            index += 1
        self._addresses()
        return self._out

    def _take(self, token: Node) -> None:
        self._run.append(token)
        if token.kind == "op" and token.text not in _IN_PHRASES:
            self._is_phrase = False

    def _begin_run(self) -> None:
        self._run = []
        self._is_phrase = True

    def _starts_group(self, index: int) -> bool:
        """Whether a colon ends the name of a group: words before it, and an end of the group (or nothing) behind it."""
        if not self._run or not self._is_phrase:
            return False
        return index < self._last_semicolon or index == len(self._tokens) - 1

    def _route_address(self, index: int) -> int:
        """Take phrase "<" route-addr ">"; return the index of the last token taken."""
        comments: list[Node] = []
        inner: list[Node] = []
        at = index + 1
        while at < len(self._tokens):
            node = self._tokens[at]
            if node.kind == "op" and node.text == ">":
                break
            (comments if node.kind == "comment" else inner).append(node)
            at += 1
        self._out += self._run
        self._begin_run()
        self._out.append(self._tokens[index])
        if inner:
            self._out.append(Node("address", "", inner))
        self._out += [*comments, Node("op", ">")]
        self._need_comma = True
        return at

    def _addresses(self) -> None:
        """Turn the run into addresses, a comma between two words that no operator joins."""
        comments: list[Node] = []  # those in front of a word of the present address or between its tokens
        pending: list[Node] = []  # those behind its last token: the next word's, if one follows
        address: list[Node] = []
        for node in self._run:
            if node.kind == "comment":
                pending.append(node)
                continue
            if node.kind in _WORDS and address and address[-1].kind in _WORDS:
                self._close_address(address, comments)
                address, comments = [], []
            comments += pending
            pending = []
            address.append(node)
        if address:
            self._close_address(address, comments + pending)
        else:
            self._out += pending
        self._begin_run()

    def _close_address(self, address: list[Node], comments: list[Node]) -> None:
        if self._need_comma:
            self._out.append(Node("op", ","))
        self._out += [Node("address", "", address), *comments]
        self._need_comma = True


def _is_one_address(nodes: Sequence[Node]) -> bool:
    """Whether these are the tokens of one address, not those of a list: there, words stand inside of addresses."""
    kinds = {node.kind for node in nodes}
    if not kinds & _WORDS or "address" in kinds:
        return False
    return not any(node.kind == "op" and node.text == "<" for node in nodes)


def _elements(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Cut a list at its commas."""
    element: list[Node] = []
    for node in nodes:
        if node.kind == "op" and node.text == ",":
            yield element
            element = []
        else:
            element.append(node)
    yield element


def _join(nodes: Sequence[Node], *, external: bool, comma: str, phrase: bool = True) -> Iterator[str]:
    """Give the texts of nodes, with blanks where two would run together."""
    before: Node | None = None
    for node in nodes:
        if before is not None and _needs_blank(before, node, phrase=phrase):
            yield " "
        before = node
        if node.kind == "op":
            yield comma if node.text == "," else node.text
        elif node.kind == "group":
            yield ": "
        elif node.kind == "address":
            yield from _join(node.children, external=external, comma=",", phrase=False)
        else:
            yield _external(node) if external else node.text


def _external_last_address(element: Sequence[Node]) -> str:
    address: Node | None = None
    for node in element:
        if node.kind == "address":
            address = node
        elif node.kind == "op" and node.text == "<":
            address = None
    return "" if address is None else _external(address)


def _needs_blank(before: Node, node: Node, *, phrase: bool) -> bool:
    if phrase and before.text in _IN_PHRASES and node.blank:
        return node.kind in _WORDS or node.text == "<"
    if node.text == "<" and node.kind == "op":
        return before.kind != "group" and before.text != ","
    return _is_wordy(before) and _is_wordy(node)


def _is_wordy(node: Node) -> bool:
    return node.kind not in {"op", "group"}


def _external(node: Node) -> str:
    if node.kind == "address":
        return "".join(_join(node.children, external=True, comma=",", phrase=False))
    if node.kind == "quoted":
        text = _TO_ESCAPE.sub(_BACKSLASHED, _CONTROLS.sub(" ", node.text))
        return f'"{text}"'
    if node.kind == "literal" and _IN_LITERAL.search(node.text, 1, len(node.text) - 1) is not None:
        return f"[{_IN_LITERAL.sub(_BACKSLASHED, _CONTROLS.sub(' ', node.text[1:-1]))}]"
    return _CONTROLS.sub(" ", node.text)
