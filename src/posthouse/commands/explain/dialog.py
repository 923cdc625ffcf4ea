"""Dialog: smtpd(8)'s own session and conversation, spoken to line by line in this process."""

from inspect import isawaitable

from posthouse.daemons.smtpd.client import Client
from posthouse.daemons.smtpd.conversation import HANDLERS, Conversation, Shared
from posthouse.protocol.smtp.events import Content, Notice, Refused
from posthouse.protocol.smtp.server import ServerSession


class Dialog:
    """One client's session. Limits on time and on numbers of errors are the connection's and play no part here."""

    def __init__(self, shared: Shared, client: Client) -> None:
        self._session = ServerSession(shared.settings.offers.usual.session)
        self.conversation = Conversation(client, shared, shared.limits)
        self.closed = False

    async def open(self) -> str:
        """Connect; gives the greeting, or what stands in its place."""
        reply = await self.conversation.open()
        self._session.settings = self.conversation.session_settings
        self._session.greet(reply)
        self.closed = reply.closes
        return self._sent()

    async def say(self, text: str) -> str:
        """Send a command line, or content; gives the reply, its lines joined by LF."""
        self._session.receive(text.encode("utf-8", "surrogateescape") + b"\r\n")
        while (event := self._session.next_event()) is not None:
            if isinstance(event, Notice):
                continue
            if isinstance(event, Content):
                transaction = self.conversation.transaction
                assert transaction is not None, "content outside of a transaction"
                transaction.write(event.data)
                continue
            if isinstance(event, Refused):
                reply = event.reply
            else:
                handler = HANDLERS[type(event)][-1]
                answer = handler(self.conversation, event)
                reply = await answer if isawaitable(answer) else answer
            self._session.reply(reply)
            self.closed = self.closed or reply.closes
        return self._sent()

    def _sent(self) -> str:
        return self._session.bytes_to_send().decode("utf-8", "replace").replace("\r\n", "\n").rstrip("\n")
