"""docs/explain.md: its examples are made by the command (`make docs`), its table of JSON members is compared here."""

import json
import re

from posthouse.commands.explain.model import Lookup, Place, Report, Section, Step
from tools import generate

DOCUMENT = (generate.ROOT / generate.EXPLAIN).read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^\$ posthouse explain (\w+)([^\n]*)$", re.MULTILINE)
ROW = re.compile(r"^\| (\w*) ?\| ([^|]*) \|", re.MULTILINE)


def test_examples_are_true() -> None:
    """Each command, run on the files that the document shows, writes what the document says."""
    assert generate.with_examples(DOCUMENT) == DOCUMENT


def test_an_example_that_is_not_true_is_found() -> None:
    """A word of an answer is another one."""
    assert generate.with_examples(DOCUMENT.replace("virtual mailbox", "mailbox")) == DOCUMENT


def test_there_is_an_example_of_each() -> None:
    """Subjects, and JSON."""
    examples = EXAMPLE.findall(DOCUMENT)
    assert {subject for subject, _ in examples} == {"session", "address", "parameter"}
    assert any("--json" in options for _, options in examples)


def full_report() -> Report:
    """Make a report in which nothing is empty."""
    where = Place("f", 1)
    lookup = Lookup("t", "k", "v", "e", where, "n")
    step = Step("kind", "name", "a", "r", "t", where, decided=True, lookups=[lookup], log=["l"])
    step.steps = [Step("kind", "name")]
    return Report("session", {"to": "x"}, "/c", [Section("s", "t", [step], "r")], "d", ["n"])


def test_every_member_is_in_the_table() -> None:
    """Of all objects, and no other."""
    report = json.loads(json.dumps(full_report().as_json()))
    section = report["sections"][0]
    step = section["steps"][0]
    lookup = step["lookups"][0]
    made = {"report": report, "section": section, "step": step, "lookup": lookup, "place": lookup["place"]}
    table = DOCUMENT.partition("| object | member |")[2].partition("\n\n")[0]
    documented: dict[str, set[str]] = {}
    current = ""
    for named, members in ROW.findall(table):
        current = named or current
        documented.setdefault(current, set()).update(re.findall(r"`(\w+)`", members))
    assert documented == {name: set(members) for name, members in made.items()}


def test_what_is_empty_is_left_out() -> None:
    """Only the members that are always there."""
    report = Report("session", {}, sections=[Section("s", "t", [Step("k", "n", lookups=[Lookup("t", "k")])])])
    (section,) = json.loads(json.dumps(report.as_json()))["sections"]
    assert section == {
        "name": "s",
        "title": "t",
        "steps": [{"kind": "k", "name": "n", "lookups": [{"table": "t", "key": "k", "value": None}]}],
    }
