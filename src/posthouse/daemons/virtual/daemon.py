"""virtual(8): delivers to mailboxes of domains whose users have no account here.

Mailbox, user and group are found in tables. It decides and does not touch: the writing is done by a child of runas(8)
that is the mailbox's owner. User and group IDs below the minimum are refused, and so are paths that leave the base.

Diagnostics: one line for each recipient. A mistake in a table defers the mail and is logged.
Standards: RFC 3463. See also: local(8), runas(8), qmgr(8).
"""

import os

from posthouse.config.parameters import IPC_TIMEOUT, PROXYMAP_SERVICE_NAME, VIRTUAL_MAILBOX_MAPS
from posthouse.daemons.virtual.agent import Tables, VirtualAgent
from posthouse.daemons.virtual.parameters import PARAMETERS, VIRTUAL_GID_MAPS, VIRTUAL_UID_MAPS
from posthouse.delivery.agent import AgentService
from posthouse.delivery.users import Users
from posthouse.skeleton.daemon import Context, Daemon, Privileges
from posthouse.tables.open import Opener, open_maps
from posthouse.tables.proxy import ProxyClient
from posthouse.tables.table import SENSITIVE


def start(context: Context) -> AgentService:
    """Open the tables (no "proxy:" and nothing of strangers: they decide about rights), make the agent."""
    settings = context.settings
    proxymap = context.private(settings[PROXYMAP_SERVICE_NAME])
    opener = Opener(settings, proxy=ProxyClient(context.loop, proxymap, timeout_s=settings[IPC_TIMEOUT]))
    tables = Tables(
        mailboxes=open_maps(settings[VIRTUAL_MAILBOX_MAPS], opener, SENSITIVE),
        uids=open_maps(settings[VIRTUAL_UID_MAPS], opener, SENSITIVE),
        gids=open_maps(settings[VIRTUAL_GID_MAPS], opener, SENSITIVE),
    )
    agent = VirtualAgent(settings, tables, Users(context), os.geteuid())
    return AgentService(context, agent.deliver)


DAEMON = Daemon(
    name="virtual",
    start=start,
    parameters=PARAMETERS,
    talks_to=("qmgr", "proxymap"),
    privileges=Privileges(
        user="$mail_owner",
        chroot="never",
        asks_runas=True,
        mailboxes=("$virtual_mailbox_base",),
    ),
    clients=1,
)
