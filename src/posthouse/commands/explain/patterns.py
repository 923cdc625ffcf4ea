"""Which item of a match list (mynetworks, mydestination ...) matched: asked of a list of that item alone."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from posthouse.config.parameter import Parameter
from posthouse.config.parameters import PARENT_DOMAIN_MATCHES_SUBDOMAINS
from posthouse.config.settings import Settings
from posthouse.tables.matchlist import Kind, ListOptions, MatchList, parse_patterns
from posthouse.tables.open import Opener
from posthouse.util.errors import ConfigError, TableError


async def matching_pattern(
    parameter: Parameter[tuple[str, ...]], settings: Settings, opener: Opener, text: str, *, name: str | None = None
) -> str:
    """Give the first item that matches, as it is written; "" when there is none. One in a file comes with its place.

    name: of a client whose address is `text` (a list of hosts); None: a list of texts or domains.
    """
    parents = parameter.name in settings[PARENT_DOMAIN_MATCHES_SUBDOMAINS]
    kind = Kind.DOMAIN if parents else Kind.STRING
    options = ListOptions(kind if name is None else Kind.HOST, parents=parents, label=parameter.name)
    for item, shown in chain.from_iterable(_items(item) for item in settings[parameter]):
        try:
            alone = MatchList([item.lstrip("!")], opener, options)
            found = await (alone.matches(text) if name is None else alone.matches_client(name, text))
        except (ConfigError, TableError):
            continue
        if found:
            return shown
    return ""


def _items(item: str) -> Iterator[tuple[str, str]]:
    """Give an item and how it is shown; for a file, those in it."""
    path = item.lstrip("!")
    if not path.startswith("/"):
        yield item, item
        return
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
    except OSError:
        return
    for number, line in enumerate(lines, 1):
        if not line.lstrip().startswith("#"):
            with suppress(ConfigError):  # braces over several lines: the list itself can read them
                yield from ((inner, f"{inner} ({path}:{number})") for inner in parse_patterns(line.partition(" #")[0]))
