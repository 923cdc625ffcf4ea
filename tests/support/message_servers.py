"""One server with many configurations: each has a listener, a cleanup and a trivial-rewrite service of its own.

What a configuration sets stands as "-o" on these three services, so one start is enough for all of them; a server that
has only one has it in main.cf. Mail goes to sinks that keep octets, or into mailboxes.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tests.support import net
from tests.support.exact_client import Letter, send_all
from tests.support.exact_sink import Delivery, ExactSink
from tests.support.instance import MASTER_CF, Instance, Options

BOXES: Final = 20  # mailboxes of each kind
KINDS: Final = ("virtual-maildir", "virtual-mbox", "local-maildir", "local-mbox")
_DRAIN_LIMIT_S: Final = 60

SHARED: Final[Mapping[str, str]] = {
    "mydestination": "$myhostname, $mydomain, localhost, local.test",
    "local_recipient_maps": "",
    "enable_long_queue_ids": "yes",
    "mail_name": "Mail",
    "smtpd_error_sleep_time": "0",
    "smtpd_soft_error_limit": "100000",
    "smtpd_hard_error_limit": "100000",
    "smtpd_junk_command_limit": "100000",
    "in_flow_delay": "0",
    "local_transport": "smtp:[127.0.0.1]:{sink}",
    "virtual_transport": "smtp:[127.0.0.1]:{sink}",
    "relayhost": "[127.0.0.1]:{sink}",
    "transport_maps": "inline:{ {seven.test = smtp:[127.0.0.1]:{seven}} {local.test = local:} {box.test = virtual:} }",
    "alias_maps": "texthash:{directory}/etc/people",
    "virtual_mailbox_domains": "box.test",
    "virtual_mailbox_base": "{mail}",
    "virtual_mailbox_maps": "texthash:{directory}/etc/boxes",
    "virtual_uid_maps": "static:65534",
    "virtual_gid_maps": "static:65534",
    "virtual_minimum_uid": "100",
}


@dataclass(frozen=True, slots=True)
class Configuration:
    """What is set other than SHARED, with tables; where its messages come from."""

    name: str
    main: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    families: tuple[str, ...] = ("headers", "addresses")


@dataclass(frozen=True, slots=True)
class Results:
    """What a server did: the replies to each message by name, all deliveries, who wrote what was held, mailboxes."""

    answers: dict[str, tuple[str, ...]]
    taken: list[Delivery]
    held: list[str]
    boxes: dict[str, bytes]


def _files() -> dict[str, str]:
    numbers = range(BOXES)
    boxes = [f"virtual-maildir-{number}@box.test virtual-maildir-{number}/\n" for number in numbers]
    boxes += [f"virtual-mbox-{number}@box.test virtual-mbox-{number}\n" for number in numbers]
    aliases = [f"local-maildir-{number} {{mail}}/local-maildir-{number}/\n" for number in numbers]
    aliases += [f"local-mbox-{number} {{mail}}/local-mbox-{number}\n" for number in numbers]
    return {"boxes": "".join(boxes), "people": "".join(aliases)}


class Server:
    """One server under comparison, its sinks and its ports."""

    def __init__(
        self,
        kind: type[Instance],
        configurations: Sequence[Configuration],
        files: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """files: tables that configurations name and others bring."""
        self._sinks = ExactSink(), ExactSink(("PIPELINING", "DSN", "SIZE 0"))
        self._configurations = configurations
        self._tables = files
        self._ports = {one.name: net.free_port() for one in configurations}
        self.instance = kind(self._options())

    def _fill(self, text: str) -> str:
        full, seven = self._sinks
        return text.replace("{sink}", str(full.port)).replace("{seven}", str(seven.port))

    def _options(self) -> Options:
        main, files, services = dict(SHARED), {**self._tables, **_files()}, list[str]()
        for one in self._configurations:
            files |= one.files
            services += self._services(one)
        if len(self._configurations) == 1:
            main |= self._configurations[0].main
        return Options(
            main={name: self._fill(value) for name, value in main.items()},
            master=[self._fill(service) for service in services],
            files={name: self._fill(text) for name, text in files.items()},
            master_cf=MASTER_CF,
        )

    def _services(self, one: Configuration) -> list[str]:
        port = self._ports[one.name]
        if len(self._configurations) == 1:
            return [f"127.0.0.1:{port} inet n - n - - smtpd"]
        settings = "".join(f"\n  -o {{ {name} = {value} }}" for name, value in one.main.items())
        rewrite = f"\n  -o rewrite_service_name=rewrite-{one.name}"
        cleanup = f"\n  -o cleanup_service_name=cleanup-{one.name}"
        return [
            f"127.0.0.1:{port} inet n - n - - smtpd{cleanup}{rewrite}{settings}",
            f"cleanup-{one.name} unix n - n - 0 cleanup{rewrite}{settings}",
            f"rewrite-{one.name} unix - - n - - trivial-rewrite{settings}",
        ]

    def start(self) -> None:
        """Start the sinks and the server; its tables are texts, and need no making."""
        self.instance.mail_directory.chmod(0o777)
        for sink in self._sinks:
            sink.__enter__()
        self.instance.start_and_greet()

    def destroy(self) -> None:
        """Remove everything."""
        self.instance.destroy()
        for sink in self._sinks:
            sink.__exit__(None, None, None)

    def run(self, letters: Mapping[str, Sequence[Letter]], submitted: Iterable[Letter] = ()) -> Results:
        """Send the messages for each configuration over SMTP, and some by sendmail; wait until all is done."""
        answers: dict[str, tuple[str, ...]] = {}
        for name, messages in letters.items():
            answers |= send_all(self._ports[name], messages)
        answers |= {letter.name: self._submit(letter) for letter in submitted}
        held = self._drain()
        taken = [delivery for sink in self._sinks for delivery in sink.taken]
        return Results(answers, taken, held, self._read_boxes())

    def _submit(self, letter: Letter) -> tuple[str, ...]:
        """Give a message to sendmail; its exit status is the answer."""
        arguments = ["-V", letter.name, *letter.mail_options.decode().split()]
        recipients = [os_text(recipient) for recipient in letter.recipients]
        done = self.instance.command(
            "sendmail", "-f", os_text(letter.sender), *arguments, "--", *recipients, stdin=letter.content
        )
        return (str(done.returncode),)

    def _drain(self) -> list[str]:
        """Wait until nothing but mail on hold is queued; let that go, too. Return the senders of what was held."""
        self._wait({"hold"})
        held = [str(message["sender"]) for message in self.instance.queue()]
        if held:
            self.instance.command("postsuper", "-H", "ALL")
            self.instance.command("postqueue", "-f")
            self._wait(set())
        return sorted(held)

    def _wait(self, left: set[str]) -> None:
        deadline = time.monotonic() + _DRAIN_LIMIT_S
        while waiting := [one for one in self.instance.queue() if one["queue_name"] not in left]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(waiting)} messages still queued, the first: {waiting[0]}")
            time.sleep(0.1)

    def _read_boxes(self) -> dict[str, bytes]:
        """Read all mailboxes: an mbox as it is, a Maildir's messages one after the other."""
        found = {}
        for path in sorted(self.instance.mail_directory.iterdir()):
            files = sorted((path / "new").iterdir()) if path.is_dir() else [path]
            found[path.name] = b"".join(file.read_bytes() for file in files)
        return found


def os_text(octets: bytes) -> str:
    """Give an argument of a command."""
    return octets.decode("utf-8", "surrogateescape")
