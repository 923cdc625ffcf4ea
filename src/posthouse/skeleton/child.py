"""run_child: the life of a daemon process from the fork to its exit. warm(8) calls it as the daemon's user.

Only what is here may catch every exception: a process that cannot go on says so in one line and exits; its mail stays
in the queue and master starts another.
"""

import asyncio
import gc
import importlib
import os
import resource
import signal
import socket
import sys
import traceback
from typing import Final, NoReturn

from posthouse.config import catalog
from posthouse.config.parameters import (
    DAEMON_TIMEOUT,
    LOG_FORMAT,
    MAILLOG_FILE,
    MAX_IDLE,
    MAX_USE,
    MYHOSTNAME,
    QUEUE_DIRECTORY,
    WATCHDOG_TIMEOUT,
)
from posthouse.config.settings import Settings
from posthouse.config.wire import parse_settings
from posthouse.confine.kernel import drop_capabilities
from posthouse.governor.drain import read_drain
from posthouse.skeleton.confined import Handed, change_root, confine, denial
from posthouse.skeleton.daemon import UNLIMITED, Context, Daemon, Service
from posthouse.skeleton.lifetime import Lifetime
from posthouse.skeleton.resources import GOVERNOR, OwnMemory, Resources, Subscription
from posthouse.skeleton.watchdog import Watchdog
from posthouse.util import log
from posthouse.util.connection import set_bug_handler
from posthouse.util.errors import ConfigError, Fatal, TemporaryError
from posthouse.util.log import FileSink, PostlogSink, Sink, SyslogSink
from posthouse.util.loop import new_event_loop
from posthouse.util.process import enter_domain
from posthouse.util.successor import set_successor_handler

SWITCH_INTERVAL_S: Final = 0.0005  # a writer thread must not wait 5 ms for a busy loop (design: group commit)
GC_THRESHOLDS: Final = (20_000, 20, 100)  # sessions make few cycles; the image's own objects are frozen
MAX_SETTINGS: Final = 16 * 1024 * 1024  # bytes

catalog.entries()  # read now, in the warm image: 1 MB that all daemons share
catalog.families()


def run_child(module: str, settings_fd: int, handed: Handed) -> NoReturn:
    """Serve until retired. Never returns, never raises.

    module: the daemon's module ("posthouse.daemons.smtpd.daemon"); settings_fd: sealed memfd.
    """
    code = 1
    try:
        daemon: Daemon = importlib.import_module(module).DAEMON
        settings = read_settings(settings_fd)
        open_log(settings, settings[QUEUE_DIRECTORY])
        _serve(daemon, settings, handed)
        code = 0
    except (ConfigError, Fatal, TemporaryError) as error:
        log.fatal(str(error))
    except BaseException as error:
        if (what := denial(error)) is not None:
            log.error(what)
        log.panic(" | ".join(traceback.format_exception(error)).replace("\n", " | "))
    log.LOG.finish()
    os._exit(code)


