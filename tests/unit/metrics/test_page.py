"""The page of numbers: read back by the library's own parsers, in both formats, for any words of the system."""

import subprocess
import sys
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from posthouse.daemons.metrics.families import COUNTER, FAMILIES, VERSION
from posthouse.daemons.metrics.page import format_page
from posthouse.ipc.governor import ConditionState, Picture, ServiceState
from posthouse.ipc.record import replace

OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
CLASSIC: Final = "text/plain; version=0.0.4; charset=utf-8"
PICTURE: Final = Picture(
    id=1,
    level=2,
    since=1_790_000_000.0,
    conditions=[
        ConditionState("queue_space", 2, "some bytes", 1.0, 90.5),
        ConditionState("mailbox_space:/var/mail", 0, "many bytes", 0.0, -1.0),
    ],
    steps=["large messages put off with 452 4.3.1"],
    numbers={
        "level": 2.0,
        "queue_space": 1000.0,
        "mailbox_space:/var/mail": 5000.0,
        "memory_pressure": 12.5,
        "queue_arrived": 10.0,
        "queue_left": 7.0,
        "queue_deferred": 2.0,
        "queue_active": 1.0,
        "queue_free": 1000.0,
        "a_number_of_tomorrow": 1.0,
    },
    services=[ServiceState("smtpd", 2, 5, 1 << 20, 40, 0.25), ServiceState("qmgr", 1, 0, 1 << 21, 30, 0.0)],
)


def page(picture: Picture | None, accept: str = OPENMETRICS) -> dict[str, Metric]:
    """Make the page and read it back: metrics by name."""
    content_type, text = format_page(picture, accept)
    assert content_type == (OPENMETRICS if accept else CLASSIC)
    parse = parse_openmetrics if accept else parse_classic
    return {metric.name: metric for metric in parse(text.decode())}


def value(metrics: dict[str, Metric], name: str, **labels: str) -> float:
    """Give the one sample of a metric with these labels. Raises ValueError: there is none, or several."""
    [found] = [sample.value for sample in metrics[name].samples if sample.labels == labels]
    return float(found)


def test_what_the_governor_says_is_on_the_page() -> None:
    """Counters with their ending, labels, base units; and nothing for what is not known."""
    found = page(PICTURE)
    assert value(found, "posthouse", version=VERSION) == 1
    assert value(found, "posthouse_governor_up") == 1
    assert value(found, "posthouse_messages_arrived") == 10
    assert [sample.name for sample in found["posthouse_messages_arrived"].samples] == [
        "posthouse_messages_arrived_total"
    ]
    assert value(found, "posthouse_queue_messages", queue="deferred") == 2
    assert value(found, "posthouse_memory_pressure_ratio") == 0.125
    assert value(found, "posthouse_condition_level", condition="queue_space", place="") == 2
    assert value(found, "posthouse_condition_forecast_seconds", condition="queue_space", place="") == 90.5
    assert value(found, "posthouse_mailbox_disk_free_bytes", place="/var/mail") == 5000
    assert value(found, "posthouse_step_in_force", step="small_messages") == 1
    assert value(found, "posthouse_step_in_force", step="refuse_mail") == 0
    assert value(found, "posthouse_sessions", service="smtpd") == 5
    assert value(found, "posthouse_service_loop_delay_seconds", service="smtpd") == 0.25
    assert len(found["posthouse_condition_forecast_seconds"].samples) == 1
    assert "posthouse_io_pressure_ratio" not in found


def test_the_classic_format_has_the_same_samples() -> None:
    """For who does not ask for OpenMetrics."""
    new = {
        (sample.name, *sample.labels.values()): sample.value
        for each in page(PICTURE).values()
        for sample in each.samples
    }
    old = {
        (sample.name, *sample.labels.values()): sample.value
        for each in page(PICTURE, "").values()
        for sample in each.samples
    }
    assert new == old


def test_without_the_governor_only_that_is_told() -> None:
    """So that an alarm can be made of it."""
    found = page(None)
    assert set(found) == {"posthouse", "posthouse_governor_up"}
    assert value(found, "posthouse_governor_up") == 0


def test_what_a_scraper_writes_does_not_come_back() -> None:
    """A version or an escaping of its own choice is no part of the answer."""
    for accept in (
        "application/openmetrics-text; version=9\x80; escaping=x",
        "application/openmetrics-text;version=0.0.1",
    ):
        assert format_page(PICTURE, accept)[0] == OPENMETRICS
    assert format_page(PICTURE, "text/plain; version=1.0.0; escaping=allow-utf-8")[0] == CLASSIC


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.floats(), st.floats())
def test_any_name_and_any_number_make_a_page(place: str, number: float, level: float) -> None:
    """Paths with quotes, backslashes and line ends; infinities and what is no number."""
    key = f"mailbox_space:{place}"
    condition = ConditionState(key, 1, "", 0.0, number)
    service = ServiceState(place, 1, 1, 1, 1, level)
    picture = replace(PICTURE, conditions=[condition], services=[service], numbers={key: number, "level": level})
    for accept in (OPENMETRICS, ""):
        samples = page(picture, accept)["posthouse_mailbox_disk_free_bytes"].samples
        assert [sample.labels["place"] for sample in samples] == [place]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_and_help_are_as_the_format_wants_them(family: object) -> None:
    """Base units, no ending that the format adds itself, a sentence for people."""
    [found] = [each for each in FAMILIES if each is family]
    assert found.help.endswith(".")
    assert not found.name.endswith(("_total", "_count", "_sum", "_bucket", "_info", "_created"))
    assert not any(word in found.name for word in ("_ms", "percent", "_kb", "_minutes"))
    assert found.full_name.endswith("_total") == (found.kind == COUNTER)
    assert sum(each.name == found.name for each in FAMILIES) == 1


def test_the_librarys_own_collectors_are_not_made() -> None:
    """They would read /proc when the warm image imports this daemon as root."""
    code = "import sys, posthouse.daemons.metrics.service; print(*sorted(m for m in sys.modules if 'prometheus' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "prometheus_client.exposition" in done.stdout.split()
    assert "collector" not in done.stdout
