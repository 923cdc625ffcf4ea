"""sendmail(1): the Sendmail-compatible way into the mail system, for programs of this machine.

Standard library only, and little of it: mail programs start it thousands of times. It is not privileged in any way: it
hands its message to the submit socket, where the kernel tells pickup(8) who it is; when the system is down it leaves
the message in maildrop/ and says nothing, as the message is safe there.

Exit status: sysexits.h values; 75 (EX_TEMPFAIL) when the message could not be taken now. Sources: sendmail(1).
"""

from __future__ import annotations

import os
import sys

from posthouse.commands.submission import Message, format_submission, submit
from posthouse.ipc.submit import FLAG_GATEWAY, FLAG_SMTPUTF8, FLAG_TRACE

TYPE_CHECKING = False  # typing costs 6 ms at each start, and only the type checker needs it
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, NoReturn

EX_OK, EX_USAGE, EX_DATAERR, EX_NOUSER, EX_UNAVAILABLE = 0, 64, 65, 67, 69
EX_SOFTWARE, EX_OSERR, EX_TEMPFAIL, EX_NOPERM = 70, 71, 75, 77

OPTIONS: Final = "A:B:C:F:GIL:N:O:R:UV:X:b:ce:f:h:imno:p:q:r:tvx"
IGNORED: Final = frozenset("ALUcehmpx")
HEADER_CHARACTERS: Final = ' \t\r\n,:;<>()"'  # in an argument that is more than an address
MAX_ENVID: Final = 100  # characters; RFC 3461 4.4


class UsageError(Exception):
    """The command line is wrong; str() says how."""


class Arguments:
    """The command line, read."""

    def __init__(self) -> None:
        self.mode = "m"  # of -b
        self.config_directory = ""
        self.message = Message()
        self.from_headers = False
        self.dot_ends = True
        self.flush: list[str] | None = None  # arguments for postqueue
        self.alias_database = ""
        self.has_interval = False


def main(argv: list[str] | None = None) -> int:
    """Run; the name it is called by (mailq, newaliases) decides what it does."""
    open_standard_descriptors()
    arguments = sys.argv if argv is None else argv
    name = os.path.basename(arguments[0])
    try:
        parsed = parse_arguments(arguments[1:])
    except UsageError as error:
        sys.stderr.write(f"sendmail: fatal: {error}\n")
        return EX_USAGE
    if name == "mailq":
        parsed.mode = "p"
    elif name == "newaliases":
        parsed.mode = "i"
    if parsed.flush is not None:
        return _call("postqueue", parsed, parsed.flush)
    return _MODES[parsed.mode](parsed)


def parse_arguments(words: list[str]) -> Arguments:
    """Read options in the way of getopt(3). Raises UsageError."""
    arguments = Arguments()
    position = 0
    while position < len(words) and words[position].startswith("-") and words[position] != "-":
        word = words[position]
        position += 1
        if word == "--":
            break
        index = 1
        while index < len(word):
            letter = word[index]
            index += 1
            takes_value = _takes_value(letter)
            value = ""
            if takes_value:
                value, index = word[index:], len(word)
                if not value and not (letter == "q" or (letter == "o" and position >= len(words))):
                    if position >= len(words):
                        raise UsageError(f"option requires an argument -- '{letter}'")
                    value = words[position]
                    position += 1
            _option(arguments, letter, value)
    for word in words[position:]:
        arguments.message.recipients += addresses_of(word)
    return arguments


def _takes_value(letter: str) -> bool:
    where = OPTIONS.find(letter) if letter != ":" else -1
    if where < 0:
        raise UsageError(f"invalid option -- '{letter}'")
    return OPTIONS[where + 1 : where + 2] == ":"


def _option(arguments: Arguments, letter: str, value: str) -> None:
    handler = _HANDLERS.get(letter)
    if handler is not None:
        handler(arguments, value)
    elif letter not in IGNORED:
        raise UsageError(f"option -{letter} is not supported")


