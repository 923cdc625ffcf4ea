"""Random sequences of operations: the store and a plain model of it give the same answers, over restarts too."""

import os
import shutil
import tempfile
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from posthouse.ipc.message import BOUNCED as REFUSED
from posthouse.ipc.message import DEFERRED as LATER
from posthouse.ipc.message import SENT, RecipientResult
from posthouse.queue.values import (
    BOUNCED,
    CORRUPT,
    DEFERRED,
    DONE,
    FOREVER,
    HOLD,
    INCOMING,
    QUEUE_NAMES,
    WAITING,
    Change,
    Committed,
    Filter,
)
from tests.contract.queue.harness import Harness, message, verified

IDS = st.sampled_from([f"ID{number}" for number in range(12)])
TIMES = st.integers(1, 50).map(float)
STATE_OF = {SENT: DONE, LATER: WAITING, REFUSED: BOUNCED}
MOVES = {  # what each command does to a message of each queue
    Change.HOLD: {INCOMING: HOLD, DEFERRED: HOLD},
    Change.RELEASE: {HOLD: DEFERRED},
    Change.EXPIRE: {INCOMING: INCOMING, DEFERRED: DEFERRED},
    Change.FLUSH: {DEFERRED: DEFERRED},
    Change.CORRUPT: {INCOMING: CORRUPT, DEFERRED: CORRUPT, HOLD: CORRUPT},
}


@dataclass
class Known:
    """A message of the model."""

    key: int
    queue_name: str
    due: float
    content: bytes
    states: list[int] = field(default_factory=list)


class StoreMachine(RuleBasedStateMachine):
    """The store beside its model."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
        self.queue = Harness(self.directory)
        self.known: dict[str, Known] = {}
        self.removed: set[str] = set()

    def teardown(self) -> None:
        """Check the whole store, delete it."""
        assert verified(self.queue.store, self.queue.loop) == []
        self.queue.close()
        shutil.rmtree(self.directory)

    @rule(batch=st.lists(st.tuples(IDS, st.integers(1, 3), TIMES, st.booleans(), st.booleans()), max_size=5))
    def commit(self, batch: list[tuple[str, int, float, bool, bool]]) -> None:
        """Commit some messages together; known IDs are replays."""
        messages = []
        for queue_id, recipients, arrival, hold, large in batch:
            data = os.urandom(10)
            content = self.queue.spool(data) if large else data
            addresses = [f"user{number}@example.org" for number in range(recipients)]
            messages.append(message(queue_id, *addresses, content=content, arrival=arrival, hold=hold))
            if queue_id not in self.known and queue_id not in self.removed:
                queue_name = HOLD if hold else INCOMING
                self.known[queue_id] = Known(0, queue_name, arrival, data, [WAITING] * recipients)
        for new, answer in zip(messages, self.queue.commit(*messages), strict=True):
            assert isinstance(answer, Committed)
            if new.queue_id in self.removed:
                assert answer == Committed(0, already=True)
                continue
            known = self.known[new.queue_id]
            assert answer.already == (known.key != 0)
            known.key = known.key or answer.key
            assert answer.key == known.key

    @rule(queue_id=IDS, outcomes=st.lists(st.sampled_from([SENT, LATER, REFUSED]), max_size=3), due=TIMES)
    def record(self, queue_id: str, outcomes: list[int], due: float) -> None:
        """Record results of the first recipients."""
        if (known := self.known.get(queue_id)) is None:
            return
        results = [
            RecipientResult(number + 1, outcome, "2.0.0", "text")
            for number, outcome in enumerate(outcomes[: len(known.states)])
        ]
        for number, result in enumerate(results):
            if known.states[number] == WAITING:
                known.states[number] = STATE_OF[result.outcome]
        self.queue.store.record(known.key, results, due)

    @rule(queue_id=IDS, due=TIMES)
    def defer(self, queue_id: str, due: float) -> None:
        """End an attempt."""
        if (known := self.known.get(queue_id)) is None:
            return
        if known.queue_name in (INCOMING, DEFERRED):
            known.queue_name, known.due = DEFERRED, due
        self.queue.store.defer(known.key, due)

    @rule(queue_id=IDS)
    def settle(self, queue_id: str) -> None:
        """Tell the sender of bounces."""
        if (known := self.known.get(queue_id)) is None:
            return
        known.states = [DONE if state == BOUNCED else state for state in known.states]
        self.queue.store.settle(known.key)

    @rule(queue_id=IDS)
    def remove(self, queue_id: str) -> None:
        """Remove a message."""
        if (known := self.known.pop(queue_id, None)) is None:
            return
        self.removed.add(queue_id)
        self.queue.store.remove(known.key, queue_id)

    @rule(change=st.sampled_from(sorted(MOVES)), queue_ids=st.lists(IDS, max_size=4))
    def change(self, change: str, queue_ids: list[str]) -> None:
        """Carry out an operator's command."""
        changed = {entry.queue_id for entry in self.queue.wait(self.queue.store.change(change, queue_ids))}
        expected = set()
        for queue_id in queue_ids:
            known = self.known.get(queue_id)
            if known is not None and known.queue_name in MOVES[change] and queue_id not in expected:
                expected.add(queue_id)
                known.queue_name = MOVES[change][known.queue_name]
                known.due = FOREVER  # now: later than all times of the model
        assert changed == expected

    @rule()
    def restart(self) -> None:
        """Close and open."""
        self.queue = self.queue.reopen()

    @invariant()
    def agrees(self) -> None:
        """Listing, counts, due mail, states, contents and is_committed are the model's."""
        by_key = sorted(self.known, key=lambda queue_id: self.known[queue_id].key)
        assert self.queue.listed_ids() == by_key
        counts = [sum(known.queue_name == name for known in self.known.values()) for name in QUEUE_NAMES]
        assert list(self.queue.store.counts) == counts
        assert self.queue.listed_ids(Filter(queue_names=(HOLD,))) == [
            queue_id for queue_id in by_key if self.known[queue_id].queue_name == HOLD
        ]
        due = [queue_id for queue_id in by_key if self.known[queue_id].queue_name in (INCOMING, DEFERRED)]
        due.sort(key=lambda queue_id: self.known[queue_id].due)
        assert self.queue.due_ids(49.5) == [queue_id for queue_id in due if self.known[queue_id].due <= 49.5]
        assert set(self.queue.due_ids(FOREVER)) == set(due)
        for queue_id, known in self.known.items():
            found = self.queue.get(queue_id)
            assert [recipient.state for recipient in found.recipients] == known.states
            assert self.queue.content(known.key) == known.content
        for queue_id in self.removed:
            assert self.queue.wait(self.queue.store.is_committed(queue_id))
        spooled = sum(self.queue.get(queue_id).spooled for queue_id in self.known)
        assert len(os.listdir(self.queue.files.spool_path)) == spooled


TestStoreAgainstModel = StoreMachine.TestCase
TestStoreAgainstModel.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
