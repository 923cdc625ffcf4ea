"""prometheus-client, its modules alone: what its package does when it is imported is left out.

The package makes collectors of the interpreter and of the process then, and reads files of /proc for them.
That would happen in the warm image, as root, for numbers that nobody asked about. So the package is put in place
unexecuted, and its modules are imported from there.
"""

import sys
from importlib.util import find_spec, module_from_spec


def _put_in_place(name: str) -> None:
    spec = find_spec(name) if name not in sys.modules else None
    if spec is not None:
        sys.modules[name] = module_from_spec(spec)


_put_in_place("prometheus_client")

from prometheus_client.exposition import choose_encoder  # noqa: E402 - the package must be in its place
from prometheus_client.metrics_core import (  # noqa: E402
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector, CollectorRegistry  # noqa: E402

__all__ = [
    "Collector",
    "CollectorRegistry",
    "CounterMetricFamily",
    "GaugeMetricFamily",
    "InfoMetricFamily",
    "Metric",
    "choose_encoder",
]
