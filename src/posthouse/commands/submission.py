"""How sendmail(1) hands a message over: the submit socket, or maildrop/ when nobody serves it. Standard library only.

A file in maildrop has a random name, and is complete when its mode is 0444; that is set when its content is on disk,
and the directory is synced before success is reported.
"""

from __future__ import annotations

import os
import socket

from posthouse.ipc import submit as records

TYPE_CHECKING = False  # typing and dataclasses cost 20 ms at each start of sendmail
if TYPE_CHECKING:
    from typing import Final

MAILDROP_COMPLETE: Final = 0o444
ANSWER_TIMEOUT_S: Final = 3600.0  # postconf(5) ipc_timeout
DEFAULT_QUEUE_DIRECTORY: Final = "/var/spool/postfix"
DEFAULT_CONFIG_DIRECTORY: Final = "/etc/postfix"


class Message:
    """What sendmail collected."""

    def __init__(self) -> None:
        self.sender: str | None = None  # None: the submitter's login name
        self.recipients: list[str] = []
        self.full_name = ""
        self.encoding = ""
        self.envid = ""
        self.ret = ""
        self.notify = ""
        self.flags = b""
        self.content = b""


class Answer:
    """What the mail system said: SMTP code, RFC 3463 status, text."""

    def __init__(self, code: int, dsn: str, text: str) -> None:
        self.code = code
        self.dsn = dsn
        self.text = text


def format_submission(message: Message) -> bytes:
    """All records of a submission (ipc/submit.py)."""
    pieces = [records.format_record(records.VERSION, records.FORMAT)]
    given = (
        (records.ENCODING, message.encoding),
        (records.ENVID, message.envid),
        (records.RET, message.ret),
        (records.NOTIFY, message.notify),
        (records.FULL_NAME, message.full_name),
    )
    pieces.extend(records.format_record(kind, _envelope_text(text)) for kind, text in given if text)
    if message.flags:
        pieces.append(records.format_record(records.FLAGS, message.flags))
    if message.sender is not None:
        pieces.append(records.format_record(records.SENDER, _envelope_text(message.sender)))
    pieces.extend(records.format_record(records.RECIPIENT, _envelope_text(rcpt)) for rcpt in message.recipients)
    content = message.content
    limit = records.MAX_CONTENT_RECORD
    starts = range(0, len(content), limit)
    pieces.extend(records.format_record(records.CONTENT, content[start : start + limit]) for start in starts)
    pieces.append(records.format_record(records.END, b""))
    return b"".join(pieces)


def _envelope_text(text: str) -> bytes:
    """Octets of an envelope record: line breaks would be refused, so they become blanks, as Postfix makes them."""
    return text.encode("utf-8", "replace").replace(b"\r", b" ").replace(b"\n", b" ").replace(b"\0", b" ")


def submit(submission: bytes, config_directory: str = "") -> Answer:
    """Hand over. Never raises: what cannot be taken now is a 4xx answer."""
    queue_directory = find_queue_directory(config_directory)
    if not queue_directory.startswith("/"):
        return Answer(451, "4.3.5", queue_directory)
    try:
        answer = _by_socket(f"{queue_directory}/submit/submit", submission)
    except OSError:
        answer = None
    if answer is not None:
        return answer
    if os.path.lexists(f"{queue_directory}/pid/drain"):
        return Answer(451, "4.3.2", records.DRAINED)
    try:
        _drop(f"{queue_directory}/maildrop", submission)
    except OSError as error:
        return Answer(451, "4.3.0", f"mail system is down, and {queue_directory}/maildrop: {error.strerror}")
    return Answer(250, "2.0.0", "left in maildrop")


def _by_socket(path: str, submission: bytes) -> Answer | None:
    """Ask the running system. None: it went away before it answered, so the message must go another way."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(path)
        sock.settimeout(ANSWER_TIMEOUT_S)
        try:  # noqa: SIM105 - contextlib costs 5 ms at each start
            sock.sendall(submission)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused early: the answer says why
        said = b""
        while not said.endswith(b"\n") and (piece := sock.recv(4096)):
            said += piece
    words = said.decode("utf-8", "replace").strip().split(" ", 2)
    if len(words) < 3 or len(words[0]) != 3 or not (words[0].isascii() and words[0].isdigit()):
        return None
    return Answer(int(words[0]), words[1], words[2])


def _drop(directory: str, submission: bytes) -> None:
    """Leave the submission in maildrop, durably. Raises OSError."""
    name = os.path.join(directory, os.urandom(16).hex())
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(submission)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
        os.fchmod(descriptor, MAILDROP_COMPLETE)
        os.fsync(descriptor)
        _sync_file_system(descriptor)
    except OSError:
        os.unlink(name)
        raise
    finally:
        os.close(descriptor)


def _sync_file_system(descriptor: int) -> None:
    """Sync the directory entry. The directory itself cannot be opened by users (mode 1733), its file system can."""
    import ctypes

    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) == 0:
            return
    except (OSError, AttributeError):
        pass
    os.sync()


def find_queue_directory(config_directory: str) -> str:
    """Find queue_directory in main.cf, without the cost of the whole configuration where its value is plain.

    What is no path is the reason why there is none.
    """
    config_directory = config_directory or os.environ.get("MAIL_CONFIG", "") or DEFAULT_CONFIG_DIRECTORY
    value = DEFAULT_QUEUE_DIRECTORY
    try:
        with open(os.path.join(config_directory, "main.cf"), "rb") as file:
            text = file.read()
    except OSError:
        return value
    name = b""
    for line in text.split(b"\n"):
        if line[:1] in (b" ", b"\t") and name == b"queue_directory" and line.strip():
            value = ""  # it goes on here
        elif line.strip() and not line.startswith(b"#"):
            name, _, right = line.partition(b"=")
            name = name.strip()
            if name == b"queue_directory":
                value = right.strip().decode("utf-8", "replace")
    return value if value.startswith("/") and "$" not in value else _expanded_queue_directory(config_directory)


def _expanded_queue_directory(config_directory: str) -> str:
    from posthouse.config.load import load_settings
    from posthouse.util.errors import ConfigError

    try:
        return load_settings(config_directory, "sendmail").text("queue_directory")
    except ConfigError as error:
        return f"mail system configuration error: {error}"
