"""SELinux: which file gets which type (posthouse.fc), and what other modules may ask for (posthouse.if).

Debian's policy labels Postfix's directories, which are ours by default; the policy compiler refuses two entries for one
expression, and the more specific of two wins. So a directory and what is in it have an entry each here.
"""

import re
from collections.abc import Iterator
from typing import Final

from posthouse.commands.policies.selinux import socket_type
from posthouse.commands.policies.system import System, foreign
from posthouse.skeleton.rules import ACCOUNT_FILES

_HEAD: Final = '# Made by "posthouse policies selinux": do not edit.\n'
_INTERFACES: Final = """\
## <summary>Posthouse, a mail server of small daemons. Made by "posthouse policies selinux": do not edit.</summary>

########################################
## <summary>
##	Submit mail, as sendmail(1) does: by the submit socket, or in maildrop/ while the system is down.
## </summary>
## <param name="domain">
##	<summary>Domain allowed access.</summary>
## </param>
#
interface(`posthouse_submit',`
	gen_require(`
		type posthouse_master_t, posthouse_etc_t, posthouse_queue_t, posthouse_submit_t, posthouse_maildrop_t;
		type posthouse_submit_submit_sock_t;
	')

	files_search_spool($1)
	allow $1 posthouse_etc_t:dir search_dir_perms;
	allow $1 posthouse_etc_t:file read_file_perms;
	allow $1 { posthouse_queue_t posthouse_submit_t }:dir search_dir_perms;
	allow $1 posthouse_submit_submit_sock_t:sock_file write_sock_file_perms;
	allow $1 posthouse_master_t:unix_stream_socket connectto;
	allow $1 posthouse_maildrop_t:dir add_entry_dir_perms;
	allow $1 posthouse_maildrop_t:file { create_file_perms write setattr };
')

########################################
## <summary>
##	List the queue, as postqueue(1) does.
## </summary>
## <param name="domain">
##	<summary>Domain allowed access.</summary>
## </param>
#
interface(`posthouse_list_queue',`
	gen_require(`
		type posthouse_master_t, posthouse_etc_t, posthouse_queue_t, posthouse_public_t;
		type posthouse_public_showq_sock_t;
	')

	files_search_spool($1)
	allow $1 posthouse_etc_t:dir search_dir_perms;
	allow $1 posthouse_etc_t:file read_file_perms;
	allow $1 { posthouse_queue_t posthouse_public_t }:dir search_dir_perms;
	allow $1 posthouse_public_showq_sock_t:sock_file write_sock_file_perms;
	allow $1 posthouse_master_t:unix_stream_socket connectto;
')

########################################
## <summary>
##	Start the system, and enter its domain.
## </summary>
## <param name="domain">
##	<summary>Domain allowed to transition.</summary>
## </param>
#
interface(`posthouse_domtrans',`
	gen_require(`
		type posthouse_master_t, posthouse_exec_t;
	')

	corecmd_search_bin($1)
	domtrans_pattern($1, posthouse_exec_t, posthouse_master_t)
')
"""


def selinux_if(_system: System) -> str:
    """Give the text of posthouse.if."""
    return _INTERFACES


def selinux_fc(system: System) -> str:
    """Give the text of posthouse.fc."""
    return _HEAD + "".join(f"{line}\n" for line in dict.fromkeys(_lines(system)))


def _lines(system: System) -> Iterator[str]:
    yield f"{_regex(system.prefix)}/bin/postfix\t--\t{_context('exec')}"
    yield from _tree(system.configuration, "etc")
    yield from _directory(system.queue, "queue")
    for name in ("pid", "maildrop"):
        yield from _tree(f"{system.queue}/{name}", name)
    yield from _tree(f"{system.queue}/posthouse", "store")
    yield from _tree(f"{system.queue}/posthouse/spool", "content")
    for name in ("private", "public", "submit"):
        yield from _directory(f"{system.queue}/{name}", name)
    for path in system.sockets:
        yield f"{_regex(path)}\t-s\tgen_context(system_u:object_r:{socket_type(path)},s0)"
    yield from _tree(system.data, "data")
    if system.log:
        yield f"{_regex(system.log)}.*\t--\t{_context('log')}"
    for path in _tables(system):
        yield from _tree(path, "table")


def _tables(system: System) -> list[str]:
    """Give the paths of tables that no other label fits."""
    known = ("/etc", "/usr", "/var/mail", "/var/spool", system.configuration)
    found = {path for domain in system.domains for path in foreign(domain.rules.reads) if path not in ACCOUNT_FILES}
    return sorted(path for path in found if not any(f"{path}/".startswith(f"{place}/") for place in known))


def _tree(path: str, name: str) -> Iterator[str]:
    yield from _directory(path, name)
    yield f"{_regex(path)}/.*\t\t{_context(name)}"


def _directory(path: str, name: str) -> Iterator[str]:
    yield f"{_regex(path)}\t-d\t{_context(name)}"


def _context(name: str) -> str:
    return f"gen_context(system_u:object_r:posthouse_{name}_t,s0)"


def _regex(path: str) -> str:
    """Write a path as an expression that matches it alone."""
    return re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", path)
