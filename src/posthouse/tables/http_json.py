"""http-json and https-json: a web service that answers in JSON. Ours: Postfix has no such table.

url and body are templates (%s %u %d ..); parts of the key are percent-quoted in the one and JSON-quoted in the other.
`result` is a JSON Pointer (RFC 6901) to the value: a text, a number, or a list of these. 404, 410, and a place that is
not there or is null are "not found"; every other status, redirects included, and whatever is no JSON is a TableError.
An answer is used again for as long as its Cache-Control says, within `cache_max`.

https-json verifies the server's certificate and may be used where a table decides about rights; http-json may not.
Sources: RFC 9110, RFC 9111 5.2.2.
"""

import asyncio
import json
import os
import re
import ssl
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from posthouse.protocol.json_pointer import Missing, find, parse_pointer
from posthouse.tables.client_config import ClientConfig, read_config
from posthouse.tables.expansion import KeyedQuery, Parts, Template, read_template
from posthouse.tables.file_table import Origin
from posthouse.tables.hosts import ATTEMPT_S, IDLE_S, Pool, PoolLimits, parse_host
from posthouse.tables.http_client import Answer, HttpConnector, HttpStream, parse_field
from posthouse.tables.open import Opener
from posthouse.tables.remote import RemoteTable
from posthouse.util import log
from posthouse.util.errors import ConfigError

PORTS: Final = {"http": 80, "https": 443}
SIZE_LIMIT: Final = 100_000  # octets of an answer
CACHE_MAX_S: Final = 60.0
CACHE_SIZE: Final = 1000  # answers kept
# Where distributions keep the certificates of all authorities in one file: Debian, Red Hat, SUSE, Alpine
SYSTEM_CA_FILES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
ABSENT: Final = (404, 410)
_URL: Final = re.compile(r"(https?)://([^/?#%@\s]+)(/[!-\"$-~]*)?", re.ASCII)
_AGE: Final = re.compile(r"max-age=\"?([0-9]{1,9})\"?", re.ASCII)


class HttpJson(RemoteTable):
    """See the module's docstring."""

    def __init__(self, origin: Origin, opener: Opener, config: ClientConfig) -> None:
        """Read the attributes; nothing is connected yet. Raises ConfigError."""
        url = _Url(origin.type, config)
        limits = PoolLimits(
            attempt_s=config.seconds("timeout", ATTEMPT_S, 1, 600), idle_s=config.seconds("idle_interval", IDLE_S, 1)
        )
        tls = _read_tls(origin, config) if url.scheme == "https" else None
        size_limit = config.integer("size_limit", SIZE_LIMIT, 1)
        self._pool = Pool(origin.full_name, (url.host,), HttpConnector(tls, size_limit), limits)
        super().__init__(origin, timeout_s=self._pool.timeout_s + 1)
        self.authenticated = tls is not None and tls.verify_mode is not ssl.CERT_NONE
        self._target = Template(url.target)
        self._method = config.text("method", "GET").upper()
        if self._method not in ("GET", "POST"):
            raise config.error("method", f'"{self._method}" is neither GET nor POST')
        body = read_template(config, "body")
        if body and self._method == "GET":
            raise config.error("body", "a GET has none; set method = POST")
        self._body = Template(body)
        self._headers = (("Host", url.authority), *_read_headers(config, with_body=self._method == "POST"))
        self._result = _read_result(config)
        self._keyed = KeyedQuery(self.name, Template(url.target + body), config, opener)
        self._cache = _Cache(config.seconds("cache_max", CACHE_MAX_S))
        config.finish()

    async def _ask(self, key: str) -> str | None:
        parts = await self._keyed.parts(key)
        if parts is None:
            return None
        if (kept := self._cache.find(key)) is not None:
            return kept[1]
        answer = await self._request(parts)
        value = self._keyed.join(self._values(answer), parts)
        self._cache.keep(key, value, max_age(answer))
        return value

    async def _request(self, parts: Parts) -> Answer:
        """Make the request. Raises TableError: no answer that counts."""
        target = self._target.fill(parts, _percent).encode("ascii")
        body = self._body.fill(parts, _json_text).encode("utf-8", "surrogateescape")

        async def exchange(stream: HttpStream) -> Answer:
            return await stream.request(self._method, target, self._headers, body)

        answer = await self._pool.ask(exchange)
        if answer.status == 200 or answer.status in ABSENT:
            return answer
        message = f"the server answers {answer.status}"
        if 300 <= answer.status < 400:
            message += " (redirects are not followed)"
        log.warning(f"{self.name}: {message}")
        raise self.failure(message)

    def _values(self, answer: Answer) -> Iterator[str | None]:
        """Give the values in an answer. Raises TableError: it is no JSON, or has something else in that place."""
        if answer.status in ABSENT:
            return
        try:
            place = find(json.loads(answer.body.decode("utf-8"), parse_constant=_no_number), self._result)
        except Missing:
            return
        except (ValueError, RecursionError) as error:
            log.warning(f"{self.name}: the answer is no JSON: {error}")
            raise self.failure(f"the answer is no JSON: {error}") from None
        for value in place if isinstance(place, list) else (place,):
            yield self._text(value)

    def _text(self, value: object) -> str | None:
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return json.dumps(value)
        what = {dict: "an object", list: "a list in a list", bool: "true or false"}.get(type(value), "something else")
        log.warning(f"{self.name}: the result is {what}; a text, a number or a list of these is wanted")
        raise self.failure(f"the result is {what}")

    def close(self) -> None:
        """End lookups and close the connections."""
        super().close()
        self._pool.close()


