"""make fuzz-tables: throw inputs at what reads tables, settings of tables, and replies of the servers behind them.

  python -m tests.fuzz.tables [--inputs N] [--seed N] [--workers N] [--block N] [--only NAME]

Each check lets pass what its parser declares and nothing else. Files of Berkeley DB and cdb are damaged in
tests/unit/tables. Blocks, seeds and the limit on time are those of tests/fuzz/root.py.
"""

import contextlib
import random
import sys
from collections.abc import Callable, Sequence
from typing import Final

from posthouse.commands.queue_file import QueueFileError, Shown, show
from posthouse.config.settings import Settings
from posthouse.protocol import json_pointer, memcached, socketmap, tcp_table
from posthouse.protocol.ldap import ber, message, url
from posthouse.protocol.ldap import filter as ldap_filter
from posthouse.protocol.message.templates import Template, TemplateError, parse_templates
from posthouse.rewriting.alias_source import alias_entries
from posthouse.tables.cidr import Cidr
from posthouse.tables.expansion import Parts
from posthouse.tables.expansion import Template as Query
from posthouse.tables.file_table import FileTable, Origin
from posthouse.tables.map_spec import parse_map_spec
from posthouse.tables.open import Opener
from posthouse.tables.pcre import Pcre
from posthouse.tables.regexp import Regexp
from posthouse.tables.source import entries
from posthouse.tables.table import DEFAULT_FLAGS
from posthouse.util.errors import ConfigError, TableError
from tests.fuzz import root
from tests.fuzz.mutate import damaged
from tests.fuzz.records import Target, targets_of
from tests.support.lookups import logged, now
from tests.support.pieces import read_in_pieces

INPUTS: Final = 1_000_000
LIMIT: Final = 2000  # octets of a reply
KEYS: Final = ("a", "a@example.com", "192.0.2.1", "2001:db8::1", "Subject: x", "\u00e4", "\udcff", "", "x" * 300)
PIECES: Final = (
    *(
        "a",
        "b@example.com",
        "192.0.2.0/24",
        "!10.0.0.0/8",
        "2001:db8::/32",
        "[::1]",
        "/^a(b+)$/i",
        "!/x/",
        "if",
        "endif",
    ),
    *("REJECT", "$1", "${2}", "OK", "\n", "\n ", " ", "\t", "#", '"', "\\", ":", ",", "{", "}", "%s", "%u", "%d", "%1"),
    *("%%", "%x", "=", "endif", "inline:{", "static:", "failure_template = <<EOF", "EOF", "Subject:", "$name"),
    *(
        "(",
        ")",
        "&",
        "|",
        "!",
        "*",
        "(uid=%s)",
        "ldap://h/dc=x??sub?",
        "~0",
        "~1",
        "/",
        "\0",
        "\u00e4",
        "\x7f",
        "9" * 30,
    ),
)
SEEDS: Final = (
    b'a b\n c\nd@example.com e, f\n"q r" s\n# x\n',
    b'root: joe\npostmaster: root, "|/bin/x y"\nlist: :include:/etc/list\n',
    b"if 192.0.2.0/24\n!192.0.2.4/30 REJECT not you\n192.0.2.0/25 OK\nendif\n::/0 DUNNO\n",
    b"if /^Subject:/\n/^Subject: (.*) (\\d+)/i REJECT $1 ${2}\n!/x/ WARN\nendif\n/(a|b)\\1/ OK\n",
    b"{{a = b}, {c = {d e}}}",
    b"SELECT m FROM t WHERE u = '%u' AND d = '%d' -- %%",
    b"{inline:{{a = b}} {search_order = issuer_cn, subject_cn}}",
    b"5:OK ab,", b"200 one%20two\n", b"VALUE k 0 3\r\none\r\nEND\r\n",
    b"(&(|(mail=%s)(mail=*@%d))(!(off=\\2a)))", b"ldaps://h:636/dc=x?mail,cn?sub?(uid=a%20b)?!x", b"/a/0/b~1c",
    bytes.fromhex("300c02010165070a010004000400"),
    b"failure_template = <<EOF\nSubject: x\n\n$myhostname $$\nEOF\n",
    b"C\x0f            332T\x09123456789S\x01aM\x00N\x07Subj: xN\x00X\x00O\x01bR\x01bE\x00",
)  # fmt: skip
KEY: Final = Parts.of("joe@mail.example.com")
_ORDERS: Final = ("cert_fingerprint", "pubkey_fingerprint", "issuer_cn", "subject_cn")
_DEFAULTS: Final = {"failure": Template("us-ascii", "a", "b", "c", ("d",)), "verify": Template("x", "a", "b", "", ())}


def pieces(source: random.Random) -> bytes:
    """Give words of the languages, in any order."""
    return "".join(source.choices(PIECES, k=source.randrange(1, 30))).encode()


