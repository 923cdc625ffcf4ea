"""Scheduler: deliveries to agents and results back, with agents that do what the test says."""

import os
import re
from collections.abc import Callable, Iterator

import pytest

from posthouse.config.settings import Settings
from posthouse.daemons.qmgr import scheduler as module
from posthouse.daemons.qmgr.destinations import Entry, Transport
from posthouse.daemons.qmgr.message import ActiveMessage
from posthouse.daemons.qmgr.scheduler import HOUSEKEEPING_S, MAX_LOST, Scheduler
from posthouse.ipc.delivery import Deliver, Results
from posthouse.ipc.message import DEFERRED, SENT, RecipientResult
from tests.support.fake_loop import FakeLoop
from tests.support.lookups import logged
from tests.unit.qmgr.make import bounced, message, outcomes, sent

PAUSE_S = 60.0


class FakeAgents:
    """What Agents is to the scheduler; requests are kept until the test answers them."""

    def __init__(
        self,
        loop: FakeLoop,
        path: str,
        transport: Transport,
        on_results: Callable[[Entry, Results, Callable[[], None]], None],
        on_lost: Callable[[Entry], None],
        on_available: Callable[[Transport], None],
    ) -> None:
        self.path, self.transport = path, transport
        self.on_results, self.on_lost, self.on_available = on_results, on_lost, on_available
        self.available = True
        self.sent: list[tuple[Entry, Deliver, int]] = []
        self.acknowledged: list[int] = []
        self.is_closed = False
        self._number = 0

    def next_id(self) -> int:
        """Count."""
        self._number += 1
        return self._number

    def send(self, entry: Entry, request: Deliver, descriptor: int) -> None:
        """Keep the request."""
        self.sent.append((entry, request, descriptor))

    def close_idle(self, now: float) -> None:
        """Nothing is idle."""

    def in_flight_messages(self) -> list[str]:
        """Those that were not answered."""
        return [entry.message.queue_id for entry, _, _ in self.sent]

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


class FakeOwner:
    """Takes results; has content for messages that have none in memory."""

    def __init__(self) -> None:
        self.results: dict[str, list[RecipientResult]] = {}
        self.held: list[int] = []
        self.asked: list[tuple[ActiveMessage, Callable[[bytes, int, str], None]]] = []

    def fetch_content(self, message: ActiveMessage, then: Callable[[bytes, int, str], None]) -> None:
        """Wait for the test."""
        self.asked.append((message, then))

    def took(self, message: ActiveMessage, results: list[RecipientResult], acknowledge: Callable[[], None]) -> None:
        """Keep them, commit at once."""
        for result in results:
            message.take(result)
        self.results.setdefault(message.queue_id, []).extend(results)
        acknowledge()

    def held_back(self, message: ActiveMessage, rcpt_ids: list[int]) -> None:
        """Note them."""
        self.held += rcpt_ids


