"""Our tables and commands against Debian's: the same files, the same questions, the same answers."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

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


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A configuration directory that both take."""
    (tmp_path / "main.cf").write_text(
        "compatibility_level = 3.6\nmyhostname = mail.example\nmydomain = example\ninet_interfaces = 127.0.0.1\nmeta_directory = /etc/postfix\ndefault_database_type = lmdb\n"
        "shlib_directory = /usr/lib/postfix\n"
    )
    (tmp_path / "re").write_text("\n".join(REGEXPS) + "\n")
    (tmp_path / "cidr").write_text(CIDRS)
    (tmp_path / "text").write_text(TEXT)
    return tmp_path


def _run(program: Sequence[str], directory: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MAIL_CONFIG": str(directory)}
    command = [*program, *arguments]
    return subprocess.run(
        command, cwd=directory, env=environment, input=text, capture_output=True, text=True, check=False
    )


def _theirs(directory: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return _run([POSTMAP], directory, *arguments, text=text)


def _ours(directory: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return _run([sys.executable, "-c", _MAIN], directory, *arguments, text=text)


_MAIN = "import sys; from posthouse.commands.postmap import main; sys.exit(main())"


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
def test_they_read_what_we_write(directory: Path) -> None:
    """A table made by our postmap answers theirs."""
    made = _ours(directory, "lmdb:text")
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
def test_building_agrees(options: list[str], directory: Path) -> None:
    """Warnings, exit status and content."""
    ours = _ours(directory, *options, "lmdb:text")
    dump = _ours(directory, "-s", "lmdb:text").stdout
    (directory / "text.lmdb").unlink()
    theirs = _theirs(directory, *options, "lmdb:text")
    warnings = ours.stderr.replace(" -- ignoring this line", "")  # words that Postfix has added since 3.7
    assert (ours.returncode, sorted(warnings.splitlines())) == (
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
def test_the_command_agrees(arguments: list[str], text: str, directory: Path) -> None:
    """Output, messages and exit status."""
    (directory / "empty").write_text("")
    assert _theirs(directory, "lmdb:text").returncode == 0
    theirs = _theirs(directory, *arguments, text=text)
    (directory / "text.lmdb").unlink()
    assert _theirs(directory, "lmdb:text").returncode == 0
    ours = _ours(directory, *arguments, text=text)
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)


@needs_lmdb
def test_aliases_agree(directory: Path) -> None:
    """postalias makes the same entries."""
    source = 'Root: a@b,"|cmd x",:include:/l , /f\n"first last": x\nfoo@bar: x\nbad\ntwo: a\n b\nroot: dup\n'
    (directory / "aliases").write_text(source)
    main = _MAIN.replace("postmap", "postalias")
    ours = _run([sys.executable, "-c", main], directory, "lmdb:aliases")
    dump = _run([sys.executable, "-c", main], directory, "-s", "lmdb:aliases").stdout.splitlines()
    (directory / "aliases.lmdb").unlink()
    theirs = _run([find_peer("postalias")], directory, "lmdb:aliases")
    assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr)
    their_dump = _run([find_peer("postalias")], directory, "-s", "lmdb:aliases").stdout.splitlines()
    assert [line for line in dump if "YP_LAST" not in line] == [line for line in their_dump if "YP_LAST" not in line]
