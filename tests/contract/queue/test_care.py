"""verify, repair, backup and restore, on queues that are in use and on queues that are not."""

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from posthouse.commands.posthouse import main
from posthouse.ipc.message import RecipientResult
from posthouse.queue.sqlite import care
from posthouse.queue.sqlite.schema import connect
from posthouse.queue.values import CORRUPT, INCOMING, UNTOLD, WAITING, StoreError
from tests.contract.queue.harness import Harness, message, verified
from tests.contract.queue.writer import read_line, whole_lines, writing

LARGE = b"x" * 100_000


class Site:
    """A queue with a configuration, and the posthouse command for it."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.etc = path / "etc"
        self.spool = path / "spool"
        self.store = self.spool / "posthouse"
        self.etc.mkdir()
        self.spool.mkdir()
        user = pwd.getpwuid(os.geteuid()).pw_name
        self.etc.joinpath("main.cf").write_text(f"queue_directory = {self.spool}\nqueue_owner = {user}\n")
        self._capsys = capsys

    def queue(self, name: str, *words: str) -> tuple[int, str, str]:
        """Run posthouse queue; exit status, output, complaints."""
        status = main(["posthouse", "queue", name, "-c", str(self.etc), *words])
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def statement(self, text: str) -> None:
        """Change a store that nobody has open, behind the queue's back."""
        connection = connect(str(self.store / "store-1.sqlite"))
        connection.execute(text)
        connection.close()


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Site:
    """A configured, empty queue directory."""
    return Site(tmp_path, capsys)


@pytest.fixture
def filled(site: Site) -> Iterator[Harness]:
    """An open queue with two messages, one of them in a file."""
    harness = Harness(str(site.spool))
    harness.put(message("SMALL", "a@example.org", "b@example.org"), message("LARGE", content=harness.spool(LARGE)))
    yield harness
    if not harness.loop.is_closed():
        harness.close()


def test_verify_tells_numbers_and_that_all_is_well(site: Site, filled: Harness) -> None:
    """Running and stopped, for people and for programs."""
    status, out, _ = site.queue("verify")
    assert status == 0
    assert "in use by the mail system" in out
    assert out.splitlines()[-1].startswith("clean")
    filled.close()
    before = sorted(os.listdir(site.store))
    status, out, _ = site.queue("verify", "--json")
    said = json.loads(out)
    assert (status, said["clean"], said["running"], said["findings"]) == (0, True, False, [])
    assert said["numbers"]["recipients"] == 3
    assert said["numbers"]["queues"]["incoming"] == 2
    assert sorted(os.listdir(site.store)) == before


def test_success_that_is_still_to_be_told_is_no_damage(site: Site, filled: Harness) -> None:
    """It was delivered: a copy of the store that forgot so would have it delivered again."""
    result = RecipientResult(1, UNTOLD, "2.0.0", "Ok", "mx", action="relayed")
    filled.record(filled.get("SMALL").key, [result])
    filled.close()
    assert site.queue("verify")[0] == 0
    site.store.joinpath("FAILED").write_text("1 by hand\n")
    copied = Harness(str(site.spool))
    stored = copied.get("SMALL")
    assert (stored.queue_name, [rcpt.state for rcpt in stored.recipients]) == (INCOMING, [UNTOLD, WAITING])
    copied.close()


DAMAGE = {
    "no content": "DELETE FROM content",
    "content is not as long as recorded": "UPDATE content SET data = X'00'",
    "recipients are missing": "DELETE FROM recipient WHERE key & 1048575 = 2",
    "recipients without a message": "INSERT INTO recipient (key, address, domain, original, dsn_orcpt, notify) "
    "VALUES (99 << 20 | 1, 'lost@example.org', 'example.org', '', '', 0)",
    "content without a message": "INSERT INTO content VALUES (98, X'00')",
    "unknown state": "UPDATE message SET state = 7 WHERE queue_id = 'SMALL'",
    "unknown state of a recipient": "UPDATE recipient SET state = 9 WHERE key & 1048575 = 2",
    "has no time for its next attempt": "UPDATE message SET due = NULL WHERE queue_id = 'SMALL'",
    "has a time for its next attempt": "UPDATE message SET state = 2, due = 5 WHERE queue_id = 'SMALL'",
    "its next attempt is": "UPDATE message SET due = 9e9 WHERE queue_id = 'SMALL'",
    "the ledger counts": "UPDATE ledger SET incoming = 7",
}


