"""postfix(1): the command line, and what each command says and exits with.

Texts and exit status are those of Postfix's postfix-script: "postfix/postfix-script: fatal: ...", 1 for failure.
Unlike there, standard error gets them also when it is no terminal. Where main.cf has multi_instance_directories, the
command goes to multi_instance_wrapper, which calls this one with --one for each mail system.
"""

import errno
import getopt
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

from posthouse.commands.postfix import control
from posthouse.commands.postfix.indexes import make_missing_indexes
from posthouse.commands.postfix.layout import (
    LayoutError,
    layout,
    prepare,
    prepare_maillog,
    problems_of,
    set_permissions,
)
from posthouse.commands.postfix.left_behind import left_behind
from posthouse.commands.postfix.wrapper import call_wrapper, wrapper_of
from posthouse.config.load import config_directory, load_settings
from posthouse.config.parameters import MAILLOG_FILE, MYHOSTNAME, QUEUE_DIRECTORY, SYSLOG_NAME
from posthouse.config.settings import Settings
from posthouse.util import log
from posthouse.util.errors import ConfigError
from posthouse.util.log import FileSink, PostlogSink, Sink, SyslogSink

NOT_RUNNING: Final = "the Postfix mail system is not running"
USAGE: Final = "usage: postfix [-c config_dir] [-Dv] command"
_LATER: Final = frozenset({"tls", "non-bdb", "upgrade-configuration", "post-install", "quick-start"})


class Failed(Exception):
    """The command cannot be done; exit status 1."""


def main() -> int:
    """Run one command; returns the exit status."""
    try:
        options, words = getopt.gnu_getopt(sys.argv[1:], "c:Dv", ["one"])
    except getopt.GetoptError as error:
        sys.stderr.write(f"postfix: fatal: {error}\n{USAGE}\n")
        return 1
    if not words:
        sys.stderr.write(f"{USAGE}\n")
        return 1
    try:
        directory = os.path.abspath(config_directory(dict(options).get("-c")))
        settings = load_settings(directory, "postfix")
        if "--one" not in dict(options) and (wrapper := wrapper_of(settings)):
            return call_wrapper(wrapper, directory, words)
        _open_log(settings)
        command = _command(words[0])
        _require_ours(settings)
        command(settings)
    except (ConfigError, LayoutError, Failed) as error:
        _say("fatal", str(error))
        return 1
    except _Quiet:
        return 1
    return 0


class _Quiet(Exception):
    """Exit status 1; everything has been said."""


def _require_ours(settings: Settings) -> None:
    if not control.is_ours(settings):
        raise Failed(f"the postfix command is reserved for the superuser, or who owns {settings[QUEUE_DIRECTORY]}")


def _command(word: str) -> Callable[[Settings], None]:
    command = COMMANDS.get(word)
    if command is not None:
        return command
    if word in _LATER:
        raise Failed(f'the command "{word}" is not built yet')
    raise Failed(f"unknown command: '{word}'. Usage: postfix {' | '.join(COMMANDS)}")


# ---------------------------------------------------------------------------------------------------------------------
# The commands


def _start(settings: Settings) -> None:
    _before_start(settings)
    _say("info", "starting the Postfix mail system")
    failure = control.start_daemon(settings)
    if failure:
        _say("fatal", failure)
        if os.strerror(errno.EADDRINUSE) in failure:
            _say("fatal", "another program listens there: ss -ltnp names it")
        raise Failed("mail system startup failed")


def _start_fg(settings: Settings) -> None:
    _before_start(settings)
    _say("info", "starting the Postfix mail system")
    sys.stderr.flush()
    control.start_foreground(settings)


def _before_start(settings: Settings) -> None:
    if control.running(settings):
        raise Failed("the Postfix mail system is already running")
    prepare(settings)
    prepare_maillog(settings)
    _open_log(settings)  # now there is a file
    control.forget_throttled(settings)
    _warn_of_left_behind(settings)
    make_missing_indexes(settings, _say)


def _stop(settings: Settings) -> None:
    pid = _running_pid(settings)
    _say("info", "stopping the Postfix mail system")
    control.send(pid, signal.SIGTERM)
    control.wait_end(settings, pid)


def _abort(settings: Settings) -> None:
    pid = _running_pid(settings)
    _say("info", "aborting the Postfix mail system")
    control.send(pid, signal.SIGQUIT)
    control.wait_end(settings, pid)


def _drain(settings: Settings) -> None:
    """Kill master alone: its daemons finish what they have and exit."""
    pid = _running_pid(settings)
    _say("info", "stopping the Postfix mail system")
    control.send(pid, signal.SIGKILL)


