"""AppArmor profiles: "posthouse" for master(8), and one for each part and daemon, named posthouse-NAME.

Nothing is attached to a path: one interpreter runs everything. systemd puts master into its profile (AppArmorProfile=);
every other process begins in its parent's and enters its own (enter_domain in util/process.py): warm(8) and the orders
process as their first act, the rest after the change of user and before no_new_privs. No profile runs anything
unconfined. Sources: apparmor.d(5), aa_change_profile(2).
"""

from collections.abc import Iterable, Iterator
from typing import Final

from posthouse.commands.policies.roots import COMMAND, MAILBOX, MASTER, ORDERS, RUNAS, WARM, Part
from posthouse.commands.policies.system import Domain, System, foreign, reads_interfaces
from posthouse.skeleton.resources import GOVERNOR
from posthouse.skeleton.rules import ACCOUNT_FILES

_HEAD: Final = """\
# AppArmor profiles of Posthouse, made by "posthouse policies apparmor" from what each daemon declares: do not edit,
# make them anew when main.cf or master.cf changes. What a site needs besides goes into local/posthouse-NAME.
#
# AppArmor knows paths, so it cannot tell a descriptor that was lent from a file that was opened: daemons that get
# messages from qmgr may read its spool/ here, and the directory's owner and mode (qmgr's alone, 0700) keep them out.
# It cannot tell accept(2) from connect(2) either; that wall is Landlock's and seccomp's.

abi <abi/3.0>,

include <tunables/global>

"""
_USERS: Final = "/etc/{passwd,group,nsswitch.conf,login.defs} r,"
_ACCOUNTS: Final = (
    _USERS,
    "/var/lib/sss/mc/* r,",
    "@{run}/systemd/userdb/ r,",
    "@{run}/systemd/userdb/* rw,",
)
# By which a process changes its profile; thread-self is a link to this.
_CHANGES: Final = "@{PROC}/@{pid}/task/@{tid}/attr/current rw,"
_SELF: Final = "/proc/self/"
_OWN_MEMORY: Final = "@{PROC}/@{pid}/smaps_rollup r,"  # what it tells the governor
_NAME_ITSELF: Final = "@{PROC}/@{pid}/comm rw,"
_INTERNET: Final = ("network inet stream,", "network inet6 stream,")
_DATAGRAMS: Final = ("network inet dgram,", "network inet6 dgram,")
_PEERS_OF_RECIPIENTS: Final = "posthouse-{local,virtual,pipe,spawn,mailbox,command}"  # who asks them
# How Maildir files are made durable depends on the file system (delivery/durable.py).
_DURABLE: Final = (
    "@{PROC}/@{pid}/mountinfo r,",
    "@{PROC}/fs/jbd2/ r,",
    "@{sys}/dev/block/* r,",
)


def profile_name(name: str) -> str:
    """Give the profile of a part or daemon."""
    return "posthouse" if name == MASTER.name else f"posthouse-{name}"


def apparmor(system: System) -> str:
    """Give the text of all profiles, one file."""
    profiles = [_master(system), _orders(system), _warm(system), _runas(), _mailbox(system), _command(system)]
    profiles += [_daemon(system, domain) for domain in system.domains]
    return _HEAD + _variables(system) + "\n".join(profiles)


def _variables(system: System) -> str:
    return (
        f"@{{posthouse_queue}} = {_quoted(_escaped(system.queue))}\n"
        f"@{{posthouse_prefix}} = {_quoted(_escaped(system.prefix))}\n"
        f"@{{posthouse_etc}} = {_quoted(_escaped(system.configuration))}\n\n"
    )


def _profile(name: str, about: str, rules: Iterable[str], peers: str = "posthouse{,-*}") -> str:
    own = profile_name(name)
    body = "".join(f"  {rule}\n" if rule else "\n" for rule in dict.fromkeys(rules))
    return (
        f"# {about}\n"
        f"profile {own} flags=(attach_disconnected) {{\n"
        "  include <abstractions/base>\n"
        f"{_code()}"
        # channels, status sockets, what comes with descriptors
        f'  unix peer=(label="{peers}"),\n'
        f"{body}\n"
        f"  include if exists <local/{own}>\n"
        "}\n"
    )


