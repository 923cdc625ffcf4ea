"""Templates of notices, as a file of bounce(5) has them: header fields and text for each kind of notice.

A file sets any of failure, delay, success and verify; what it leaves out keeps its default. Source: bounce(5).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

_BEGIN: Final = re.compile(r"(\w+)[ \t]*=[ \t]*<<[ \t]*(\S+)[ \t]*$", re.ASCII)
_FIELD: Final = re.compile(r"([!-9;-~]+)[ \t]*:[ \t]*(.*?)[ \t]*$")
_SUFFIX: Final = "_template"
_FIELDS: Final = {
    "charset": "charset",
    "from": "sender",
    "subject": "subject",
    "postmaster-subject": "postmaster_subject",
}

Report = Callable[[str], None]


class TemplateError(ValueError):
    """A file of templates cannot be used; str() is "line N: why"."""


class Template(NamedTuple):
    """One kind of notice. postmaster_subject: "" where the postmaster gets no copy."""

    charset: str
    sender: str  # of the From: field
    subject: str
    postmaster_subject: str
    lines: tuple[str, ...]  # of the text; $name stands for parameters, $$ for a dollar sign

    def dump(self, name: str) -> str:
        """Write it as a file has it."""
        fields = [("Charset", self.charset), ("From", self.sender), ("Subject", self.subject)]
        fields += [("Postmaster-Subject", self.postmaster_subject)] if self.postmaster_subject else []
        head = [f"{label}: {text}" for label, text in fields]
        return block(f"{name}{_SUFFIX}", [*head, "", *self.lines])


def block(name: str, lines: "list[str] | tuple[str, ...]") -> str:
    """Write lines between a name and EOF."""
    return "".join(f"{line}\n" for line in (f"{name} = <<EOF", *lines, "EOF"))


def parse_templates(text: str, defaults: Mapping[str, Template], warn: Report) -> dict[str, Template]:
    """Read a file of templates; `warn` gets "line N: what is ignored". Raises TemplateError."""
    found = dict(defaults)
    for name, number, lines in _blocks(text):
        kind = name.removesuffix(_SUFFIX)
        if not name.endswith(_SUFFIX) or kind not in defaults:
            warn(f"line {number}: unknown template name: {name} -- ignoring this template")
        else:
            try:
                found[kind] = _template(lines, number - len(lines), defaults[kind])
            except TemplateError as error:
                warn(f"{error} in {kind} template -- ignoring this template")
    return found


def _blocks(text: str) -> Iterator[tuple[str, int, list[str]]]:
    """Give name, number of the last line, and lines of each block."""
    lines = text.split("\n")
    if lines[-1] == "":
        del lines[-1]
    at = 0
    while at < len(lines):
        line = lines[at]
        at += 1
        if not line.strip() or line.startswith("#"):
            continue
        begin = _BEGIN.match(line)
        if begin is None:
            raise TemplateError(f'line {at}: expected NAME{_SUFFIX} = <<EOF, found "{line[:100]}"')
        try:
            end = lines.index(begin[2], at)
        except ValueError:
            raise TemplateError(f'line {at}: missing "{begin[2]}" end marker') from None
        yield begin[1], end, lines[at:end]
        at = end + 1


def _template(lines: list[str], first: int, default: Template) -> Template:
    """Read one block; without an empty line it is all header. Raises TemplateError."""
    found = dict[str, str]()
    end = next((at for at, line in enumerate(lines) if not _FIELD.match(line)), len(lines))
    for number, line in enumerate(lines[:end], first + 1):
        field = _FIELD.match(line)
        label = field[1].lower() if field else ""
        name = _FIELDS.get(label, "")
        if field is None or not name:
            raise TemplateError(f'line {number}: unknown "{line.partition(":")[0][:100]}" header label')
        if name == "postmaster_subject" and not default.postmaster_subject:
            raise TemplateError(f'line {number}: inapplicable "{field[1]}" header label')
        if not line.isascii():
            raise TemplateError(f'line {number}: non-ASCII text in the "{field[1]}" header')
        found[name] = field[2]
    text = lines[end:]
    if text and text[0].strip():
        raise TemplateError(f'line {first + end + 1}: neither header nor empty line: "{text[0][:100]}"')
    return default._replace(lines=tuple(text[1:]), **found)
