"""RE-12: fifty destinations that hold their clients up, and mail for others that goes on as if they were not there."""

import time
from typing import Final

from tests.conftest import Start
from tests.faults.figures import Figures
from tests.support.amount import Amount
from tests.support.instance import Instance
from tests.support.load import Load, smtp_source
from tests.support.recording_sink import RecordingSink
from tests.support.scarcity import wait
from tests.support.tarpit import KINDS, Tarpits

TARPITS: Final = 50
FOR_EACH: Final = 10  # messages for each tarpit: twice what it gets at once
GOOD: Final = ("user@good.test", "user@fine.test")
AIM: Final = 0.9
LEAST: Final = 0.5  # of the rate without tarpits: generous


def rate(server: Instance, sinks: list[RecordingSink], messages: int) -> float:
    """Send to the good destinations; returns messages a second to the last delivery."""
    before = sum(len(sink.received) for sink in sinks)
    begin = time.time()
    smtp_source(Load(messages, sessions=10, recipients=GOOD, reuse=True, size_bytes=2048), server.port)
    wait("all good mail is there", lambda: sum(len(sink.received) for sink in sinks) == before + messages, 120)
    last = max(message.at for sink in sinks for message in sink.received)
    return messages / (last - begin)


def test_fifty_tarpits_do_not_slow_down_the_rest(posthouse: Start, amount: Amount, figures: Figures) -> None:
    """Messages a second to two good destinations, without the tarpits and while each of them holds what it can."""
    with Tarpits(TARPITS) as tarpits, RecordingSink() as one, RecordingSink() as two:
        sinks = [one, two]
        nexthops = [*tarpits.nexthops(), f"[127.0.0.1]:{one.port}", f"[127.0.0.1]:{two.port}"]
        domains = [*(f"tar{number}.test" for number in range(TARPITS)), "good.test", "fine.test"]
        routes = "".join(f"{domain} smtp:{hop}\n" for domain, hop in zip(domains, nexthops, strict=True))
        main = {"transport_maps": "texthash:{directory}/etc/routes", "in_flow_delay": "0s"}
        server = posthouse(main=main, files={"routes": routes})
        messages = amount(200, 4000)
        rate(server, sinks, 50)
        without = [rate(server, sinks, messages) for _ in range(amount(1, 3))]
        victims = tuple(f"user@{domain}" for domain in domains[:TARPITS])
        smtp_source(Load(TARPITS * FOR_EACH, sessions=1, recipients=victims, reuse=True), server.port)
        wait("the tarpits hold somebody each", lambda: tarpits.held >= TARPITS)
        held = tarpits.held
        beside = [rate(server, sinks, messages) for _ in range(amount(1, 3))]
    ratio = max(beside) / max(without)
    figures(
        f"{TARPITS} tarpits ({', '.join(KINDS)}) with {FOR_EACH} messages each, {held} connections held",
        f"{max(beside):.0f} messages a second to good destinations, {max(without):.0f} without them: {ratio:.0%} "
        f"(aim {AIM:.0%})",
    )
    if amount.whole:  # alone on its machine; with other tests beside it, that the good mail came is what can be said
        assert ratio >= LEAST
