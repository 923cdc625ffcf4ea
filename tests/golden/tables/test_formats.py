"""Files that either system wrote, read by the other; pattern tables, with the same rules and many keys in both."""

import os
import random
import string
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from posthouse.commands import postalias as our_postalias
from posthouse.commands import postmap as our_postmap
from posthouse.tables.table import LocalTable
from tests.support.bdb import HAS_POSTMAP, postmap, source
from tests.support.lookups import logged, opener
from tests.support.peers import find_peer

pytestmark = pytest.mark.skipif(not HAS_POSTMAP, reason="Debian's postfix is not installed")
PLUGINS = Path("/usr/lib/postfix")
TYPES = [
    "hash",
    "btree",
    *(
        pytest.param(name, marks=pytest.mark.skipif(not (PLUGINS / f"postfix-{name}.so").exists(), reason=f"no {name}"))
        for name in ("lmdb", "cdb")
    ),
]
COMMON = TYPES[2:]  # formats that both write
CONTENTS = {
    **{f"user{number}@example.com": f"value {number}" for number in range(700)},
    "long": "x" * 30_000,
    "a.b": "letters",
    '"two words"': "quoted",
    "ünï@exämple.org": "drei",
}


def _table(directory: Path, spec: str) -> LocalTable:
    table = opener(str(directory)).open(spec)
    assert isinstance(table, LocalTable)
    return table


def _queries(keys: Iterable[str]) -> str:
    return "".join(f"{key}\n" for key in keys)


def _answers(table: LocalTable, keys: Iterable[str]) -> list[str]:
    """Say what postmap -q - would print."""
    return [f"{key}\t{value}" for key in keys if (value := table.get(key)) is not None]


def _their_answers(directory: Path, spec: str, keys: Iterable[str]) -> list[str]:
    done = postmap(directory, "-q", "-", spec, text=_queries(keys))
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("options", [[], ["-n"], ["-N"], ["-f"]], ids=str)
def test_we_read_what_their_postmap_wrote(kind: str, options: list[str], tmp_path: Path) -> None:
    """With and without NUL, folded or not."""
    source(tmp_path, "map", CONTENTS)
    assert postmap(tmp_path, *options, f"{kind}:map").returncode == 0
    with logged():
        assert _answers(_table(tmp_path, f"{kind}:map"), [*CONTENTS, "other"]) == [
            f"{key}\t{value}" for key, value in CONTENTS.items()
        ]


@pytest.mark.parametrize("kind", COMMON)
@pytest.mark.parametrize("options", [[], ["-n"], ["-N"]], ids=str)
def test_they_read_what_our_postmap_wrote(
    kind: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file, by our command."""
    source(tmp_path, "map", CONTENTS)
    postmap(tmp_path, "-q", "x", "static:x")  # makes main.cf
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    assert our_postmap.main([*options, f"{kind}:map"]) == 0
    assert _their_answers(tmp_path, f"{kind}:map", [*CONTENTS, "other"]) == [
        f"{key}\t{value}" for key, value in CONTENTS.items()
    ]


@pytest.mark.parametrize("kind", TYPES)
def test_aliases(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of theirs answers our postalias -q; where the format is common, both make the same entries."""
    (tmp_path / "aliases").write_text('Root: a@b,"|cmd x",:include:/l , /f\n"first last": x\ntwo: a\n b\n')
    os.utime(tmp_path / "aliases", (1_000_000_000, 1_000_000_000))
    postmap(tmp_path, "-q", "x", "static:x")
    environment = {**os.environ, "MAIL_CONFIG": str(tmp_path)}
    made = subprocess.run([find_peer("postalias"), f"{kind}:aliases"], cwd=tmp_path, env=environment, check=True)
    assert made.returncode == 0
    with logged():
        theirs = dict(_table(tmp_path, f"{kind}:aliases").items())
    assert theirs["root"] == 'a@b, "|cmd x", :include:/l, /f'
    assert theirs["@"] == "@"
    for path in tmp_path.glob("aliases.*"):
        path.unlink()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))
    assert our_postalias.main([f"{kind}:aliases"]) == 0
    ours = dict(_table(tmp_path, f"{kind}:aliases").items())
    assert abs(int(ours.pop("YP_LAST_MODIFIED")) - int(theirs.pop("YP_LAST_MODIFIED"))) < 1000
    assert ours == theirs


def test_we_read_a_cdb_file_that_their_postmap_replaces(tmp_path: Path) -> None:
    """While it is open here."""
    source(tmp_path, "map", {"a": "1"})
    if postmap(tmp_path, "cdb:map").returncode:
        pytest.skip("no cdb")
    table = _table(tmp_path, "cdb:map")
    source(tmp_path, "map", {"a": "2"})
    postmap(tmp_path, "cdb:map")
    table.poll()
    assert table.get("a") == "2"


