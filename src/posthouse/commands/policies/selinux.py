"""SELinux: the module's rules, posthouse.te; the files beside it are in selinux_files.py.

One domain for each part and daemon. Who may go where: init, by exec, into master; by dyntransition, which each process
does itself (enter_domain in util/process.py), master into orders and warm, warm into runas and each daemon, runas into
mailbox and command; command, by exec, into programs that have a domain of their own. Each service's socket has a type,
so who may connect to whom is a rule here, which Landlock cannot say. What qmgr lends is read without the right to open
it. Sources: SELinux's reference policy.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from posthouse.commands.policies.roots import COMMAND, MAILBOX, MASTER, ORDERS, PARTS, RUNAS, WARM
from posthouse.commands.policies.system import Domain, System, foreign, reads_interfaces
from posthouse.skeleton.rules import ACCOUNT_FILES

VERSION: Final = "1.0.0"
PLACES: Final = ("etc", "queue", "store", "content", "maildrop", "private", "public", "submit", "pid", "data", "table")
KERNEL_FILES: Final = {  # what reading the kernel's own files takes, where it is more than the system's state
    "/proc/pressure": "ifdef(`kernel_read_psi',`kernel_read_psi(OWN)')",  # not in older policies, where it is proc_t
    "/proc/sys/fs/file-nr": "kernel_read_fs_sysctls(OWN)",
    "/proc/sys/kernel/threads-max": "kernel_read_kernel_sysctls(OWN)",
    "/sys/fs/cgroup": "fs_search_cgroup_dirs(OWN)\nfs_read_cgroup_files(OWN)\nfs_getattr_all_fs(OWN)",
}
_HEAD: Final = f"""\
policy_module(posthouse, {VERSION})

# SELinux module of Posthouse, made by "posthouse policies selinux" from what each daemon declares: do not edit, make it
# anew when main.cf or master.cf changes. Build: make -f /usr/share/selinux/devel/Makefile posthouse.pp

## <desc>
## <p>
## Let smtp(8) connect to every TCP port, for next hops that are not at an SMTP or LMTP port.
## </p>
## </desc>
gen_tunable(posthouse_smtp_connect_any, false)

attribute posthouse_domain;
attribute posthouse_daemon;
"""
_COMMON: Final = """
########################################
# All of them
#
allow posthouse_domain self:process { getsched setsched getcap setcap setrlimit signal signull sigkill };
allow posthouse_domain self:fifo_file rw_fifo_file_perms;
allow posthouse_domain self:unix_stream_socket create_stream_socket_perms;
allow posthouse_domain self:unix_dgram_socket create_socket_perms;
allow posthouse_domain self:dir list_dir_perms;
allow posthouse_domain self:file rw_file_perms;
allow posthouse_domain self:lnk_file read_lnk_file_perms;
# channels, status sockets and pipes are passed on, so they keep the type of who made them
allow posthouse_domain posthouse_domain:fd use;
allow posthouse_domain posthouse_domain:fifo_file rw_inherited_fifo_file_perms;
allow posthouse_domain posthouse_domain:{ unix_stream_socket unix_dgram_socket } rw_socket_perms;
allow posthouse_domain posthouse_master_t:process sigchld;
allow posthouse_domain posthouse_settings_t:file read_inherited_file_perms;

