"""Checks of keys and certificates: readable, together, in order, in time, and the key for nobody else's eyes.

What is wrong here does not stop the start: the mail system goes on without TLS, as Postfix does.
"""

import os
import time
from collections.abc import Generator, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from posthouse.config.check_tables import NOT_CHECKED
from posthouse.config.checks.certificates import Block, Certificate, fault_of_pair, read_blocks, read_certificate
from posthouse.config.checks.context import Context
from posthouse.config.checks.secrets import is_open_to_all
from posthouse.config.findings import WARNING, Finding, Kind, Place
from posthouse.config.master_cf import Service
from posthouse.config.settings import Settings
from posthouse.util.files import read_regular

_NO_TLS: Final = "this key and certificate are not used, so peers find no TLS or the wrong one"
MISSING = Kind("tls-file-missing", WARNING, "A file of keys or certificates is not there or cannot be read.", _NO_TLS)
EMPTY = Kind(
    "tls-file-empty",
    WARNING,
    "A file of keys or certificates has no key or certificate (PEM) in it.",
    _NO_TLS,
    "name files in PEM form, with the key and the certificates that belong to it",
)
MISMATCH = Kind(
    "key-mismatch", WARNING, "A private key does not belong to its certificate, or cannot be used.", _NO_TLS
)
ORDER = Kind(
    "chain-order",
    WARNING,
    "A certificate does not stand behind the one that it has issued; or a certificate comes before its key.",
    "peers that verify certificates refuse it",
    "write the key first where they share a file, then this host's certificate, then the one that issued it, and so on",
)
EXPIRED = Kind(
    "certificate-expired",
    WARNING,
    "A certificate has expired, or is not valid yet.",
    "peers that verify certificates refuse it",
    "renew it",
)
EXPIRES = Kind(
    "certificate-expires-soon",
    WARNING,
    "A certificate expires within seven days, or within a tenth of its life when that is shorter.",
    "peers that verify certificates will refuse it",
    "renew it; look why that was not done by itself",
)
EXPOSED = Kind(
    "key-exposed",
    WARNING,
    "A file with a private key can be read by every user.",
    "each of them can pass for this host",
)
NO_CERTIFICATE = Kind(
    "tls-without-certificate",
    WARNING,
    "smtpd_tls_security_level asks for TLS, and the server has no certificate.",
    "TLS is not offered; with the level encrypt no mail is taken",
    "write: smtpd_tls_chain_files = /path/of/key-and-certificates.pem",
)
IN_CLEAR = Kind(
    "passwords-in-clear",
    WARNING,
    "An SMTP service takes passwords (SASL), and does not ask for TLS first.",
    "who listens on the way learns them",
    "write: smtpd_tls_auth_only = yes",
)
_PREFIXES: Final = ("smtpd_tls_", "smtp_tls_", "lmtp_tls_", "postscreen_tls_", "tlsproxy_tls_", "tlsproxy_client_")
_PAIRS: Final = (("cert_file", "key_file"), ("eccert_file", "eckey_file"), ("dcert_file", "dkey_file"))
_CHAIN: Final = "chain_files"
_SOON_S: Final = 7 * 86400
_MAX_BYTES: Final = 1024 * 1024  # of a file


class _Found(NamedTuple):
    """A file that was read: where it is named, and what is in it."""

    path: str
    place: Place
    name: str
    blocks: list[Block]


def check_tls(context: Context) -> Iterator[Finding]:
    """Check each set of keys and certificates that main.cf or a service names."""
    told: set[tuple[str, str]] = set()
    for service, settings in context.readers("smtpd", "smtp", "lmtp", "postscreen", "tlsproxy"):
        own = {name for name, _ in service.overrides} if service else set(context.configuration.main.values)
        for prefix in _PREFIXES:
            for finding in _check_prefix(context, settings, prefix, own):
                key = (finding.id, finding.what.partition(": ")[2] or finding.what)
                if key not in told:
                    told.add(key)
                    yield finding
        yield from _check_level(context, settings, own)
    for service in context.services("smtpd"):
        yield from _check_passwords(context, service)


def _check_prefix(context: Context, settings: Settings, prefix: str, own: set[str]) -> Iterator[Finding]:
    """Check the chain files, or else each pair; where the files are the same, once."""
    if prefix + _CHAIN in own:
        paths = list(context.items(prefix + _CHAIN, settings))
        yield from _check_chain_files(context, context.place(prefix + _CHAIN, settings), prefix + _CHAIN, paths)
    for name in (prefix + "CAfile", prefix + "CApath"):
        path = context.text(name, settings) if name in own else ""
        if path.startswith("/") and not os.path.exists(path):
            what = f"{name}: there is no {path}"
            yield MISSING.at(
                context.place(name, settings), what, "correct the name", "peers cannot be verified with it"
            )
    if context.text(prefix + _CHAIN, settings):
        return  # the others are not read
    for certificates, key in _PAIRS:
        if {prefix + certificates, prefix + key} & own:
            yield from _check_pair(context, settings, prefix + certificates, prefix + key)


def _check_pair(context: Context, settings: Settings, certificates: str, key: str) -> Iterator[Finding]:
    path, key_path = context.text(certificates, settings), context.text(key, settings)
    if not path or path == "none":
        return
    place = context.place(certificates if settings.is_set(certificates) else key, settings)
    chain = yield from _read(context, place, certificates, path)
    keys = chain
    if key_path != path:
        key_place = context.place(key if settings.is_set(key) else certificates, settings)
        keys = yield from _read(context, key_place, key, key_path)
    if chain is None or keys is None:
        return
    found = [block for block in chain.blocks if block.is_certificate]
    own_key = next((block for block in keys.blocks if block.is_key), None)
    if not found:
        yield EMPTY.at(chain.place, f"{certificates}: there is no certificate in {path}")
    elif own_key is None:
        yield EMPTY.at(keys.place, f"{key}: there is no private key in {key_path}")
    else:
        yield from _check_group(context, chain, keys.path, own_key, found)