def _serve(daemon: Daemon, settings: Settings, handed: Handed) -> None:
    assert __debug__, "daemons are never run with -O"
    enter_domain(daemon.name)  # what is opened from here on is its own; after no_new_privs it would be too late
    _process_defaults()
    watchdog = Watchdog(min(settings[WATCHDOG_TIMEOUT], settings[DAEMON_TIMEOUT]))
    if daemon.resident:
        watchdog.allow_long_start()
    own_memory = OwnMemory() if GOVERNOR in daemon.talks_to else None
    drain = read_drain(settings[QUEUE_DIRECTORY]) if own_memory is not None else None
    confine(daemon, settings, handed)
    loop = new_event_loop()
    limit = min(handed.client_limit or UNLIMITED, daemon.clients)
    lifetime = Lifetime(loop, _socket(handed.status_fd), client_limit=limit)
    listeners = [_socket(descriptor) for descriptor in handed.listen_fds]
    runas = socket.socket(fileno=handed.runas_fd) if handed.runas_fd >= 0 else None
    queue_directory = "" if handed.chroot else settings[QUEUE_DIRECTORY]  # as seen when it serves
    context = Context(settings, loop, lifetime, queue_directory, limit, runas, listeners, Resources(drain))
    log.LOG.attach(loop)

    def retire_soon(error: BaseException) -> None:
        if (what := denial(error)) is not None:
            log.error(what)
        loop.call_soon(lifetime.retire)

    def make_way(reason: str) -> None:
        if not lifetime.retiring:
            log.info(f"{reason}: the next process can read it, this one ends after its sessions", event="successor")
            loop.call_soon(lifetime.retire)

    set_bug_handler(retire_soon)
    set_successor_handler(make_way)
    loop.set_exception_handler(_on_bug)
    service = daemon.start(context)
    if handed.chroot:
        change_root(settings[QUEUE_DIRECTORY])
        open_log(settings, "")
    if handed.chroot or handed.root_files:
        drop_capabilities()
    lifetime.before_exit = service.closing
    loop.add_signal_handler(signal.SIGTERM, lifetime.retire)
    _subscribe(daemon, context, service, own_memory)
    lifetime.serve(
        service,
        listeners,
        max_idle=0.0 if daemon.resident else settings[MAX_IDLE],
        max_use=0 if daemon.resident else settings[MAX_USE],
    )
    watchdog.watch(loop)
    loop.run_forever()


def _subscribe(daemon: Daemon, context: Context, service: Service, own_memory: OwnMemory | None) -> None:
    """Hear what is scarce, from governor(8) and from master, and tell how this process is."""
    resources, lifetime = context.resources, context.lifetime
    lifetime.on_stress = lambda on: resources.set_master_stress(on=on)
    if own_memory is not None:
        name = context.settings.service_name or daemon.name
        subscription = Subscription(context.loop, context.private(GOVERNOR), name, resources, own_memory)
        subscription.numbers = service.numbers
        subscription.sessions = lambda: lifetime.sessions
        subscription.start()


def _on_bug(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Outside a session there is nothing smaller to end than the process; the mail is safe where it is."""
    error = context.get("exception")
    text = str(context.get("message"))
    if isinstance(error, (Fatal, ConfigError)):
        log.fatal(str(error))
    else:
        if isinstance(error, BaseException):
            if (what := denial(error)) is not None:
                log.error(what)
            text = " | ".join(traceback.format_exception(error))
        log.panic(text.replace("\n", " | "))
    log.LOG.finish()
    os._exit(1)


def read_settings(descriptor: int) -> Settings:
    """Read the sealed memfd that master handed over."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    pieces = []
    while piece := os.read(descriptor, 1 << 20):
        pieces.append(piece)
    os.close(descriptor)
    return parse_settings(b"".join(pieces))


def open_log(settings: Settings, queue_directory: str) -> None:
    """Open the log as main.cf says: maillog_file by way of postlogd, or the system's log daemon."""
    program = f"{settings.text('syslog_name') or 'postfix'}/{settings.process_name}"
    sink: Sink
    stamped = True
    if not settings[MAILLOG_FILE]:
        sink, stamped = SyslogSink(), False
    elif settings.process_name == "postlogd":
        sink = FileSink(2)  # postlogd itself replaces this with its file
    else:
        sink = PostlogSink(f"{queue_directory}/public/postlog")
    host = settings[MYHOSTNAME].partition(".")[0]
    log.LOG.open(program, sink, json=settings[LOG_FORMAT] == "json", stamped=stamped, host=host)


def _socket(descriptor: int) -> socket.socket:
    sock = socket.socket(fileno=descriptor)
    sock.setblocking(False)
    return sock


def _process_defaults() -> None:
    os.umask(0o077)
    gc.set_threshold(*GC_THRESHOLDS)
    # Woken while another process runs, wait for its turn to end: what came meanwhile is then done in one go.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # memory holds mail and secrets: it is never written to a file
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
