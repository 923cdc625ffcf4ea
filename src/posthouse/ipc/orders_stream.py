"""Writing the orders: what the orders process sends and ipc/orders_wire.py, which root has, reads."""

from posthouse.ipc.orders_wire import (
    ADDRESS,
    GLOBAL,
    HEAD,
    MAX_TEXT,
    OWNER,
    RUNAS_RULE,
    SERVICE,
    Kind,
    Orders,
)


def _record(kind: Kind, payload: bytes) -> bytes:
    return HEAD.pack(kind, len(payload)) + payload


def format_failed(text: str) -> bytes:
    """Write the whole stream when there are no orders."""
    return _record(Kind.FAILED, text.encode("utf-8", "replace")[:MAX_TEXT])


def format_orders(orders: Orders) -> bytes:
    """Write the whole stream. Raises ValueError: something does not fit its field."""
    out = [_record(Kind.GLOBAL, GLOBAL.pack(orders.settings))]
    out += (_record(Kind.OWNER, OWNER.pack(owner)) for owner in orders.settings.owners)
    out += (_record(Kind.NOTE, note.encode("utf-8", "replace")[:MAX_TEXT]) for note in orders.notes)
    for service in orders.services:
        out.append(_record(Kind.SERVICE, SERVICE.pack(service)))
        out += (_record(Kind.ADDRESS, ADDRESS.pack(address)) for address in service.addresses)
        if service.runas.kinds:
            out.append(_record(Kind.RUNAS, RUNAS_RULE.pack(service.runas)))
        out.append(_record(Kind.SETTINGS, service.settings))
    out.append(_record(Kind.END, b""))
    return b"".join(out)
