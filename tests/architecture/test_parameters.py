"""The table of parameters says truly what the code reads: nothing is declared in vain, nothing is read undeclared."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from posthouse.commands.registry import registry
from posthouse.config import catalog, parameters
from posthouse.config.usage import references
from posthouse.daemons.smtp import options
from posthouse.daemons.smtp.parameters import SMTP_PARAMETERS, lmtp_row
from tests.support import parameter_use
from tests.support.parameter_use import Module, modules, names_asked, rows_made, rows_read, values_dropped

BUILT = registry()


@pytest.fixture(scope="module")
def every_module() -> list[Module]:
    """Give the whole package, read once."""
    return modules()


def _used(every_module: list[Module]) -> set[str]:
    """Name what is read: rows and names in the code, what lmtp reads as smtp, and what their defaults refer to."""
    used: set[str] = set()
    for module in every_module:
        used |= rows_read(module)
        if not parameter_use.NO_READERS.match(module.name):
            patterns = [reading.pattern for reading in names_asked(module)]
            used |= {name for name in BUILT.parameters if any(re.fullmatch(each, name) for each in patterns)}
    used |= {lmtp_row(row).name for row in SMTP_PARAMETERS if row.name in used}
    templates = {family.template.name: family.template for family in BUILT.families}
    waiting = list(used)
    for name in waiting:  # grows while it is walked
        row = BUILT.parameters.get(name) or templates.get(name)
        more = set(references(row.default)) - used if row is not None else set()
        used |= more
        waiting += more
    return used


def test_every_parameter_that_is_called_used_is_read_by_code(every_module: list[Module]) -> None:
    """A row, or a family, that nothing reads makes an administrator believe in a setting: take it out of the code."""
    used = _used(every_module)
    declared = [*BUILT.parameters, *(family.template.name for family in BUILT.families)]
    assert [name for name in declared if name not in used] == []


def test_what_is_read_is_used(every_module: list[Module]) -> None:
    """A value that a daemon keeps and never looks at has no more effect than one that it does not read."""
    assert values_dropped(every_module) == []


def test_a_value_that_is_dropped_is_found() -> None:
    """Of two fields of a class that reads settings, the one without a reader."""
    code = (
        "class A:\n"
        "    kept_s: float\n"
        "    dropped_s: float\n"
        "    @classmethod\n"
        "    def of(cls, settings):\n"
        "        return cls(settings[X], settings[Y])\n"
        "def f(a):\n"
        "    return a.kept_s\n"
    )
    assert values_dropped([Module("daemons/sample.py", code, ModuleType("sample"))]) == [
        "daemons/sample.py: A.dropped_s"
    ]


def test_lmtp_reads_the_rows_of_smtp_under_their_other_names() -> None:
    """Which is why a lmtp_ row counts as read where its smtp_ row is."""
    tree = Module.of_file(Path(options.__file__))
    assert "lmtp_row" in {getattr(node, "id", "") for node in tree.nodes()}


def test_every_row_in_the_code_is_in_the_registry(every_module: list[Module]) -> None:
    """A daemon cannot read a parameter that the checks and the documents do not know of."""
    families = {family.template.name for family in BUILT.families}
    made = [(place, name) for module in every_module for place, name in rows_made(module)]
    assert len(made) > 200
    assert [row for row in made if row[1] not in BUILT.parameters and row[1] not in families] == []
    names = [name for _, name in made]
    assert [row for row in made if names.count(row[1]) > 1] == [], "rows of one name may come to differ"


def test_what_the_default_of_a_row_refers_to_has_a_row() -> None:
    """To set it has an effect. The lists of proxymap are another matter: there a name means other services' values."""
    rows = [row for row in BUILT.parameters.values() if not row.name.startswith("proxy_")]
    reached = {name for row in rows for name in references(row.default)}
    assert [name for name in sorted(reached & catalog.entries().keys()) if BUILT.find(name) is None] == []


def test_every_name_in_the_code_is_in_the_catalog(every_module: list[Module]) -> None:
    """But for what the orders tell daemons by way of settings, which begins with our own name."""
    unknown = [
        reading
        for module in every_module
        for reading in names_asked(module)
        if not reading.pattern.startswith("posthouse_")
        and not any(re.fullmatch(reading.pattern, name) for name in catalog.entries())
    ]
    assert unknown == []


@pytest.mark.parametrize(
    ("code", "rows", "names"),
    [
        ("def f(s):\n    return s[MYHOSTNAME]\n", {"myhostname"}, []),
        ("from posthouse.config.parameters import MYHOSTNAME\nPARAMETERS = (MYHOSTNAME,)\n", set(), []),
        ("def f(s):\n    return s.text(RELAYHOST.name)\n", {"relayhost"}, []),
        ("def f(s):\n    return s[table.MYORIGIN]\n", {"myorigin"}, []),
        ("def f(s):\n    return [s[row] for row in BOTH]\n", {"myhostname", "mydomain"}, []),
        ("def f(s):\n    return s.text('relayhost') + s.raw(NAME)\n", set(), ["relayhost", "mynetworks"]),
        ("def f(s, p):\n    return s.text(f'{p}_tls_loglevel')\n", set(), [r"\w+_tls_loglevel"]),
        ("def f(s, name):\n    return s.text(name)\n", set(), []),
    ],
)
def test_the_search_finds_what_it_should(code: str, rows: set[str], names: list[str]) -> None:
    """Rows by name, by module and in tuples; names as text, as constants and in part; no declarations."""
    namespace = ModuleType("sample")
    vars(namespace).update(table=parameters, NAME="mynetworks", BOTH=(parameters.MYHOSTNAME, parameters.MYDOMAIN))
    vars(namespace).update(MYHOSTNAME=parameters.MYHOSTNAME, RELAYHOST=parameters.RELAYHOST)
    module = Module("daemons/sample.py", code, namespace)
    assert rows_read(module) == rows
    assert sorted(reading.pattern for reading in names_asked(module)) == sorted(names)
