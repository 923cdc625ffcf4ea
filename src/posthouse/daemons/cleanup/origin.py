"""Origin: who sent a message, in the words of the log lines that say what was found in it.

Addresses are those of the finished envelope, and of several recipients the last. They are made when a line is logged,
which most messages never need. Form: Postfix's, so that tools find it.
"""

from collections.abc import Awaitable, Callable, Sequence

from posthouse.ipc.message import NO_ADDRESS_MAPPINGS, Envelope, Recipient

Mapping = Callable[[str], Awaitable[str]]


class Origin:
    """Of one message. sender, recipient: the mappings of envelope addresses."""

    __slots__ = ("_addresses", "_envelope", "_recipient", "_recipients", "_sender")

    def __init__(
        self, envelope: Envelope, recipients: Sequence[Recipient], sender: Mapping, recipient: Mapping
    ) -> None:
        self._envelope = envelope
        self._recipients = recipients
        self._sender = sender
        self._recipient = recipient
        self._addresses = ""

    async def short(self) -> str:
        """Say "from NAME[ADDRESS]; from=<..> to=<..>". Raises TemporaryError: a mapping cannot be asked."""
        if not self._addresses:
            self._addresses = await self._ask()
        return self._addresses

    async def full(self) -> str:
        """Say how it came, too: proto= and helo=. Raises TemporaryError."""
        client = self._envelope.client
        protocol = f" proto={client.protocol}" if client.protocol else ""
        helo = f" helo=<{client.helo}>" if client.helo else ""
        return f"{await self.short()}{protocol}{helo}"

    async def _ask(self) -> str:
        envelope, client = self._envelope, self._envelope.client
        sender = envelope.sender
        recipient = self._recipients[-1].address if self._recipients else ""
        if not envelope.overrides & NO_ADDRESS_MAPPINGS:
            sender = await self._sender(sender)
            recipient = await self._recipient(recipient)
        is_local = client.uid >= 0 or not client.name
        where = "local" if is_local else f"{client.name}[{client.address}]"
        to = f" to=<{recipient}>" if recipient else ""
        return f"from {where}; from=<{sender}>{to}"
