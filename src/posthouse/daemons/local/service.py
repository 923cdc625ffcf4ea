"""The service of local(8): its tables and its agent."""

import os

from posthouse.config.parameters import ALIAS_MAPS
from posthouse.daemons.local.agent import LocalAgent, Tables
from posthouse.delivery.agent import AgentService
from posthouse.delivery.users import Users
from posthouse.ipc.cleanup import CleanupClient
from posthouse.skeleton.daemon import Context
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
