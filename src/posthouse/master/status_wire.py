"""The status record lives in posthouse.ipc.status_wire; this name is kept until the skeleton uses that one."""

from posthouse.ipc.status_wire import *  # noqa: F403
