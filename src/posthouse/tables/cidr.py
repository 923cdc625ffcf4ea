"""cidr: tables: the first network that contains an address gives the value. Sources: cidr_table(5).

Networks are kept by prefix length, so a lookup costs at most one dictionary access for each length in use, however
many rules there are. A negated condition ("!") holds for all other addresses of its family, and for none of another.
Rules with nothing but negated conditions are tried one by one; hardly any address gets past the first of them.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from posthouse.tables.file_table import FileTable, Origin
from posthouse.tables.rules import Reporter, RuleError, inline_rules, is_keyword, result_of, rule_lines
from posthouse.tables.source import BLANKS
from posthouse.util.errors import ConfigError
from posthouse.util.netaddr import format_ip, parse_ip

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

    @property
    def span(self) -> Network:
        """The network outside of which it does not hold."""
        return Network(self.network.bits, 0, 0) if self.negated else self.network


class _Exception(NamedTuple):
    """A rule that does not hold in some networks."""

    place: int
    excluded: tuple[Network, ...]
    value: str

    def holds(self, bits: int, number: int) -> bool:
        return not any(network.contains(bits, number) for network in self.excluded)


class _Content:
    """All rules of one file. `place` is a rule's number: the lowest that holds counts.

    Networks lie one within the other or apart, so a rule in if blocks is a rule for the narrowest of them. What is
    negated stays beside it, as networks in which it does not hold.
    """

    def __init__(self) -> None:
        # family → length → the address's leading bits → the rule, for those that always hold, and for the others
        self._plain: dict[int, dict[int, dict[int, tuple[int, str]]]] = {32: {}, 128: {}}
        self._excepted: dict[int, dict[int, dict[int, list[_Exception]]]] = {32: {}, 128: {}}
        self._next = 0

    def add(self, conditions: list[_Condition], value: str) -> None:
        self._next += 1
        where = (
            (conditions[0].network, ()) if len(conditions) == 1 and not conditions[0].negated else _where(conditions)
        )
        if where is None:
            return
        (bits, length, number), excluded = where
        shift = bits - length
        if excluded:
            rules = self._excepted[bits].setdefault(shift, {}).setdefault(number >> shift, [])
            rules.append(_Exception(self._next, excluded, value))
        else:
            self._plain[bits].setdefault(shift, {}).setdefault(number >> shift, (self._next, value))

    def find(self, bits: int, number: int) -> str | None:
        best: tuple[int, str] | None = None
        for shift, networks in self._plain[bits].items():
            rule = networks.get(number >> shift)
            if rule is not None and (best is None or rule[0] < best[0]):
                best = rule
        for shift, others in self._excepted[bits].items():
            best = _better(best, others.get(number >> shift, ()), bits, number)
        return None if best is None else best[1]


def _better(
    best: tuple[int, str] | None, rules: Iterable[_Exception], bits: int, number: int
) -> tuple[int, str] | None:
    """Give the first of some rules that holds, if it comes before the best so far."""
    for rule in rules:
        if best is not None and rule.place > best[0]:
            break
        if rule.holds(bits, number):
            return rule.place, rule.value
    return best


def _where(conditions: list[_Condition]) -> tuple[Network, tuple[Network, ...]] | None:
    """Give the network in which all conditions hold, and the networks in it in which they do not; None: nowhere."""
    network = conditions[0].span
    for condition in conditions:
        common = _common(network, condition.span)
        if common is None:
            return None
        network = common
    excluded = tuple(condition.network for condition in conditions if condition.negated)
    excluded = tuple(other for other in excluded if _common(other, network) is not None)
    return None if any(_common(other, network) == network for other in excluded) else (network, excluded)


def _common(one: Network, other: Network) -> Network | None:
    """Give the addresses that are in both networks: the narrower one, or none."""
    wide, narrow = (one, other) if one.length <= other.length else (other, one)
    return narrow if wide.contains(narrow.bits, narrow.number) else None


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
                    content.add([*(block for _, block in blocks), own], value)
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
