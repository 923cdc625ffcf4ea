"""postconf(1): show and change main.cf and master.cf.

Options, output and messages are Postfix's. Standards: none. See also: postconf(5), master(5).
Bugs: -b and -t show the templates of a file, but bounce(8) does not use one yet: bounce_template_file has no effect.
-T tells about the TLS library of this Python.
"""

import getopt
import os
import sys
from collections.abc import Iterable
from typing import Final, NamedTuple

from posthouse.commands import postconf_main, postconf_master
from posthouse.commands.postconf_text import UsageError, printable, warn
from posthouse.config.edit import Change
from posthouse.config.lists import split_name_value
from posthouse.config.load import ENVIRONMENT_NAME, config_directory
from posthouse.config.master_cf import FieldError
from posthouse.config.usage import find_usage
from posthouse.util.errors import ConfigError

OPTIONS: Final = "aAbc:C:deEfFhHjlmMno:pPqtT:vxX#"
MODES: Final = ("p", "M", "F", "P", "a", "A", "b", "l", "m", "t", "T")
ACTIONS: Final = ("d", "n", "e", "X", "#")
EDITS: Final = ("e", "X", "#")
_SHOWING: Final = frozenset("fhHjox")  # what an edit has no use for
_LISTS: Final = "aAblmtT"  # modes that read no parameters
_ALLOWED: Final = {"M": "enX#fjxoqvc", "F": "efjhHxoqvc", "P": "eXfjhHxoqvc"} | dict.fromkeys(_LISTS, "cjqvC")
PUBLIC_KEY_ALGORITHMS: Final = ("dsa", "ecdsa", "ed25519", "ed448", "rsa")  # of keys that Python's ssl module loads
FORCE: Final = "-force"  # -e sets names that nothing reads, too
LOCK_METHODS: Final = ("flock", "fcntl", "dotlock")
USAGE: Final = (
    "usage: postconf [-a (server SASL types)] [-A (client SASL types)] [-b (bounce templates)] [-c config_dir] "
    "[-C param_class] [-d (parameter defaults)] [-e (edit configuration)] [-f (fold lines)] [-F (master.cf fields)] "
    "[-h (no names)] [-H (no values)] [-j (JSON format)] [-l (lock types)] [-m (map types)] [-M (master.cf)] "
    "[-n (non-default parameters)] [-o name=value (override parameter value)] [-p (main.cf, default)] "
    "[-P (master.cf parameters)] [-q (no warnings)] [-t (bounce templates)] "
    "[-T compile-version|run-version|public-key-algorithms] [-v (verbose)] [-x (expand parameter values)] "
    "[-X (exclude)] [-# (comment-out)] [name...]"
)


