"""postmap, postalias, newaliases: what the comparison with Debian's commands does not cover."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.commands import newaliases, postalias, postmap
from tests.support.bdb import HAS_POSTMAP, source
from tests.support.bdb import postmap as postmap_of_postfix
from tests.support.lookups import now, opener

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a command in a directory of its own, which is its configuration directory, too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAIL_CONFIG", str(tmp_path))

    def call(main: Callable[[list[str]], int], *arguments: str, text: str = "") -> tuple[int, str, str]:
        (tmp_path / "input").write_text(text)
        with open(tmp_path / "input", encoding="utf-8") as stdin:
            monkeypatch.setattr("sys.stdin", stdin)
            status = main(list(arguments))
        return (status, *capfd.readouterr())

    return call


@pytest.mark.parametrize("kind", ["hash", "btree", "lmdb"])
def test_old_names_make_lmdb_files(run: Run, tmp_path: Path, kind: str) -> None:
    """hash:map and btree:map are map.lmdb."""
    (tmp_path / "map").write_text("a b\n")
    assert run(postmap.main, f"{kind}:map") == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input", "map", "map.lmdb"]
    assert run(postmap.main, "-q", "A", f"{kind}:map") == (0, "b\n", "")


def test_the_default_type(run: Run, tmp_path: Path) -> None:
    """default_database_type of main.cf, else lmdb."""
    (tmp_path / "map").write_text("a b\n")
    assert run(postmap.main, "map")[0] == 0
    assert run(postmap.main, "-q", "a", "map") == (0, "b\n", "")
    (tmp_path / "main.cf").write_text("default_database_type = texthash\n")
    assert run(postmap.main, "-q", "a", "map") == (0, "b\n", "")
    assert run(postmap.main, "map")[2].startswith("postmap: fatal: unsupported dictionary type: texthash")


def test_modes(run: Run) -> None:
    """One at a time, and only once (3.12)."""
    for arguments in (["-d", "x", "-q", "y", "a:b"], ["-i", "-i", "a:b"], ["-s", "-i", "a:b"]):
        assert run(postmap.main, *arguments)[::2] == (1, "postmap: fatal: specify only one of -d -i -q or -s\n")


def test_json(run: Run) -> None:
    """-j for queries and listings (3.11)."""
    spec = 'inline:{{foo = "x"}}'
    assert run(postmap.main, "-jq", "foo", spec)[1] == '{"foo": "\\"x\\""}\n'
    assert run(postmap.main, "-js", spec)[1] == '{"foo": "\\"x\\""}\n'


def test_headers_and_bodies(run: Run) -> None:
    """-h and -b take the lines of a message, logical headers joined."""
    spec = "regexp:{{/^subject: a\\n b/ header}, {/./ other}}"
    message = "Subject: a\n b\nX: y\n\nbody\n\nmore\n"
    assert run(postmap.main, "-hq", "-", spec, text=message)[1] == "Subject: a\n b\tother\nX: y\tother\n"
    assert run(postmap.main, "-bq", "-", spec, text=message)[1] == "body\tother\nmore\tother\n"
    assert run(postmap.main, "-bq", "x", spec)[0] == 1


def test_values_that_are_files(run: Run, tmp_path: Path) -> None:
    """-F stores base64, and decodes it in queries."""
    (tmp_path / "one").write_text("content\n")
    (tmp_path / "map").write_text("a one\nb missing\n")
    status, _, errors = run(postmap.main, "-F", "lmdb:map")
    assert (status, errors) == (
        0,
        "postmap: warning: map, line 2: open missing: No such file or directory: skipping this entry\n",
    )
    assert run(postmap.main, "-q", "a", "lmdb:map")[1] == "Y29udGVudAo=\n"
    assert run(postmap.main, "-Fq", "a", "lmdb:map")[1] == "content\n\n"


def test_failing_tables(run: Run) -> None:
    """Each action names itself."""
    for arguments, action in ((["-q", "x"], "query"), (["-d", "x"], "delete"), (["-s"], "sequence"), ([], "write")):
        status, _, errors = run(postmap.main, *arguments, "fail:x")
        assert (status, errors) == (1, f"postmap: fatal: table fail:x: {action} error: Application error\n")


def test_a_mistake_in_main_cf_stops_the_command(run: Run, tmp_path: Path) -> None:
    """With file and line."""
    (tmp_path / "main.cf").write_text("smtputf8_enable = perhaps\n")
    status, _, errors = run(postmap.main, "-q", "x", "static:y")
    assert status == 1
    assert "main.cf:1" in errors


@pytest.mark.root
def test_root_becomes_the_owner_of_the_source(run: Run, tmp_path: Path) -> None:
    """So that root makes no file where the owner could not; -o keeps root."""
    (tmp_path / "map").write_text("a b\n")
    (tmp_path / "map").chmod(0o640)
    os.chown(tmp_path / "map", 65534, 65534)
    assert run(postmap.main, "lmdb:map")[::2] == (1, "postmap: fatal: open database map.lmdb: Permission denied\n")
    assert os.geteuid() == 0
    tmp_path.chmod(0o777)
    assert run(postmap.main, "lmdb:map")[0] == 0
    status = (tmp_path / "map.lmdb").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (65534, 0o640)
    (tmp_path / "map.lmdb").unlink()
    assert run(postmap.main, "-o", "-p", "lmdb:map")[0] == 0
    status = (tmp_path / "map.lmdb").stat()
    assert (status.st_uid, status.st_mode & 0o777) == (0, 0o644)


@pytest.mark.root
def test_the_owner_of_the_source_has_not_the_groups_of_root(run: Run, tmp_path: Path) -> None:
    """A text of somebody else's names a file (-F) that root's group may read: it gets into no table of his."""
    tmp_path.chmod(0o777)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret").chmod(0o040)
    (tmp_path / "map").write_text("a secret\n")
    os.chown(tmp_path / "map", 65534, 65534)
    before = os.getgroups()
    os.setgroups([0])
    try:
        status, _, errors = run(postmap.main, "-F", "lmdb:map")
        assert os.getgroups() == [0]
    finally:
        os.setgroups(before)
    assert (status, "Permission denied: skipping this entry" in errors) == (0, True), errors


def test_a_failed_build_leaves_the_old_table(run: Run, tmp_path: Path) -> None:
    """And no temporary file."""
    (tmp_path / "map").write_text("a b\n")
    run(postmap.main, "lmdb:map")
    (tmp_path / "map").write_text("x" * 600 + " too long a key for LMDB\n")
    assert run(postmap.main, "lmdb:map")[0] == 1
    assert now(opener(str(tmp_path)).open("lmdb:map").lookup("a")) == "b"
    run(postmap.main, "lmdb:map")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input", "map", "map.lmdb"]


def test_newaliases(run: Run, tmp_path: Path) -> None:
    """All tables of alias_database, with sendmail's options ignored; nothing to do is no error."""
    (tmp_path / "one").write_text("root: a\n")
    (tmp_path / "two").write_text("ops: b\n")
    (tmp_path / "main.cf").write_text(f"alias_database = hash:{tmp_path}/one, lmdb:{tmp_path}/two\n")
    assert run(newaliases.main, "-bi", "-v") == (0, "", "")
    assert run(postalias.main, "-q", "ROOT", f"hash:{tmp_path}/one")[1] == "a\n"
    assert run(postalias.main, "-q", "ops", f"lmdb:{tmp_path}/two")[1] == "b\n"
    assert run(newaliases.main, "-x")[0] == 64
    (tmp_path / "main.cf").write_text("alias_database =\n")
    assert run(newaliases.main) == (0, "", "")
    (tmp_path / "main.cf").write_text("alias_database = nonsense\n")
    assert run(newaliases.main)[0] == 1