def _set_body(arguments: Arguments, value: str) -> None:
    known = {"7BIT": "7bit", "8BITMIME": "8bit"}
    if value.upper() not in known:
        raise UsageError(f"specify -B with 7BIT or 8BITMIME, not {value}")
    arguments.message.encoding = known[value.upper()]


def _set_sender(arguments: Arguments, value: str) -> None:
    found = addresses_of(value)
    if len(found) > 1:
        _warn(f"-f option specified malformed sender: {value}")
    arguments.message.sender = found[0] if found else ""


def addresses_of(text: str) -> list[str]:
    """Give the addresses in an argument: mostly one, as it stands; "Name <a@b>" and lists are read as in a header."""
    if not any(character in text for character in HEADER_CHARACTERS):
        return [text]
    from posthouse.commands.header_recipients import read_addresses

    return read_addresses(text)


def _warn(text: str) -> None:
    """Tell what is ignored: an option that is wrong must not cost the message."""
    sys.stderr.write(f"sendmail: warning: {text}\n")


def _set_notify(arguments: Arguments, value: str) -> None:
    words = value.lower().split(",")
    if not words or set(words) - {"never", "success", "failure", "delay"} or ("never" in words and len(words) > 1):
        _warn(f"bad -N option value -- ignored: {value}; use never, or some of success,failure,delay")
    else:
        arguments.message.notify = ",".join(words)


def _set_return(arguments: Arguments, value: str) -> None:
    if value.lower() not in ("full", "hdrs"):
        _warn(f"bad -R option value -- ignored: {value}; use full or hdrs")
    else:
        arguments.message.ret = value.upper()


def _set_envid(arguments: Arguments, value: str) -> None:
    if len(value) > MAX_ENVID or not value.isascii() or not value.isprintable():
        _warn("bad -V option value -- ignored: at most 100 printable characters")
    else:
        arguments.message.envid = value


def _set_mode(arguments: Arguments, value: str) -> None:
    if value not in _MODES:
        raise UsageError(f"option -b{value} is not supported")
    arguments.mode = value


def _set_long_option(arguments: Arguments, value: str) -> None:
    name, _, setting = value.partition("=")
    if name.lower() == "smtputf8" and setting.lower() == "yes":
        arguments.message.flags += FLAG_SMTPUTF8


def _set_old_option(arguments: Arguments, value: str) -> None:
    if value == "i":
        arguments.dot_ends = False
    elif value.startswith("A"):
        arguments.alias_database = value[1:]


def _set_queue(arguments: Arguments, value: str) -> None:
    if not value:
        arguments.flush = ["-f"]
    elif value[0] in "0123456789":
        arguments.has_interval = True  # of a daemon that Postfix does not have either
    elif value[0] == "I":
        arguments.flush = ["-i", value[1:]]
    elif value[0] == "R":
        arguments.flush = ["-s", value[1:]]
    else:
        raise UsageError(f"-q{value[0]} is not implemented")


def _set_config(arguments: Arguments, value: str) -> None:
    arguments.config_directory = os.path.dirname(value) if os.path.isfile(value) else value


def _set_full_name(arguments: Arguments, value: str) -> None:
    arguments.message.full_name = value


def _set_flag(arguments: Arguments, letter: str) -> None:
    if letter == "i":
        arguments.dot_ends = False
    elif letter == "t":
        arguments.from_headers = True
    elif letter == "I":
        arguments.mode = "i"
    elif letter == "G":
        arguments.message.flags += FLAG_GATEWAY
    elif letter == "v":
        arguments.message.flags += FLAG_TRACE


def _flag_setter(letter: str) -> Callable[[Arguments, str], None]:
    return lambda arguments, _value: _set_flag(arguments, letter)


_HANDLERS: Final[dict[str, Callable[[Arguments, str], None]]] = {
    "B": _set_body,
    "C": _set_config,
    "F": _set_full_name,
    "N": _set_notify,
    "O": _set_long_option,
    "R": _set_return,
    "V": _set_envid,
    "b": _set_mode,
    "f": _set_sender,
    "o": _set_old_option,
    "q": _set_queue,
    "r": _set_sender,
    **{letter: _flag_setter(letter) for letter in "iItGv"},
}


