"""cidr: tables: the first network that contains an address gives the value. Sources: cidr_table(5).

Networks are kept by prefix length, so a lookup costs at most one dictionary access for each length in use, however
many rules there are; rules with "!" or in if blocks are tried one by one.
"""

import re
import socket
from typing import Final, NamedTuple

from posthouse.tables.file_table import FileTable, Origin
from posthouse.tables.rules import Reporter, RuleError, inline_rules, is_keyword, result_of, rule_lines
from posthouse.tables.source import BLANKS
from posthouse.util.errors import ConfigError

_PATTERN: Final = re.compile(r"[!\s]*\S*", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


class Network(NamedTuple):
    """An address family's bits (32 or 128), the mask's length, and the network as a number."""

    bits: int
    length: int
    number: int

    def contains(self, bits: int, number: int) -> bool:
        """Whether an address is in the network."""
        return bits == self.bits and (number ^ self.number) >> (bits - self.length) == 0


def parse_ip(text: str) -> tuple[int, int] | None:
    """Read an IPv4 or IPv6 address as (bits, number); None: it is none."""
    try:
        if ":" in text:
            return 128, int.from_bytes(socket.inet_pton(socket.AF_INET6, text), "big")
        return 32, int.from_bytes(socket.inet_pton(socket.AF_INET, text), "big")
    except (OSError, ValueError):
        return None


def format_ip(bits: int, number: int) -> str:
    """Write an address."""
    family = socket.AF_INET if bits == 32 else socket.AF_INET6
    return socket.inet_ntop(family, number.to_bytes(bits // 8, "big"))


def parse_network(pattern: str) -> Network:
    """Read "address", "network/length" or "[address]/length". Raises ValueError with what is wrong."""
    shown, text = pattern, pattern
    if text.startswith("["):
        inside, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise ValueError(f"missing ']' character after \"{pattern}\"")
        if rest and not rest.startswith("/"):
            raise ValueError(f'garbage after "[{inside}]"')
        text = shown = inside + rest
    address, slash, mask = text.partition("/")
    if not slash:
        found = parse_ip(address)
        if found is None:
            raise ValueError(f'bad address pattern: "{shown}"')
        return Network(found[0], found[0], found[1])
    if _NUMBER.fullmatch(mask) is None:
        raise ValueError(f'bad mask value in "{shown}"')
    found = parse_ip(address)
    if found is None:
        raise ValueError(f'bad network value in "{shown}"')
    bits, number = found
    length = int(mask)
    if length > bits:
        raise ValueError(f'bad mask length in "{shown}"')
    clean = number >> (bits - length) << (bits - length)
    if clean != number:
        better = f"{format_ip(bits, clean)}/{length}"
        raise ValueError(f'non-null host address bits in "{shown}", perhaps you should use "{better}" instead')
    return Network(bits, length, number)


class _Condition(NamedTuple):
    network: Network
    negated: bool

    def holds(self, bits: int, number: int) -> bool:
        return self.network.contains(bits, number) is not self.negated


class _Rule(NamedTuple):
    conditions: tuple[_Condition, ...]
    value: str


class _Content:
    """All rules of one file."""

    def __init__(self) -> None:
        self.plain: dict[tuple[int, int], dict[int, tuple[int, str]]] = {}  # (bits, length) → network → rule
        self.conditional: list[tuple[int, _Rule]] = []
        self._next = 0

    def add(self, outer: list[_Condition], own: _Condition, value: str) -> None:
        self._next += 1
        if outer or own.negated:
            self.conditional.append((self._next, _Rule((*outer, own), value)))
            return
        bits, length, number = own.network
        self.plain.setdefault((bits, length), {}).setdefault(number >> (bits - length), (self._next, value))

    def find(self, bits: int, number: int) -> str | None:
        best: tuple[int, str] | None = None
        for (of_bits, length), networks in self.plain.items():
            if of_bits == bits:
                rule = networks.get(number >> (bits - length))
                if rule is not None and (best is None or rule[0] < best[0]):
                    best = rule
        for place, conditional in self.conditional:
            if best is not None and place > best[0]:
                break
            if all(condition.holds(bits, number) for condition in conditional.conditions):
                return conditional.value
        return None if best is None else best[1]


class Cidr(FileTable):
    """Asked with addresses only; any other key is not found."""

    is_fixed = False

    def _load(self, text: str) -> None:
        content, blocks = _Content(), list[tuple[int, _Condition]]()
        report = Reporter(self.origin)
        for number, line in rule_lines(text, report):
            try:
                if is_keyword(line, "endif"):
                    _end_block(blocks, line)
                elif is_keyword(line, "if"):
                    blocks.append((number, _condition(line[2:].strip(BLANKS))))
                else:
                    own, value = _rule(line)
                    value = result_of(value, self.flags, self.origin.base_dir)
                    content.add([block for _, block in blocks], own, value)
            except (RuleError, ValueError) as error:
                report(f"{error}: skipping this rule")
        for number, _ in reversed(blocks):
            report.at(number)
            report("IF has no matching ENDIF")
        self._content = content

    def _find(self, key: str) -> str | None:
        address = parse_ip(key)
        return None if address is None else self._content.find(*address)


def _end_block(blocks: list[tuple[int, _Condition]], line: str) -> None:
    if line[5:].strip(BLANKS):
        raise RuleError("garbage after ENDIF")
    if not blocks:
        raise RuleError("ENDIF without IF")
    blocks.pop()


def _rule(line: str) -> tuple[_Condition, str]:
    """Read "[!]pattern value". Raises ValueError."""
    found = _PATTERN.match(line)
    end = found.end() if found else 0
    condition, value = _condition(line[:end]), line[end:].strip(BLANKS)
    if not value:
        raise RuleError("no lookup result")
    return condition, value


def _condition(pattern: str) -> _Condition:
    """Read "[!]pattern". Raises ValueError."""
    negated, text = False, pattern.lstrip(BLANKS)
    while text.startswith("!"):
        negated, text = not negated, text[1:].lstrip(BLANKS)
    if not text:
        raise RuleError("no address pattern")
    return _Condition(parse_network(text), negated)


def open_table(origin: Origin) -> Cidr:
    """Open cidr:/path or cidr:{{rule}...}. Raises ConfigError."""
    try:
        inline = inline_rules(origin.name, origin.type)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return Cidr(origin, inline)