@pytest.mark.skipif(not HAS_POSTMAP, reason="Debian's postfix is not installed")
@pytest.mark.parametrize("kind", ["hash", "btree"])
def test_what_is_in_a_db_file_is_kept(run: Run, tmp_path: Path, kind: str) -> None:
    """-i and -d make the lmdb file from it; -q and -s read it."""
    source(tmp_path, "map", {"a": "1", "b": "2"})
    assert postmap_of_postfix(tmp_path, f"{kind}:map").returncode == 0
    assert run(postmap.main, "-q", "A", f"{kind}:map")[:2] == (0, "1\n")
    assert sorted(run(postmap.main, "-s", f"{kind}:map")[1].splitlines()) == ["a\t1", "b\t2"]
    assert run(postmap.main, "-d", "a", f"{kind}:map")[0] == 0
    assert run(postmap.main, "-s", f"{kind}:map")[1] == "b\t2\n"
    (tmp_path / "map.lmdb").unlink()
    assert run(postmap.main, "-i", f"{kind}:map", text="c 3\n")[0] == 0
    assert run(postmap.main, "-s", f"{kind}:map")[1] == "a\t1\nb\t2\nc\t3\n"


def test_cdb_tables_are_made_as_a_whole(run: Run, tmp_path: Path) -> None:
    """Neither -i nor -d: the format has no such thing."""
    (tmp_path / "map").write_text("a b\n")
    assert run(postmap.main, "cdb:map") == (0, "", "")
    assert run(postmap.main, "-s", "cdb:map") == (0, "a\tb\n", "")
    status, _, words = run(postmap.main, "-i", "cdb:map", text="c d\n")
    assert (status, "only ever made anew" in words) == (1, True)
    status, _, words = run(postmap.main, "-d", "a", "cdb:map")
    assert (status, "cannot be changed entry by entry" in words) == (1, True)
    assert sorted(path.name for path in tmp_path.glob("map*")) == ["map", "map.cdb"]
