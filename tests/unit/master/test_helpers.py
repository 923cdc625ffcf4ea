"""master's ends of the orders process and of warm, with real processes and sockets."""

import contextlib
import os
import signal
import sys

import pytest

from posthouse.ipc.orders_stream import format_failed, format_orders
from posthouse.ipc.orders_wire import Orders
from posthouse.ipc.warm_wire import Answer, Ask, Request, Said, close_all
from posthouse.master import helpers
from posthouse.master.helpers import Launch, OrdersRun
from tests.unit.master.stage import Stage, service, stage

__all__ = ["stage"]


def _run(stage: Stage, script: str) -> list[Orders | str]:
    """Run a shell script in place of the orders process, until it has said something."""
    outcomes: list[Orders | str] = []

    def done(outcome: Orders | str) -> None:
        outcomes.append(outcome)
        stage.loop.stop()

    stage.loop._running = True
    run = OrdersRun(stage.loop, Launch(orders=("/bin/sh", "-c", script)), "/etc/postfix", done)
    stage.loop.run()
    run.close()
    with contextlib.suppress(ProcessLookupError):
        os.kill(run.pid, signal.SIGKILL)
    os.waitpid(run.pid, 0)
    return outcomes


def test_orders_come_through_a_pipe(stage: Stage) -> None:
    """In as many pieces as it takes."""
    big = service(settings=b"x" * 1_500_000)
    orders = stage.orders(big)
    with open("stream", "wb") as file:
        file.write(format_orders(orders))
    (outcome,) = _run(stage, "head -c 100 stream >&3; sleep 0.1; tail -c +101 stream >&3")
    if os.geteuid() == 0:
        assert outcome == "the orders process failed (SETTINGS record: something is missing or comes twice)"
    else:
        assert outcome == orders


def test_a_failure_is_told_in_its_own_words(stage: Stage) -> None:
    """What the configuration lacks, and what became of a process that died."""
    with open("stream", "wb") as file:
        file.write(format_failed("main.cf:3: no"))
    assert _run(stage, "cat stream >&3") == ["main.cf:3: no"]
    (outcome,) = _run(stage, "exit 1")
    assert str(outcome).startswith("the orders process failed (GLOBAL record: ")


def test_endless_orders_are_refused(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that never ends writing does not fill master's memory."""
    monkeypatch.setattr(helpers, "MAX_ORDERS", 100_000)
    (outcome,) = _run(stage, "exec cat /dev/zero >&3")
    assert "the orders process failed" in str(outcome)


def test_an_abandoned_run_says_nothing(stage: Stage) -> None:
    """Closed twice, as often as one likes."""
    outcomes: list[Orders | str] = []
    run = OrdersRun(stage.loop, Launch(orders=("/bin/true",)), "/etc/postfix", outcomes.append)
    run.close()
    run.close()
    stage.turn()
    os.waitpid(run.pid, 0)
    assert outcomes == []


def test_what_was_started_gets_its_descriptor_as_the_third_and_default_signals() -> None:
    """Nothing of master's is inherited but standard input, output and error."""
    before = {number for number in range(2048) if _is_inherited(number)}  # of whoever runs the tests
    signals = "[int(signal.getsignal(number) == signal.SIG_DFL) for number in (1, 3, 15, 17)]"
    code = f"import os, signal; os.write(3, str(({signals}, [n for n in range(2048) if is_open(n)])).encode())"
    is_open = "import os\ndef is_open(n):\n try: os.fstat(n)\n except OSError: return False\n return True\n"
    reader, writer = os.pipe()
    pid = helpers.spawn((sys.executable, "-I", "-c", is_open + code), writer, {})
    os.close(writer)
    os.waitpid(pid, 0)
    defaults, descriptors = eval(os.read(reader, 10_000).decode())
    os.close(reader)
    assert set(descriptors) - before <= {0, 1, 2, 3}
    assert 3 in descriptors
    assert defaults == [1, 1, 1, 1]


def test_nothing_that_master_starts_writes_compiled_code() -> None:
    """With master's umask only root could read it: every daemon would compile it again at every start."""
    reader, writer = os.pipe()
    pid = helpers.spawn(
        (*helpers.PYTHON[:-1], "-c", "import os, sys; os.write(3, b'%d' % sys.dont_write_bytecode)"), writer, {}
    )
    os.close(writer)
    os.waitpid(pid, 0)
    assert os.read(reader, 10) == b"1"
    os.close(reader)


def _is_inherited(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


def test_warm_is_told_what_to_import(stage: Stage) -> None:
    """Packages in two lots; the seal comes with the last."""
    stage.far.warm.import_daemons(["smtpd"], last=False)
    stage.far.warm.import_daemons(["local"])
    said = [stage.far.asked()[0] for _ in range(3)]
    assert [(request.ask, request.package) for request in said] == [
        (Ask.IMPORT, "smtpd"),
        (Ask.IMPORT, "local"),
        (Ask.SEAL, ""),
    ]


def test_a_warm_that_cannot_import_is_lost(stage: Stage) -> None:
    """Its reason is told, and it is closed; nothing is asked of it after that."""
    stage.far.says(Answer(Said.FAILED, reason="cannot import x"))
    assert stage.lost == ["cannot import x"]
    assert stage.far.warm.closed
    stage.far.warm.close()


@pytest.mark.parametrize("record", [b"", b"garbage", b"x" * 5000])
def test_a_warm_that_ends_or_says_nonsense_is_lost(stage: Stage, record: bytes) -> None:
    """Whoever waits for an answer hears that it will not come."""
    heard: list[Answer] = []
    stage.far.says(Answer(Said.READY))
    stage.far.warm.request(Request(Ask.FORK), [0], heard.append)
    close_all(stage.far.asked()[1])
    if record:
        stage.far.socket.send(record)
    else:
        stage.far.socket.shutdown(1)
    stage.far.warm._readable()
    assert stage.lost == ["it ended"]
    assert [answer.said for answer in heard] == [Said.FAILED]


def test_answers_find_their_question_once(stage: Stage) -> None:
    """A second READY, and an answer to nothing, are passed over."""
    heard: list[Answer] = []
    for _ in range(2):
        stage.far.says(Answer(Said.READY))
    assert stage.far.ready == 1
    stage.far.warm.request(Request(Ask.FORK), [0], heard.append)
    close_all(stage.far.asked()[1])
    for number in (2, 1, 1):
        stage.far.says(Answer(Said.FORKED, number, 77))
    assert [answer.pid for answer in heard] == [77]


def test_a_warm_that_is_gone_is_asked_in_vain(stage: Stage) -> None:
    """The question is answered at once; what it should import is not missed before its end is read."""
    heard: list[Answer] = []
    stage.far.socket.close()
    stage.far.warm.import_daemons(["smtpd"])
    stage.far.warm.request(Request(Ask.FORK), [0], heard.append)
    assert heard[0].reason == "asking warm: Broken pipe"
    stage.far.warm._readable()
    assert stage.lost == ["it ended"]
