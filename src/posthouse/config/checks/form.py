"""Checks of how main.cf and master.cf are written, and of who may write them."""

import os
import stat
from collections.abc import Iterator

from posthouse.config import catalog
from posthouse.config.checks.context import Context
from posthouse.config.findings import ERROR, NOTE, WARNING, Finding, Kind, Place
from posthouse.config.parameters import COMPATIBILITY_LEVEL
from posthouse.util.errors import ConfigError

SYNTAX = Kind(
    "syntax",
    ERROR,
    "main.cf or master.cf cannot be read: a line is no setting or no service.",
    "nothing of this file is used; start and reload are refused",
    "correct the line",
)
STRAY_LINE = Kind(
    "stray-line",
    WARNING,
    "The first line of a file begins with white space, so it would continue a line that is not there.",
    "it is ignored",
    "take the white space away",
)
SET_TWICE = Kind("set-twice", WARNING, "main.cf sets a name twice, with different values.", "the later one counts")
MASTER_LINE = Kind(
    "master-line",
    WARNING,
    "An entry of master.cf is odd: braces that do not match, or the same service twice.",
    "the service may be another one than was meant",
    "correct the entry, or take one out",
)
FILE_OWNER = Kind(
    "file-owner",
    WARNING,
    "A configuration file does not belong to root.",
    "its owner decides what runs as root",
)
FILE_WRITABLE = Kind(
    "file-writable",
    WARNING,
    "A configuration file, or its directory, can be written by others than its owner.",
    "they decide what runs as root",
)
LEVEL_NOT_SET = Kind(
    "level-not-set",
    NOTE,
    "compatibility_level is not set.",
    "the defaults of old releases hold, which are less safe",
    'run "postconf compatibility_level=3.11"',
)
READ_ONLY = Kind(
    "read-only-name",
    WARNING,
    "A name is set that the program itself decides: process_name, process_id, service_name.",
    "it has no effect",
    "take it out",
)


def of_error(error: ConfigError) -> Finding:
    """Make the finding of a file that cannot be read."""
    what = f"{error.parameter}: {error.why}" if error.parameter else error.why
    return SYNTAX.at(Place(error.file, error.line), what)


def check_files(context: Context) -> Iterator[Finding]:
    """Look at who may change the files that decide what root does (facts B01.14)."""
    for path in (context.configuration.directory, context.main_path, context.master_path):
        try:
            status = os.stat(path)
        except OSError:
            continue
        if os.geteuid() == 0 and status.st_uid != 0:
            what = f"it belongs to user {status.st_uid}, who can so become root"
            yield FILE_OWNER.at(Place(path), what, f"run: chown root {path}")
        is_open = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if is_open and not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
            yield FILE_WRITABLE.at(Place(path), "others than its owner can write it", f"run: chmod go-w {path}")


def check_lines(context: Context) -> Iterator[Finding]:
    """Look for what reads well and means nothing."""
    main = context.configuration.main
    for line, _ in main.stray_lines:
        yield STRAY_LINE.at(Place(main.path, line), "a line that begins with white space continues nothing")
    for earlier, later in main.overridden():
        what = f"{later.name} is set here and on line {earlier.line}"
        yield SET_TWICE.at(Place(main.path, later.line), what, f"take line {earlier.line} out")
    for problem in context.configuration.master.problems:
        yield MASTER_LINE.at(Place(problem.file, problem.line), problem.why)
    for name in sorted(catalog.READ_ONLY & main.values.keys()):
        yield READ_ONLY.at(context.place(name), f"{name} cannot be set")


def check_level(context: Context) -> Iterator[Finding]:
    """Tell that old defaults hold."""
    if context.configuration.main.exists and not context.settings.is_set(COMPATIBILITY_LEVEL.name):
        yield LEVEL_NOT_SET.at(Place(context.main_path), "compatibility_level is not set, so it is 0")