@pytest.mark.parametrize("text", DAMAGE)
def test_what_verify_finds_repair_puts_right(text: str, site: Site, filled: Harness) -> None:
    """Each inconsistency is named; dry-run changes nothing; after the repair it is gone, and stays so."""
    filled.close()
    site.statement(DAMAGE[text])
    status, out, _ = site.queue("verify")
    assert status == 1
    assert text in out
    status, out, _ = site.queue("repair", "--dry-run")
    assert (status, out.splitlines()[-1]) == (0, "nothing was changed")
    assert (site.store / "store-1.sqlite").exists()
    status, out, _ = site.queue("repair")
    assert (status, out.splitlines()[-1]) == (0, "repaired")
    assert (site.store / "corrupt" / "store-1.sqlite").exists()
    assert site.queue("verify")[0] == 0
    assert site.queue("repair")[1] == "nothing to repair\n"
    again = Harness(str(site.spool))
    assert set(again.listed_ids()) == {"SMALL", "LARGE"}
    assert again.content(again.get("LARGE").key) == LARGE
    again.close()


def test_parts_without_an_envelope_are_kept_as_files(site: Site, filled: Harness) -> None:
    """Content and recipients of a message whose row is gone can be sent again by hand."""
    filled.close()
    site.statement("DELETE FROM message")
    status, out, _ = site.queue("repair")
    assert status == 0
    assert "its envelope is lost; left are 2 recipients (a@example.org, b@example.org)" in out
    parts = site.store / "corrupt" / "parts-1"
    assert (parts / "1.content").read_bytes() == b"body\n"
    assert (parts / "1.recipients").read_bytes() == b"a@example.org\nb@example.org\n"
    assert LARGE in [file.read_bytes() for file in parts.iterdir()]


def test_orphans_are_listed_and_deleted_foreign_files_are_left_alone(site: Site, filled: Harness) -> None:
    """Only what is named as the queue names its files, and belongs to no message, goes."""
    filled.close()
    orphan = site.store / "spool" / "0123456789abcdef01234567"
    for path in (orphan, site.store / "spool" / "notes", site.store / "mbox"):
        path.write_bytes(b"x")
    status, out, _ = site.queue("verify")
    assert status == 1
    assert f"spool/{orphan.name}: belongs to no message" in out
    assert "mbox: not the queue's; move it away" in out
    status, out, _ = site.queue("repair")
    assert f"deleted spool/{orphan.name}" in out
    assert not orphan.exists()
    assert (site.store / "mbox").exists()
    assert (site.store / "spool" / "notes").exists()
    assert not (site.store / "corrupt").exists()


def test_repair_needs_a_stopped_system(site: Site, filled: Harness) -> None:
    """It says so, and how."""
    status, _, error = site.queue("repair")
    assert (status, error) == (75, "posthouse queue repair: the mail system is running; stop it first: postfix stop\n")
    status, _, error = site.queue("restore", str(site.path))
    assert status != 0
    assert filled.listed_ids() == ["SMALL", "LARGE"]


