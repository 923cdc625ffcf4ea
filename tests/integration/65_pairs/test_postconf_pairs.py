"""Debian's postconf and ours show the same of the same main.cf and master.cf, in every view.

The files: postconf/*.pair (main.cf, then master.cf behind a line "@@ master.cf"), and the pairs that start servers.
Defaults that differ are left out (tests/golden/postconf/test_debian_defaults.py has the reasons), and nothing else.
"""

import contextlib
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from shlex import split
from typing import Final, NamedTuple

import pytest

from posthouse.commands import postconf
from posthouse.config import catalog, deprecated
from tests.support.peers import find_peer, peer_environment

HERE: Final = Path(__file__).resolve().parent
SEPARATOR: Final = "@@ master.cf\n"
LIMIT_S: Final = 30
MAIN_VIEWS: Final = (
    "",
    "-n",
    "-x",
    "-nx",
    "-f",
    "-C user",
    "-nC builtin",
    "-C service",
    "-h mydestination relayhost",
    "-H biff x",
)
WHOLE_VIEWS: Final = ("", "-x", "-f")
ALL_PARAMETERS: Final = 800  # 3.7 has more
MASTER_VIEWS: Final = (
    "-M",
    "-Mf",
    "-Mx",
    "-P",
    "-Px",
    "-F",
    "-FH",
    "-Fh */*/chroot",
    "-P */*/mynetworks",
    "-M smtp nosuch/inet",
)
# 3.7 reads main.cf again in one view and tells of each double entry again, with names and values exchanged.
TOLD_TWICE: Final = "overriding earlier entry"
_REFERENCE: Final = re.compile(r"\$[{(]*\s*([A-Za-z0-9_]+)")


EDITS: Final = (
    "-e 'smtp_helo_name = 1  2'",
    "-e mydestination=new",
    "-X mydestination nosuch",
    "'-#' relayhost mydestination",
    "-P smtp/inet/added=1 smtp/inet/mynetworks=a,b",
    "-PX smtp/inet/mynetworks smtp/inet/a",
    "-F smtp/inet/chroot=n smtp/inet/process_limit=7",
    "-M 'smtp/inet=smtp inet n - n - 7 other -o x=y {a}' 'new/unix=new unix - - - - - new'",
    "-MX smtp/inet",
    "'-M#' smtp/inet",
)


# 3.7 wants name and type on one line, and copies the line ends inside of braces.
NOT_EDITED: Final = {"lines-continued", "master-override-forms"}


WRONG: Final = (
    "-X foo=2", "-e -X a=b", "-e -# a=b", "-n -e a=b", "-X -# a", "-a -A", "-p -M", "-m -l", "-F smtp/unix=x",
    "-PX smtp/unix", "-MX smtp", "-M# smtp", "-Me smtp=x", "-n -X a", "-d -e a=b", "-dX a", "-M -F -P", "-x -e a=b",
    "-f -X a", "-hX a", "-HX a", "-o a=b -# c", "-Px -e a/b/c=d", "-Mn", "-P -n", "-P -# a/b/c", "-F -n", "-e x", "-e",
    "-Pe x/unix/y", "-Fe x/y/z", "-X", "-MX", "-PX", "-a -d", "-A -n", "-l -x", "-m -f", "-b -h", "-t -e", "-hH", "-nd",
    "-o foo biff", "-C foo", "-FX a/b/c", "-M a/b/c", "-F smtp/inet/nosuch", "biff -h", "-e #a=b", "-n nosuch",
)  # fmt: skip


class Result(NamedTuple):
    """What a run gave."""

    status: int
    out: str
    messages: frozenset[str]


def pairs() -> dict[str, tuple[str, str]]:
    """Give main.cf and master.cf by name."""
    found = {}
    for path in sorted((HERE / "postconf").iterdir()):
        main, _, master = path.read_bytes().decode("utf-8", "surrogateescape").partition(SEPARATOR)
        found[path.stem] = main, master
    for path in sorted((HERE / "pairs").iterdir()):
        found[path.name] = (path / "main.cf").read_text(), (path / "master.cf").read_text()
    return found


PAIRS: Final = pairs()


@pytest.fixture(scope="module")
def debian() -> str:
    """Give the path of Debian's postconf."""
    program = find_peer("postconf")
    if not program:
        pytest.skip("Debian's postconf is not here: make peers")
    return program


