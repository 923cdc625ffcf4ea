"""Manual pages in man(7) form, from a daemon's docstring, its declaration and its parameters.

A docstring's first line is "name(8): what it is for"; "Security:", "Standards:", "Diagnostics:", "Bugs:" and "See
also:" at the beginning of a line or sentence begin a section, and what is before the first of them is the description.
The section Security says in words what Privileges says. Source: man(7), style.md 3.4.
"""

import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any, Final

from posthouse.commands.policies import words
from posthouse.commands.policies.roots import ROOTS, Part
from posthouse.commands.policies.system import daemons, package_of
from posthouse.config.parameter import Parameter
from posthouse.skeleton.daemon import Daemon

RELEASED: Final = "2026-11-23"  # of these pages; changes with a release
_SECTION: Final = re.compile(r"(?:(?<=\n)|(?<=\. ))(Security|Standards|Diagnostics|Bugs|See also): ", re.ASCII)
_NAMES: Final = re.compile(r"(?P<names>[a-z-]+\(8\)(?:, [a-z-]+\(8\))*): (?P<what>.+)", re.ASCII | re.DOTALL)
_REFERENCE: Final = re.compile(r"([A-Za-z0-9_.-]+)\(([1-8])\)", re.ASCII)
_WIDTH: Final = 78
_LICENCE: Final = "Apache License 2.0; see the file LICENSE."
_FILES: Final = ("/etc/postfix/main.cf", "/etc/postfix/master.cf")
_INHERITED: Final = (
    "The process is forked by warm(8), gives up root, its capabilities and the right to gain any, and then:"
)
_ROOT: Final = "It is root, with the capabilities below and no other where the unit or a policy module is in force."


class ManualError(ValueError):
    """A docstring does not have the form that a manual page needs; the text says which and why."""


def manual_pages() -> dict[str, str]:
    """Give every page by file name; what has several names has short pages that lead to the first."""
    pages: dict[str, str] = {}
    for daemon in daemons():
        names, _, _ = _parse(_docstring(daemon), daemon.name)
        pages[f"{daemon.name}.8"] = manual_page(daemon)
        pages |= {f"{name}.8": f".so man8/{daemon.name}.8\n" for name in names if name != daemon.name}
    return pages | {f"{part.name}.8": part_page(part) for part in ROOTS}


def manual_page(daemon: Daemon) -> str:
    """Give the page of a daemon. Raises ManualError."""
    names, what, sections = _parse(_docstring(daemon), daemon.name)
    security = [*_paragraphs(_sentence(sections.get("Security", ""))), _INHERITED]
    lines = [*_head(daemon.name, names, what), *_text("DESCRIPTION", sections["Description"])]
    for section in ("Standards", "Diagnostics", "Bugs"):
        if (body := sections.get(section, "none.")) != "none.":
            lines += _text(section.upper(), _sentence(body))
    lines += [".SH SECURITY", *_joined(security), *_privileges(daemon), *_parameters(daemon.parameters)]
    lines += [*_files(daemon), *_see_also(sections.get("See also", ""), names), *_text("LICENSE", _LICENCE)]
    return "\n".join(lines) + "\n"


def part_page(part: Part) -> str:
    """Give the page of master, warm or runas. Raises ManualError."""
    bodies = [_plain(inspect.getdoc(importlib.import_module(module)) or "") for module in part.manual]
    lines = [*_head(part.name, [part.name], part.summary), ".SH DESCRIPTION"]
    lines += _joined([paragraph for body in bodies for paragraph in _paragraphs(body)])
    lines += [".SH SECURITY", *_joined([_ROOT])]
    lines += _items(
        [
            ("Capabilities", ", ".join(f"CAP_{name.upper()}" for name in part.capabilities)),
            ("Network", part.network),
            ("Reads", part.reads),
            ("Writes", part.writes),
            ("Starts or becomes", part.becomes),
        ]
    )
    others = ", ".join(f"{other.name}(8)" for other in ROOTS if other is not part)
    lines += [*_see_also(f"{others}; docs/security.md", [part.name]), *_text("LICENSE", _LICENCE)]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------------------------------------------------
# The docstring


def _docstring(daemon: Daemon) -> str:
    return inspect.getdoc(importlib.import_module(f"posthouse.daemons.{package_of(daemon)}.daemon")) or ""