dev_read_urand(posthouse_domain)
files_read_usr_files(posthouse_domain)
files_read_usr_symlinks(posthouse_domain)
libs_read_lib_files(posthouse_domain)
miscfiles_read_localization(posthouse_domain)
"""
_DAEMONS: Final = """
########################################
# All daemons: they take what comes to the sockets that master holds
#
allow posthouse_daemon posthouse_master_t:unix_stream_socket { accept rw_socket_perms };
allow posthouse_daemon posthouse_queue_t:dir search_dir_perms;
files_search_spool(posthouse_daemon)
files_read_etc_files(posthouse_daemon)
logging_send_syslog_msg(posthouse_daemon)
"""
_ACCOUNTS: Final = """\
files_read_etc_files({0})
optional_policy(`
	sssd_read_public_files({0})
	sssd_stream_connect({0})
')
"""


def domain_type(name: str) -> str:
    """Give the type of a part's or daemon's domain."""
    return f"posthouse_{name.replace('-', '_')}_t"


def socket_type(path: str) -> str:
    """Give the type of a service's socket."""
    name = "".join(character if character.isalnum() else "_" for character in path.rpartition("/")[2].lower())
    return f"posthouse_{path.split('/')[-2]}_{name}_sock_t"


def selinux_te(system: System) -> str:
    """Give the text of posthouse.te."""
    parts = [_HEAD, _types(system), _COMMON, _DAEMONS, _master(system), _orders(), _warm(system), _runas()]
    parts += [_mailbox(), _command(), *(_daemon(system, domain) for domain in system.domains)]
    return "".join(parts)


# ---------------------------------------------------------------------------------------------------------------------
# Types


def _types(system: System) -> str:
    lines = ["", "########################################", "# Types", "#", "type posthouse_exec_t;"]
    for name in (*(part.name for part in PARTS), *(domain.name for domain in system.domains)):
        lines += ["", f"type {domain_type(name)}, posthouse_domain;", f"domain_type({domain_type(name)})"]
        lines += [f"role system_r types {domain_type(name)};"]
    lines += [f"typeattribute {domain_type(domain.name)} posthouse_daemon;" for domain in system.domains]
    lines += ["", f"init_daemon_domain({domain_type(MASTER.name)}, posthouse_exec_t)", ""]
    for place in PLACES:
        kind = "files_config_file" if place == "etc" else "files_type"
        lines += [f"type posthouse_{place}_t;", f"{kind}(posthouse_{place}_t)"]
    lines += ["type posthouse_log_t;", "logging_log_file(posthouse_log_t)"]
    lines += ["type posthouse_settings_t;", "files_tmpfs_file(posthouse_settings_t)"]
    lines += ["type posthouse_command_tmp_t;", "files_tmp_file(posthouse_command_tmp_t)"]
    for path in system.sockets:
        lines += [f"type {socket_type(path)};", f"files_type({socket_type(path)})"]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------------------------------------------------
# Parts


def _section(name: str, about: str, lines: Iterable[str]) -> str:
    title = f"\n########################################\n# {name}: {about}\n#\n"
    return title + "".join(f"{line}\n" for line in dict.fromkeys(lines))


def _capabilities(name: str, capabilities: Iterable[str]) -> str:
    return f"allow {domain_type(name)} self:capability {{ {' '.join(capabilities)} }};"


def _master(system: System) -> str:
    own = domain_type(MASTER.name)
    lines = [
        _capabilities(MASTER.name, MASTER.capabilities),
        f"allow {own} self:process setpgid;",
        f"allow {own} self:tcp_socket create_stream_socket_perms;",
        f"allow {own} self:netlink_route_socket r_netlink_socket_perms;",
        f"allow {own} posthouse_domain:process {{ signal sigkill signull }};",
        f"corenet_tcp_bind_generic_node({own})",
        *(f"corenet_tcp_bind_{name}_port({own})" for name in ("lmtp", "smtp")),
        *_other_ports(system),
        f"corecmd_exec_bin({own})",
        f"allow {own} posthouse_exec_t:file {{ mmap_exec_file_perms execute_no_trans }};",
        *_becomes(MASTER.name, (ORDERS.name, WARM.name)),
        f"fs_tmpfs_filetrans({own}, posthouse_settings_t, file)",
        f"allow {own} posthouse_settings_t:file manage_file_perms;",
        f"allow {own} {{ posthouse_private_t posthouse_public_t posthouse_submit_t }}:dir rw_dir_perms;",
    ]
    lines += [f"manage_files_pattern({own}, {place}, {place})" for place in ("posthouse_pid_t",)]
    for path in system.sockets:
        directory, name = path.split("/")[-2:]
        lines.append(f"allow {own} {socket_type(path)}:sock_file manage_sock_file_perms;")
        lines.append(
            f'filetrans_pattern({own}, posthouse_{directory}_t, {socket_type(path)}, sock_file, "{name}")',
        )
    lines += [
        f"allow {own} {{ posthouse_queue_t posthouse_store_t posthouse_maildrop_t }}:dir list_dir_perms;",
        f"allow {own} posthouse_data_t:dir rw_dir_perms;",
        f"allow {own} posthouse_data_t:file {{ create_file_perms rw_file_perms }};",
        f"allow {own} posthouse_log_t:file {{ append_file_perms write setattr }};",
        f"files_search_spool({own})",
        f"files_search_var_lib({own})",
        f"logging_send_syslog_msg({own})",
        *_reads_configuration(own),
        f"mta_read_aliases({own})",
    ]
    return _section(MASTER.name, MASTER.summary, lines)


def _other_ports(system: System) -> list[str]:
    return [
        f"# master.cf has port {port}: semanage port -a -t smtp_port_t -p tcp {port}"
        for port in system.ports
        if port not in (24, 25, 465, 587)
    ]


def _reads_configuration(own: str) -> list[str]:
    return [
        f"allow {own} posthouse_etc_t:dir list_dir_perms;",
        f"allow {own} posthouse_etc_t:file {{ read_file_perms map }};",
        f"allow {own} posthouse_etc_t:lnk_file read_lnk_file_perms;",
        f"allow {own} posthouse_table_t:dir list_dir_perms;",
        f"allow {own} posthouse_table_t:file {{ read_file_perms map }};",
        _ACCOUNTS.format(own).rstrip(),
        f"sysnet_read_config({own})",
    ]


def _orders() -> str:
    own = domain_type(ORDERS.name)
    lines = [
        _capabilities(ORDERS.name, ORDERS.capabilities),
        f"allow {own} self:netlink_route_socket r_netlink_socket_perms;",
        f"allow {own} self:udp_socket create_socket_perms;",
        *_reads_configuration(own),
        f"mta_read_aliases({own})",
    ]
    return _section(ORDERS.name, ORDERS.summary, lines)


def _warm(system: System) -> str:
    lines = [
        _capabilities(WARM.name, WARM.capabilities),
        "# a daemon reads its settings and opens its log just before it enters its domain",
        f"logging_send_syslog_msg({domain_type(WARM.name)})",
        f"files_read_etc_files({domain_type(WARM.name)})",
        *_connects(system, domain_type(WARM.name), f"{system.queue}/public/postlog"),
        *_becomes(WARM.name, [*(domain.name for domain in system.domains), RUNAS.name]),
    ]
    return _section(WARM.name, WARM.summary, lines)


def _becomes(name: str, others: Iterable[str]) -> Iterator[str]:
    own = domain_type(name)
    yield f"domain_dyntrans_type({own})"
    yield f"allow {own} self:process setcurrent;"
    for other in others:
        yield f"allow {own} {domain_type(other)}:process dyntransition;"
        yield f"allow {domain_type(other)} {own}:process sigchld;"


def _runas() -> str:
    own = domain_type(RUNAS.name)
    lines = [_capabilities(RUNAS.name, RUNAS.capabilities), *_becomes(RUNAS.name, (MAILBOX.name, COMMAND.name))]
    return _section(RUNAS.name, RUNAS.summary, [*lines, f"allow {own} self:process setsched;"])


def _recipient(name: str) -> list[str]:
    own = domain_type(name)
    return [
        "# mail that qmgr lent: read, not open",
        f"allow {own} posthouse_content_t:file read_inherited_file_perms;",
        f"files_read_etc_files({own})",
        f"mta_manage_spool({own})",
        f"mta_manage_mail_home_rw_content({own})",
        f"mta_read_mail_home_files({own})",
        f"userdom_manage_user_home_content_dirs({own})",
        f"userdom_manage_user_home_content_files({own})",
    ]


def _mailbox() -> str:
    own = domain_type(MAILBOX.name)
    more = [f"dev_read_sysfs({own})", f"kernel_read_system_state({own})"]  # durable.py: which file system is it?
    return _section(MAILBOX.name, MAILBOX.summary, [*_recipient(MAILBOX.name), *more])


def _command() -> str:
    own = domain_type(COMMAND.name)
    lines = [
        *_recipient(COMMAND.name),
        f"allow {own} self:process {{ setpgid getsession getpgid }};",
        f"corecmd_exec_bin({own})",
        f"corecmd_exec_shell({own})",
        f"manage_dirs_pattern({own}, posthouse_command_tmp_t, posthouse_command_tmp_t)",
        f"manage_files_pattern({own}, posthouse_command_tmp_t, posthouse_command_tmp_t)",
        f"files_tmp_filetrans({own}, posthouse_command_tmp_t, {{ file dir }})",
        f"kernel_read_system_state({own})",
    ]
    programs = ("dovecot_domtrans_deliver", "mailman_domtrans", "procmail_domtrans", "spamassassin_domtrans_client")
    lines += [f"optional_policy(`\n\t{interface}({own})\n')" for interface in programs]
    return _section(COMMAND.name, COMMAND.summary, lines)


# ---------------------------------------------------------------------------------------------------------------------
# Daemons


def _daemon(system: System, domain: Domain) -> str:
    about = f"as {domain.rules.user}"
    return _section(domain.name, about, _daemon_rules(system, domain))


def _daemon_rules(system: System, domain: Domain) -> Iterator[str]:
    own, rules = domain_type(domain.name), domain.rules
    if domain.capabilities:
        yield "# until its tables are open and its root directory is changed"
        yield _capabilities(domain.name, domain.capabilities)
    if rules.accounts:
        yield _ACCOUNTS.format(own).rstrip()
    for path in foreign(rules.reads):
        if path not in ACCOUNT_FILES:
            yield from _reads(system, own, path)
    for path in rules.writes:
        yield from _writes(system, own, path)
    if rules.appends:
        yield f"allow {own} posthouse_log_t:file append_file_perms;"
        yield f"logging_search_logs({own})"
    for path in rules.sockets:
        yield from _connects(system, own, path)
    if domain.gets_content:
        more = " write append setattr" if domain.name == "cleanup" else ""
        yield "# mail that qmgr lent: not opened here"
        yield f"allow {own} posthouse_content_t:file {{ read_inherited_file_perms{more} }};"
    yield from _network(domain, own)


def _reads(system: System, own: str, path: str) -> Iterator[str]:
    if f"{path}/".startswith(f"{system.configuration}/"):
        yield f"allow {own} posthouse_etc_t:dir list_dir_perms;"
        yield f"allow {own} posthouse_etc_t:file {{ read_file_perms map }};"
    elif path.startswith("/etc/aliases"):
        yield f"mta_read_aliases({own})"
        yield f"mta_map_aliases({own})"
    elif path in ("/etc/hosts", "/etc/resolv.conf"):
        yield f"sysnet_read_config({own})"
    elif path.startswith("/etc/"):
        yield f"files_read_etc_files({own})"
    elif path.startswith(("/proc/", "/sys/")):
        yield from KERNEL_FILES.get(path, f"kernel_read_system_state({own})").replace("OWN", own).split("\n")
    else:
        yield f"# {path}"
        yield f"allow {own} posthouse_table_t:dir list_dir_perms;"
        yield f"allow {own} posthouse_table_t:file {{ read_file_perms map }};"


def _writes(system: System, own: str, path: str) -> Iterator[str]:
    kinds = {f"{system.queue}/maildrop": "maildrop", f"{system.queue}/posthouse": "store", system.data: "data"}
    kind = "data" if path.startswith(f"{system.data}/") else kinds.get(path, "table")
    for place in (kind, *(("content",) if kind == "store" else ())):
        yield f"manage_dirs_pattern({own}, posthouse_{place}_t, posthouse_{place}_t)"
        yield f"manage_files_pattern({own}, posthouse_{place}_t, posthouse_{place}_t)"
        yield f"allow {own} posthouse_{place}_t:file map;"
    if kind == "store":
        yield f'filetrans_pattern({own}, posthouse_store_t, posthouse_content_t, dir, "spool")'


def _connects(system: System, own: str, path: str) -> Iterator[str]:
    if path == "/dev/log":
        return
    directories = {f"{system.queue}/{name}" for name in ("private", "public")}
    for found in system.sockets:
        if path == found or (path in directories and found.startswith(path + "/")):
            yield f"allow {own} posthouse_{found.split('/')[-2]}_t:dir search_dir_perms;"
            yield f"allow {own} {socket_type(found)}:sock_file write_sock_file_perms;"
            yield f"allow {own} {domain_type(MASTER.name)}:unix_stream_socket connectto;"
            if found.endswith("/postlog"):
                yield f"allow {own} {domain_type(MASTER.name)}:unix_dgram_socket sendto;"


def _servers_of_tables(domain: Domain, own: str) -> Iterator[str]:
    """Let proxymap reach databases: by TCP, wherever they listen, and by the sockets of those on this machine."""
    if domain.rules.udp:
        yield f"allow {own} self:tcp_socket create_stream_socket_perms;"
        yield f"allow {own} self:udp_socket create_socket_perms;"
        yield f"corenet_tcp_connect_all_ports({own})"
        yield f"sysnet_dns_name_resolve({own})"
    if domain.rules.threads:  # as there are such tables
        for interface in ("postgresql_stream_connect", "mysql_stream_connect"):
            yield f"optional_policy(`\n\t{interface}({own})\n')"


def _network(domain: Domain, own: str) -> Iterator[str]:
    wanted = domain.daemon.privileges.network
    if "accept" in wanted:
        yield "# listens by way of master, and has no socket of its own"
        yield f"allow {own} {domain_type(MASTER.name)}:tcp_socket {{ accept rw_socket_perms }};"
    if domain.rules.tcp_connect:  # to the ports of webhooks, whatever they are labelled
        yield f"allow {own} self:tcp_socket create_stream_socket_perms;"
        yield f"corenet_tcp_connect_all_ports({own})"
    if "connect" in wanted or "dns" in wanted:
        yield f"allow {own} self:tcp_socket create_stream_socket_perms;"
        yield f"corenet_tcp_bind_generic_node({own})"
    if "dns" in wanted:
        yield f"allow {own} self:udp_socket create_socket_perms;"
        yield f"corenet_udp_bind_generic_node({own})"
        yield f"corenet_tcp_connect_dns_port({own})"
    if "connect" in wanted:
        yield f"corenet_tcp_connect_smtp_port({own})"
        yield f"corenet_tcp_connect_lmtp_port({own})"
        yield f"tunable_policy(`posthouse_smtp_connect_any',`\n\tcorenet_tcp_connect_all_ports({own})\n')"
    if domain.daemon.privileges.remote_tables:
        yield from _servers_of_tables(domain, own)
    if "lmtp" in domain.services:
        yield f"optional_policy(`\n\tdovecot_stream_connect({own})\n')"
    if reads_interfaces(domain.daemon):
        yield f"allow {own} self:netlink_route_socket r_netlink_socket_perms;"
        yield f"sysnet_read_config({own})"  # names in inet_interfaces
