"""The page of numbers: the table of families as prometheus-client's text, OpenMetrics or the classic format.

The library gets what the governor said in a registry of its own; its default registry and its multi-process mode are
not used.
"""

from collections.abc import Iterator

from posthouse.daemons.metrics.families import COUNTER, FAMILIES, PREFIX, VERSION, Family
from posthouse.daemons.metrics.library import (
    Collector,
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    choose_encoder,
)
from posthouse.ipc.governor import Picture
from posthouse.protocol.http import accepts

OPENMETRICS = "application/openmetrics-text"


class PictureCollector(Collector):
    """Makes metrics of one Picture; None: the governor did not answer, and only that is told."""

    def __init__(self, picture: Picture | None) -> None:
        self._picture = picture

    def collect(self) -> Iterator[Metric]:
        """Give every family of which something is known."""
        yield InfoMetricFamily(PREFIX, "The release that runs.", value={"version": VERSION})
        is_up = float(self._picture is not None)
        yield GaugeMetricFamily(f"{PREFIX}_governor_up", "Whether governor(8) answers; without it no others.", is_up)
        if self._picture is not None:
            for family in FAMILIES:
                if (metric := _metric(family, self._picture)).samples:
                    yield metric


def _metric(family: Family, picture: Picture) -> Metric:
    kind = CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
    metric = kind(f"{PREFIX}_{family.name}", family.help, labels=family.labels)
    for labels, value in family.source(picture):
        metric.add_metric(labels, value)
    return metric


def format_page(picture: Picture | None, accept: str) -> tuple[str, bytes]:
    """Write the page; returns its media type and its octets. accept: the request's Accept field.

    The library gets a field of ours: what a stranger wrote would come back in the answer's header.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(PictureCollector(picture))
    encoder, content_type = choose_encoder(OPENMETRICS if accepts(accept, OPENMETRICS) else "")
    return content_type, encoder(registry)
