"""make fuzz-config: throw inputs at everything that reads main.cf, master.cf and the values in them.

  python -m tests.fuzz.configuration [--inputs N] [--seed N] [--workers N] [--block N] [--only NAME]

Each check lets pass what its parser declares and nothing else: no other exception, and no result that contradicts
itself. Blocks, seeds and the limit on time are those of tests/fuzz/root.py.
"""

import contextlib
import random
import sys
from collections.abc import Callable, Sequence
from typing import Final

from posthouse.commands.postconf_master import blocks_of, fold_entry
from posthouse.config import catalog, edit, lists
from posthouse.config.endpoints import read_tcp_ports
from posthouse.config.expand import ExpansionLoopError, expand_value
from posthouse.config.level import CompatLevel
from posthouse.config.logical import LogicalLine, read_lines
from posthouse.config.main_cf import parse_main_cf
from posthouse.config.master_cf import (
    format_argument,
    format_columns,
    format_service,
    parse_master_cf,
    parse_service,
)
from posthouse.config.parameter import ConfigValueError
from posthouse.config.rows import check_setting
from posthouse.config.settings import Settings
from posthouse.config.usage import find_usage
from posthouse.util.errors import ConfigError
from tests.fuzz import root
from tests.fuzz.mutate import damaged
from tests.fuzz.records import Target, targets_of

INPUTS: Final = 1_000_000
PIECES: Final = (
    *("a", "b", "relayhost", "smtpd_restriction_classes", "process_name", "\u00e4", "1", "10m", "yes", "3.6", "x" * 70),
    *("$", "$$", "${", "$(", "{", "}", "(", ")", "?", ":", "==", "!=", "<", ">=", "<level", "=", ",", " ", "\t", "\n"),
    *("\n ", "#", "\\", '"', "-o", "-", "--", "-v", "inet", "unix", "smtp", "pipe", "n", "y", "60?", "/", "[::1]", "*"),
    *(
        "inline:{",
        "pipemap:{",
        "ldap:",
        "domain_to_ascii{",
        "\0",
        "\x7f",
        "\r",
        "mydomain",
        "myhostname",
        "${a?{",
        "}}",
    ),
)
SEEDS: Final = (
    b"a = $b ${c?{d}:{e}}\n  , more\n# comment\nb = ${{$a} == {x} ? {1} : {2}}\n",
    b"mydestination = $myhostname, inline:{{a = b}, {c = d}}\nvirtual_alias_maps = ldap:people\npeople_domain = x\n",
    b"smtp inet n - y - - smtpd\n  -o { a = b c } -oc=d -v\nuucp unix - n n - 5 pipe\n flags=F user=x argv={a b} $c\n",
    b"relay unix - - y 60? 100 smtp -o x=$y\n\n[::1]:25 inet n n - - 1 smtpd -vvo {mynetworks = [::1]/128}\n",
    b"${{3.6} <level {3.11} ? {old} : {new}} ${domain_to_ascii{\xc3\xa4.test}} $(x) $$",
)
NAMES: Final = tuple(sorted(catalog.entries()))


def pieces(source: random.Random) -> bytes:
    """Give words of the languages, in any order."""
    return "".join(source.choices(PIECES, k=source.randrange(1, 40))).encode()


def damaged_seed(source: random.Random) -> bytes:
    """Give a good text with mistakes."""
    return damaged(source, SEEDS)


def text_of(data: bytes) -> str:
    """Decode as the readers of files do."""
    return data.decode("utf-8", "surrogateescape")


def check_lines(data: bytes) -> None:
    """Logical lines are in order, and hold every octet that is no comment, blank line or line end."""
    last = 0
    for line in read_lines(data):
        assert last < line.first
        last = line.last if isinstance(line, LogicalLine) else line.first
        assert line.text.strip(b" \t\r\v\f")


def check_main_cf(data: bytes) -> None:
    """Only ConfigError; what was read can be searched, expanded, and written again."""
    try:
        main = parse_main_cf(data, "main.cf")
    except ConfigError:
        return
    find_usage(main.values, ())
    settings = Settings.from_mapping(main.values)
    for name in main.values:
        with contextlib.suppress(ConfigError):
            settings.text(name)
    edited, _ = edit.set_parameters(data, {"zz_new": "1"})
    assert parse_main_cf(edited, "main.cf").values == {**main.values, "zz_new": "1"}
    gone = edit.change_parameters(data, frozenset(main.values), edit.Change.REMOVE)
    assert not parse_main_cf(gone, "main.cf").values


def check_master_cf(data: bytes) -> None:
    """Only ConfigError; entries that are sound can be written in both ways and read again."""
    try:
        master = parse_master_cf(data, "master.cf")
    except ConfigError:
        return
    find_usage({}, master.services)
    assert sum(block.service is not None for block in blocks_of(data, "master.cf")) == len(master.services)
    for service in master.services:
        words = [format_argument(word) for word in service.arguments]
        folded = fold_entry(format_columns(service.columns), words)
        assert service.verbosity >= 0
        assert len(service.plain_arguments) <= len(service.arguments)
        if not master.problems and all(map(lists.is_balanced, (*service.columns, *service.arguments))):
            columns = (*service.columns,)
            assert parse_service(folded.replace("\n", ""))[0].columns == columns, folded
            assert parse_service(format_service(service))[0].columns == columns


def check_expansion(data: bytes) -> None:
    """Only ExpansionLoopError, and a problem is told when there is one."""
    text = text_of(data)
    values = {"a": "$b", "b": "${c?{$a}:{x}}", "relayhost": text[:50], "mydomain": "x.test"}
    with contextlib.suppress(ExpansionLoopError):
        result = expand_value(text, values.get)
        assert result.syntax_error == bool(result.problems)
        if "$" not in text:
            assert result.text == text


def check_lists(data: bytes) -> None:
    """Only ListSyntaxError; the other splitters take everything and lose nothing."""
    text = text_of(data)
    with contextlib.suppress(lists.ListSyntaxError):
        items = lists.parse_items(text)
        assert lists.parse_items(lists.format_items(items)) == items
    faults: list[str] = []
    assert len(lists.split_payloads(text, faults)) >= len(faults)
    for braces, quotes in ((False, False), (True, False), (False, True)):
        words = lists.split_words(text, braces=braces, quotes=quotes)
        assert all(words)
        assert sum(map(len, words)) <= len(text)
    with contextlib.suppress(ValueError):
        name, _ = lists.split_name_value(text)
        assert name


def check_values(data: bytes) -> None:
    """Only ConfigValueError, whatever the parameter; a level that is one reads back."""
    text = text_of(data)
    with contextlib.suppress(ConfigValueError):
        check_setting(NAMES[len(data) * 31 % len(NAMES)], text)
    with contextlib.suppress(ValueError):
        level = CompatLevel.parse(text)
        assert CompatLevel.parse(str(level)) == level
    ports, _ = read_tcp_ports(text)
    assert all(0 < port < 65536 for port in ports.values())


def targets() -> Sequence[Target]:
    """Give all targets, each with words in any order and with damaged texts."""
    checks: tuple[Callable[[bytes], None], ...] = (
        check_lines,
        check_main_cf,
        check_master_cf,
        check_expansion,
        check_lists,
        check_values,
    )
    return targets_of(checks, (pieces, damaged_seed))


def main(argv: list[str] | None = None) -> int:
    """Run; exit status 1 when something was found."""
    return root.main(argv, targets(), INPUTS)


if __name__ == "__main__":
    sys.exit(main())
