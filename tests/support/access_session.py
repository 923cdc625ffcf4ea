"""smtpd's restrictions without smtpd: a policy, the Check of one session, and the DNS of a few names."""

from collections.abc import Mapping

from posthouse.config.parameters import MYNETWORKS
from posthouse.config.settings import Settings
from posthouse.daemons.smtpd.access.check import Check
from posthouse.daemons.smtpd.access.environment import Environment
from posthouse.daemons.smtpd.access.policy import AccessPolicy
from posthouse.daemons.smtpd.access.recipients import RecipientTables
from posthouse.daemons.smtpd.client import OK as NAME_OK
from posthouse.daemons.smtpd.client import Client
from posthouse.ipc.dns import NXDOMAIN, OK, TEMPORARY, Answer, DnsRecord
from posthouse.protocol.smtp.replies import Reply
from posthouse.rewriting.classes import search_rules
from posthouse.rewriting.resolve import Resolver
from posthouse.tables.matchlist import open_host_list
from posthouse.tables.open import Opener
from posthouse.util import eager, log
from tests.support.inprocess import MAIN, ListSink

ZONES = {
    ("good.test", "MX"): Answer(0, OK, "", False, "good.test", [DnsRecord(10, "mx.good.test", 60)]),
    ("null.test", "MX"): Answer(0, OK, "", False, "null.test", [DnsRecord(0, ".", 60)]),
    ("slow.test", "MX"): Answer(0, TEMPORARY, "timeout", False, "slow.test", []),
    ("host.test", "A"): Answer(0, OK, "", False, "host.test", [DnsRecord(0, "192.0.2.1", 60)]),
}


class Zones:
    """DNS of a few names."""

    async def lookup(self, name: str, rrtype: str) -> Answer:
        """Look up in ZONES."""
        return ZONES.get((name, rrtype), Answer(0, NXDOMAIN, "", False, name, []))


class Session:
    """A policy and the Check of one session."""

    def __init__(self, main: Mapping[str, str], client: Client | None = None) -> None:
        self.log = ListSink()
        log.LOG.open("test", self.log)
        settings = Settings.from_mapping({**MAIN, **main})
        opener = Opener(settings)
        resolver = Resolver(settings, opener, own={"127.0.0.1"})
        listed = RecipientTables(settings, opener, resolver, search_rules(settings, resolver.classes.local))
        networks = open_host_list(MYNETWORKS, settings, opener)
        own = frozenset({"127.0.0.1"})
        self.policy = AccessPolicy(Environment(settings, opener, networks, own, resolver, Zones(), listed))
        client = client or Client("192.0.2.9", name="c.test", name_status=NAME_OK, reverse_name="c.test")
        client.make_log_name(with_port=False)
        self.check = Check(client, helo="c.test", protocol="ESMTP")

    def rcpt(self, recipient: str = "alice@example.test", sender: str = "s@good.test") -> str:
        """Decide about a recipient: the reply, or "OK"."""
        self.check.sender, self.check.recipient = sender, recipient
        outcomes: list[eager.Outcome[Reply | None]] = []
        assert eager.start(self.policy.rcpt(self.check), outcomes.append) is None, "nobody is asked here"
        return str(outcomes[0].result() or "OK")
