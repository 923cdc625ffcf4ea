"""The line of each word of a list that main.cf has over several lines."""

import re
from collections.abc import Iterable
from contextlib import suppress

from posthouse.commands.explain.model import Place


def places_of(words: Iterable[str], begin: Place) -> list[Place]:
    """Give the line of each word, in their order, of the setting that begins at a place.

    A word that does not stand there as it is (it came from a $name) gets the line where the search is.
    """
    lines: list[str] = []
    with suppress(OSError), open(begin.file, encoding="utf-8", errors="surrogateescape") as file:
        lines = file.read().split("\n")
    numbered = _of_setting(lines, begin.line)
    places, at = [], 0
    for word in words:
        whole = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
        for later in range(at, len(numbered)):
            if whole.search(numbered[later][1]):
                at = later
                break
        places.append(Place(begin.file, numbered[at][0]) if numbered else begin)
    return places


def _of_setting(lines: list[str], first: int) -> list[tuple[int, str]]:
    """Give number and text of the lines that belong to a setting; comments and empty lines in between do not."""
    found = [(first, lines[first - 1].partition("=")[2])] if 0 < first <= len(lines) else []
    for number, line in enumerate(lines[first:], first + 1):
        if line.strip() and not line.lstrip().startswith("#"):
            if not line[0].isspace():
                break
            found.append((number, line))
    return found