class Options(NamedTuple):
    """The command line."""

    flags: frozenset[str]
    directory: str
    named: bool  # the directory was chosen by -c or MAIL_CONFIG
    classes: frozenset[str]
    overrides: dict[str, str]
    tls_fact: str
    names: list[str]

    @property
    def mode(self) -> str:
        """What is worked on."""
        return next((mode for mode in MODES if mode in self.flags), "p")


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    try:
        _run(_options(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except UsageError as error:
        return _fatal(str(error))
    except ConfigError as error:
        return _fatal(_message(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads any more; the interpreter must not complain
        return 1
    return 0


def _fatal(text: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"postconf: fatal: {printable(text)}\n")
    return 1


def _message(error: ConfigError) -> str:
    """Write an error the way Postfix does."""
    cause = error.__cause__
    if isinstance(cause, FieldError):
        return cause.plain
    if error.line:
        return f"{error.file}, line {error.line}: {error.why}"
    return str(error)


def _options(argv: list[str]) -> Options:
    try:
        options, names = getopt.getopt(argv, OPTIONS, ["json", "force"])
    except getopt.GetoptError as error:
        sys.stderr.write(f"postconf: {error.msg}\n")
        raise UsageError(USAGE) from None
    directory, tls_fact = None, ""
    classes: set[str] = set()
    overrides: dict[str, str] = {}
    given = [{"--json": "j", "--force": FORCE}.get(option, option[1:]) for option, _ in options]
    for option, value in options:
        match option:
            case "-c":
                directory = value
            case "-C":
                classes |= _classes(value)
            case "-o":
                overrides |= _override(value)
            case "-T":
                tls_fact = value
            case "-E":
                raise UsageError(USAGE)
    flags = frozenset(given) | ({"PP"} if given.count("P") > 1 else set())
    named = directory is not None or bool(os.environ.get(ENVIRONMENT_NAME))
    chosen = config_directory(directory)
    result = Options(
        flags, chosen, named, frozenset(classes or {"builtin", "service", "user"}), overrides, tls_fact, names
    )
    return _checked(_with_implied_edit(result))


def _classes(text: str) -> set[str]:
    words = text.replace(",", " ").split()
    for word in words:
        if word not in postconf_main.CLASSES:
            raise UsageError(f'unknown -C option value "{word}" in "{text}"')
    return {"builtin", "service", "user"} if "all" in words else set(words)


def _override(text: str) -> dict[str, str]:
    try:
        return dict([split_name_value(text)])
    except ValueError as error:
        raise UsageError(f"invalid parameter override: {text}: {error}") from None


def _checked(options: Options) -> Options:
    """Refuse options that do not go together."""
    edit = options.flags.intersection(EDITS)
    showing = [(*edit, flag) for flag in sorted(_SHOWING, key=_place)] if edit else []
    for group in (MODES, ACTIONS, ("h", "H"), *showing):
        given = sorted(options.flags.intersection(group), key=_place)
        if len(given) > 1:
            raise UsageError("specify one of " + " ".join(f"-{flag}" for flag in given))
    allowed = _ALLOWED.get(options.mode)
    for flag in sorted(options.flags - {"PP"}):
        if allowed is not None and flag not in allowed + options.mode:
            raise UsageError(f"with option -{options.mode}, do not specify -{flag}")
    if options.mode == "M" and "n" in options.flags:
        raise UsageError("with option -M, do not specify -n")
    return options


def _place(flag: str) -> tuple[bool, str, bool]:
    """Order letters as messages name them: by the alphabet, small ones first, other signs last."""
    return not flag.isalpha(), flag.lower(), flag.isupper()


def _with_implied_edit(options: Options) -> Options:
    """A name=value argument means -e."""
    if options.mode not in "pMFP" or not any("=" in name for name in options.names):
        return options
    return options._replace(flags=options.flags | {"e"})


def _run(options: Options) -> None:
    match options.mode:
        case "p":
            _main_cf(options)
        case "M" | "F" | "P":
            _master_cf(options)
        case "m":
            from posthouse.tables.open import TYPES

            _print_all(TYPES, options)
        case "l":
            _print_all(LOCK_METHODS, options)
        case "T":
            _print_all(_tls_facts(options.tls_fact), options)
        case "b" | "t":
            _notices(options)
        case _:  # -a, -A: no SASL plug-in is built yet
            return


def _print_all(words: Iterable[str], options: Options) -> None:
    """Write a list, one item a line; with -j each is a JSON string."""
    if "j" in options.flags:
        import json

        words = map(json.dumps, words)
    sys.stdout.write("".join(f"{word}\n" for word in words))


def _notices(options: Options) -> None:
    """Do -b and -t."""
    from posthouse.commands.postconf_notices import expanded, unexpanded

    path = options.names[0] if options.names else ""
    if options.mode == "t":
        sys.stdout.write(unexpanded(path))
    else:
        settings = postconf_main.read_configuration(options.directory, options.overrides).settings("bounce")
        sys.stdout.write(expanded(settings, path))


def _tls_facts(what: str) -> tuple[str, ...]:
    import ssl

    match what:
        case "compile-version" | "run-version":
            return (ssl.OPENSSL_VERSION,)
        case "public-key-algorithms":
            return PUBLIC_KEY_ALGORITHMS
        case _:
            raise UsageError(f"bad -T mode: {what}")


def _main_cf(options: Options) -> None:
    if "e" in options.flags:
        _edit(options)
        return
    for flag, change in (("X", Change.REMOVE), ("#", Change.COMMENT)):
        if flag in options.flags:
            postconf_main.change_parameters(options.directory, options.names, change)
            return
    listing = postconf_main.Listing(
        options.directory, options.flags, options.classes, options.overrides, named=options.named
    )
    if "d" in options.flags:
        listing.show(options.names)
        return
    configuration, usage = listing.configuration, listing.usage
    postconf_main.warn_of_form(configuration)
    postconf_main.warn_of_references(configuration, usage)
    listing.show(options.names)
    if "q" not in options.flags:
        postconf_main.warn_of_use(configuration, usage, with_main=True)


def _edit(options: Options) -> None:
    """Set parameters, but no name that nothing would read; at a terminal, say what is wrong with the new values."""
    from posthouse.commands.check.edited import findings_about, refuse_unknown

    new = postconf_main.parse_settings(options.names)
    if FORCE not in options.flags:
        refuse_unknown(options.directory, new)
    postconf_main.set_parameters(options.directory, new)
    if sys.stderr.isatty():
        for finding in findings_about(options.directory, new):
            warn(str(finding))


def _master_cf(options: Options) -> None:
    if change := _master_edit(options):
        postconf_master.edit_master(options.directory, change)
        return
    configuration = postconf_main.read_configuration(options.directory, options.overrides)
    usage = find_usage(configuration.main.values, configuration.master.services)
    postconf_main.warn_of_form(configuration)
    postconf_main.warn_of_references(configuration, usage)
    entries = postconf_master.Entries(configuration, options.flags)
    match options.mode:
        case "M":
            entries.show(options.names, 2, entries.show_entry)
        case "F":
            entries.show(options.names, 3, entries.show_fields)
        case _:
            entries.show(options.names, 3, entries.show_overrides)
    if "q" not in options.flags:
        postconf_main.warn_of_use(configuration, usage, with_main=False)


def _master_edit(options: Options) -> postconf_master.Edit | None:
    """Choose the edit that the options ask for; None: show."""
    edits = [flag for flag in EDITS if flag in options.flags]
    if not edits:
        return None
    if not options.names:
        raise UsageError("missing service argument")
    match options.mode, edits[0]:
        case "M", "e":
            return postconf_master.set_entries(options.names)
        case "M", "X":
            return postconf_master.change_entries(options.names, Change.REMOVE)
        case "M", "#":
            return postconf_master.change_entries(options.names, Change.COMMENT)
        case "F", _:
            return postconf_master.set_fields(options.names)
        case "P", "e":
            return postconf_master.set_overrides(options.names)
    return postconf_master.remove_overrides(options.names)


if __name__ == "__main__":
    sys.exit(main())
