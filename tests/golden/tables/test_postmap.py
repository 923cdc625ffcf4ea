"""Our tables and commands against Debian's: the same files, the same questions, the same answers."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from posthouse.commands import postalias, postmap
from posthouse.tables import lmdb
from posthouse.tables.open import open_maps
from tests.support.lookups import now, opener
from tests.support.peers import find_peer

POSTMAP = find_peer("postmap")
HAS_LMDB = Path("/usr/lib/postfix/postfix-lmdb.so").exists()
pytestmark = pytest.mark.skipif(not POSTMAP.startswith("/usr/"), reason="Debian's postfix is not installed")
needs_lmdb = pytest.mark.skipif(not HAS_LMDB, reason="Debian's postfix-lmdb is not installed")

KEYS = (
    "user@example.com",
    "USER@Example.COM",
    "user+ext@example.com",
    "a.b",
    "10.1.2.3",
    "10.1.9.9",
    "192.0.2.77",
    "2001:db8::5",
    "Subject: buy ab abc a{2} (x) [y]",
    "two words",
    "e\\f",
    "nothing",
)

REGEXPS = (
    "/^user@(.*)$/ got $1",
    "/(a|ab|abc)( |$)/ longest $1",
    "/[[:digit:]]{1,3}\\.[^.]+\\.9/ number",
    "/a\\{2\\}/ braces",
    "/[\\x]f/ backslash",
    "/\\<words\\>/ word",
    "/(b+)?y\\]/ optional <$1>",
    "/^10\\.1\\.2/ ten",
    "/USER/i upper",
    "!/[a-z]/ no letters",
    "if /:/\n/^S/ header\n/5$/ five\nendif",
)
CIDRS = (
    "10.1.2.0/24 narrow\nif 10.0.0.0/8\n!10.1.9.0/24 ten\n10.1.9.9 nine\nendif\n[2001:db8::]/32 six\n10.0.0.0/33 x\n"
)
TEXT = 'user@example.com one\n"two words" quoted\ntwo words\nA.B letters\nuser@example.com again\nbad\nc: d\n'


MAIN_CF = """\
compatibility_level = 3.6
default_database_type = lmdb
inet_interfaces = 127.0.0.1
meta_directory = /etc/postfix
mydomain = example
myhostname = mail.example
shlib_directory = /usr/lib/postfix
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A configuration directory that both take."""
    (tmp_path / "main.cf").write_text(MAIN_CF)
    (tmp_path / "re").write_text("\n".join(REGEXPS) + "\n")
    (tmp_path / "cidr").write_text(CIDRS)
    (tmp_path / "text").write_text(TEXT)
    for path in tmp_path.iterdir():
        os.utime(path, (1_000_000_000, 1_000_000_000))  # Postfix waits two seconds for a file that is quite new
    return tmp_path


class Done(NamedTuple):
    """What a command did."""

    returncode: int
    stdout: str
    stderr: str


def _theirs(directory: Path, *arguments: str, text: str = "", command: str = "postmap") -> Done:
    """Run Debian's command."""
    environment = {**os.environ, "MAIL_CONFIG": str(directory)}
    done = subprocess.run(
        [find_peer(command), *arguments],
        cwd=directory,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


Run = Callable[..., Done]


@pytest.fixture
def ours(directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Our command, in this process: what is compared is what it says, not how it starts."""
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MAIL_CONFIG", str(directory))

    def run(*arguments: str, text: str = "", main: Callable[[list[str]], int] = postmap.main) -> Done:
        (directory / "stdin").write_text(text)
        with open(directory / "stdin") as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            status = main(list(arguments))
        out, err = capfd.readouterr()
        return Done(status, out, err)

    return run


@pytest.mark.parametrize(
    "spec",
    [
        "regexp:re",
        "cidr:cidr",
        "texthash:text",
        "static:{ some text }",
        "inline:{ a.b=1, {nothing = 2 words} }",
        "unionmap:{static:x, inline:{nothing=y}}",
        "pipemap:{inline:{a.b=nothing}, inline:{nothing=end}}",
        "unix:passwd.byname",
    ],
)
def test_queries_agree(spec: str, directory: Path) -> None:
    """Every key gets the same answer from the library as from postmap -q."""
    table = open_maps([spec], opener(str(directory)))
    keys = (*KEYS, "root")
    ours = "".join(f"{key}\t{value}\n" for key in keys if (value := now(table.find(key))) is not None)
    assert ours == _theirs(directory, "-q", "-", spec, text="".join(f"{key}\n" for key in keys)).stdout


@needs_lmdb
def test_they_read_what_we_write(directory: Path, ours: Run) -> None:
    """A table made by our postmap answers theirs."""
    made = ours("lmdb:text")
    assert made.returncode == 0
    for key, value in (("USER@example.com", "one"), ('"two words"', "quoted"), ("a.b", "letters")):
        assert _theirs(directory, "-q", key, "lmdb:text").stdout == value + "\n"


@needs_lmdb
def test_we_read_what_they_write(directory: Path) -> None:
    """A table made by theirs answers us, also while they change it."""
    assert _theirs(directory, "lmdb:text").returncode == 0
    table = opener(str(directory)).open("lmdb:text")
    assert now(table.lookup("User@example.com")) == "one"
    _theirs(directory, "-ir", "lmdb:text", text="user@example.com new\nmore x\n")
    assert (now(table.lookup("user@example.com")), now(table.lookup("more"))) == ("new", "x")
    _theirs(directory, "-d", "more", "lmdb:text")
    assert now(table.lookup("more")) is None


@needs_lmdb
def test_both_write_to_one_file_in_turn(directory: Path) -> None:
    """Neither spoils the other's work."""
    path = str(directory / "text.lmdb")
    for turn in range(5):
        lmdb.write_all(path, {f"key{number}": f"{turn}" for number in range(500)})
        _theirs(directory, "-i", "lmdb:text", text=f"theirs{turn} yes\n")
        lmdb.update(path, [(f"ours{turn}", "yes")])
    theirs = _theirs(directory, "-s", "lmdb:text").stdout.splitlines()
    assert len(theirs) == 502
    assert {"ours4\tyes", "theirs4\tyes", "key7\t4"} <= set(theirs)


@needs_lmdb
@pytest.mark.parametrize("options", [[], ["-r"], ["-w"], ["-f"], ["-n"]])
def test_building_agrees(options: list[str], directory: Path, ours: Run) -> None:
    """Warnings, exit status and content."""
    made = ours(*options, "lmdb:text")
    dump = ours("-s", "lmdb:text").stdout
    (directory / "text.lmdb").unlink()
    theirs = _theirs(directory, *options, "lmdb:text")
    warnings = made.stderr.replace(" -- ignoring this line", "")  # words that Postfix has added since 3.7
    assert (made.returncode, sorted(warnings.splitlines())) == (
        theirs.returncode,
        sorted(theirs.stderr.splitlines()),
    )
    assert dump == _theirs(directory, "-s", "lmdb:text").stdout


@needs_lmdb
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-q", "a.b", "lmdb:text"], ""),
        (["-q", "nothing", "lmdb:text"], ""),
        (["-q", "nothing", "lmdb:text", "static:x"], ""),
        (["-q", "-", "lmdb:text"], "a.b\nnothing\nUSER@EXAMPLE.COM\n"),
        (["-q", "-", "lmdb:text"], "nothing\n"),
        (["-d", "nothing", "lmdb:text"], ""),
        (["-d", "-", "lmdb:text"], "a.b\nnothing\n"),
        (["-fq", "A.B", "lmdb:text"], ""),
        (["-s", "static:x"], ""),
        (["-d", "x", "cidr:empty"], ""),
        (["cidr:empty"], ""),
        (["-i", "texthash:text"], "x y\n"),
        (["nothing-here"], ""),
        (["-q", "x", "regexp:/nothing-here"], ""),
        (["-q", "x", "lmdb:nothing-here"], ""),
    ],
)
def test_the_command_agrees(arguments: list[str], text: str, directory: Path, ours: Run) -> None:
    """Output, messages and exit status."""
    (directory / "empty").write_text("")
    assert _theirs(directory, "lmdb:text").returncode == 0
    theirs = _theirs(directory, *arguments, text=text)
    assert _theirs(directory, "lmdb:text").returncode == 0  # as it was before
    assert ours(*arguments, text=text) == theirs


@needs_lmdb
def test_aliases_agree(directory: Path, ours: Run) -> None:
    """postalias makes the same entries."""
    source = 'Root: a@b,"|cmd x",:include:/l , /f\n"first last": x\nfoo@bar: x\nbad\ntwo: a\n b\nroot: dup\n'
    (directory / "aliases").write_text(source)
    made = ours("lmdb:aliases", main=postalias.main)
    dump = ours("-s", "lmdb:aliases", main=postalias.main).stdout.splitlines()
    (directory / "aliases.lmdb").unlink()
    assert made == _theirs(directory, "lmdb:aliases", command="postalias")
    their_dump = _theirs(directory, "-s", "lmdb:aliases", command="postalias").stdout.splitlines()
    assert [line for line in dump if "YP_LAST" not in line] == [line for line in their_dump if "YP_LAST" not in line]
