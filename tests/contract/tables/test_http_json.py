"""http-json: and https-json: tables: requests, answers, what is cached, TLS, and servers that mean no good."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from posthouse.tables.table import SENSITIVE
from posthouse.util.errors import ConfigError
from tests.support import certificates
from tests.support.lookups import ask, opener
from tests.support.scripted_server import ScriptedServer, Talk
from tests.support.tls_server import TlsServer


def answer(document: object, status: str = "200 OK", fields: str = "") -> bytes:
    """Write an answer in JSON."""
    body = json.dumps(document).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


def serve(*answers: bytes) -> Callable[[Talk], None]:
    """Make a server that gives these answers, one to each request of a connection, and hears the requests."""

    def script(talk: Talk) -> None:
        for each in answers:
            head = talk._until(b"\r\n\r\n")
            size = next((line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), b":0")
            while len(talk._buffer) < int(size.partition(b":")[2]):
                talk._buffer += talk._socket.recv(65536)
            talk.heard.append(head + b"\r\n\r\n" + talk._buffer)
            talk._buffer = b""
            talk.say(each)
        talk.hang()

    return script


def spec(directory: Path, port: int, *lines: str, kind: str = "http-json") -> str:
    """Write settings; the URL is among them unless it is given."""
    url = [] if any(line.startswith("url") for line in lines) else [f"url = http://127.0.0.1:{port}/u?k=%s"]
    (directory / "h.cf").write_text("\n".join((*url, "timeout = 10", *lines)) + "\n")
    return f"{kind}:{directory}/h.cf"


@pytest.mark.parametrize(
    ("document", "lines", "expected"),
    [
        ("one", (), "one"),
        ({"a": {"b": "one"}}, ("result = /a/b",), "one"),
        ({"a": ["one", 2, 2.5, None]}, ("result = /a",), "one,2,2.5"),
        ({"a": ["one", "two"]}, ("result = /a/1",), "two"),
        ({"a": ["one", "two"]}, ("result = /a", "result_format = <%s>"), "<one>,<two>"),
        ({"a": ["one", "two"]}, ("result = /a", "expansion_limit = 1"), "expansion_limit"),
        ({"a": None}, ("result = /a",), None),
        ({"a": []}, ("result = /a",), None),
        ({"b": 1}, ("result = /a",), None),
        (None, (), None),
        (7, (), "7"),
        (10**30, (), str(10**30)),
        ("ä", (), "ä"),
        ("\ud800", (), "non-UTF-8"),
        (True, (), "true or false"),
        ({"a": {}}, ("result = /a",), "an object"),
        ([["a"]], (), "a list in a list"),
    ],
)
def test_results(document: object, lines: tuple[str, ...], expected: str | None, tmp_path: Path) -> None:
    """Texts, numbers and lists of them, wherever the pointer says; nothing there is not found; the rest is an error."""
    with ScriptedServer(serve(answer(document))) as server:
        (found,) = ask(spec(tmp_path, server.port, *lines), "key")
    if found is not None and found.startswith("error"):
        assert expected is not None
        assert expected in found
    else:
        assert found == expected


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
def test_not_found(status: str, tmp_path: Path) -> None:
    """Whatever is in the answer."""
    with ScriptedServer(serve(answer("x", status), answer("y"))) as server:
        assert ask(spec(tmp_path, server.port), "a", "b") == [None, "y"]
        assert len(server.talks) == 1, "the connection is used again"


@pytest.mark.parametrize(
    "status", ["204 No", "301 Moved", "302 Found", "400 Bad", "401 No", "403 No", "429 Slow", "500 Oops"]
)
def test_other_statuses(status: str, tmp_path: Path) -> None:
    """Each is an error, and a redirect is not followed."""
    moved = "Location: http://127.0.0.1:1/\r\n"
    body = b"" if status.startswith("204") else answer("x").partition(b"\r\n\r\n")[2]
    size = "" if status.startswith("204") else f"Content-Length: {len(body)}\r\n"
    octets = f"HTTP/1.1 {status}\r\n{moved}{size}\r\n".encode() + body
    with ScriptedServer(serve(octets, octets)) as server:
        (found,) = ask(spec(tmp_path, server.port), "a")
        assert len(server.heard()) == 1
    assert found is not None
    assert f"the server answers {status[:3]}" in found


def test_requests(tmp_path: Path) -> None:
    """The key is quoted for its place; fields and token are as they are configured."""
    (tmp_path / "token").write_text("t0ken==\n")
    (tmp_path / "token").chmod(0o600)
    lines = [
        f"headers = {{ X-A: b c }}, {{ User-Agent: me }}, {{ X-%: %s }}",  # noqa: F541 - braces
        f"bearer_token_file = {tmp_path}/token",
    ]
    key = 'a b&c=d/../"ü\\@x.org'
    with ScriptedServer(serve(answer(1), answer(1))) as server:
        url = f"url = http://localhost:{server.port}/%d/%u?q=%s&%%"
        assert ask(spec(tmp_path, server.port, url, *lines), key) == ["1"]
        body = 'body = {"key": "%s", "n": 1}'
        assert ask(spec(tmp_path, server.port, "method = post", body), key) == ["1"]
        get, post = server.heard()
    assert get.startswith(
        b"GET /x.org/a%20b%26c%3Dd%2F..%2F%22%C3%BC%5C?q=a%20b%26c%3Dd%2F..%2F%22%C3%BC%5C%40x.org&% HTTP/1.1\r\n"
    )
    fields = dict(line.split(b": ", 1) for line in get.split(b"\r\n")[1:] if line)
    assert fields == {
        b"Host": f"localhost:{server.port}".encode(),
        b"Accept": b"application/json",
        b"X-A": b"b c",
        b"User-Agent": b"me",
        b"X-%": b"%s",
        b"Authorization": b"Bearer t0ken==",
    }
    head, _, sent = post.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /u?k=a%20b")
    assert b"Content-Type: application/json" in head
    assert json.loads(sent) == {"key": key.lower(), "n": 1}


@pytest.mark.parametrize(
    ("fields", "lines", "asked"),
    [
        ("Cache-Control: max-age=100\r\n", (), 1),
        ("Cache-Control: private, MAX-AGE=100\r\n", (), 1),
        ("Cache-Control: max-age=100\r\nAge: 99\r\n", (), 1),
        ("Cache-Control: max-age=100\r\nAge: 100\r\n", (), 2),
        ("Cache-Control: max-age=100\r\n", ("cache_max = 0",), 2),
        ("Cache-Control: max-age=100, no-store\r\n", (), 2),
        ("Cache-Control: no-cache\r\nCache-Control: max-age=100\r\n", (), 2),
        ("Cache-Control: max-age=0\r\n", (), 2),
        ("Cache-Control: max-age=x\r\n", (), 2),
        ("", (), 2),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "404 No"])
def test_answers_that_are_used_again(
    fields: str, lines: tuple[str, ...], asked: int, status: str, tmp_path: Path
) -> None:
    """As the server allows, within cache_max; what is not there counts as well."""
    with ScriptedServer(serve(*[answer("x", status, fields)] * 2)) as server:
        expected = "x" if status == "200 OK" else None
        assert ask(spec(tmp_path, server.port, *lines), "a", "A") == [expected] * 2
        assert len(server.heard()) == asked


OK = "HTTP/1.1 200 OK\r\n"
HOSTILE = {
    "endless header lines": (OK.encode() + b"X: y\r\n" * 100_000, "no answer by HTTP"),
    "an endless header line": (OK.encode() + b"X: " + b"y" * 400_000, "no answer by HTTP"),
    "no length": (f"{OK}\r\n1".encode(), "how long"),
    "too large": (answer("x" * 200), "more than 100 octets"),
    "too large by its length": (f"{OK}Content-Length: 9999999999\r\n\r\n".encode() + b"1" * 5000, "more than 100"),
    "too short": (f"{OK}Content-Length: 5\r\n\r\n12".encode(), "closed"),
    "two lengths": (f"{OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\n12".encode(), "no answer by HTTP"),
    "a length that is no number": (f"{OK}Content-Length: +1\r\n\r\n1".encode(), "no answer by HTTP"),
    "more than the length": (f"{OK}Content-Length: 1\r\n\r\n12".encode(), "behind"),
    "chunks without end": (f"{OK}Transfer-Encoding: chunked\r\n\r\n".encode() + b"1\r\n1\r\n" * 200, "more than 100"),
    "no chunk": (f"{OK}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(), "no answer by HTTP"),
    "the last chunk is missing": (f"{OK}Transfer-Encoding: chunked\r\n\r\n1\r\n1\r\n".encode(), "closed"),
    "interim answers without end": (b"HTTP/1.1 103 Hints\r\n\r\n" * 10, "interim"),
    "another protocol from now on": (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "answer"),
    "no JSON": (f"{OK}Content-Length: 4\r\n\r\n<p/>".encode(), "no JSON"),
    "JSON of no number": (f"{OK}Content-Length: 3\r\n\r\nNaN".encode(), "no JSON"),
    "JSON that is nested deep": (f"{OK}Content-Length: 100\r\n\r\n{'[' * 100}".encode(), "no JSON"),
    "no UTF-8": (f"{OK}Content-Length: 3\r\n\r\n".encode() + b'"\xff"', "no JSON"),
    "nothing": (b"", "closed"),
    "HTTP/0.9": (b"one", "closed"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_servers_that_mean_no_good(case: str, tmp_path: Path) -> None:
    """Each is an error with its reason; nothing is found, and nothing is "not found"."""
    octets, why = HOSTILE[case]

    def script(talk: Talk) -> None:
        talk._until(b"\r\n\r\n")
        talk.say(octets)

    with ScriptedServer(script) as server:
        (found,) = ask(spec(tmp_path, server.port, "size_limit = 100"), "a")
    assert found is not None
    assert found.startswith("error: http-json:")
    assert why in found


def test_a_slow_server(tmp_path: Path) -> None:
    """An octet now and then does not lengthen the time limit."""

    def script(talk: Talk) -> None:
        talk._until(b"\r\n\r\n")
        talk.trickle(answer("x" * 1000), 0.05)

    with ScriptedServer(script) as server:
        (found,) = ask(spec(tmp_path, server.port, "timeout = 1"), "a")
        server.stop()
    assert found is not None
    assert "no answer in time" in found


def test_good_answers_in_other_forms(tmp_path: Path) -> None:
    """Chunks, interim answers, HTTP/1.0, and a connection that ends after the answer."""
    forms = [
        f'{OK}Transfer-Encoding: chunked\r\n\r\n2\r\n"a\r\n1;x=y\r\n"\r\n0\r\nX: y\r\n\r\n'.encode(),
        b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + answer("a"),
        answer("a", fields="Connection: close\r\n"),
        answer("a").replace(b"HTTP/1.1", b"HTTP/1.0"),
    ]
    for form in forms:
        with ScriptedServer(serve(form, form)) as server:
            assert ask(spec(tmp_path, server.port), "x", "y") == ["a", "a"]


def test_tls(tmp_path: Path) -> None:
    """The certificate must be of a known authority and for this name, unless main.cf says that anybody will do."""
    if reason := certificates.why_not():
        pytest.skip(reason)
    files = certificates.make(tmp_path)
    with TlsServer(files, answer("tls", fields="Connection: close\r\n")) as server:
        for lines, host, expected in (
            ((f"tls_ca_file = {files.ca}",), "localhost", "tls"),
            ((f"tls_ca_file = {files.ca}",), "127.0.0.1", "tls"),
            ((f"tls_ca_file = {files.other_ca}",), "localhost", "CERTIFICATE_VERIFY_FAILED"),
            ((), "localhost", "CERTIFICATE_VERIFY_FAILED"),
            ((f"tls_ca_file = {files.ca}",), "localhost.", "error"),
            (("tls_verify_cert = no",), "localhost", "tls"),
        ):
            url = f"url = https://{host}:{server.port}/%s"
            found = ask(spec(tmp_path, 0, url, *lines, kind="https-json"), "a")[0]
            assert found is not None
            assert expected in found, (lines, host)
        plain = f"url = http://localhost:{server.port}/%s"
        assert "error" in str(ask(spec(tmp_path, 0, plain), "a")[0])


def test_rights(tmp_path: Path) -> None:
    """https-json may decide about rights; http-json and a server that anybody can be may not."""
    url = "url = https://localhost/%s"
    opener().open(spec(tmp_path, 0, url, kind="https-json"), SENSITIVE)
    with pytest.raises(ConfigError, match="security-sensitive"):
        opener().open(spec(tmp_path, 0, url, "tls_verify_cert = no", kind="https-json"), SENSITIVE)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("url =", "url: it is missing"),
        ("url = ftp://x/", "url: .*is not http"),
        ("url = http://x/a b", "url: .*is not http"),
        ("url = http://%d/", "url: .*is not http"),
        ("url = http://user@x/", "url: .*is not http"),
        ("url = http://x:y/", "url: "),
        ("url = https://x/", 'url: .*called "https-json:"'),
        ("url = http://x/%q", "url: "),
        ("method = PUT", "method: "),
        ("body = x", "body: a GET has none"),
        ("headers = { X }", "headers: .*no header field"),
        ("headers = { Host: x }", "headers: .*not yours"),
        ("headers = { A: b\x01 }", "headers: .*no header field"),
        ("result = a", "result: .*no JSON Pointer"),
        ("bearer_token_file = /nothing", "bearer_token_file: /nothing"),
        ("bearer_token_file = /dev/null", "bearer_token_file: .*no token"),
        ("size_limit = 0", "size_limit: "),
        ("timeout = 0", "timeout: "),
    ],
)
def test_wrong_settings(line: str, why: str, tmp_path: Path) -> None:
    """They are named with file and attribute when the table is opened."""
    with pytest.raises(ConfigError, match=why):
        opener().open(spec(tmp_path, 1, line))