class _Url:
    """The parts of `url`."""

    def __init__(self, kind: str, config: ClientConfig) -> None:
        """Raises ConfigError: it is none, or is not of this kind of table."""
        config.required("url")
        text = read_template(config, "url")
        found = _URL.fullmatch(text)
        if found is None:
            raise config.error("url", f'"{text}" is not http(s)://host[:port]/path, with the key in the path')
        self.scheme, self.authority, self.target = found[1], found[2], found[3] or "/"
        if kind != f"{self.scheme}-json":
            raise config.error("url", f'a table for this URL is called "{self.scheme}-json:", not "{kind}:"')
        try:
            self.host = parse_host(self.authority, PORTS[self.scheme])
        except ValueError as error:
            raise config.error("url", str(error)) from None


class _Cache:
    """Answers that may be used again."""

    def __init__(self, max_s: float) -> None:
        self._max_s = max_s
        self._answers: dict[str, tuple[float, str | None]] = {}

    def find(self, key: str) -> tuple[float, str | None] | None:
        """Give what is kept for a key, if it is still good."""
        kept = self._answers.get(key)
        return kept if kept is not None and kept[0] > asyncio.get_running_loop().time() else None

    def keep(self, key: str, value: str | None, age_s: float) -> None:
        """Keep an answer for so long, or for as long as any is kept."""
        age_s = min(age_s, self._max_s)
        if age_s <= 0:
            self._answers.pop(key, None)
            return
        if len(self._answers) >= CACHE_SIZE:
            self._answers.clear()
        self._answers[key] = (asyncio.get_running_loop().time() + age_s, value)


def max_age(answer: Answer) -> float:
    """Say for how many seconds an answer may be used again. Sources: RFC 9111 5.1, 5.2.2."""
    directives = ",".join(answer.values("cache-control")).lower()
    found = _AGE.search(directives)
    if found is None or "no-store" in directives or "no-cache" in directives:
        return 0
    age = answer.values("age")
    return int(found[1]) - (int(age[0][:9]) if age and age[0].isascii() and age[0].isdigit() else 0)


def _read_headers(config: ClientConfig, *, with_body: bool) -> list[tuple[str, str]]:
    """Read { Name: value } items and the token, and add what is always sent. Raises ConfigError."""
    fields = [("Accept", "application/json"), ("User-Agent", "Posthouse")]
    if with_body:
        fields.append(("Content-Type", "application/json"))
    for item in config.items("headers"):
        field = parse_field(item.removeprefix("{").removesuffix("}"))
        if field is None:
            raise config.error("headers", f'"{item}" is no header field; write {{ Name: value }}')
        if field[0].lower() in ("host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"):
            raise config.error("headers", f'"{field[0]}" is not yours to say')
        fields = [each for each in fields if each[0].lower() != field[0].lower()] + [field]
    path = config.text("bearer_token_file")
    if not path:
        return fields
    try:
        with open(path, encoding="ascii") as file:
            token = file.readline().strip()
    except (OSError, ValueError) as error:
        raise config.error("bearer_token_file", f"{path}: {error}") from None
    field = parse_field(f"Authorization: Bearer {token}")
    if not token or field is None:
        raise config.error("bearer_token_file", f"the first line of {path} is no token")
    return [*fields, field]


def _read_result(config: ClientConfig) -> tuple[str, ...]:
    try:
        return parse_pointer(config.text("result"))
    except ValueError as error:
        raise config.error("result", str(error)) from None


def _read_tls(origin: Origin, config: ClientConfig) -> ssl.SSLContext:
    """Make what TLS needs. Raises ConfigError: a file cannot be used, or this is no table to trust a stranger."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    names = ("tls_ca_file", "tls_cert_file", "tls_key_file")
    ca_file, cert_file, key_file = (config.text(name) for name in names)
    if not config.boolean("tls_verify_cert", default=True):
        if not origin.flags.unauthenticated:
            raise ConfigError(
                f"{origin.full_name} map is not allowed for security-sensitive data without tls_verify_cert"
            )
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    try:
        if context.verify_mode is not ssl.CERT_NONE:
            # The whole file now: a directory would be read at each handshake, from behind the walls.
            context.load_verify_locations(ca_file or next(filter(os.path.exists, SYSTEM_CA_FILES), None))
        if cert_file:
            context.load_cert_chain(cert_file, key_file or None)
    except (OSError, TypeError) as error:
        raise config.error("tls_ca_file", f"certificates cannot be loaded: {error}") from None
    return context


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _percent(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe="")


def _json_text(text: str) -> str:
    """Write a text as it stands between the quotes of JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def open_table(origin: Origin, opener: Opener) -> HttpJson:
    """Open http-json:/path/file.cf or https-json:/path/file.cf. Raises ConfigError."""
    return HttpJson(origin, opener, read_config(origin, opener.settings))
