"""Templates in which parts of a key stand for %s, %u, %d, %1 .. %9: queries, and the format of results.

Template makes a query from a key; ResultFormat makes a result from a value that was found. KeyedQuery is what the SQL,
LDAP and similar types have in common: which keys are looked up at all (`domain`, and parts that the key lacks), and how
several values become one. Sources: pgsql_table(5), mysql_table(5), facts/tables.tsv "SQL/LDAP key expansion".

%s the whole key, %u the part before the last @ (or the whole), %d the part after it, %1 the last label of the domain,
%2 the one before .. In results the same letters mean the value, and capitals and numbers mean the key.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from posthouse.config.lists import parse_items
from posthouse.tables.client_config import ClientConfig
from posthouse.tables.matchlist import Kind, ListOptions, MatchList
from posthouse.tables.open import Opener
from posthouse.util import log
from posthouse.util.errors import ConfigError, TableError

Quote = Callable[[str], str]
_DIGITS: Final = "123456789"


class Parts(NamedTuple):
    """A key or value, taken apart. user and domain are "" where there is no such part."""

    whole: str
    user: str
    domain: str
    labels: tuple[str, ...]  # of the domain, top first

    @classmethod
    def of(cls, text: str) -> "Parts":
        """Split at the last @."""
        user, at, domain = text.rpartition("@")
        if not at:
            return cls(text, text, "", ())
        return cls(text, user, domain, tuple(label for label in reversed(domain.split(".")) if label))

    def get(self, letter: str) -> str:
        """Give what a letter stands for; "" when there is no such part."""
        if letter in _DIGITS:
            number = int(letter)
            return self.labels[number - 1] if number <= len(self.labels) else ""
        return {"s": self.whole, "u": self.user, "d": self.domain}[letter]


class Template:
    """A text with %-letters. pieces: (literal text, the letter behind it or "")."""

    def __init__(self, text: str) -> None:
        """Raises ValueError: a letter that means nothing."""
        self.text = text
        self.pieces = tuple(_pieces(text))
        self.letters = frozenset(letter for _, letter in self.pieces if letter)

    def fits(self, key: Parts) -> bool:
        """Whether the key has all the parts that a query needs."""
        return all(key.get(letter.lower()) for letter in self.letters)

    def fill(self, key: Parts, quote: Quote = str) -> str:
        """Put the parts of a key in, each quoted. The key `fits`."""
        return "".join(literal + (quote(key.get(letter.lower())) if letter else "") for literal, letter in self.pieces)


class ResultFormat:
    """A template for results."""

    def __init__(self, text: str) -> None:
        """Raises ValueError: a letter that means nothing."""
        template = Template(text)
        self._pieces = template.pieces
        self._plain = text == "%s"
        self._of_key = frozenset(letter for letter in template.letters if letter not in "sud")
        self._of_value = template.letters - self._of_key

    def fits(self, key: Parts) -> bool:
        """Whether the key has what the results need of it; if not, there is no use in asking."""
        return all(key.get(letter.lower()) for letter in self._of_key)

    def fill(self, value: str, key: Parts) -> str | None:
        """Make a result of a value; None: the value lacks a part that is wanted."""
        if self._plain:
            return value
        of_value = Parts.of(value)
        if not all(of_value.get(letter) for letter in self._of_value):
            return None
        pieces = []
        for literal, letter in self._pieces:
            pieces.append(literal)
            if letter:
                pieces.append(of_value.get(letter) if letter in self._of_value else key.get(letter.lower()))
        return "".join(pieces)


class KeyedQuery:
    """The attributes query (or its like), result_format, domain, expansion_limit, and what follows from them."""

    def __init__(self, name: str, query: Template, config: ClientConfig, opener: Opener) -> None:
        """name: the table's; opener: for tables in `domain`. Raises ConfigError."""
        self.name = name
        self.query = query
        self._format = ResultFormat(read_template(config, "result_format", "%s", also="result_filter"))
        self._limit = config.integer("expansion_limit", 0)
        try:
            domains = parse_items(config.text("domain"))
            self._domains = MatchList(domains, opener, ListOptions(Kind.STRING, label=f"{name}: domain"))
        except (ConfigError, ValueError) as error:
            raise config.error("domain", str(error)) from None

    async def parts(self, key: str) -> Parts | None:
        """Take a key apart; None: it is not looked up, and not found. Raises TableError: `domain` cannot be asked."""
        parts = Parts.of(key)
        if not key or "\0" in key or not (self.query.fits(parts) and self._format.fits(parts)):
            return None
        if self._domains and not (parts.user and parts.domain and await self._domains.matches(parts.domain)):
            return None
        return parts

    def join(self, values: Iterable[str | None], key: Parts) -> str | None:
        """Make one value of those that were found; None: there is none. Raises TableError: more than expansion_limit.

        A value that is None (NULL) does not count; an empty one is remarked on and does not count either.
        """
        results: list[str] = []
        for value in values:
            if value is None:
                continue
            if not value:
                log.warning(f'table "{self.name}": empty lookup result for: "{key.whole}" -- ignored')
                continue
            result = self._format.fill(value, key)
            if result is None:
                continue
            results.append(result)
            if self._limit and len(results) > self._limit:
                message = f"{self.name}: expansion_limit of {self._limit} is exceeded for key '{key.whole}'"
                log.warning(message)
                raise TableError(message)
        return ",".join(results) if results else None


def read_template(config: ClientConfig, name: str, default: str = "", also: str = "") -> str:
    """Give the text of a template attribute. also: its name of old. Raises ConfigError: it has no meaning."""
    text = config.text(name) or (config.text(also) if also else "") or default
    try:
        Template(text)
    except ValueError as error:
        raise config.error(name, str(error)) from None
    return text


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    literal, at = "", 0
    while (percent := text.find("%", at)) >= 0:
        letter = text[percent + 1 : percent + 2]
        literal += text[at:percent]
        at = percent + 2
        if letter == "%":
            literal += "%"
        elif letter and letter in "suSUdD123456789":
            yield literal, letter
            literal = ""
        else:
            raise ValueError(f'"%{letter}" means nothing; write "%%" for a percent sign')
    yield literal + text[at:], ""
