"""postlog(1): put lines into the mail log, for shell scripts. Source: postlog(1)."""

import getopt
import os
import sys
import time
from typing import Final

from posthouse.config.load import config_directory, load_settings
from posthouse.config.parameters import LOG_FORMAT, MAILLOG_FILE, QUEUE_DIRECTORY, SYSLOG_NAME
from posthouse.util import log
from posthouse.util.errors import ConfigError
from posthouse.util.log import PostlogSink, Sink, SyslogSink

SEVERITIES: Final = {"info": log.info, "warn": log.warning, "error": log.error, "fatal": log.fatal, "panic": log.panic}
USAGE: Final = "usage: postlog [-iv] [-c config_dir] [-p info|warn|error|fatal|panic] [-t tag] [text...]\n"
FAILED: Final = 1
PAUSE_S: Final = 1.0  # after fatal and panic, as in Postfix, so that a script in a loop does not fill the log


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    try:
        options, words = getopt.getopt((sys.argv if argv is None else argv)[1:], "c:ip:t:v")
    except getopt.GetoptError as error:
        sys.stderr.write(f"postlog: fatal: {error}\n{USAGE}")
        return FAILED
    values = dict(options)
    severity = values.get("-p", "info")
    if severity not in SEVERITIES:
        sys.stderr.write(f"postlog: fatal: unknown severity {severity}; use one of {', '.join(SEVERITIES)}\n")
        return FAILED
    try:
        settings = load_settings(config_directory(values.get("-c")), "postlog")
    except ConfigError as error:
        sys.stderr.write(f"postlog: fatal: {error}\n")
        return FAILED
    postlog = f"{settings[QUEUE_DIRECTORY]}/public/postlog"
    sink: Sink = PostlogSink(postlog) if settings[MAILLOG_FILE] else SyslogSink()
    tag = values.get("-t") or f"{os.environ.get('MAIL_LOGTAG') or settings[SYSLOG_NAME]}/postlog"
    tag = "".join(character if character.isprintable() else "?" for character in tag)
    log.LOG.open(tag, sink, json=settings[LOG_FORMAT] == "json", stamped=bool(settings[MAILLOG_FILE]))
    for text in [" ".join(words)] if words else (line.rstrip("\n") for line in sys.stdin):
        SEVERITIES[severity](text)
        if sys.stderr.isatty():  # scripts that run unwatched would otherwise say everything twice
            sys.stderr.write(f"{tag}: {log.PREFIX['warning' if severity == 'warn' else severity]}{text}\n")
    if severity in ("fatal", "panic"):
        time.sleep(PAUSE_S)
    return 0
