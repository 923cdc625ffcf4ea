"""What an explanation is made of: a Report of Sections of Steps, which may have Steps of their own.

One shape serves people (text.py) and machines (`as_json`), so whatever joins later is shown without further work.
docs/explain.md describes it; members are added, never renamed, and what is empty is left out.
"""

from dataclasses import dataclass, field
from typing import Final

VERSION: Final = 1  # of the JSON; raised when a member is renamed or taken out


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is written. line 0: the file as a whole."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        """FILE:LINE."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(slots=True)
class Lookup:
    """One question to a lookup table. value None: it does not have the key. error: it could not be asked."""

    table: str
    key: str
    value: str | None = None
    error: str = ""
    place: Place | None = None  # of the entry, in the text that the table is made from
    note: str = ""


@dataclass(slots=True)
class Step:
    """One thing that was done or decided. name: a parameter, restriction, command or daemon.

    kind: what sort of step, for machines ("command", "list", "restriction", "rewrite" ...). result: in a word or two.
    text: the reply, or the reason. decided: whether this is the step that decided.
    """

    kind: str
    name: str
    argument: str = ""
    result: str = ""
    text: str = ""
    place: Place | None = None
    decided: bool = False
    lookups: list[Lookup] = field(default_factory=list)
    log: list[str] = field(default_factory=list)  # what the daemon would write into the log
    steps: list["Step"] = field(default_factory=list)


@dataclass(slots=True)
class Section:
    """A part of the explanation, from one Explainer."""

    name: str
    title: str
    steps: list[Step] = field(default_factory=list)
    result: str = ""


@dataclass(slots=True)
class Report:
    """An explanation. notes: what could not be read or asked. decision: the end, a line for each recipient."""

    subject: str  # "address", "session", "parameter"
    asked: dict[str, object]
    directory: str = ""
    sections: list[Section] = field(default_factory=list)
    decision: str = ""
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def as_json(self) -> dict[str, object]:
        """Give the documented shape."""
        head: dict[str, object] = {
            "version": VERSION,
            "subject": self.subject,
            "asked": self.asked,
            "configuration": self.directory,
            "decision": self.decision,
        }
        return head | _plain({"notes": self.notes, "sections": [_section(each) for each in self.sections]})


def _plain(members: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in members.items() if value not in ("", None, [], False)}


def _place(place: Place | None) -> object:
    return None if place is None else _plain({"file": place.file, "line": place.line or None})


def _section(section: Section) -> object:
    steps = [_step(step) for step in section.steps]
    return {"name": section.name, "title": section.title, **_plain({"result": section.result, "steps": steps})}


def _step(step: Step) -> object:
    more = {
        "argument": step.argument,
        "result": step.result,
        "text": step.text,
        "place": _place(step.place),
        "decided": step.decided,
        "lookups": [_lookup(each) for each in step.lookups],
        "log": step.log,
        "steps": [_step(each) for each in step.steps],
    }
    return {"kind": step.kind, "name": step.name, **_plain(more)}


def _lookup(lookup: Lookup) -> object:
    more = _plain({"error": lookup.error, "place": _place(lookup.place), "note": lookup.note})
    return {"table": lookup.table, "key": lookup.key, "value": lookup.value, **more}
