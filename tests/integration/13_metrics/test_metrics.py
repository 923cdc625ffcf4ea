"""metrics(8) in a whole system: scraped by clients and read by parsers that nobody here wrote."""

import http.client
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from posthouse.daemons.metrics.families import ELSEWHERE, QUEUES
from posthouse.daemons.metrics.page import format_page
from posthouse.governor.level import Level
from posthouse.ipc.governor import ConditionState, Picture
from tests.conftest import Start
from tests.support import maildir, net
from tests.support.instance import Instance
from tests.support.mailboxes import Boxes, box, give_away
from tests.support.processes import pss_bytes
from tests.support.scarcity import LIMIT_S, offer, send, status, wait
from tests.support.small_disk import ext4

SIZE: Final = 16 << 20
LIMIT: Final = 1_000_000  # message_size_limit
BOXES: Final = Boxes(["alice"])
UNIX: Final = "metrics unix - - n - - metrics"
NOWHERE: Final = "posthouse status: {}: there is no such directory; name it with -c or MAIL_CONFIG\n"
OPENMETRICS: Final = "application/openmetrics-text"


class Scraper:
    """Asks one server by HTTP."""

    def __init__(self, port: int) -> None:
        self.port = port

    def get(self, path: str, accept: str = OPENMETRICS) -> tuple[int, str, str]:
        """Give status, media type and body."""
        connection = http.client.HTTPConnection(net.LOOPBACK, self.port, timeout=LIMIT_S)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            answer = connection.getresponse()
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
        finally:
            connection.close()

    def scrape(self) -> dict[tuple[str, ...], float]:
        """Give every sample by its name and the values of its labels."""
        code, media_type, text = self.get("/metrics")
        assert (code, media_type.partition(";")[0]) == (200, OPENMETRICS)
        families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        samples = (sample for family in families for sample in family.samples)
        return {(sample.name, *sample.labels.values()): float(sample.value) for sample in samples}

    def is_ready(self) -> bool:
        """Whether mail would be taken."""
        return self.get("/ready")[0] == 200


def start(posthouse: Start, *, started: bool = True, **main: str) -> tuple[Instance, Scraper]:
    """Run a server with mailboxes, and metrics on a port and on a socket."""
    port = net.free_port()
    lines = [f"{net.LOOPBACK}:{port} inet n - n - - metrics", UNIX]
    server = posthouse(started=False, master=lines, **BOXES.options(**main))
    give_away(server)
    if started:
        server.start_and_greet()
    return server, Scraper(port)


def test_counters_move_with_a_message(posthouse: Start) -> None:
    """What came and what left, what is queued, and every number that the governor has."""
    server, scraper = start(posthouse)
    wait("qmgr has told its numbers", lambda: ("posthouse_messages_arrived_total",) in scraper.scrape())
    before = scraper.scrape()
    for _ in range(3):
        assert send(server, "alice@box.test").startswith("250")
    maildir.wait_messages(box(server, "alice"), 3, 30)
    wait("they are counted", lambda: scraper.scrape()["posthouse_messages_left_total",] == 3)
    after = scraper.scrape()
    assert (before["posthouse_messages_arrived_total",], after["posthouse_messages_arrived_total",]) == (0, 3)
    assert {
        name for (what, name) in (key for key in after if len(key) == 2) if what == "posthouse_queue_messages"
    } == set(QUEUES)
    assert after["posthouse_service_processes", "qmgr"] == 1
    assert after["posthouse_service_memory_bytes", "qmgr"] > 0
    assert after["posthouse_queue_mail_free_bytes",] > after["posthouse_queue_mail_refused_below_bytes",]
    assert after["posthouse_governor_up",] == 1

    told = status(server)
    unseen = [name for name in told["numbers"] if not is_shown(told, name)]
    assert not unseen, "numbers of the governor that are in no metric"


def is_shown(told: dict[str, Any], number: str) -> bool:
    """Tell whether the page changes with a number of `posthouse status --json`, or the number stands elsewhere."""
    levels = {level.word: level for level in Level}
    conditions = [
        ConditionState(each["condition"], levels[each["level"]], "", 0.0, -1.0) for each in told["conditions"]
    ]
    numbers = ({**told["numbers"], number: value} for value in (7.0, 8.0))
    pages = {format_page(Picture(1, 0, 0.0, conditions, [], found, []), "") for found in numbers}
    return len(pages) == 2 or number in ELSEWHERE or number.endswith("_level")