class Case:
    """A scheduler and what is around it."""

    def __init__(self, loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop = loop
        self.agents: dict[str, FakeAgents] = {}

        def make(*arguments: object) -> FakeAgents:
            agents = FakeAgents(*arguments)  # type: ignore[arg-type]
            self.agents[agents.transport.name] = agents
            return agents

        monkeypatch.setattr(module, "Agents", make)
        self.owner = FakeOwner()

    def start(self, **main: str) -> "Case":
        """Make the scheduler."""
        self.scheduler = Scheduler(self.loop, Settings.from_mapping(main), "/q/private/{}".format, PAUSE_S)
        self.scheduler.owner = self.owner
        return self

    def submit(self, *messages: ActiveMessage, nexthop: str = "x", name: str = "") -> None:
        """Submit all recipients of messages for one place, and let the scheduler work."""
        for each in messages:
            self.scheduler.submit(each, "smtp", nexthop, name, sorted(each.pending))
        self.loop.run_ready()

    @property
    def smtp(self) -> FakeAgents:
        """The agents of smtp."""
        return self.agents["smtp"]

    def answer(self, *results: RecipientResult, dead: str = "") -> None:
        """Answer the oldest request."""
        entry, request, _descriptor = self.smtp.sent.pop(0)
        said = Results(request.id, request.envelope.queue_id, list(results), destination_dead=bool(dead), why=dead)
        self.smtp.on_results(entry, said, lambda: self.smtp.acknowledged.append(request.id))
        self.loop.run_ready()

    def lose(self) -> None:
        """Lose the agent that has the oldest request."""
        self.smtp.on_lost(self.smtp.sent.pop(0)[0])
        self.loop.run_ready()


@pytest.fixture
def case(loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    """Make a scheduler with the defaults."""
    made = Case(loop, monkeypatch).start()
    yield made
    made.scheduler.close()


def test_a_message_goes_to_its_agent_and_its_results_come_back(case: Case) -> None:
    """The agent is told who, where and since when; it is acknowledged when the results are committed."""
    case.submit(message("a@x", "b@x", content=b"content"))
    [(entry, request, descriptor)] = case.smtp.sent
    assert (case.smtp.path, request.nexthop, request.content, descriptor) == ("/q/private/smtp", "x", b"content", -1)
    assert [rcpt.address for rcpt in request.recipients] == ["a@x", "b@x"]
    assert case.scheduler.in_flight == 1
    assert case.scheduler.in_flight_messages() == {"3TEST"}
    case.answer(sent(1), bounced(2))
    assert outcomes(case.owner.results["3TEST"]) == {1: 0, 2: 2}
    assert case.smtp.acknowledged == [request.id]
    assert case.scheduler.in_flight == 0
    assert entry.destination.window == 6


def test_many_recipients_go_in_several_requests(case: Case) -> None:
    """smtp takes 50 at once; more is waiting for the same place, so the connection is worth keeping."""
    case.submit(message(*(f"u{number}@x" for number in range(120))))
    assert [len(request.recipients) for _, request, _ in case.smtp.sent] == [50, 50, 20]
    assert [request.reuse for _, request, _ in case.smtp.sent] == [True, True, False]


def test_a_limit_of_zero_is_no_limit(loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """All recipients in one request."""
    case = Case(loop, monkeypatch).start(smtp_destination_recipient_limit="0")
    case.submit(message(*(f"u{number}@x" for number in range(120))))
    assert len(case.smtp.sent) == 1
    case.scheduler.close()


def test_the_window_bounds_what_is_under_way(case: Case) -> None:
    """Five at first; each one that gets through lets two go."""
    case.submit(*(message(queue_id=f"3M{number}", key=number) for number in range(20)))
    assert len(case.smtp.sent) == 5
    case.answer(sent(1))
    assert len(case.smtp.sent) == 6


def test_a_transport_has_a_process_limit(loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all its destinations."""
    case = Case(loop, monkeypatch).start(posthouse_process_limits="smtp=2")
    for name in "abcd":
        case.submit(message(queue_id=name), nexthop=name)
    assert len(case.smtp.sent) == 2
    case.answer(sent(1))
    assert [request.nexthop for _, request, _ in case.smtp.sent] == ["b", "c"]
    case.scheduler.close()


def test_mail_for_a_dead_destination_is_deferred_at_once(case: Case) -> None:
    """What waits for it, and what comes while it is dead; another destination is none of it."""
    case.submit(*(message(queue_id=f"3M{number}") for number in range(8)))
    with logged() as lines:
        for _ in range(4):
            case.answer(RecipientResult(1, DEFERRED, "4.4.1", "refused", "mx"), dead="refused")
        case.submit(message(queue_id="3LATE"))
    suspended = [queue_id for queue_id, results in case.owner.results.items() if "suspended" in results[0].text]
    assert suspended == ["3M5", "3M6", "3M7", "3LATE"]
    expected = (
        r"3LATE: to=<a@x>, relay=none, delay=[0-9.e+]+, delays=[0-9./]+, dsn=4.3.0, status=deferred "
        r"\(delivery temporarily suspended: refused\)"
    )
    assert re.fullmatch(expected, lines[-1])
    case.submit(message(queue_id="3OTHER"), nexthop="y")
    assert case.smtp.sent[-1][1].envelope.queue_id == "3OTHER"


def test_a_dead_destination_lives_again(case: Case) -> None:
    """After the pause, or when a flush says so."""
    case.submit(message())
    case.scheduler.transport("smtp").destination("x").dead_until = case.loop.time() + PAUSE_S
    case.submit(message(queue_id="3A"))
    case.loop.advance(PAUSE_S + 1)
    case.submit(message(queue_id="3B"))
    case.scheduler.transport("smtp").destination("x").dead_until = case.loop.time() + PAUSE_S
    case.scheduler.revive("other.site")
    case.submit(message(queue_id="3C"))
    case.scheduler.revive("x")
    case.submit(message(queue_id="3D"))
    assert [request.envelope.queue_id for _, request, _ in case.smtp.sent] == ["3TEST", "3B", "3D"]


def test_a_lost_agent_s_mail_is_tried_again_but_not_for_ever(case: Case) -> None:
    """A message that kills agents waits for its next round."""
    case.submit(message())
    for _ in range(MAX_LOST):
        case.lose()
        assert len(case.smtp.sent) == 1
    case.lose()
    assert not case.smtp.sent
    assert case.owner.results["3TEST"][0].text == "unknown mail transport error"


def test_one_part_of_a_message_does_not_count_for_another(case: Case) -> None:
    """A message with thousands of recipients has many deliveries in one agent."""
    case.submit(message(*(f"u{number}@x" for number in range(200))))
    for _ in range(4):
        case.lose()
    assert len(case.smtp.sent) == 4
    assert not case.owner.results


def test_recipients_with_late_results_are_not_sent_again(case: Case) -> None:
    """Their agent brought them by another way while they waited for the next one."""
    active = message("a@x", "b@x")
    case.submit(active)
    active.take(sent(1))
    case.lose()
    assert [rcpt.rcpt_id for rcpt in case.smtp.sent[0][1].recipients] == [2]
    active.take(sent(2))
    case.lose()
    assert not case.smtp.sent
    assert not case.owner.results


def test_results_that_came_late_for_what_waits(case: Case) -> None:
    """Nothing is sent, and the place is free for others."""
    active = message()
    case.scheduler.submit(active, "smtp", "x", "", [1])
    active.take(sent(1))
    case.loop.run_ready()
    assert not case.smtp.sent
    assert case.scheduler.in_flight == 0


def test_an_agent_that_forgets_a_recipient_is_not_believed(case: Case) -> None:
    """That one is deferred; results for strangers, and second ones, are not taken."""
    case.submit(message("a@x", "b@x"))
    with logged() as lines:
        case.answer(sent(1), bounced(1), sent(99))
    assert [(result.rcpt_id, result.outcome) for result in case.owner.results["3TEST"]] == [(1, SENT), (2, DEFERRED)]
    assert "gave no result for some recipients" in lines[0]


def test_content_that_is_not_in_memory_is_fetched(case: Case) -> None:
    """The place is kept meanwhile; a descriptor is closed after it was lent."""
    case.submit(message(content=None), message(queue_id="3LARGE", content=None))
    assert not case.smtp.sent
    assert case.scheduler.in_flight == 2
    case.owner.asked[0][1](b"stored", -1, "")
    reader, writer = os.pipe()
    case.owner.asked[1][1](b"", reader, "")
    assert [(request.content, request.with_descriptor) for _, request, _ in case.smtp.sent] == [
        (b"stored", False),
        (b"", True),
    ]
    assert case.smtp.sent[1][2] == reader
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reader)
    os.close(writer)


def test_content_that_cannot_be_read_defers(case: Case) -> None:
    """The mail is kept."""
    case.submit(message(content=None))
    with logged():
        case.owner.asked[0][1](b"", -1, "disk error")
    assert case.owner.results["3TEST"][0].text == "queue file read error"
    assert case.scheduler.in_flight == 0


def test_an_agent_that_went_away_while_content_was_read(case: Case) -> None:
    """The delivery waits for the next one."""
    case.submit(message(content=None))
    case.smtp.available = False
    case.owner.asked[0][1](b"x", -1, "")
    assert not case.smtp.sent
    case.smtp.available = True
    case.smtp.on_available(case.smtp.transport)
    case.loop.run_ready()
    case.owner.asked[1][1](b"x", -1, "")
    assert len(case.smtp.sent) == 1


def test_without_an_agent_mail_waits(case: Case) -> None:
    """Until one is there."""
    case.scheduler.transport("smtp")
    case.smtp.available = False
    case.submit(message())
    assert not case.smtp.sent
    case.smtp.available = True
    case.smtp.on_available(case.smtp.transport)
    case.loop.run_ready()
    assert len(case.smtp.sent) == 1


def test_a_rate_delay_is_waited_for(loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message in five seconds, with nobody else to wake the scheduler."""
    case = Case(loop, monkeypatch).start(smtp_destination_rate_delay="5s")
    case.submit(*(message(queue_id=f"3M{number}") for number in range(3)))
    counts = []
    for _ in range(3):
        counts.append(len(case.smtp.sent))
        loop.advance(5.01)
    assert counts == [1, 2, 3]
    case.scheduler.close()


def test_what_waits_of_a_message_can_be_withdrawn(case: Case) -> None:
    """What is under way is not stopped."""
    active = message(*(f"u{number}@x" for number in range(400)))
    case.submit(active)
    assert len(case.smtp.sent) == 5
    assert case.scheduler.withdraw(active) == list(range(251, 401))
    for _ in range(5):
        request = case.smtp.sent[0][1]
        case.answer(*(sent(rcpt.rcpt_id) for rcpt in request.recipients))
    assert not case.smtp.sent


@pytest.mark.parametrize("how", ["lost", "fetched"])
def test_a_withdrawn_message_is_not_tried_again(case: Case, how: str) -> None:
    """Neither when its agent dies nor when its content comes at last."""
    active = message(content=None if how == "fetched" else b"x")
    case.submit(active)
    active.withdrawn = True
    if how == "lost":
        case.lose()
    else:
        case.owner.asked[0][1](b"x", -1, "")
    assert not case.smtp.sent
    assert case.owner.held == [1]
    assert case.scheduler.in_flight == 0


def test_a_paused_scheduler_starts_nothing(case: Case) -> None:
    """qmgr is being replaced; results still come."""
    case.submit(message())
    case.scheduler.pause()
    case.submit(message(queue_id="3B"))
    case.answer(sent(1))
    assert not case.smtp.sent
    case.scheduler.close()
    assert case.smtp.is_closed


def test_housekeeping_forgets_idle_destinations(case: Case) -> None:
    """And wakes what waits for nobody else."""
    case.submit(message())
    case.answer(sent(1))
    case.loop.advance(HOUSEKEEPING_S + 1)
    assert not case.scheduler.transport("smtp").destinations


def test_a_transport_that_takes_one_recipient_is_known(loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """local is one; another can be made one, whether master.cf names it or not."""
    case = Case(loop, monkeypatch).start(box_destination_recipient_limit="1")
    assert [case.scheduler.takes_one(name) for name in ("local", "box", "smtp")] == [True, True, False]
    case.scheduler.close()


def test_without_a_limit_the_results_still_fit_into_one_record(loop: FakeLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of some ten thousand recipients would not; the agent could not give them back, and delivered again."""
    case = Case(loop, monkeypatch).start(smtp_destination_recipient_limit="0")
    case.submit(message(*(f"r{number}@x" for number in range(2500))))
    assert [len(request.recipients) for _, request, _ in case.smtp.sent] == [1000, 1000, 500]
    case.scheduler.close()


def test_results_that_come_late_while_content_is_read(case: Case) -> None:
    """Who has got it is not sent it again."""
    both, one = message("a@x", "b@x", content=None), message("c@x", content=None, queue_id="3ONE")
    case.submit(both, one)
    for active in (both, one):
        active.take(sent(1))
    for _, then in case.owner.asked:
        then(b"x\n", -1, "")
    case.loop.run_ready()
    assert [[rcpt.address for rcpt in request.recipients] for _, request, _ in case.smtp.sent] == [["b@x"]]
    case.answer(sent(2))
    assert case.scheduler.in_flight == 0
