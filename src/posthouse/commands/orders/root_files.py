"""Which services open tables that their own user may not read (sasl_passwd, mode 0600).

Postfix's daemons open such tables as root. Ours keep, from the change of user until their tables are open, the right to
read every file, within their Landlock rules, and give it up before they serve. Who needs it is found out here.
"""

import importlib
import os
import stat

from posthouse.config.settings import Settings
from posthouse.ipc.orders_wire import Identity
from posthouse.skeleton.daemon import Daemon
from posthouse.skeleton.rules import table_files


def needs_root_files(package: str, settings: Settings, identity: Identity) -> bool:
    """Tell whether a table of this daemon is one that its user may not read."""
    daemon: Daemon = importlib.import_module(f"posthouse.daemons.{package}.daemon").DAEMON
    return any(is_closed(path, identity) for path in table_files(daemon, settings))


def is_closed(path: str, identity: Identity) -> bool:
    """Tell by modes whether a user is kept from a file that is there, or from a directory on the way."""
    try:
        places = [os.stat(place) for place in (path, *_parents(path))]
    except PermissionError:
        return True  # we run with rights like his
    except OSError:
        return False
    return not all(_may(place, identity) for place in places)


def _parents(path: str) -> list[str]:
    found = []
    while path != "/":
        path = os.path.dirname(path)
        found.append(path)
    return found


def _may(place: os.stat_result, identity: Identity) -> bool:
    """Read a file, or search a directory (path_resolution(7))."""
    wanted = stat.S_IXOTH if stat.S_ISDIR(place.st_mode) else stat.S_IROTH
    if place.st_uid == identity.uid:
        wanted <<= 6
    elif place.st_gid in (identity.gid, *identity.groups):
        wanted <<= 3
    return bool(place.st_mode & wanted)