def test_what_other_clients_get(posthouse: Start) -> None:
    """The classic format by default; HEAD; 404; a UNIX socket; and what is no request harms nothing."""
    server, scraper = start(posthouse)
    with urllib.request.urlopen(f"http://{net.LOOPBACK}:{scraper.port}/metrics", timeout=LIMIT_S) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert b"\n# TYPE posthouse_queue_mail_free_bytes gauge\n" in answer.read()
    assert scraper.get("/nothing")[0] == 404
    assert scraper.get("/live") == (200, "text/plain; charset=utf-8", "alive\n")
    with socket.create_connection((net.LOOPBACK, scraper.port), LIMIT_S) as sock:
        sock.sendall(os.urandom(100_000))
        assert sock.recv(1000).startswith(b"HTTP/1.1 400 ")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT_S)
        sock.connect(str(server.queue_directory / "private/metrics"))
        sock.sendall(b"GET /ready HTTP/1.0\r\n\r\n")
        assert sock.makefile("rb").read().endswith(b"\r\n\r\nready\n")
    found = [process.pid for process in server.processes() if process.name == "metrics"]
    assert len(found) == 2, "one for each line of master.cf"
    print(f"metrics, idle: {', '.join(f'{pss_bytes([pid]) / 1e6:.1f} MB' for pid in found)} (PSS)")
    assert "panic" not in server.log()


def test_commands_for_probes(posthouse: Start) -> None:
    """0 while it runs, 69 when it does not; and metrics is not there unless master.cf has it."""
    server = posthouse(**BOXES.options())
    assert probe(server, "--live") == (0, "alive\n")
    assert probe(server, "--ready") == (0, "ready\n")
    assert "metrics" not in {process.name for process in server.processes()}
    assert not (server.queue_directory / "private/metrics").exists()
    server.stop()
    for question in ("--live", "--ready"):
        assert probe(server, question)[0] == 69
    server.config_directory = server.directory / "nowhere"
    for question in ("--live", "--json"):
        assert probe(server, question) == (78, NOWHERE.format(server.config_directory))


def probe(server: Instance, question: str) -> tuple[int, str]:
    """Ask as a container's probe does."""
    command = [server.program("posthouse"), "status", question, "-c", str(server.config_directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=server.environment())
    return done.returncode, done.stdout + done.stderr


def test_a_drain_makes_it_unready_and_a_frozen_governor_dead(posthouse: Start) -> None:
    """Both are told with the reason, and both end with their cause."""
    server, scraper = start(posthouse)
    wait("it is ready", scraper.is_ready)
    (server.queue_directory / "pid/drain").write_text('{"to": "", "since": 0}')
    wait("it is not ready", lambda: not scraper.is_ready())
    assert scraper.get("/ready")[0::2] == (503, "no new mail is taken: the system is being drained\n")
    assert scraper.scrape()["posthouse_draining",] == 1
    (server.queue_directory / "pid/drain").unlink()
    wait("it is ready again", scraper.is_ready)

    [governor] = [process.pid for process in server.processes() if process.name == "governor"]
    os.kill(governor, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor() as pool:  # both wait four seconds for it
            exited = pool.submit(probe, server, "--live")
            wait("it is dead", lambda: scraper.get("/live")[0] == 503)  # an answer serves for a moment
            assert exited.result() == (
                69,
                f"governor service does not answer ({server.queue_directory}/private/governor)\n",
            )
    finally:
        os.kill(governor, signal.SIGCONT)
    wait("it is alive again", lambda: scraper.get("/live")[0] == 200)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What is to be undone at the end, after the servers have stopped."""
    with ExitStack() as undone:
        yield undone


@pytest.mark.root
def test_a_short_disk_makes_it_unready_and_not_dead(stack: ExitStack, posthouse: Start) -> None:
    """/ready is 503 with the reason exactly while mail is put off; /live is 200 all the time."""
    main = {"message_size_limit": str(LIMIT), "mydestination": "", "resource_notice_recipient": ""}
    server, scraper = start(posthouse, started=False, **main)
    disk = stack.enter_context(ext4(server.queue_directory, SIZE))
    stack.callback(server.stop)
    server.start_and_greet()
    wait("it is ready", scraper.is_ready)
    assert offer(server).startswith("250")

    while disk.free > LIMIT * 3 // 2:
        assert disk.step()
    wait("it is not ready", lambda: not scraper.is_ready())
    wait("mail is put off", lambda: offer(server).startswith("452 4.3.1"))
    assert scraper.get("/ready")[0::2] == (503, "mail put off with 452 4.3.1\n")
    assert probe(server, "--ready") == (75, "mail put off with 452 4.3.1\n")
    assert scraper.get("/live")[0] == 200
    assert probe(server, "--live")[0] == 0
    found = scraper.scrape()
    assert found["posthouse_condition_level", "queue_space", ""] == 3
    assert found["posthouse_step_in_force", "refuse_mail"] == 1
    assert found["posthouse_resource_level",] == 3

    disk.empty()
    wait("it is ready again", scraper.is_ready)
    wait("mail is taken", lambda: offer(server).startswith("250"))