def theirs(program: str, directory: Path, arguments: Sequence[str]) -> Result:
    """Run Debian's."""
    done = subprocess.run(
        [program, "-c", ".", *arguments],
        cwd=directory,
        env={**peer_environment(), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    out, err = (octets.decode("utf-8", "surrogateescape") for octets in (done.stdout, done.stderr))
    return Result(done.returncode, out, messages_of(err, program))


def ours(directory: Path, arguments: Sequence[str]) -> Result:
    """Run ours, in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(directory), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = postconf.main(["-c", ".", *arguments])
    return Result(status, out.getvalue(), messages_of(err.getvalue(), "postconf"))


def messages_of(text: str, program: str) -> frozenset[str]:
    """Give the messages that both versions have.

    3.7 does not warn of deprecated names, and names main.cf without its directory when braces are wrong.
    """
    lines = (line.removeprefix(f"{program}: ") for line in text.splitlines())
    told = (line.replace(" ./main.cf: ", " main.cf: ") if "'}'" in line else line for line in lines)
    return frozenset(line for line in told if "will be removed" not in line and deprecated.README not in line)


def settings_of(text: str) -> dict[str, str]:
    """Read a listing; folded values as they are, with their line ends."""
    return dict(line.split(" =", 1) for line in text.replace("\n    ", "\f").splitlines() if " =" in line)


@cache
def not_comparable(program: str) -> frozenset[str]:
    """Give the names whose defaults differ, and those whose defaults refer to such a name.

    That there is a reason for each of them is shown by tests/golden/postconf/test_debian_defaults.py.
    """
    with tempfile.TemporaryDirectory() as directory:
        write(Path(directory), ("", ""))
        left = settings_of(ours(Path(directory), ["-d"]).out)
        right = settings_of(theirs(program, Path(directory), ["-d"]).out)
    names = frozenset(name for name in left.keys() | right.keys() if left.get(name) != right.get(name)) | {"process_id"}
    entries = catalog.entries()
    while True:
        more = {name for name in entries if names.intersection(_REFERENCE.findall(entries[name].default))} - names
        if not more:
            return names
        names |= more


def parts_of(path: Path) -> tuple[list[bytes], list[bytes]]:
    """Part the lines of a file into comments and the rest."""
    lines = path.read_bytes().splitlines()
    comments = [line for line in lines if line.strip()[:1] in (b"", b"#")]
    return comments, [line for line in lines if line.strip()[:1] not in (b"", b"#")]


def write(directory: Path, pair: tuple[str, str]) -> None:
    """Make the two files."""
    for name, text in zip(("main.cf", "master.cf"), pair, strict=True):
        (directory / name).write_bytes(text.encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("name", PAIRS)
def test_listings_are_debian_s(debian: str, tmp_path: Path, name: str) -> None:
    """Every view: the settings or the text, the messages and the exit status."""
    compare(debian, tmp_path, PAIRS[name])


@pytest.mark.parametrize("main", ["main.cf.debian", "main.cf.dist", "main.cf.tls"])
def test_listings_of_what_debian_installs(debian: str, tmp_path: Path, main: str) -> None:
    """Its main.cf, the long one with comments, and the lines for TLS; each with its master.cf."""
    stock = Path(debian).parent.parent / "share" / "postfix"
    own = "debugger_command =\n" if main == "main.cf.dist" else ""  # there it names daemon_directory and process_id
    compare(debian, tmp_path, ((stock / main).read_text() + own, (stock / "master.cf.dist").read_text()))


def compare(program: str, directory: Path, pair: tuple[str, str]) -> None:
    """Give a pair to both, in every view."""
    write(directory, pair)
    for view in (*MAIN_VIEWS, *MASTER_VIEWS):
        us, them = ours(directory, view.split()), theirs(program, directory, view.split())
        assert us.status == them.status, view
        if view in WHOLE_VIEWS:
            compare_listings(program, settings_of(us.out), settings_of(them.out))
        else:
            assert us.out == them.out, view
        assert us.messages <= them.messages, view
        assert all(TOLD_TWICE in message for message in them.messages - us.messages), view


def compare_listings(program: str, left: dict[str, str], right: dict[str, str]) -> None:
    """Compare two listings of all parameters, but for those that cannot be the same."""
    assert len(left) > ALL_PARAMETERS
    same = {name for name in left.keys() & right.keys() if left[name] == right[name]}
    assert left.keys() ^ right.keys() <= not_comparable(program)
    assert (left.keys() & right.keys()) - same <= not_comparable(program)


def test_there_are_enough_pairs() -> None:
    """Sixty at least."""
    assert len(PAIRS) >= 60


@pytest.mark.parametrize("name", sorted(PAIRS.keys() - NOT_EDITED))
def test_edits_are_debian_s(debian: str, tmp_path: Path, name: str) -> None:
    """Both make the same files; but comments behind a changed entry stay there, where 3.7 puts them before it."""
    left, right = tmp_path / "ours", tmp_path / "theirs"
    left.mkdir()
    right.mkdir()
    for edit in EDITS:
        write(left, PAIRS[name])
        write(right, PAIRS[name])
        us, them = ours(left, split(edit)), theirs(debian, right, split(edit))
        assert us == them, edit
        assert (left / "main.cf").read_bytes() == (right / "main.cf").read_bytes(), edit
        assert parts_of(left / "master.cf") == parts_of(right / "master.cf"), edit


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_options_are_told_as_by_debian_s(debian: str, tmp_path: Path, arguments: str) -> None:
    """The same message, the same status, and no file is changed."""
    pair = PAIRS["role-submission"]
    write(tmp_path, pair)
    us, them = ours(tmp_path, split(arguments)), theirs(debian, tmp_path, split(arguments))
    assert us == them
    assert ((tmp_path / "main.cf").read_text(), (tmp_path / "master.cf").read_text()) == pair


def test_the_command_is_a_program_of_its_own(debian: str, tmp_path: Path) -> None:
    """The comparisons above call it in this process; as a process it gives the same."""
    write(tmp_path, PAIRS["role-submission"])
    program = str(Path(sys.executable).with_name("postconf"))
    done = subprocess.run([program, "-nc", "."], cwd=tmp_path, capture_output=True, timeout=LIMIT_S, check=True)
    assert done.stdout.decode() == theirs(debian, tmp_path, ["-n"]).out
