"""pickup: submissions over the socket and from maildrop, handed to a real cleanup."""

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.commands.submission import Message, format_submission
from posthouse.config.settings import Settings
from posthouse.daemons.cleanup.daemon import DAEMON as CLEANUP
from posthouse.daemons.pickup.service import login_name
from posthouse.daemons.pickup.service import start as start_pickup
from posthouse.daemons.trivial_rewrite.daemon import DAEMON as REWRITE
from posthouse.ipc.message import NOTIFY_DELAY, NOTIFY_FAILURE
from posthouse.ipc.queue import Commit, CommitResult
from posthouse.ipc.submit import CONTENT, FORMAT, RECIPIENT, VERSION, format_record
from posthouse.skeleton.daemon import Context, Service
from tests.support.fake_queue import FakeQueue
from tests.support.inprocess import MAIN, System

ME = login_name(os.geteuid())


class Case:
    """A system with pickup at its socket and looking into maildrop."""

    def __init__(self, directory: Path, main: Mapping[str, str]) -> None:
        self.main = {"message_size_limit": "100000", "mailbox_size_limit": "0", **main}
        self.system = System(directory, self.main)
        self.maildrop = directory / "maildrop"
        self.maildrop.mkdir(exist_ok=True)
        queue = self.system.start(FakeQueue, "public/qmgr")
        assert isinstance(queue, FakeQueue)
        self.queue = queue
        self.system.start(REWRITE, "private/rewrite")
        self.system.start(CLEANUP, "public/cleanup")
        self.path = directory / "private" / "submit"

    def serve(self, service_name: str) -> None:
        """Start pickup as one of its two services."""

        def start(context: Context) -> Service:
            main = {**MAIN, "queue_directory": str(self.system.directory), **self.main}
            settings = Settings.from_mapping(main, service_name=service_name, process_name="pickup")
            return start_pickup(replace(context, settings=settings))

        self.system.start(start, f"private/{service_name}")

    def submit(self, *pieces: bytes) -> str:
        """Send a submission to the socket; the answer."""
        if not self.path.exists():
            self.serve("submit")

        async def talk() -> str:
            reader, writer = await asyncio.open_unix_connection(str(self.path))
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.001)
            answer = (await reader.readline()).decode()
            writer.close()
            return answer

        return self.system.run(talk())

    def drop(self, name: str, content: bytes, uid: int = -1) -> Path:
        """Leave a submission in maildrop."""
        path = self.maildrop / name
        path.write_bytes(content)
        path.chmod(0o444)
        os.chown(path, uid, -1)
        return path

    def pick_up(self, until: Callable[[], object]) -> None:
        """Run pickup until something is so."""
        if not (self.system.directory / "private" / "pickup").exists():
            self.serve("pickup")

        async def wait() -> None:
            while not until():  # noqa: ASYNC110 - it watches files and a log
                await asyncio.sleep(0.002)

        self.system.run(wait())

    def trigger(self) -> None:
        """Wake pickup."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.system.directory / "private" / "pickup"))

    def logged(self, word: str) -> bool:
        """Whether a line has the word."""
        return any(word in line for line in self.system.log.lines)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Callable[..., Case]]:
    """Give a function that makes a case with some settings."""
    made: list[Case] = []

    def make(**main: str) -> Case:
        made.append(Case(tmp_path, main))
        return made[-1]

    yield make
    for each in made:
        each.system.close()


def message(**options: object) -> bytes:
    """Format a submission."""
    made = Message()
    made.recipients = ["alice@example.test"]
    made.content = b"Subject: x\n\nbody\n"
    for name, value in options.items():
        assert hasattr(made, name)
        setattr(made, name, value)
    return format_submission(made)


def test_a_submission_is_queued(case: Callable[..., Case]) -> None:
    """The answer says under which ID; the log says who."""
    made = case()
    answer = made.submit(message())
    [(envelope, recipients, content)] = made.queue.messages
    assert answer == f"250 2.0.0 Ok: queued as {envelope.queue_id}\n"
    assert [rcpt.address for rcpt in recipients] == ["alice@example.test"]
    assert (envelope.sender, envelope.client.uid) == (f"{ME}@example.test", os.geteuid())
    assert content.startswith(b"Received: by mx.example.test (Postfix, from userid %d)\n" % os.geteuid())
    assert content.endswith(b"\n\nbody\n")
    assert made.logged(f"{envelope.queue_id}: uid={os.geteuid()} from=<{ME}>")


def test_everything_that_was_said_reaches_the_queue(case: Callable[..., Case]) -> None:
    """Sender, body type, DSN wishes, flags."""
    made = case()
    made.submit(
        message(sender="s@b.test", encoding="8bit", envid="id", ret="HDRS", notify="failure,delay", flags=b"uv")
    )
    [(envelope, [recipient], _content)] = made.queue.messages
    assert (envelope.sender, envelope.encoding, envelope.dsn_envid, envelope.dsn_ret) == (
        "s@b.test",
        "8bit",
        "id",
        "HDRS",
    )
    assert (envelope.smtputf8, envelope.trace) == (True, 1)
    assert recipient.notify == NOTIFY_FAILURE | NOTIFY_DELAY


def test_text_that_begins_with_a_blank_does_not_continue_our_header(case: Callable[..., Case]) -> None:
    """It is the body of a message without header."""
    made = case()
    made.submit(message(content=b" leading\nSubject: x\n\nbody\n"))
    [(_envelope, _recipients, content)] = made.queue.messages
    assert content.endswith(b"\n\n leading\nSubject: x\n\nbody\n")


def test_the_null_sender_is_a_sender(case: Callable[..., Case]) -> None:
    """Not one that was not said."""
    made = case()
    made.submit(message(sender=""))
    assert made.queue.messages[0][0].sender == ""


def test_a_submission_in_pieces(case: Callable[..., Case]) -> None:
    """Cut anywhere."""
    made = case()
    whole = message()
    assert made.submit(*(whole[place : place + 7] for place in range(0, len(whole), 7))).startswith("250 ")


START = format_record(VERSION, FORMAT)


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "554 5.3.0 submission refused: malformed record"),
        (message(recipients=[]), "554 5.5.0 no recipients"),
        (message(ret="EVERYTHING"), "554 5.3.0 submission refused: unknown RET value"),
        (message(notify="sometimes"), "554 5.3.0 submission refused: unknown NOTIFY value"),
        (message(content=b"x" * 100_001), "552 5.3.4 Message exceeds the size limit of 100000 bytes"),
        (message() + b"x", "554 5.3.0 submission refused: data after the end"),
        (START + format_record(RECIPIENT, b"a\0b"), "554 5.3.0 submission refused: control character"),
    ],
)
def test_what_is_no_submission_is_refused(case: Callable[..., Case], octets: bytes, answer: str) -> None:
    """With a reason, and nothing is queued."""
    made = case()
    assert made.submit(octets).startswith(answer)
    assert made.queue.messages == []


def test_a_program_that_goes_away_before_the_end(case: Callable[..., Case]) -> None:
    """Nothing is queued."""
    made = case()
    made.serve("submit")

    async def talk() -> None:
        _reader, writer = await asyncio.open_unix_connection(str(made.path))
        writer.write(message()[:-5])
        await asyncio.sleep(0.02)
        writer.close()
        await asyncio.sleep(0.02)

    made.system.run(talk())
    assert made.queue.messages == []


def test_a_refusal_is_read_however_much_was_sent(case: Callable[..., Case], tmp_path: Path) -> None:
    """The program writes on while it is refused; it must not take that for a system that is down."""
    made = case(message_size_limit="1000")
    made.serve("submit")
    command = [sys.executable, "-c", SENDER.format(directory=str(tmp_path))]
    (tmp_path / "submit").mkdir()
    (tmp_path / "submit" / "submit").symlink_to(made.path)
    (tmp_path / "main.cf").write_text(f"queue_directory = {tmp_path}\n")

    async def run() -> str:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0].decode()

    assert made.system.run(run()) == "552 5.3.4\n"
    assert list(made.maildrop.iterdir()) == []


SENDER = """
from posthouse.commands.submission import Message, format_submission, submit
message = Message()
message.recipients = ["alice@example.test"]
message.content = b"x" * 5_000_000
answer = submit(format_submission(message), {directory!r})
print(answer.code, answer.dsn)
"""


def test_a_queue_that_does_not_take_it_answers_later(case: Callable[..., Case]) -> None:
    """sendmail exits with 75 then."""
    made = case()
    made.queue.fail = lambda commit: CommitResult(commit.id, "disk full", full=True)
    assert made.submit(message()).startswith("452 4.3.1 ")


@pytest.mark.root
@pytest.mark.parametrize(("users", "answer"), [("static:all", "250 "), ("!root, nobody", "550 5.7.1 you are not")])
def test_who_may_submit(case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch, users: str, answer: str) -> None:
    """authorized_submit_users; root and our own user always may."""
    made = case(authorized_submit_users=users)
    assert made.submit(message()).startswith("250 ")
    monkeypatch.setattr("posthouse.daemons.pickup.service.peer_credentials", lambda _sock: _Stranger)
    assert made.submit(message()).startswith(answer)


class _Stranger:
    uid = 12345


def test_a_table_of_users_that_does_not_answer(case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is let in, nobody is sent away, and the process lives."""
    made = case(authorized_submit_users="fail:not now")
    made.serve("submit")
    monkeypatch.setattr("posthouse.daemons.pickup.service.peer_credentials", lambda _sock: _Stranger)
    assert made.submit(message()).startswith("451 4.3.0 ")