def deliver(arguments: Arguments) -> int:
    """Read the message from standard input and submit it."""
    message = arguments.message
    if not message.recipients and not arguments.from_headers:
        if arguments.has_interval:
            return EX_OK
        sys.stderr.write(
            "sendmail: fatal: Recipient addresses must be specified on the command line or via the -t option\n"
        )
        return EX_USAGE
    message.content = without_from_lines(read_content(dot_ends=arguments.dot_ends))
    if not message.full_name:
        message.full_name = os.environ.get("NAME", "") or login_full_name()
    if arguments.from_headers:
        from posthouse.commands.header_recipients import header_recipients

        message.recipients += header_recipients(message.content)
        if not message.recipients:
            sys.stderr.write("sendmail: fatal: No recipient addresses found in message header\n")
            return EX_USAGE
    answer = submit(format_submission(message), arguments.config_directory)
    if answer.code < 400:
        return EX_OK
    sys.stderr.write(f"sendmail: fatal: {answer.text}\n")
    if answer.code < 500:
        return EX_TEMPFAIL
    return EX_NOPERM if answer.dsn == "5.7.1" else EX_DATAERR if answer.dsn.startswith("5.3") else EX_UNAVAILABLE


def read_content(*, dot_ends: bool) -> bytes:
    """Read all of standard input as LF lines. dot_ends: a line with a dot alone ends it."""
    content = sys.stdin.buffer.read() if sys.stdin is not None else b""
    if b"\r\n" in content:
        content = content.replace(b"\r\n", b"\n")
    if dot_ends:
        if content.startswith(b".\n") or content == b".":
            return b""
        end = content.find(b"\n.\n")
        if end >= 0:
            content = content[: end + 1]
        elif content.endswith(b"\n."):
            content = content[:-1]
    return content


def without_from_lines(content: bytes) -> bytes:
    """Drop the lines that part messages in a mailbox from the beginning of one: "From ", with ">" before it or not."""
    start = 0
    while True:
        word = start
        while content.startswith(b">", word):
            word += 1
        if not content.startswith(b"From ", word):
            return content[start:] if start else content
        start = content.find(b"\n", word) + 1 or len(content)


def open_standard_descriptors() -> None:
    """Open what the caller has closed, lest a file of ours becomes standard output and gets what is meant for it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115 - for good


def login_full_name() -> str:
    """The submitter's name from the password file; & is the login name with a capital."""
    import pwd

    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        return ""
    return entry.pw_gecos.partition(",")[0].replace("&", entry.pw_name.capitalize())


def _call(name: str, arguments: Arguments, words: list[str]) -> int:
    """Run another of our commands in this process."""
    from importlib import import_module

    option = "-C" if name == "newaliases" else "-c"
    config = [option, arguments.config_directory] if arguments.config_directory else []
    sys.argv = [name, *config, *words]
    result = import_module(f"posthouse.commands.{name}").main()
    assert isinstance(result, int)
    return result


def _not_yet(arguments: Arguments) -> int:
    sys.stderr.write(f"sendmail: fatal: -b{arguments.mode} is not built yet\n")
    return EX_UNAVAILABLE


def _new_aliases(arguments: Arguments) -> int:
    if arguments.alias_database:
        return _call("postalias", arguments, [arguments.alias_database])
    return _call("newaliases", arguments, [])


_MODES: Final[dict[str, Callable[[Arguments], int]]] = {
    "m": deliver,
    "a": deliver,
    "d": lambda arguments: _call("postfix", arguments, ["start"]),
    "l": lambda arguments: _call("postfix", arguments, ["start"]),
    "h": lambda _arguments: EX_OK,
    "H": lambda _arguments: EX_OK,
    "i": _new_aliases,
    "p": lambda arguments: _call("postqueue", arguments, ["-p"]),
    "s": _not_yet,
    "v": _not_yet,
}


def run() -> NoReturn:
    """Entry point of the script."""
    raise SystemExit(main())
