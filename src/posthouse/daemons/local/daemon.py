"""local(8): delivers to the users of this machine: aliases, .forward files, mailboxes, commands.

It decides; it does not touch. Whatever must be done with somebody's rights (write a mailbox, read a .forward, run a
command) is asked of runas(8), whose child is that user for good. root's mail is handled as default_privs. Without
root everything is done as the one user there is.

Diagnostics: one line for each recipient. A full disk defers, a full mailbox bounces, an unknown user bounces.
Standards: RFC 822 (aliases), 3463. See also: aliases(5), runas(8), qmgr(8), virtual(8).
"""

import os

from posthouse.config.parameters import ALIAS_MAPS
from posthouse.daemons.local.agent import LocalAgent, Tables
from posthouse.daemons.local.parameters import PARAMETERS
from posthouse.delivery.agent import AgentService
from posthouse.delivery.users import Users
from posthouse.ipc.cleanup import CleanupClient
from posthouse.skeleton.daemon import Context, Daemon, Privileges
from posthouse.tables.open import Opener, open_maps
from posthouse.tables.proxy import ProxyClient
from posthouse.tables.table import SENSITIVE


def start(context: Context) -> AgentService:
    """Open the tables, make the agent."""
    settings = context.settings
    opener = Opener(settings, proxy=ProxyClient(context.loop, context.private("proxymap")))
    tables = Tables(
        aliases=open_maps(settings[ALIAS_MAPS], opener, SENSITIVE),
        passwd=open_maps(["proxy:unix:passwd.byname"], opener),
    )
    cleanup = CleanupClient(context.loop, context.public("cleanup"))
    agent = LocalAgent(settings, tables, Users(context), cleanup, os.geteuid())
    return AgentService(context, agent.deliver)


DAEMON = Daemon(
    name="local",
    start=start,
    parameters=PARAMETERS,
    talks_to=("qmgr", "cleanup", "proxymap"),
    privileges=Privileges(user="$mail_owner", chroot="never", accounts=True, asks_runas=True, executes=True),
    clients=1,
)