def _code() -> str:
    """Let every process read and map the program: it is no secret, and imports go on until the walls are up."""
    return (
        "  @{posthouse_prefix}/{,**} r,\n"
        "  @{posthouse_prefix}/{bin,lib}/** mr,\n"
        "  /usr/{,local/}{lib,share}/python3*/** mr,\n"
        "  /usr/{,local/}bin/python3* mr,\n"
        '  unix peer=(label="posthouse{,-*}"),\n'  # channels, status sockets, descriptors
        "  signal receive peer=posthouse,\n"
    )


# ---------------------------------------------------------------------------------------------------------------------
# Daemons


def _daemon(system: System, domain: Domain) -> str:
    name, rules = domain.name, domain.rules
    return _profile(name, f"{name}(8), as {rules.user}", _daemon_rules(system, domain))


def _daemon_rules(system: System, domain: Domain) -> Iterator[str]:
    rules = domain.rules
    for name in domain.capabilities:  # given up before it serves
        yield f"capability {name},"
    yield "/memfd:settings r,"
    yield _USERS
    yield "signal receive peer=posthouse-warm,"
    if rules.accounts:
        yield from _ACCOUNTS
    yield from _reads(domain)
    for path in rules.writes:
        yield f"{_place(system, path, '/')} rw,"
        yield f"{_place(system, path, '/**')} rwkl,"
    for path in rules.appends:
        yield f"{_place(system, path)} a,"
    for path in rules.sockets:
        yield f"{_place(system, path, '/*' if path in _directories(system) else '')} rw,"
    if domain.gets_content:
        yield f"@{{posthouse_queue}}/posthouse/spool/* {'rw' if domain.name == 'cleanup' else 'r'},"
    yield from _network(domain)
    for path in _lmtp_sockets(system) if "lmtp" in domain.services else ():
        yield f"{path} rw,"


def _reads(domain: Domain) -> Iterator[str]:
    if GOVERNOR in domain.daemon.talks_to:
        yield _OWN_MEMORY
    for path in foreign(domain.rules.reads):
        if path.startswith(_SELF):
            yield f"@{{PROC}}/@{{pid}}/{path.removeprefix(_SELF)} r,"
        elif path not in ACCOUNT_FILES:
            yield f"{_below(path)} rk,"


def _network(domain: Domain) -> Iterator[str]:
    if domain.rules.uses_network or "accept" in domain.daemon.privileges.network:
        yield from _INTERNET
    if domain.rules.udp:
        yield from _DATAGRAMS
    if reads_interfaces(domain.daemon):
        yield "network netlink raw,"
        yield "/etc/{hosts,host.conf,gai.conf} r,"  # names in inet_interfaces


def _directories(system: System) -> tuple[str, ...]:
    return (f"{system.queue}/private", f"{system.queue}/public")


def _lmtp_sockets(system: System) -> Iterator[str]:
    """Find the LMTP sockets that main.cf names; those of transport tables go into local/posthouse-smtp."""
    for name in system.settings.explicit:
        for word in system.settings.text(name).replace(",", " ").split():
            _, is_socket, path = word.rpartition("unix:")
            if is_socket and path and not word.startswith("proxy:"):
                yield _place(system, path if path.startswith("/") else f"{system.queue}/{path}")


# ---------------------------------------------------------------------------------------------------------------------
# Parts


def _part(part: Part, rules: Iterable[str]) -> str:
    capabilities = [f"capability {name}," for name in part.capabilities]
    peers = _PEERS_OF_RECIPIENTS if part in (MAILBOX, COMMAND) else "posthouse{,-*}"
    return _profile(part.name, f"{part.name}: {part.summary}", [*capabilities, *rules], peers)


def _becomes(names: Iterable[str]) -> Iterator[str]:
    """Let what this part starts enter these profiles, and only these."""
    yield _CHANGES
    yield from (f"change_profile -> {profile_name(name)}," for name in names)


def _master(system: System) -> str:
    """posthouse: start-fg, master, and what they start until it enters a profile. It runs the interpreter alone."""
    log = [f"{_place(system, system.log)} rw,"] if system.log else []
    indexes = {path for domain in system.domains for path in domain.rules.reads if path.endswith(".lmdb")}
    return _part(
        MASTER,
        [
            *_INTERNET,
            "network netlink raw,",
            "signal send peer=posthouse-*,",
            "@{posthouse_prefix}/bin/{postfix,python*} rix,",
            "/usr/{,local/}bin/python3* rix,",
            *_ACCOUNTS,
            "@{posthouse_etc}/{,**} rk,",
            "/etc/{hosts,services,aliases} r,",
            *(f"{_place(system, path)} rwk," for path in sorted(indexes)),  # made at start when they are missing
            "@{posthouse_queue}/ r,",
            "@{posthouse_queue}/{pid,private,public,submit,maildrop,posthouse}/ r,",
            "@{posthouse_queue}/{pid,private,public,submit}/* rwk,",
            f"{_place(system, system.data, '/')} r,",
            f"{_place(system, system.data, '/master.lock')} rwk,",
            *log,
            "/memfd:settings rw,",
            "@{PROC}/@{pid}/fd/ r,",
            _NAME_ITSELF,
            *_becomes((ORDERS.name, WARM.name)),
        ],
    )


