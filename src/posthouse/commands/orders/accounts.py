"""The users that daemons run as, looked up for master (facts B01.15)."""

import grp
import os
import pwd
from typing import Final

from posthouse.config.parameters import MAIL_OWNER, NETWORK_OWNER, QUEUE_OWNER, SETGID_GROUP
from posthouse.config.settings import Settings
from posthouse.ipc.orders_wire import MAX_DENIED, MAX_GROUPS, Identity
from posthouse.util.errors import ConfigError

# Whoever is in one of these can become root, or read what only root should: runas gives them to nobody.
PRIVILEGED_GROUPS: Final = (
    "root",
    "wheel",
    "sudo",
    "admin",
    "adm",
    "disk",
    "shadow",
    "kmem",
    "mem",
    "tty",
    "sys",
    "docker",
    "podman",
    "lxd",
    "incus",
    "libvirt",
    "kvm",
    "staff",
    "systemd-journal",
)
OWNERS: Final = (MAIL_OWNER, NETWORK_OWNER, QUEUE_OWNER)  # in the order of orders_wire.Owner


def find_owners(settings: Settings) -> tuple[Identity, ...]:
    """Look the three users up. Raises ConfigError: one is missing, is root, or is not alone.

    network_owner and queue_owner get mail_owner's group: it opens private/ and the sockets that Dovecot and milters
    leave there for mail_owner; network_owner gets all of mail_owner's groups for the same reason.
    """
    entries = [_account(settings, parameter.name, settings[parameter]) for parameter in OWNERS]
    if len({entry.pw_uid for entry in entries}) != len(entries):
        raise settings.error(
            "mail_owner", "mail_owner, network_owner and queue_owner must be three users: that is the wall between them"
        )
    inner = entries[0]
    if inner.pw_gid == _gid(settings[SETGID_GROUP]):
        raise settings.error("setgid_group", f'must not be the group of mail_owner "{inner.pw_name}"')
    inner_groups = _groups(inner)
    identities = [Identity(inner.pw_uid, inner.pw_gid, inner_groups)]
    for entry, more in zip(entries[1:], ((inner.pw_gid, *inner_groups), (inner.pw_gid,)), strict=True):
        groups = tuple(dict.fromkeys((*_groups(entry), *more)))[:MAX_GROUPS]
        identities.append(Identity(entry.pw_uid, entry.pw_gid, groups))
    return tuple(identities)


def denied_groups(settings: Settings) -> tuple[int, ...]:
    """Give the groups that no recipient's process may have."""
    names = (*PRIVILEGED_GROUPS, settings[SETGID_GROUP])
    found = {gid for name in names if (gid := _gid(name)) is not None}
    return tuple(sorted(found - {0}))[:MAX_DENIED]


def _account(settings: Settings, parameter: str, name: str) -> pwd.struct_passwd:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        advice = f"postfix -c {settings.config_directory} set-permissions"
        raise settings.error(parameter, f'there is no user "{name}"; as root run: {advice}') from None
    if entry.pw_uid == 0 or entry.pw_gid == 0:
        raise settings.error(parameter, f'"{name}" has root\'s user or group id')
    return entry


def _groups(entry: pwd.struct_passwd) -> tuple[int, ...]:
    found = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return tuple(gid for gid in found if gid not in (0, entry.pw_gid))[:MAX_GROUPS]


def _gid(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def pipe_user(words: tuple[str, ...], where: ConfigError) -> tuple[int, int]:
    """Find user=name[:group] of a pipe or spawn service. Raises ConfigError: missing, unknown, or root."""
    for word in words:
        name, is_user, value = word.partition("=")
        if name == "user" and is_user:
            user, _, group = value.partition(":")
            try:
                entry = pwd.getpwnam(user)
                gid = grp.getgrnam(group).gr_gid if group else entry.pw_gid
            except KeyError:
                raise _at(where, f"user={value}: no such user or group; create it, or name another") from None
            if entry.pw_uid == 0 or gid == 0:
                raise _at(where, f"user={value}: not as root")
            return entry.pw_uid, gid
    raise _at(where, "user=name is missing: as whom shall the command run?")


def _at(where: ConfigError, why: str) -> ConfigError:
    return ConfigError(why, file=where.file, line=where.line)
