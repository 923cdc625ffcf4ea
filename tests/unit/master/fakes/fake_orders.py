"""orders from a file that the test wrote: DIR/orders.json."""

import json
import os
import sys
from pathlib import Path

from posthouse.config.settings import Settings
from posthouse.config.wire import format_settings
from posthouse.ipc.orders_stream import format_failed, format_orders
from posthouse.ipc.orders_wire import (
    Address,
    Family,
    GlobalOrders,
    Identity,
    LogKind,
    Orders,
    Owner,
    ServiceOrder,
)

directory = sys.argv[sys.argv.index("-c") + 1]
wanted = json.loads(Path(directory, "orders.json").read_text())
if "error" in wanted:
    os.write(3, format_failed(wanted["error"]))
    sys.exit(0)
services = []
for service in wanted["services"]:
    explicit = {**wanted["main"], "greeting": service.get("greeting", "hello")}
    settings = Settings.from_mapping(explicit, service_name=service["name"], process_name=service["package"])
    port = service.get("port", 0)
    address = (
        Address(Family.INET, "127.0.0.1", port) if port else Address(Family.UNIX, path=f"private/{service['name']}")
    )
    services.append(
        ServiceOrder(
            name=service["name"],
            type="inet" if port else "unix",
            program=service["package"],
            package=service["package"],
            owner=Owner[service.get("owner", "INNER")],
            wakeup_s=service.get("wakeup", 0),
            limit=service.get("limit", 0),
            processes=service.get("processes", 1),
            clients=service.get("clients", 0),
            stop_phase=service.get("stop_phase", 0),
            prefork=service.get("prefork", False),
            addresses=(address,),
            settings=format_settings(settings),
        )
    )
everything = GlobalOrders(
    config_directory=directory,
    queue_directory=f"{directory}/queue",
    data_directory=f"{directory}/data",
    version="3.11.0",
    syslog_name="postfix",
    log=LogKind.POSTLOG,
    throttle_s=60,
    owners=tuple(Identity(*pair) for pair in wanted["owners"]),
)
os.write(3, format_orders(Orders(everything, tuple(services), ("a note",))))