def test_a_submitter_who_cannot_be_looked_up_is_put_off(
    case: Callable[..., Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor is left for /etc/passwd: 451; as a number he would be refused, or be somebody else's sender."""

    def find(_uid: int) -> object:
        raise OSError(errno.EMFILE, "Too many open files")

    made = case(authorized_submit_users="root")
    made.serve("submit")
    monkeypatch.setattr("posthouse.daemons.pickup.service.find_user_id", find)
    assert made.submit(message()).startswith("451 4.3.0 ")


# maildrop


def test_files_are_picked_up_and_removed(case: Callable[..., Case]) -> None:
    """In the order of their names, when they are committed."""
    made = case()
    paths = [made.drop(name, message(sender=f"{name}@b.test")) for name in ("b", "a")]
    made.pick_up(lambda: not any(path.exists() for path in paths))
    assert [envelope.sender for envelope, _, _ in made.queue.messages] == ["a@b.test", "b@b.test"]


def test_a_trigger_looks_again(case: Callable[..., Case]) -> None:
    """sendmail left something; also while a run is going on."""
    made = case()
    first = made.drop("a", message())
    made.pick_up(lambda: not first.exists())
    second = made.drop("b", message())
    made.trigger()
    made.trigger()
    made.pick_up(lambda: not second.exists())
    assert len(made.queue.messages) == 2


@pytest.mark.parametrize("content", [b"junk", message()[:-5], START, message(recipients=[]), b""])
def test_junk_is_said_and_removed(case: Callable[..., Case], content: bytes) -> None:
    """A complete file that is no submission never will be one; the next file is taken."""
    made = case()
    junk, good = made.drop("a", content), made.drop("b", message())
    made.pick_up(lambda: not good.exists())
    assert not junk.exists()
    assert made.logged("maildrop/a: uid")
    assert len(made.queue.messages) == 1


def test_a_file_waits_for_a_queue_that_is_full(case: Callable[..., Case]) -> None:
    """It is not lost."""
    made = case()
    refused: list[Commit] = []

    def refuse(commit: Commit) -> CommitResult:
        refused.append(commit)
        return CommitResult(commit.id, "disk full", full=True)

    made.queue.fail = refuse
    path = made.drop("a", message())
    made.pick_up(lambda: made.logged("will try again"))
    assert path.exists()
    made.queue.fail = lambda _commit: None
    made.trigger()
    made.pick_up(lambda: not path.exists())
    assert len(made.queue.messages) == 1


@pytest.mark.root
def test_who_may_not_submit_may_not_leave_files_either(case: Callable[..., Case]) -> None:
    """The file's owner is who submits."""
    made = case(authorized_submit_users="!nobody, static:all")
    refused, taken = made.drop("a", message(), uid=65534), made.drop("b", message(), uid=65533)
    made.pick_up(lambda: not taken.exists())
    assert not refused.exists()
    assert made.logged("maildrop/a: uid 65534: 550 5.7.1")
    assert [envelope.client.uid for envelope, _, _ in made.queue.messages] == [65533]


def test_many_files_do_not_need_many_descriptors(case: Callable[..., Case]) -> None:
    """Each is opened when its turn comes."""
    made = case()
    paths = [made.drop(f"f{number:03}", message()) for number in range(200)]
    before = len(os.listdir("/proc/self/fd"))
    most = 0

    def done() -> bool:
        nonlocal most
        most = max(most, len(os.listdir("/proc/self/fd")))
        return not any(path.exists() for path in paths)

    made.pick_up(done)
    assert most - before < 100
    assert len(made.queue.messages) == 200


def test_large_content(case: Callable[..., Case]) -> None:
    """Many records."""
    made = case(message_size_limit="10000000")
    content = b"Subject: x\n\n" + b"line of text\n" * 300_000
    path = made.drop("a", message(content=content))
    made.pick_up(lambda: not path.exists())
    assert made.queue.messages[0][2].endswith(content[12:])
    assert format_record(CONTENT, b"") == b"M\0\0\0\0"
