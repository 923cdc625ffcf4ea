"""Which tables proxymap(8) gives access to: those that proxy_read_maps names, directly or through parameters and files.

Sources: proxymap(8), postconf(5) proxy_read_maps.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from posthouse.config.lists import ListSyntaxError, parse_items
from posthouse.tables.source import decode
from posthouse.util import log

PREFIX: Final = "proxy:"
MAX_NESTING: Final = 20  # files that name files, braces in braces


def served_tables(items: Iterable[str], *, proxied_only: bool = True) -> frozenset[str]:
    """Find the tables in the items of proxy_read_maps (already expanded), without "proxy:".

    proxied_only: those that are written with "proxy:"; otherwise everything that looks like a table.
    """
    return frozenset(_tables(items, proxied_only=proxied_only, depth=0))


def _tables(items: Iterable[str], *, proxied_only: bool, depth: int) -> Iterator[str]:
    if depth > MAX_NESTING:
        return
    for item in items:
        text = item.lstrip("!")
        if text.startswith("/"):
            inner = _read(text)
        elif text.startswith("{"):
            inner = _split(text.removeprefix("{").removesuffix("}"))
        else:
            yield from _table(text, proxied_only=proxied_only)
            continue
        yield from _tables(inner, proxied_only=proxied_only, depth=depth + 1)


def _table(text: str, *, proxied_only: bool) -> Iterator[str]:
    name, proxied = text, False
    while name.startswith(PREFIX):
        name, proxied = name.removeprefix(PREFIX), True
    if ":" in name and not name.startswith("[") and (proxied or not proxied_only):
        yield name


def _read(path: str) -> tuple[str, ...]:
    try:
        with open(path, "rb") as file:
            lines = decode(file.read()).split("\n")
    except OSError as error:
        log.warning(f"open {path}: {error.strerror}; the tables it names are not served")
        return ()
    return _split("\n".join(line for line in lines if not line.lstrip().startswith("#")))


def _split(text: str) -> tuple[str, ...]:
    try:
        return parse_items(text)
    except ListSyntaxError:
        return ()
