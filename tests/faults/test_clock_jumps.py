"""RE-09: the clock is set by ten years, to 1970, and back, while mail waits. None is returned early, nobody spins."""

import re
import time
from typing import Final

import pytest

from tests.faults.figures import Figures
from tests.support.amount import Amount
from tests.support.instance import Instance, Options
from tests.support.jumping_clock import JumpingClock
from tests.support.log_rate import busiest
from tests.support.mailboxes import Boxes, give_away
from tests.support.processes import cpu_share
from tests.support.recording_sink import RecordingSink
from tests.support.scarcity import send, wait

pytestmark = pytest.mark.root
YEAR: Final = 365 * 86400
BOXES: Final = Boxes(["alice"])
CPU_LIMIT: Final = 0.5  # of one, for the whole system: generous
WAITING: Final = 5  # messages that are deferred all the while
RETRY: Final = {"minimal_backoff_time": "1s", "maximal_backoff_time": "2s", "queue_run_delay": "1s"}


class Far:
    """A server that is busy until it is told otherwise."""

    def __init__(self) -> None:
        self.is_open = False
        self.tried = 0

    def __call__(self, verb: str, address: str) -> str:
        """Answer."""
        self.tried += verb == "RCPT"
        return "450 4.2.0 later" if verb == "RCPT" and not self.is_open else ""


def set_clock(server: JumpingClock, far: Far, ahead_s: int) -> None:
    """Set it; wait until that was seen, and all mail was tried again after that."""
    seen = server.log().count("the clock was set")
    server.set_clock(ahead_s)
    wait(f"{ahead_s // YEAR} years: seen", lambda: server.log().count("the clock was set") > seen)
    tried = far.tried
    wait("mail is tried again", lambda: far.tried >= tried + WAITING)


def test_the_clock_jumps(instances: list[Instance], amount: Amount, figures: Figures) -> None:
    """Deferred mail is tried all the while, by whatever clock; new mail is taken; in the end all is delivered."""
    far = Far()
    with RecordingSink(far) as sink:
        options = BOXES.options(
            mydestination="", relayhost=f"[127.0.0.1]:{sink.port}", delay_warning_time="4h", **RETRY
        )
        server = JumpingClock(Options(options["main"], files=options["files"]))
        instances.append(server)
        give_away(server)
        server.start_and_greet()
        sent, worst, lines = 0, 0.0, 0
        for number in range(WAITING):
            assert send(server, f"u{number}@far.test").startswith("250")
            sent += 1
        wait("all were tried", lambda: far.tried >= WAITING)
        now = int(time.time())
        for ahead in (-now + 3600, *amount((), (0, 10 * YEAR, 0, -10 * YEAR, 68 * YEAR)), 10 * YEAR):
            begin = len(server.log())
            set_clock(server, far, ahead)
            worst = max(worst, cpu_share(server.master_pid(), amount(0.5, 10.0)))
            assert send(server, f"new{sent}@far.test").startswith("250")
            sent += 1
            lines = max(lines, busiest(server.log()[begin:]).lines)
        server.stop()
        server.set_clock(0)
        far.is_open = True
        server.start_and_greet()
        wait("all mail is delivered", lambda: len(sink.received) == sent)
        wait("the queue is empty", lambda: not server.queue())
        assert not re.search("status=(bounced|expired)|returned to sender|sender delay notification", server.log())
        assert {each.sender for each in sink.received} == {"sender@client.test"}
    jumps = amount("1970 and +10 years", "1970, back, +10 years, back, -10, +68 and +10 years")
    figures(
        f"the clock set to {jumps}, and back while the system was stopped, {WAITING} messages waiting",
        f"none returned, none called late, all tried again within seconds each time; {worst:.1%} of a CPU at most, "
        f"{lines} log lines a second of one cause at most; all delivered in the end",
    )
    assert worst < CPU_LIMIT