def _parse(docstring: str, name: str) -> tuple[list[str], str, dict[str, str]]:
    """Give names, summary and sections. Raises ManualError."""
    first, _, rest = docstring.partition("\n\n")
    found = _NAMES.fullmatch(first.replace("\n", " "))
    if found is None:
        raise ManualError(f'{name}: the docstring must begin with "{name}(8): what it is for", then an empty line')
    pieces = _SECTION.split("\n" + rest)
    sections = {"Description": pieces[0].strip()}
    for title, body in zip(pieces[1::2], pieces[2::2], strict=True):
        sections[title] = body.strip()
    if not sections["Description"]:
        raise ManualError(f"{name}: the docstring has no description")
    return _REFERENCE.sub(r"\1", found["names"]).split(", "), found["what"].rstrip("."), sections


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in text.split("\n\n") if paragraph.strip()]


# ---------------------------------------------------------------------------------------------------------------------
# The sections that are made


def _privileges(daemon: Daemon) -> Iterator[str]:
    wanted = daemon.privileges
    yes_no = {True: "yes", False: "no"}
    yield from _items(
        [
            ("User", wanted.user),
            ("Network", words.network(daemon)),
            ("Reads", _plain(words.reads(daemon))),
            ("Writes", _plain(words.writes(daemon))),
            ("Connects to the services", f"{words.sockets(daemon)}; the log"),
            ("Looks up users", yes_no[wanted.accounts]),
            ("Threads", words.threads(daemon)),
            ("Programs", "none: it executes nothing" if not wanted.executes else "by way of runas(8) alone"),
        ]
    )


def _parameters(parameters: tuple[Parameter[Any], ...]) -> Iterator[str]:
    yield ".SH CONFIGURATION PARAMETERS"
    if not parameters:
        yield "None of its own."
        return
    rows = {parameter.name: parameter for parameter in parameters}
    yield from _items(
        [
            (f"{name} (default: {row.default or 'empty'})", row.doc or "See postconf(5).")
            for name, row in sorted(rows.items())
        ]
    )


def _files(daemon: Daemon) -> Iterator[str]:
    wanted = daemon.privileges
    yield ".SH FILES"
    for path in (*_FILES, *wanted.reads, *wanted.writes, *wanted.appends):
        yield ".br" if path != _FILES[0] else ".nf"
        yield _escaped(path)
    yield ".fi"


def _see_also(text: str, names: list[str]) -> list[str]:
    own = [f"{name}(8)" for name in names]
    pieces = [piece.strip() for piece in re.split(r"[,;]", text.replace("\n", " ").rstrip(".")) if piece.strip()]
    pieces += [name for name in ("master(8)", "postconf(5)") if name not in (*pieces, *own)]
    return _text("SEE ALSO", ", ".join(dict.fromkeys(pieces)))


# ---------------------------------------------------------------------------------------------------------------------
# man(7)


def _head(name: str, names: list[str], what: str) -> list[str]:
    title = f'.TH {name.upper()} 8 {RELEASED} Posthouse "System Administration"'
    return [
        '.\\" Made by "posthouse policies manual": do not edit.',
        title,
        ".ad l",  # values in full: nothing to adjust
        ".SH NAME",
        f"{', '.join(names)} \\- {_escaped(what)}",
    ]


def _text(section: str, body: str) -> list[str]:
    return [f".SH {section}", *_joined(_paragraphs(body))]


def _sentence(text: str) -> str:
    """Begin with a capital, where the first word is no name."""
    word = text.partition(" ")[0]
    return text[:1].upper() + text[1:] if word.isalpha() else text


def _joined(paragraphs: list[str]) -> list[str]:
    lines: list[str] = []
    for number, paragraph in enumerate(paragraphs):
        lines += [".PP"] if number else []
        lines += _wrapped(paragraph)
    return lines


def _wrapped(text: str) -> list[str]:
    lines = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return [_escaped(line) for line in lines]


def _items(rows: list[tuple[str, str]]) -> Iterator[str]:
    for title, text in rows:
        yield ".TP"
        yield f"\\fB{_escaped(title)}\\fR"
        yield from _wrapped(text)


def _plain(markdown: str) -> str:
    return markdown.replace("`", "").replace("*", "")


def _escaped(text: str) -> str:
    """Take the meaning from what man(7) would act on."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("\u2013", "\\(en")
    return f"\\&{text}" if text[:1] in (".", "'") else text
