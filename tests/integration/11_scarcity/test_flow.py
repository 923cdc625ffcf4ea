"""in_flow_delay: when the queue manager is behind, each new message waits a moment, and no longer than that."""

import threading
import time
from typing import Final

from tests.conftest import Start
from tests.support.recording_sink import RecordingSink
from tests.support.scarcity import send, status, wait

DELAY_S: Final = 3.0


def test_intake_waits_while_the_active_queue_is_full(posthouse: Start) -> None:
    """One message is all that may be active, and its server takes its time."""
    go_on = threading.Event()

    def answer(verb: str, address: str) -> str:
        if verb == ".":
            go_on.wait(60)
        return "" if verb != "HELP" else f"502 no help for {address}"

    with RecordingSink(answer) as sink:
        main = {"relayhost": f"[127.0.0.1]:{sink.port}", "mydestination": "", "qmgr_message_active_limit": "1"}
        server = posthouse(main=main | {"in_flow_delay": f"{DELAY_S:.0f}s"})
        begin = time.monotonic()
        assert send(server, "one@far.test").startswith("250")
        print(f"before: {time.monotonic() - begin:.2f} s")
        wait("the queue manager is behind", lambda: status(server)["numbers"].get("queue_room", 1) <= 0)
        begin = time.monotonic()
        assert send(server, "two@far.test").startswith("250")
        took = time.monotonic() - begin
        print(f"behind: {took:.2f} s")
        assert took >= DELAY_S
        go_on.set()
        wait("all is delivered", lambda: len(sink.received) == 2)
        wait("it has caught up", lambda: status(server)["numbers"]["queue_room"] > 0)
        begin = time.monotonic()
        assert send(server, "three@far.test").startswith("250")
        print(f"after: {time.monotonic() - begin:.2f} s")
        wait("that is delivered", lambda: len(sink.received) == 3)