def _addresses(generator: random.Random, number: int) -> list[str]:
    v4 = [
        ".".join(str(generator.choice((10, 10, 192, generator.randrange(256)))) for _ in range(4))
        for _ in range(number)
    ]
    v6 = [
        f"2001:db8:{generator.randrange(4):x}:{generator.randrange(4):x}::{generator.randrange(9):x}"
        for _ in range(number)
    ]
    return [*v4, *v6, "host.example", "10.0.0", "::", "::ffff:10.0.0.1", "1.2.3.4 ", "300.1.1.1"]


def _cidr_rules(generator: random.Random) -> list[str]:
    rules, depth = list[str](), 0
    for place in range(250):
        length = generator.choice((8, 9, 12, 16, 20, 24, 25, 31, 32))
        octets = [generator.choice((10, 192, generator.randrange(256))) for _ in range(4)]
        number = int.from_bytes(bytes(octets), "big") >> (32 - length) << (32 - length)
        network = ".".join(map(str, number.to_bytes(4, "big"))) + f"/{length}"
        if generator.random() < 0.2:
            network = f"2001:db8:{generator.randrange(4):x}::/{generator.choice((48, 50))}"
        negation = "!" if generator.random() < 0.06 else ""
        if depth < 3 and generator.random() < 0.08:
            depth += 1
            rules.append(f"if {negation}{network}")
        elif depth and generator.random() < 0.2:
            depth -= 1
            rules.append("endif")
        else:
            rules.append(f"{negation}{network} r{place}")
    return [*rules, *(["endif"] * depth)]


@pytest.mark.parametrize("seed", range(6))
def test_cidr_tables_agree(seed: int, tmp_path: Path) -> None:
    """Hundreds of rules with blocks and negation, thousands of addresses."""
    generator = random.Random(seed)
    (tmp_path / "cidr").write_text("\n".join(_cidr_rules(generator)) + "\n")
    keys = _addresses(generator, 600)
    with logged():
        ours = _answers(_table(tmp_path, "cidr:cidr"), keys)
    assert ours == _their_answers(tmp_path, "cidr:cidr", keys)
    assert len(ours) > 100


def _pattern_rules(generator: random.Random, words: Sequence[str], perl: bool) -> list[str]:
    pieces = [
        "{w}", "{w}", "{w}", "^{w}", "{w}$", "({w}|{v})", "[{c}-z]{w}", "{w}.*{v}", "{w}+", "({w})?{v}", "^(.*)@{w}",
        "[[:digit:]]{{2,3}}{w}", "{w}[^a-m]", "\\.{w}", "(^|[-.]){w}([-.]|$)",
    ]  # fmt: skip
    if perl:
        pieces += ["\\b{w}\\b", "(?i){w}", "{w}(?!{v})", "(?<={c}){w}", "^{w}\\d+", "{w}.*?{v}", "(?:{w}|{v})(x)?"]
    rules, depth = list[str](), 0
    for place in range(160):
        pattern = "".join(
            generator.choice(pieces).format(
                w=generator.choice(words), v=generator.choice(words), c=generator.choice("adm")
            )
            for _ in range(generator.choice((1, 1, 2)))
        )
        condition = ("!" if generator.random() < 0.04 else "") + f"/{pattern}/" + generator.choice(["", "", "", "i"])
        if depth < 3 and generator.random() < 0.08:
            depth += 1
            rules.append(f"if {condition}")
        elif depth and generator.random() < 0.25:
            depth -= 1
            rules.append("endif")
        else:
            substitution = " <$1>" if "(" in pattern.replace("(?", "") and not condition.startswith("!") else ""
            rules.append(f"{condition} r{place}{substitution}")
    return [*rules, *(["endif"] * depth)]


PATTERN_TYPES = [
    "regexp",
    pytest.param("pcre", marks=pytest.mark.skipif(not (PLUGINS / "postfix-pcre.so").exists(), reason="no pcre")),
]


@pytest.mark.parametrize("kind", PATTERN_TYPES)
@pytest.mark.parametrize("seed", range(6))
def test_pattern_tables_agree(kind: str, seed: int, tmp_path: Path) -> None:
    """More than a hundred patterns with blocks, negation and substitution; header lines, addresses, names."""
    generator = random.Random(seed)
    words = ["".join(generator.choices(string.ascii_lowercase[:8], k=generator.randrange(1, 4))) for _ in range(60)]
    (tmp_path / "rules").write_text("\n".join(_pattern_rules(generator, words, kind == "pcre")) + "\n")
    keys = [
        "".join(
            generator.choice([*words, "@", ".", "-", " ", "12", "X", "Subject: "])
            for _ in range(generator.randrange(1, 9))
        )
        for _ in range(1500)
    ]
    keys = [key for key in (key.strip() for key in keys) if key]
    with logged():
        ours = _answers(_table(tmp_path, f"{kind}:rules"), keys)
    assert ours == _their_answers(tmp_path, f"{kind}:rules", keys)
    assert len(ours) > 300
