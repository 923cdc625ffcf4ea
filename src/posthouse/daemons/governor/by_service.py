"""What the subscribed processes say of themselves, put together by service: for metrics(8) and `posthouse status`."""

from collections.abc import Iterable

from posthouse.daemons.governor.reports import Subscriber
from posthouse.ipc.governor import ServiceState


def by_service(subscribers: Iterable[Subscriber]) -> list[ServiceState]:
    """Give the state of every service of which a process has reported, by name."""
    found: dict[str, list[Subscriber]] = {}
    for each in subscribers:
        if each.last is not None:
            found.setdefault(each.service, []).append(each)
    return [_together(service, processes) for service, processes in sorted(found.items())]


def _together(service: str, processes: list[Subscriber]) -> ServiceState:
    reports = [each.last for each in processes if each.last is not None]
    return ServiceState(
        service=service,
        processes=len(reports),
        sessions=sum(report.sessions for report in reports),
        memory=sum(report.memory for report in reports),
        descriptors=sum(report.descriptors for report in reports),
        loop_delay=max(each.delay for each in processes),
    )