def test_backup_and_restore(site: Site, filled: Harness) -> None:
    """A copy of a queue in use is whole, has the queue's modes, and comes back with everything."""
    target = site.path / "copy"
    status, out, error = site.queue("backup", str(target))
    assert (status, error) == (0, "")
    assert "2 messages, 3 recipients, 100,005 octets of content; checked" in out
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in target.iterdir() if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (target / "spool").iterdir()} == {0o400}
    assert site.queue("backup", str(target))[::2] == (
        69,
        f"posthouse queue backup: {target} is there already; a backup overwrites nothing\n",
    )
    lease = filled.wait(filled.store.lease(1))
    before = [filled.get(queue_id) for queue_id in filled.listed_ids()]
    filled.close()
    status, _, error = site.queue("restore", str(target))
    assert status == 69
    assert "holds 2 messages; a backup is put back into an empty queue" in error
    shutil.rmtree(site.store)
    site.store.mkdir(0o700)
    status, out, error = site.queue("restore", str(target))
    assert (status, error) == (0, "")
    assert out.startswith("2 messages are as they were at ")
    again = Harness(str(site.spool))
    assert [again.get(queue_id) for queue_id in again.listed_ids()] == before
    assert again.content(again.get("LARGE").key) == LARGE
    assert verified(again.store, again.loop) == []
    assert again.wait(again.store.lease(1)) > lease
    again.close()


def test_what_was_done_as_json(site: Site, filled: Harness) -> None:
    """Numbers for programs, of a backup, of a repair and of a restore."""
    target = site.path / "copy"
    made = json.loads(site.queue("backup", "--json", str(target))[1])
    assert (made["directory"], made["numbers"]["recipients"], made["numbers"]["octets"]) == (str(target), 3, 100_005)
    filled.close()
    site.statement("DELETE FROM message")
    planned = json.loads(site.queue("repair", "--json", "--dry-run")[1])
    assert (planned["needed"], planned["changed"], planned["copied"]) == (True, False, None)
    done = json.loads(site.queue("repair", "--json")[1])
    assert (done["changed"], done["copied"]["store"]) == (True, 2)
    assert any("its envelope is lost" in note for note in done["notes"])
    assert json.loads(site.queue("repair", "--json")[1])["needed"] is False
    shutil.rmtree(site.store)
    site.store.mkdir(0o700)
    back = json.loads(site.queue("restore", "--json", str(target))[1])
    assert (back["taken"], back["numbers"]) == (made["taken"], made["numbers"])


def test_half_a_backup_is_none(site: Site, filled: Harness) -> None:
    """Without its last file, or damaged, it is not restored; a failed one leaves nothing in the directory."""
    target = site.path / "copy"
    site.queue("backup", str(target))
    filled.close()
    shutil.rmtree(site.store)
    site.store.mkdir(0o700)
    [spooled] = (target / "spool").iterdir()
    os.truncate(spooled, 5) if os.geteuid() == 0 else spooled.unlink()
    status, _, error = site.queue("restore", str(target))
    assert status == 1
    assert "its content, spool file" in error
    (target / "BACKUP").unlink()
    status, _, error = site.queue("restore", str(target))
    assert status == 69
    assert "is no complete backup" in error
    assert [name for name in os.listdir(site.store) if name.startswith("store-")] == []


def test_damaged_queue_is_not_backed_up_as_if_it_were_well(site: Site, filled: Harness) -> None:
    """A backup that would not be whole says what is wrong, and leaves an empty directory."""
    filled.close()
    site.statement("DELETE FROM content")
    target = site.path / "copy"
    status, _, error = site.queue("backup", str(target))
    assert status == 1
    assert "SMALL: no content" in error
    assert os.listdir(target) == []


def test_backups_of_a_busy_queue_are_whole(tmp_path: Path) -> None:
    """While another process commits and removes without a pause, spool files too, each copy is a consistent moment."""
    (tmp_path / "q").mkdir()
    counts = []
    with writing(str(tmp_path / "q"), "W") as writer:
        reader = threading.Thread(target=whole_lines, args=(writer,))
        try:
            read_line(writer)
            reader.start()  # so that a full pipe does not hold it up
            for number in range(4):
                made = care.back_up(str(tmp_path / "q"), str(tmp_path / f"copy{number}"), lambda *_: None)
                counts.append(sum(made.numbers.queues.values()))
            found = care.verify(str(tmp_path / "q"))
        finally:
            writer.kill()
        reader.join()
    assert (found.is_online, found.findings) == (True, [])
    assert counts[0] < counts[-1]
    for number in range(4):
        (tmp_path / f"r{number}").mkdir()
        shutil.copytree(tmp_path / f"copy{number}", tmp_path / f"r{number}" / "posthouse")
        harness = Harness(str(tmp_path / f"r{number}"))
        assert verified(harness.store, harness.loop) == []
        for queue_id in harness.listed_ids()[:50]:
            assert harness.content(harness.get(queue_id).key) == queue_id.encode() * 300
        harness.close()