def _reload(settings: Settings) -> None:
    """Signal master, but only with a configuration that it will accept; it checks again."""
    pid = _running_pid(settings)
    orders = control.check_orders(settings)
    if isinstance(orders, str):
        raise Failed(f"{orders}\nthe running mail system keeps its configuration")
    prepare_maillog(settings)  # where it has a new name; postlogd(8) could not make it
    _say("info", "refreshing the Postfix mail system")
    control.send(pid, signal.SIGHUP)


def _status(settings: Settings) -> None:
    pid = control.running(settings)
    if not pid:
        _say("info", NOT_RUNNING)
        raise _Quiet
    _say("info", f"the Postfix mail system is running: PID: {pid}")


def _flush(settings: Settings) -> None:
    _running_pid(settings)
    from posthouse.commands import postqueue

    sys.argv = ["postqueue", "-c", settings.config_directory, "-f"]
    if postqueue.main():
        raise _Quiet


def _check(settings: Settings) -> None:
    """Create what is missing, name what is wrong, and read the configuration as master would."""
    wrong: list[str] = []
    if not control.running(settings):
        prepare(settings)
    for directory in layout(settings):
        wrong += problems_of(directory)
    for problem in wrong:
        _say("warning", problem)
    _warn_of_left_behind(settings)
    _warn_of_writable(settings.config_directory)
    orders = control.check_orders(settings)
    if isinstance(orders, str):
        raise Failed(orders)
    said = dict.fromkeys(orders.notes)
    said |= dict.fromkeys(_own_findings(settings.config_directory))  # what only who may read keys can find
    for note in said:
        _say("warning", note)


def _warn_of_left_behind(settings: Settings) -> None:
    if what := left_behind(settings):
        _say("warning", what)


def _own_findings(directory: str) -> list[str]:
    from posthouse.commands.check import check
    from posthouse.commands.orders.notes import notes_of

    return notes_of(check(directory))


def _warn_of_writable(directory: str) -> None:
    """Warn of configuration files that others than root and the owner may write (facts B01.14)."""
    for path in (directory, f"{directory}/main.cf", f"{directory}/master.cf"):
        try:
            found = os.stat(path)
        except OSError:
            continue
        if found.st_mode & 0o022:
            _say("warning", f"group or other writable: {path}")
        if os.geteuid() == 0 and found.st_uid:
            _say("warning", f"not owned by root: {path}")


def _set_permissions(settings: Settings) -> None:
    for what in set_permissions(settings):
        _say("info", what)


def _logrotate(settings: Settings) -> None:
    """Rename maillog_file with a time stamp; postlogd opens a new one at the reload that follows."""
    path = settings[MAILLOG_FILE]
    if not path or path.startswith("/dev/"):
        raise Failed(f'"postfix logrotate" needs a maillog_file that is a file; it is "{path}"')
    suffix = settings.text("maillog_file_rotate_suffix") or "%Y%m%d-%H%M%S"
    os.rename(path, f"{path}.{time.strftime(suffix)}")
    prepare_maillog(settings)
    pid = control.running(settings)
    if pid > 0:
        control.send(pid, signal.SIGHUP)


COMMANDS: Final[dict[str, Callable[[Settings], None]]] = {
    "start": _start,
    "start-fg": _start_fg,
    "stop": _stop,
    "quick-stop": _stop,
    "reload": _reload,
    "abort": _abort,
    "drain": _drain,
    "flush": _flush,
    "check": _check,
    "status": _status,
    "set-permissions": _set_permissions,
    "logrotate": _logrotate,
}


# ---------------------------------------------------------------------------------------------------------------------


def _running_pid(settings: Settings) -> int:
    pid = control.running(settings)
    if pid == 0:
        raise Failed(NOT_RUNNING)
    if pid < 0:
        raise Failed("the Postfix mail system is running, but its process number cannot be read")
    return pid


def _say(severity: str, text: str) -> None:
    prefix = "" if severity == "info" else f"{severity}: "
    for line in text.split("\n"):
        sys.stderr.write(f"postfix/postfix-script: {prefix}{line}\n")
        getattr(log, severity)(line)


def _open_log(settings: Settings) -> None:
    program = f"{os.environ.get('MAIL_LOGTAG') or settings[SYSLOG_NAME] or 'postfix'}/postfix-script"
    sink: Sink = SyslogSink()
    stamped = bool(settings[MAILLOG_FILE])
    if stamped and control.running(settings):
        sink = PostlogSink(f"{settings[QUEUE_DIRECTORY]}/public/postlog")
    elif stamped:
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            sink = FileSink(os.open(settings[MAILLOG_FILE], flags))
        except OSError:
            stamped = False
    log.LOG.open(program, sink, stamped=stamped, host=settings[MYHOSTNAME].partition(".")[0])
