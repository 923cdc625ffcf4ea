"""What all tests share: servers in directories of their own, and the rule that CI skips nothing."""

import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from posthouse.util import log
from tests.support.instance import Instance, Options
from tests.support.load import SmtpSink
from tests.support.peers import find_peer
from tests.support.servers import Postfix, Posthouse

Start = Callable[..., Instance]
pytest_plugins = ["tests.support.installed", "tests.support.skips"]
FAILED = pytest.StashKey[list[str | None]]()
LOG_SHOWN = 6000  # octets of the mail log that a failed test shows
SLOW = ("tests/vectors", "tests/integration", "tests/faults", "tests/golden", "tests/contract")
SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


def pytest_configure() -> None:
    """Let a test run that is told to end (timeout(1)) stop its servers, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests of whole servers run against a real Postfix: what fails there is the test's own mistake."""
    parser.addoption("--whole", action="store_true", help="tests/faults with all its rounds: make test-faults")
    parser.addoption("--server", choices=("posthouse", "postfix"), default="posthouse", help="which server is tested")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with a reason, what this machine cannot run; what takes long begins first."""
    items.sort(key=lambda item: next((at for at, part in enumerate(SLOW) if f"/{part}/" in str(item.path)), len(SLOW)))
    for item in items:
        if item.get_closest_marker("root") and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if item.get_closest_marker("shared") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="the shared cases do not lie beside this work tree"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know whether their test failed."""
    report = yield
    item.stash.setdefault(FAILED, []).extend([report.when] if report.failed else [])
    return report


@pytest.fixture(autouse=True)
def _nothing_left_to_log() -> None:
    """Forget what an earlier test logged: the first log that is opened would get it."""
    log.LOG._pending.clear()


@pytest.fixture
def instances(request: pytest.FixtureRequest) -> Iterator[list[Instance]]:
    """Collect the servers of one test, to be removed after it; a failed test shows the ends of their logs."""
    started: list[Instance] = []
    yield started
    for instance in started:
        if request.node.stash.get(FAILED, []):
            print(f"--- {instance.kind} on port {instance.port}, {instance.maillog}\n{instance.log()[-LOG_SHOWN:]}")
        instance.destroy()


@pytest.fixture
def posthouse(instances: list[Instance], request: pytest.FixtureRequest) -> Start:
    """Return a function that starts Posthouse; its arguments are those of Options."""
    kind = Postfix if request.config.getoption("--server") == "postfix" else Posthouse

    def start(*, started: bool = True, **options: object) -> Instance:
        instance: Instance = kind(Options(**options))  # type: ignore[arg-type]
        instances.append(instance)
        if started:
            instance.start_and_greet()
        return instance

    return start


@pytest.fixture
def postfix_peer(instances: list[Instance]) -> Start:
    """Return a function that starts Debian's Postfix the same way; skips where it cannot run."""
    reason = Postfix.why_not()
    if reason:
        pytest.skip(reason)

    def start(*, started: bool = True, **options: object) -> Instance:
        instance = Postfix(Options(**options))  # type: ignore[arg-type]
        instances.append(instance)
        if started:
            instance.start_and_greet()
        return instance

    return start


@pytest.fixture
def smtp_sink() -> Iterator[SmtpSink]:
    """Run Postfix's smtp-sink, which keeps what it gets."""
    if not find_peer("smtp-sink"):
        pytest.skip("smtp-sink is not here: make peers")
    with SmtpSink(keep=True) as sink:
        yield sink
