"""in_flow_delay: when the queue manager is behind, each new message waits a moment, and no longer than that."""

import threading
import time
from collections.abc import Callable
from typing import Final

from tests.conftest import Start
from tests.support.recording_sink import RecordingSink
from tests.support.scarcity import send, status, wait

DELAY_S: Final = 3.0
MAX_EARLY: Final = 500  # messages before the word is everywhere: it takes up to a second


def timed(sending: Callable[[], str]) -> float:
    """Send a message that is taken; returns how many seconds that took."""
    begin = time.monotonic()
    assert sending().startswith("250")
    return time.monotonic() - begin


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
        print(f"before: {timed(lambda: send(server, 'one@far.test')):.2f} s")
        wait("the queue manager is behind", lambda: status(server)["numbers"].get("queue_room", 1) <= 0)
        taken = 1
        while (took := timed(lambda: send(server, "two@far.test"))) < DELAY_S:  # cleanup has not heard yet
            taken += 1
            assert taken < MAX_EARLY
        print(f"behind: {took:.2f} s")
        taken += 1
        go_on.set()
        wait("all is delivered", lambda: len(sink.received) == taken)
        wait("it has caught up", lambda: status(server)["numbers"]["queue_room"] > 0)
        print(f"after: {timed(lambda: send(server, 'three@far.test')):.2f} s")
        wait("that is delivered", lambda: len(sink.received) == taken + 1)