def _check_chain_files(context: Context, place: Place, name: str, paths: Sequence[str]) -> Iterator[Finding]:
    """Check a list of files in which each key stands before its certificates."""
    groups: list[tuple[_Found, Block, list[Block]]] = []
    for path in paths:
        found = yield from _read(context, place, name, path)
        if found is None:
            return
        if not found.blocks:
            yield EMPTY.at(place, f"{name}: there is neither key nor certificate in {path}")
        for block in found.blocks:
            if block.is_key:
                groups.append((found, block, []))
            elif block.is_certificate and groups:
                groups[-1][2].append(block)
            elif block.is_certificate:
                yield ORDER.at(place, f"{name}: a certificate in {path} comes before any key")
                return
    for found, key, chain in groups:
        if chain:
            yield from _check_group(context, found, found.path, key, chain)
        else:
            yield EMPTY.at(place, f"{name}: the key in {found.path} has no certificate behind it")


def _read(context: Context, place: Place, name: str, path: str) -> Generator[Finding, None, _Found | None]:
    """Read a file; say when it cannot be read, and when it has a key that everybody can read."""
    if not path.startswith("/"):
        return None  # below a directory that the daemon chooses
    if "\0" in path:
        yield MISSING.at(place, f"{name}: no file has such a name", "write the name again")
        return None
    try:
        blocks = read_blocks(read_regular(path, _MAX_BYTES))
    except PermissionError as error:
        if context.as_root and os.geteuid():
            yield NOT_CHECKED.at(place, f"{name}: {path} cannot be read by this user")
        else:
            yield MISSING.at(place, f"{name}: cannot read {path}: {error.strerror}", "check its owner and mode")
        return None
    except OSError as error:
        yield MISSING.at(place, f"{name}: cannot read {path}: {error.strerror}", "correct the name, or make the file")
        return None
    if any(block.is_key for block in blocks) and is_open_to_all(path):
        yield EXPOSED.at(place, f"{name}: every user can read the key in {path}", f"run: chmod o-r {path}")
    return _Found(path, place, name, blocks)


def _check_group(context: Context, found: _Found, key_path: str, key: Block, chain: list[Block]) -> Iterator[Finding]:
    """Check one key with its certificates."""
    try:
        read = [read_certificate(block.data) for block in chain]
    except ValueError as error:
        yield EMPTY.at(found.place, f"{found.name}: a certificate in {found.path} is damaged: {error}")
        return
    fault = fault_of_pair(key, chain)
    if fault:
        fix = f"name the key that {found.path} was made with"
        if "pass phrase" in fault:
            fix = "write the key without one, in a file that only root can read"
        yield MISMATCH.at(found.place, f"{found.name}: the key in {key_path} {fault}", fix)
    for at, (one, issuer) in enumerate(pairwise(read), 2):
        if one.issuer != issuer.subject:
            yield ORDER.at(found.place, f"{found.name}: certificate {at} in {found.path} has not issued the one before")
            break
    yield from _check_times(context, found, read[0])


def _check_times(context: Context, found: _Found, own: Certificate) -> Iterator[Finding]:
    left = own.not_after - context.now
    if left < 0:
        yield EXPIRED.at(found.place, f"{found.name}: the certificate in {found.path} expired on {_day(own.not_after)}")
    elif own.not_before > context.now:
        day = _day(own.not_before)
        yield EXPIRED.at(found.place, f"{found.name}: the certificate in {found.path} is valid from {day} on", "wait")
    elif left < min(_SOON_S, (own.not_after - own.not_before) / 10):
        what = f"{found.name}: the certificate in {found.path} expires on {_day(own.not_after)}"
        yield EXPIRES.at(found.place, what)


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _check_level(context: Context, settings: Settings, own: set[str]) -> Iterator[Finding]:
    """TLS that is asked for needs a certificate."""
    name = "smtpd_tls_security_level"
    if name not in own or context.text(name, settings).lower() not in ("may", "encrypt"):
        return
    if not any(context.text(f"smtpd_tls_{which}", settings) for which in (_CHAIN, *(pair[0] for pair in _PAIRS))):
        yield NO_CERTIFICATE.at(context.place(name, settings), f"{name}: there is no certificate")


def _check_passwords(context: Context, service: Service) -> Iterator[Finding]:
    """Passwords are for encrypted sessions; an address of the loopback interface has no listeners."""
    settings = context.view(service)
    name = "smtpd_sasl_auth_enable"
    if not settings.is_set(name) or context.text(name, settings).lower() != "yes":
        return
    is_encrypted = context.text("smtpd_tls_security_level", settings).lower() == "encrypt" or any(
        context.text(each, settings).lower() == "yes" for each in ("smtpd_tls_auth_only", "smtpd_tls_wrappermode")
    )
    is_hidden = "noplaintext" in context.text("smtpd_sasl_security_options", settings).lower()
    if not (is_encrypted or is_hidden or service.name.startswith(("127.", "[::1]", "localhost:"))):
        yield IN_CLEAR.at(context.place(name, settings), f"{service.name}/{service.type}: takes passwords without TLS")
