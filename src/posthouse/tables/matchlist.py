"""Match lists: mynetworks, mydestination, relay_domains and the like.

Items: a name or network; "!item" (what it matches is not in the list); /file (its items stand in its place);
type:table (a key that is there matches, whatever the value). The first item that matches decides. What kind of thing is
matched (text, domain, host with address) is the list's kind. Sources: postconf(5), facts/tables.tsv "match lists".

Runs of plain names, the usual content, are one set: a lookup costs one set access for each parent domain.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from posthouse.config.lists import ListSyntaxError, parse_items
from posthouse.config.parameter import Parameter
from posthouse.config.parameters import PARENT_DOMAIN_MATCHES_SUBDOMAINS
from posthouse.config.settings import Settings
from posthouse.tables.cidr import Network, parse_network
from posthouse.tables.fail import Fail
from posthouse.tables.open import Opener
from posthouse.tables.source import decode
from posthouse.tables.table import Table, fold_key
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError
from posthouse.util.netaddr import parse_ip

MAX_NESTING: Final = 20  # files that name files


class Kind(Enum):
    """What a list is asked about."""

    STRING = "text that must be equal"
    DOMAIN = "a domain, which also matches patterns of its parents"
    HOST = "a client: its name like a domain, its address against networks"


@dataclass(frozen=True, slots=True)
class _Item:
    """One pattern: exactly one of the last four is set."""

    negated: bool
    names: frozenset[str] = frozenset()  # plain names, folded
    table: Table | None = None
    network: Network | None = None
    problem: str = ""  # the pattern cannot be used; asking it is an error


@dataclass(frozen=True, slots=True)
class ListOptions:
    """How a list is read.

    parents: a domain in the list also matches its subdomains (else ".domain" does that); label: the name in messages.
    strict: mistakes are ConfigErrors when the list is made, else TableErrors when they are met. A table that cannot be
    opened now is a TableError in both cases: what needs it has to wait, the service goes on (facts "table errors").
    """

    kind: Kind = Kind.STRING
    parents: bool = False
    label: str = ""
    strict: bool = True
    base_dir: str = ""


class MatchList:
    """A list of patterns. False when it is empty."""

    def __init__(self, patterns: Iterable[str], opener: Opener, options: ListOptions = ListOptions()) -> None:
        """Read files and open tables. Raises ConfigError: wrong pattern, unreadable file."""
        self.options = options
        self._opener = opener
        self._items = list(_joined(self._read(patterns, negated=False, depth=0)))

    def __bool__(self) -> bool:
        return bool(self._items)

    @property
    def has_tables(self) -> bool:
        """Whether any item is a table, so that the answer for a text may change."""
        return any(item.table is not None for item in self._items)

    async def matches(self, text: str) -> bool:
        """Whether a name or domain is in the list. Raises TableError."""
        name = text.lower() if text.isascii() else fold_key(text, utf8=True)
        for item in self._items:
            if await self._has_name(item, name):
                return not item.negated
        return False

    async def matches_client(self, name: str, address: str) -> bool:
        """Whether a client is in the list (Kind.HOST). Raises TableError.

        name, address: "" when it is not known.
        """
        name, address = name.lower(), address.lower()
        parsed = parse_ip(address)
        for item in self._items:
            if (name and await self._has_name(item, name)) or (
                address and await self._has_address(item, address, parsed)
            ):
                return not item.negated
        return False

    async def _has_name(self, item: _Item, name: str) -> bool:
        if item.table is not None:
            return await self._is_in_table(item.table, name)
        names = item.names
        if not names:
            return False
        if name in names:
            return True
        return self.options.kind is not Kind.STRING and any(parent in names for parent in self._parents(name))

    def _parents(self, name: str) -> Iterator[str]:
        """Give what stands for a subdomain in the list: "example.com" or ".example.com"."""
        at = name.find(".", 1)
        skip = 1 if self.options.parents else 0
        while at >= 0:
            yield name[at + skip :]
            at = name.find(".", at + 1)

    async def _is_in_table(self, table: Table, name: str) -> bool:
        try:
            if await table.lookup(name) is not None:
                return True
            if self.options.kind is Kind.STRING or not table.takes_partial_keys:
                return False
            for parent in self._parents(name):
                if await table.lookup(parent) is not None:
                    return True
        except TableError as error:
            raise self._failure(table, error) from None
        return False

    async def _has_address(self, item: _Item, address: str, parsed: tuple[int, int] | None) -> bool:
        if item.network is not None:
            return parsed is not None and item.network.contains(*parsed)
        if item.table is not None:
            try:
                return await item.table.lookup(address) is not None
            except TableError as error:
                raise self._failure(item.table, error) from None
        if item.problem and (":" in address) == (":" in item.problem):
            log.warning(f"{self.options.label}: {item.problem}")
            raise TableError(f"{self.options.label}: {item.problem}")
        return address in item.names

    def _failure(self, table: Table, error: TableError) -> TableError:
        log.warning(f"{self.options.label}: {table.name}: table lookup problem")
        return TableError(f"{self.options.label}: {error}")

    def _read(self, patterns: Iterable[str], *, negated: bool, depth: int) -> Iterator[_Item]:
        for pattern in patterns:
            inverse, text = negated, pattern
            while text.startswith("!"):
                inverse, text = not inverse, text[1:]
            if not text:
                yield self._mistake(inverse, "no pattern after '!'")
            elif text.startswith("/"):
                yield from self._read_file(text, negated=inverse, depth=depth)
            elif _is_table(text):
                yield self._table(text, negated=inverse)
            else:
                yield self._pattern(text, negated=inverse)

    def _read_file(self, path: str, *, negated: bool, depth: int) -> Iterator[_Item]:
        if depth >= MAX_NESTING:
            yield self._mistake(negated, f"{path}: files name each other")
            return
        try:
            with open(path, "rb") as file:
                text = decode(file.read())
            items = parse_items(_without_comments(text, self._warn))
        except OSError as error:
            yield self._mistake(negated, f"open file {path}: {error.strerror}", path)
        except ListSyntaxError as error:
            yield self._mistake(negated, f"{path}: {error}", path)
        else:
            yield from self._read(items, negated=negated, depth=depth + 1)

    def _table(self, spec: str, *, negated: bool) -> _Item:
        return _Item(negated, table=self._opener.open_or_fail(spec))

    def _pattern(self, text: str, *, negated: bool) -> _Item:
        if self.options.kind is Kind.HOST and ("/" in text or text.startswith("[")):
            try:
                return _Item(negated, network=parse_network(text))
            except ValueError as error:
                return self._mistake(negated, str(error))
        return _Item(negated, names=frozenset((fold_key(text, utf8=True),)))

    def _mistake(self, negated: bool, problem: str, path: str = "") -> _Item:
        if self.options.strict:
            raise ConfigError(problem, file=path, parameter=self.options.label)
        if path:
            log.error(problem)
            return _Item(negated, table=Fail(f"non-existent:{path}", problem))
        return _Item(negated, problem=problem)

    def _warn(self, problem: str) -> None:
        log.warning(f"{self.options.label}: {problem}" if self.options.label else problem)


def _is_table(text: str) -> bool:
    """A colon makes it a table, unless it is in brackets (an IPv6 address)."""
    return ":" in text and not text.startswith("[")


def _joined(items: Iterable[_Item]) -> Iterator[_Item]:
    """Make one item of plain names that follow each other."""
    run: list[str] = []
    negated = False
    for item in items:
        if item.names and (not run or item.negated is negated):
            negated = item.negated
            run.extend(item.names)
            continue
        if run:
            yield _Item(negated, names=frozenset(run))
        run, negated = list(item.names), item.negated
        if not item.names:
            yield item
    if run:
        yield _Item(negated, names=frozenset(run))


def _without_comments(text: str, warn: Callable[[str], None]) -> str:
    """Drop comment lines from a file of patterns."""
    lines = []
    for line in text.split("\n"):
        if line.lstrip().startswith("#"):
            continue
        kept, mark, comment = line.partition(" #")
        if mark:
            warn(f"#comment after other text is not allowed: #{comment[:20]} ...")
        lines.append(kept)
    return "\n".join(lines)


def _open(parameter: Parameter[tuple[str, ...]], settings: Settings, opener: Opener | None, kind: Kind) -> MatchList:
    wanted = settings[PARENT_DOMAIN_MATCHES_SUBDOMAINS] if kind is not Kind.STRING else ()
    options = ListOptions(kind, parents=parameter.name in wanted, label=parameter.name)
    try:
        return MatchList(settings[parameter], opener or Opener(settings), options)
    except ConfigError as error:
        located = settings.error(parameter.name, error.why if not error.file else f"{error.file}: {error.why}")
        raise located from None


def open_string_list(
    parameter: Parameter[tuple[str, ...]], settings: Settings, opener: Opener | None = None
) -> MatchList:
    """Make a list of texts (user names, virtual_alias_domains, mydestination). Raises ConfigError."""
    return _open(parameter, settings, opener, Kind.STRING)


def open_domain_list(
    parameter: Parameter[tuple[str, ...]], settings: Settings, opener: Opener | None = None
) -> MatchList:
    """Make a list of domains with their subdomains (relay_domains). Raises ConfigError."""
    return _open(parameter, settings, opener, Kind.DOMAIN)


def open_host_list(
    parameter: Parameter[tuple[str, ...]], settings: Settings, opener: Opener | None = None
) -> MatchList:
    """Make a list of clients by name, address and network (mynetworks). Raises ConfigError."""
    return _open(parameter, settings, opener, Kind.HOST)


def parse_patterns(text: str) -> Sequence[str]:
    """Split the text of a list. Raises ConfigError."""
    try:
        return parse_items(text)
    except ListSyntaxError as error:
        raise ConfigError(str(error)) from None