def _open_to_all(path: Path) -> None:
    """Let everybody through to a test's directory."""
    for each in (path, *path.parents):
        if each.stat().st_mode & 0o001 == 0:
            each.chmod(each.stat().st_mode | 0o011)


@pytest.mark.root
def test_root_becomes_the_queues_owner(tmp_path: Path) -> None:
    """Everything that is made belongs to him; where he cannot write, the command says so."""
    owner = pwd.getpwnam("nobody")
    _open_to_all(tmp_path)
    (tmp_path / "etc").mkdir()
    (tmp_path / "spool").mkdir()
    harness = Harness(str(tmp_path / "spool"))
    harness.put(message("LARGE", content=harness.spool(LARGE)))
    harness.close()
    for path in (tmp_path / "spool" / "posthouse", *(tmp_path / "spool" / "posthouse").rglob("*")):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    (tmp_path / "etc" / "main.cf").write_text(f"queue_directory = {tmp_path}/spool\nqueue_owner = nobody\n")
    command = [sys.executable, "-m", "posthouse.commands.posthouse", "queue"]
    for name, *words in (["backup", f"{tmp_path}/copy"], ["verify"], ["repair"]):
        done = subprocess.run([*command, name, "-c", f"{tmp_path}/etc", *words], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")
    made = [tmp_path / "copy", *(tmp_path / "copy").rglob("*"), *(tmp_path / "spool" / "posthouse").rglob("*")]
    assert {path.stat().st_uid for path in made} == {owner.pw_uid}
    (tmp_path / "closed").mkdir(0o700)
    words = ["backup", "-c", f"{tmp_path}/etc", f"{tmp_path}/closed/copy"]
    done = subprocess.run([*command, *words], capture_output=True, check=False)
    assert done.returncode == 77
    assert b"nobody, who owns the queue, cannot use" in done.stderr


@pytest.mark.root
def test_others_are_told_who_may(tmp_path: Path) -> None:
    """Somebody who is neither root nor the owner is told who that is."""
    (tmp_path / "posthouse").mkdir(0o755)
    (tmp_path / "main.cf").write_text(f"queue_directory = {tmp_path}\n")
    _open_to_all(tmp_path)
    program = (
        "import os; from posthouse.commands.queue import verify; os.setresuid(65534, 65534, 65534); "
        f"raise SystemExit(verify.main(['-c', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 77, done.stderr
    assert f"this needs root, or root, who owns {tmp_path}/posthouse".encode() in done.stderr


def test_broken_rows_never_reach_a_delivery(site: Site, filled: Harness) -> None:
    """A message that repair could not make whole is in the corrupt queue, due never."""
    filled.close()
    site.statement("DELETE FROM content")
    site.queue("repair")
    again = Harness(str(site.spool))
    assert again.get("SMALL").queue_name == CORRUPT
    assert again.due_ids() == ["LARGE"]
    again.close()


def test_newer_store_is_refused_by_all(site: Site, filled: Harness) -> None:
    """With both versions named, and nothing changed."""
    filled.close()
    connection = apsw.Connection(str(site.store / "store-1.sqlite"))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = (site.store / "store-1.sqlite").read_bytes()
    for name in ("verify", "repair"):
        status, _, error = site.queue(name)
        assert status == 69
        assert "has version 99 of the queue, this program knows version 1" in error
    with pytest.raises(StoreError, match="version 99"):
        Harness(str(site.spool))
    assert (site.store / "store-1.sqlite").read_bytes() == before
