"""posthouse check: what it writes, for people and for machines, and its exit status; how far it looks into tables."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from posthouse.commands import posthouse
from posthouse.commands.check import main
from posthouse.commands.check.probe import MAX_BYTES, MAX_ENTRIES, TableProbe
from posthouse.commands.check.show import as_text
from posthouse.config.findings import ERROR, KINDS, WARNING, Finding
from tests.support.findings import GOOD_MAIN, GOOD_MASTER
from tests.support.servers import OURS


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Make a sound configuration."""
    (tmp_path / "main.cf").write_text(GOOD_MAIN)
    (tmp_path / "master.cf").write_text(GOOD_MASTER.replace("smtp      inet", "2525      inet"))
    return tmp_path


def add(directory: Path, text: str) -> None:
    """Append to main.cf."""
    with (directory / "main.cf").open("a") as file:
        file.write(text)


def test_a_sound_configuration(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is found, and that is said; with --strict too. Nothing is written."""
    before = sorted(directory.iterdir())
    assert posthouse.main(["posthouse", "check", "-c", str(directory)]) == 0
    assert capsys.readouterr().out == "nothing found\n"
    assert main(["--strict", "-c", str(directory)]) == 0
    assert sorted(directory.iterdir()) == before


@pytest.mark.parametrize(
    ("line", "words", "status"),
    [
        ("relayhots = a\n", [], 0),
        ("relayhots = a\n", ["--strict"], 1),
        ("queue_minfree = 10\n", ["--strict", "--ignore", "not-supported"], 0),
        ("max_use = 0\n", [], 2),
        ("max_use = 0\n", ["--strict", "--json"], 2),
        ("max_use = 0\nrelayhots = a\n", ["--strict", "--ignore", "bad-value"], 1),
        ("max_use = 0\nrelayhots = a\n", ["--strict", "--only=bad-value,syntax"], 2),
        ("relayhots = a\n", ["--strict", "--only", "syntax"], 0),
        ("no equals sign\n", [], 2),
        ("", ["--only", "no-such-kind"], 64),
        ("", ["--dance"], 64),
        ("", ["word"], 64),
        ("", ["--help"], 0),
    ],
)
def test_exit_status(directory: Path, line: str, words: list[str], status: int) -> None:
    """0 nothing that counts, 1 warnings when they count, 2 errors, 64 wrong usage."""
    add(directory, line)
    assert main(["-c", str(directory), *words]) == status


def test_a_missing_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is an error, and named."""
    assert main(["-c", str(tmp_path / "none")]) == 2
    assert "there is no such directory" in capsys.readouterr().out


def test_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One array, each finding with all its fields."""
    add(directory, "relayhots = a\n")
    assert main(["--json", "-c", str(directory)]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {
            "id": "unknown-parameter",
            "severity": "warning",
            "file": f"{directory}/main.cf",
            "line": 4,
            "what": "unused parameter: relayhots",
            "consequence": "it has no effect",
            "fix": 'did you mean "relayhost"?',
        }
    ]
    main(["--json", "--ignore", "unknown-parameter", "-c", str(directory)])
    assert json.loads(capsys.readouterr().out) == []


FOUND = [
    Finding("second", WARNING, "/etc/postfix/main.cf", 12, "b is odd", "mail waits", "write: b = c"),
    Finding("first", ERROR, "/etc/postfix/main.cf", 3, "a \x1b[31m is " + "very " * 18 + "wrong", "", ""),
    Finding("whole", WARNING, "/etc/postfix/master.cf", 0, "no qmgr", "mail waits", ""),
]
TEXT = """\
/etc/postfix/main.cf
     3  error    a ?[31m is very very very very very very very very very very very very very very very very
                 very very wrong
                 [first]
    12  warning  b is odd
                 if left: mail waits
                 fix: write: b = c
                 [second]

/etc/postfix/master.cf
     -  warning  no qmgr
                 if left: mail waits
                 [whole]

1 error, 2 warnings
"""


def test_text() -> None:
    """By file and line; what could drive a terminal is taken out, and colours are there when they are wanted."""
    assert as_text(FOUND, coloured=False) == TEXT
    painted = as_text(FOUND, coloured=True)
    assert "\033[1;31merror  \033[0m" in painted
    assert painted.replace("\033", "").count("[0m") == 2 + 2 * len(FOUND)


def test_large_tables_are_read_in_part(tmp_path: Path) -> None:
    """A check takes a moment, whatever the tables are."""
    many = tmp_path / "many"
    many.write_text("".join(f"key{number} value\n" for number in range(2 * MAX_ENTRIES)))
    probe = TableProbe()
    assert len(list(probe.entries("texthash", str(many), aliases=False))) == MAX_ENTRIES
    long = tmp_path / "long"
    long.write_text("k " + "v" * 1000 + "\n")
    with long.open("a") as file:
        file.writelines(f"k{number} {'v' * 1000}\n" for number in range(2 * MAX_BYTES // 1000))
    found = list(probe.entries("texthash", str(long), aliases=False))
    assert len(found) < MAX_BYTES // 1000
    assert all(len(entry.value) == 1000 for entry in found), "no entry is cut"
    patterns = tmp_path / "patterns"
    patterns.write_text("/(/ x\n" * (MAX_BYTES // 6 + 1))
    assert list(probe.problems("regexp", str(patterns), aliases=False)) == []


@pytest.mark.parametrize("kind", ["texthash", "regexp", "cidr", "hash", "ldap", "pcre"])
def test_tables_that_cannot_be_read_have_no_entries(tmp_path: Path, kind: str) -> None:
    """The check of the table itself says what is wrong with it."""
    probe = TableProbe()
    for name in (str(tmp_path / "none"), str(tmp_path), "relative", "{{", ""):
        assert list(probe.entries(kind, name, aliases=False)) == []
        assert [line for line, _ in probe.problems(kind, name, aliases=False) if line] == []


def test_a_source_that_is_newer_than_its_index_does_not_count(tmp_path: Path) -> None:
    """What the daemons see is the index."""
    (tmp_path / "map").write_text("a b\n")
    (tmp_path / "map.lmdb").write_text("")
    for age, entries in ((-10, 0), (10, 1)):
        moment = os.stat(tmp_path / "map").st_mtime + age
        os.utime(tmp_path / "map.lmdb", (moment, moment))
        assert len(list(TableProbe().entries("hash", f"{tmp_path}/map", aliases=False))) == entries


def test_the_document_says_what_is_so() -> None:
    """Every kind of finding, every option, and how far tables are read."""
    text = (Path(__file__).parents[3] / "docs/checks.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in KINDS)
    assert all(f"`{option}" in text for option in ("--json", "--strict", "--only", "--ignore"))
    assert f"{MAX_BYTES // 1024} kB and {MAX_ENTRIES} entries" in " ".join(text.split())


def test_the_example_of_the_document_is_true(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same mistakes on the same lines give the same words."""
    document = (Path(__file__).parents[3] / "docs/checks.md").read_text(encoding="utf-8")
    shown = document.partition("$ posthouse check\n")[2].partition("```")[0]
    lines = GOOD_MAIN.splitlines() + [""] * 28
    lines[11] = "message_size_limit = 20480000 # 20 MB"
    lines[30] = "mynetworks = 127.0.0.0/8 192.168.1.0/24"
    (directory / "main.cf").write_text("\n".join(lines) + "\n")
    assert main(["-c", str(directory)]) == 2
    assert capsys.readouterr().out == shown.replace("/etc/postfix", str(directory))


def test_lines_are_as_wide_as_the_terminal(tmp_path: Path) -> None:
    """In a narrow one they are broken where they would be, at 110 characters in a wide one or a file."""
    (tmp_path / "main.cf").write_text(
        f"compatibility_level = 3.6\nmail_owner = nobody\nqueue_directory = {tmp_path}/{'q' * 40}\n"
        f"relayhost = [127.0.0.1]\nvirtual_alias_maps = hash:{tmp_path}/nowhere\n"
    )
    (tmp_path / "master.cf").touch()
    for columns in (60, 80):
        command = f"stty cols {columns}; {OURS / 'posthouse'} check -c {tmp_path}"
        done = subprocess.run(
            ["script", "-qec", command, "/dev/null"],
            env={"PATH": os.environ["PATH"], "NO_COLOR": "1", "TERM": "dumb"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [line for line in done.stdout.splitlines() if " " in line.strip() and str(tmp_path) not in line]
        assert "nowhere" in done.stdout
        assert columns - 25 < max(len(line) for line in lines) <= columns