def _orders(system: System) -> str:
    tables = {path for domain in system.domains for path in foreign(domain.rules.reads) if path not in ACCOUNT_FILES}
    return _part(
        ORDERS,
        [
            "network inet dgram,",
            "network inet6 dgram,",
            "network netlink raw,",
            "signal receive peer=posthouse,",
            *_ACCOUNTS,
            "@{posthouse_etc}/{,**} rk,",
            "/etc/{hosts,services,resolv.conf} r,",
            "/etc/protocols r,",  # asyncio, when a daemon's declaration is imported
            *(f"{_below(path)} rk," for path in sorted(tables)),
        ],
    )


def _warm(system: System) -> str:
    return _part(
        WARM,
        [
            "signal receive peer=posthouse,",
            _NAME_ITSELF,
            _USERS,
            "/etc/protocols r,",  # asyncio, when it is imported
            # a daemon reads its settings and opens its log just before it enters its profile
            "/memfd:settings r,",
            "@{posthouse_queue}/public/postlog rw,",
            *_becomes((*(domain.name for domain in system.domains), RUNAS.name)),
        ],
    )


def _runas() -> str:
    return _part(
        RUNAS,
        [
            "signal receive peer=posthouse,",
            "signal receive peer=posthouse-warm,",
            *_becomes((MAILBOX.name, COMMAND.name)),
        ],
    )


def _recipient(system: System) -> Iterator[str]:
    yield "signal receive peer=posthouse-runas,"
    yield _USERS
    yield "owner @{HOME}/ r,"
    yield "owner @{HOME}/** rwkl,"
    for path in system.mailboxes:
        yield f"{_place(system, path, '/')} r,"
        yield f"{_place(system, path, '/**')} rwkl,"
    yield "@{posthouse_queue}/posthouse/spool/* r,"


def _mailbox(system: System) -> str:
    return _part(MAILBOX, [*_recipient(system), *_DURABLE])


def _command(system: System) -> str:
    """Give commands of users a profile that they cannot leave but into one that a distribution made for them.

    P: what has a profile of its own (procmail, Dovecot's dovecot-lda) runs there, its environment cleaned; i: all else
    stays here, so also a set-uid program, which then gets no capability. Never u: there is no way out.
    """
    return _part(
        COMMAND,
        [
            *_recipient(system),
            "/{,usr/,usr/local/,opt/*/}{,s}bin/** rPix,",
            "/{,usr/,usr/local/}lib{,32,64,exec}/** mrPix,",
            "/usr/{,local/}share/** r,",
            "/etc/** r,",
            "owner @{HOME}/** mix,",
            "owner /{,var/}tmp/** rwkl,",
            "@{PROC}/@{pid}/** r,",
            *_INTERNET,
            *_DATAGRAMS,
            "/dev/tty rw,",
            "signal peer=posthouse-command,",
            "deny @{posthouse_etc}/** w,",
            "deny @{posthouse_queue}/{pid,private,posthouse}/** w,",
        ],
    )


# ---------------------------------------------------------------------------------------------------------------------


def _below(path: str) -> str:
    """Name a file, or a directory with all below it: which of them it is may change."""
    return _quoted(_escaped(path) + "{,/,/**}")


def _place(system: System, path: str, more: str = "") -> str:
    """Name a path, by way of the queue's variable where it is there. more: what is added, with its meaning."""
    if path.startswith(system.queue + "/"):
        return _quoted("@{posthouse_queue}" + _escaped(path.removeprefix(system.queue)) + more)
    return _quoted(_escaped(path) + more)


def _escaped(path: str) -> str:
    """Take the meaning from characters that match others."""
    return "".join(f"\\{character}" if character in '*?[]{}\\"^@' else character for character in path)


def _quoted(path: str) -> str:
    return f'"{path}"' if any(character in path for character in " \t#=,\\") else path
