"""The service of virtual(8): its tables and its agent."""

import os

from posthouse.config.parameters import IPC_TIMEOUT, PROXYMAP_SERVICE_NAME, VIRTUAL_MAILBOX_MAPS
from posthouse.daemons.virtual.agent import Tables, VirtualAgent
from posthouse.daemons.virtual.parameters import VIRTUAL_GID_MAPS, VIRTUAL_UID_MAPS
from posthouse.delivery.agent import AgentService
from posthouse.delivery.users import Users
from posthouse.skeleton.daemon import Context
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
