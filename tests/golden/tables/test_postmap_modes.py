"""postmap with options for files as values, and for header and body lines: the same words as Debian's."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.commands import postmap as our_postmap
from tests.support.bdb import HAS_POSTMAP, postmap

pytestmark = pytest.mark.skipif(not HAS_POSTMAP, reason="Debian's postfix is not installed")

FILES = {
    "one": "content one\n",
    "two": "two",
    "map": "a one\nb one, two\n",
    "patterns": "/a/ one\n",
    "networks": "1.2.3.0/24 two\n",
    "all": "/./ hit\n",
}
MESSAGES = (
    b"From: a@b\nSubject: one\n two\n\tthree\nno header line\nContent-Type: multipart/mixed; boundary=x\n\nbody\n",
    b"Content-Type: multipart/mixed; boundary=x\n\nbody\n\n--x\nT: p\n\np\n",
    b"A: b\n\nbody\n.\n..\n",
    b"\nbody only\nX: y\n",
    b"Subject: no end",
    b"From joe Mon\n>From x\nSubject : spaced\nTo:\n\n",
    b"X-Latin: caf\xe9\n\ncaf\xe9\n",
    b"",
)
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Files that tables name, and tables."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    assert postmap(tmp_path, "-q", "x", "static:x").returncode == 0  # makes main.cf
    return tmp_path


@pytest.fixture
def ours(directory: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Our command, in this process: status and output."""
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MAIL_CONFIG", str(directory))

    def run(*arguments: str, data: bytes = b"") -> tuple[int, str]:
        (directory / "stdin").write_bytes(data)
        with open(directory / "stdin", encoding="utf-8") as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            status = our_postmap.main(list(arguments))
        return status, capfdbinary.readouterr().out.decode("utf-8", "surrogateescape")

    return run


def _theirs(directory: Path, *arguments: str, data: bytes = b"") -> tuple[int, str]:
    done = postmap(directory, *arguments, text=data.decode("utf-8", "surrogateescape"))
    return done.returncode, done.stdout


def _in_any_order(result: tuple[int, str]) -> tuple[int, list[str]]:
    """Entries come as the table has them."""
    return result[0], sorted(result[1].split("\n"))


@pytest.mark.parametrize(
    "query",
    [
        "-Fq a texthash:map",
        "-Fq b texthash:map",
        "-Fs texthash:map",
        "-q a texthash:map",
        "-Fq c texthash:map",
        "-Fq a regexp:patterns",
        "-Fq 1.2.3.4 cidr:networks",
        "-Fq x static:one",
        "-Fq a inline:{a=one}",
    ],
)
def test_files_as_values(query: str, directory: Path, ours: Run) -> None:
    """-F reads the files that the values name."""
    assert _in_any_order(ours(*query.split())) == _in_any_order(_theirs(directory, *query.split()))


@pytest.mark.parametrize("query", ["-Fq a", "-Fq b", "-Fs", "-q a"])
def test_files_in_an_index(query: str, directory: Path, ours: Run) -> None:
    """postmap -F puts their content into the index, whoever made it."""
    assert postmap(directory, "-F", "hash:map").returncode == 0
    expected = _theirs(directory, *query.split(), "hash:map")
    assert ours(*query.split(), "hash:map") == expected
    assert ours("-F", "hash:map") == (0, "")
    assert (directory / "map.lmdb").exists()
    assert _in_any_order(ours(*query.split(), "hash:map")) == _in_any_order(expected)


@pytest.mark.parametrize("options", ["-h", "-b", "-hb", "-hU", "-bU", "-bu", "-hm", "-bm", "-hbm"])
@pytest.mark.parametrize("message", MESSAGES)
def test_header_and_body_lines(options: str, message: bytes, directory: Path, ours: Run) -> None:
    """Folded headers are one text; a line that is no header begins the body; octets count as they are without -U."""
    query = (options, "-q", "-", "regexp:all")
    assert ours(*query, data=message) == _theirs(directory, *query, data=message)


def test_json(ours: Run) -> None:
    """--json is -j; the text is escaped as postqueue -j does it."""
    for option in ("-j", "--json"):
        assert ours(option, "-q", "a", 'inline:{{a = x"\\\x7f\x01é}}') == (0, '{"a": "x\\"\\\\\\u007F\\u0001é"}\n')
    assert ours("--json", "-s", "texthash:map") == (0, '{"a": "one"}\n{"b": "one, two"}\n')
