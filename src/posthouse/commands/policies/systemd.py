"""systemd units: a system that is started by root, and one that is a single user with a socket passed to it.

"postfix start-fg" becomes master(8) itself, so Type=exec; on SIGTERM master ends its daemons in order (KillMode=mixed).
The unit that has root leaves out what would break mail, with the reason beside it. Sources: systemd.exec(5),
systemd.socket(5), systemd-analyze(1) security.
"""

from typing import Final

from posthouse.commands.policies.roots import ROOTS
from posthouse.commands.policies.system import System

_MADE: Final = '# Made by "posthouse policies systemd": change it with "systemctl edit", which keeps what you add.\n'
USER: Final = "posthouse"
ROOTLESS_CONFIGURATION: Final = "/etc/posthouse"
_SOCKET_PORT: Final = 25
# What no part of the system needs. Not ProcSubset=pid: /proc/sys tells which walls the kernel has.
_HARDENED: Final = """\
ProtectSystem={protect_system}
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
PrivateDevices=yes
DevicePolicy=closed
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
"""
_ROOT: Final = """\
[Unit]
Description=Posthouse mail server
Documentation=man:master(8)
After=network.target nss-lookup.target
Conflicts=postfix.service sendmail.service exim4.service
ConditionPathExists={etc}

[Service]
Type=exec
ExecStart={prefix}/bin/postfix -c {etc} start-fg
ExecReload={prefix}/bin/postfix -c {etc} reload
KillMode=mixed
TimeoutStopSec=30
Restart=on-failure
RestartSec=5
OOMPolicy=continue
LimitCORE=0
TasksMax=4096
LimitNOFILE=65536
StandardInput=null

# Into its profile, where posthouse policies apparmor is loaded; daemons enter their own from there.
AppArmorProfile=-posthouse

# Root's rights. {capabilities}.
# Daemons give up even these before they serve: sys_chroot (column 5 of master.cf) and dac_read_search (tables that
# only root may read) last of all.
CapabilityBoundingSet={bounding}
AmbientCapabilities=
# Not NoNewPrivileges: commands of recipients may be set-uid programs, and a daemon enters its domain of AppArmor or
# SELinux before it gives that up itself. Not ProtectHome: mail goes there.
{hardened}UMask=0022
KeyringMode=private
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @keyring
# The change of user and root directory, its own walls, and how daemons wait for their turn.
SystemCallFilter=seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
SystemCallFilter=@setuid @chown capset chroot setrlimit prlimit64 sched_setscheduler
SystemCallErrorNumber=EPERM
ReadWritePaths={writable}

[Install]
WantedBy=multi-user.target
"""
_ROOTLESS: Final = """\
[Unit]
Description=Posthouse mail server, as one unprivileged user
Documentation=man:master(8)
After=network.target nss-lookup.target
Requires=posthouse.socket

[Service]
Type=exec
ExecStart={prefix}/bin/postfix -c {etc} start-fg
ExecReload={prefix}/bin/postfix -c {etc} reload
KillMode=mixed
TimeoutStopSec=30
Restart=on-failure
RestartSec=5
OOMPolicy=continue
LimitCORE=0
TasksMax=512
LimitNOFILE=65536
StandardInput=null

User={user}
Group={user}
StateDirectory=posthouse
StateDirectoryMode=0750
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
{hardened}ProtectHome=yes
PrivateTmp=yes
PrivateUsers=yes
PrivateIPC=yes
RemoveIPC=yes
RestrictSUIDSGID=yes
UMask=0077
KeyringMode=private
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @keyring
# Its own walls, and how daemons wait for their turn.
SystemCallFilter=seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
SystemCallFilter=setrlimit prlimit64 sched_setscheduler
SystemCallErrorNumber=EPERM

[Install]
Also=posthouse.socket
WantedBy=multi-user.target
"""
_SOCKET: Final = """\
[Unit]
Description=The port of Posthouse as one unprivileged user, which could not open it itself

[Socket]
# The addresses and the port of its master.cf and inet_interfaces: master takes a socket that fits and opens the rest.
ListenStream=0.0.0.0:{port}
ListenStream=[::]:{port}
BindIPv6Only=ipv6-only
Backlog=511
Service=posthouse-rootless.service

[Install]
WantedBy=sockets.target
"""


def systemd_unit(system: System) -> str:
    """Give the unit of a system that root starts."""
    parts = "; ".join(f"{part.name}: {' '.join(part.capabilities)}" for part in ROOTS)
    bounding = sorted({"sys_chroot", *(name for part in ROOTS for name in part.capabilities)})
    writable = [system.queue, system.data, *(f"-{path}" for path in system.mailboxes)]
    writable += [system.log] if system.log else []
    text = _ROOT.format(
        prefix=system.prefix,
        etc=system.configuration,
        capabilities=parts,
        bounding=" ".join(f"CAP_{name.upper()}" for name in bounding),
        hardened=_HARDENED.format(protect_system="full"),
        writable=" ".join(writable),
    )
    return _MADE + text


def rootless_unit(system: System) -> str:
    """Give the unit of a system that is one user."""
    hardened = _HARDENED.format(protect_system="strict")
    return _MADE + _ROOTLESS.format(prefix=system.prefix, etc=ROOTLESS_CONFIGURATION, user=USER, hardened=hardened)


def socket_unit(system: System) -> str:
    """Give the socket that systemd passes to the system that is one user."""
    return _MADE + _SOCKET.format(port=system.ports[0] if system.ports else _SOCKET_PORT)