def damaged_seed(source: random.Random) -> bytes:
    """Give a good text with mistakes."""
    return damaged(source, SEEDS)


def text_of(data: bytes) -> str:
    """Decode as the readers of tables do."""
    return data.decode("utf-8", "surrogateescape")


def check_sources(data: bytes) -> None:
    """Every line is an entry or is reported; entries have a key and a value, in order."""
    for read in (entries, alias_entries):
        reported: list[str] = []
        found = list(read(text_of(data), reported.append))
        assert all(entry.key and entry.value for entry in found)
        assert [entry.number for entry in found] == sorted(entry.number for entry in found)


def check_tables(data: bytes) -> None:
    """A wrong line is reported and left out; a lookup gives a value, nothing, or a TableError."""
    kinds: tuple[tuple[str, Callable[[Origin, str], FileTable]], ...] = (
        ("cidr", Cidr),
        ("regexp", Regexp),
        ("pcre", Pcre),
    )
    with logged():
        for kind, make in kinds:
            table = make(Origin(kind, "/table", DEFAULT_FLAGS), text_of(data))
            for key in KEYS:
                with contextlib.suppress(TableError):
                    found = table.get(key)
                    assert found is None or isinstance(found, str)
            table.close()


def check_names(data: bytes) -> None:
    """What stands in the name of a table: only ConfigError, or ValueError of a search order."""
    text = text_of(data)
    opener = Opener(Settings.from_mapping({}))
    with logged():
        for kind in ("inline", "static", "randmap", "cidr", "regexp", "pcre"):
            name = text if kind in ("inline", "static") else "{" + text + "}"
            with contextlib.suppress(ConfigError, TableError):
                now(opener.open(f"{kind}:{name}").lookup("a"))
    with contextlib.suppress(ValueError):
        assert parse_map_spec(text, _ORDERS).table


def check_queries(data: bytes) -> None:
    """Only ValueError; what is filled in holds every literal character of the text."""
    with contextlib.suppress(ValueError):
        query = Query(text_of(data))
        if query.fits(KEY):
            assert len(query.fill(KEY)) >= sum(len(literal) for literal, _ in query.pieces)


def check_replies(data: bytes) -> None:
    """Only what each protocol calls malformed; how it is cut changes nothing."""
    readers: tuple[tuple[Callable[[], object], type[Exception]], ...] = (
        (lambda: socketmap.ReplyReader(LIMIT), socketmap.MalformedReply),
        (tcp_table.ReplyReader, tcp_table.MalformedReply),
        (lambda: memcached.ReplyReader(b"k", line_limit=LIMIT, data_limit=LIMIT), memcached.MalformedReply),
        (lambda: memcached.ReplyReader(None, line_limit=LIMIT, data_limit=LIMIT), memcached.MalformedReply),
        (lambda: message.AnswerReader(1, LIMIT), ber.MalformedMessage),
    )
    for make, error in readers:
        whole = read_in_pieces(make(), data, len(data) or 1, error)  # type: ignore[arg-type]
        assert isinstance(whole, str) or whole == read_in_pieces(make(), data, 3, error)  # type: ignore[arg-type]


def check_ldap_texts(data: bytes) -> None:
    """Only what they declare; a quoted value makes one value of a filter, whatever is in it."""
    text = text_of(data)
    with contextlib.suppress(ldap_filter.MalformedFilter):
        assert ldap_filter.encode_filter(text)
    quoted = ldap_filter.encode_filter(f"(uid={ldap_filter.quote_value(text)})")
    assert quoted.endswith(data)
    with contextlib.suppress(ValueError):
        url.parse_url(text)
    with contextlib.suppress(ValueError):
        parts = json_pointer.parse_pointer(text)
        with contextlib.suppress(json_pointer.Missing):
            json_pointer.find({"a": [{"b/c": 1}], "": 2}, parts)


def check_files(data: bytes) -> None:
    """Templates of notices, and queue files of Postfix's: what they declare."""
    with contextlib.suppress(TemplateError):
        assert parse_templates(text_of(data), _DEFAULTS, lambda _: None).keys() == _DEFAULTS.keys()
    with contextlib.suppress(QueueFileError):
        list(show(data, "file", Shown(frozenset({"-e", "-h", "-b"}), verbose=True)))


def targets() -> Sequence[Target]:
    """Give all targets, each with words in any order and with damaged texts."""
    checks: tuple[Callable[[bytes], None], ...] = (
        check_sources,
        check_tables,
        check_names,
        check_queries,
        check_replies,
        check_ldap_texts,
        check_files,
    )
    return targets_of(checks, (pieces, damaged_seed))


def main(argv: list[str] | None = None) -> int:
    """Run; exit status 1 when something was found."""
    return root.main(argv, targets(), INPUTS)


if __name__ == "__main__":
    sys.exit(main())
