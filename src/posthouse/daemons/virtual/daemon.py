"""virtual(8): delivers to mailboxes of domains whose users have no account here.

Mailbox, user and group are found in tables. It decides and does not touch: the writing is done by a child of runas(8)
that is the mailbox's owner. User and group IDs below the minimum are refused, and so are paths that leave the base.

Diagnostics: one line for each recipient. A mistake in a table defers the mail and is logged.
Standards: RFC 3463. See also: local(8), runas(8), qmgr(8).
"""

import os

from posthouse.config.parameters import VIRTUAL_MAILBOX_MAPS
from posthouse.daemons.virtual.agent import Tables, VirtualAgent
from posthouse.daemons.virtual.parameters import PARAMETERS, VIRTUAL_GID_MAPS, VIRTUAL_UID_MAPS
from posthouse.delivery.agent import AgentService
from posthouse.delivery.users import Users
from posthouse.skeleton.daemon import Context, Daemon, Privileges
from posthouse.tables.open import Opener, open_maps


def start(context: Context) -> AgentService:
    """Open the tables (never by way of proxymap: they decide about rights), make the agent."""
    settings = context.settings
    opener = Opener(settings)
    tables = Tables(
        mailboxes=open_maps(settings[VIRTUAL_MAILBOX_MAPS], opener, strict=False),
        uids=open_maps(settings[VIRTUAL_UID_MAPS], opener, strict=False),
        gids=open_maps(settings[VIRTUAL_GID_MAPS], opener, strict=False),
    )
    agent = VirtualAgent(settings, tables, Users(context), os.geteuid())
    return AgentService(context, agent.deliver)


DAEMON = Daemon(
    name="virtual",
    start=start,
    parameters=PARAMETERS,
    talks_to=("qmgr",),
    privileges=Privileges(
        user="$mail_owner",
        chroot="never",
        asks_runas=True,
        mailboxes=("$virtual_mailbox_base",),
    ),
    clients=1,
)
