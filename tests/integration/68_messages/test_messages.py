"""The same messages through Debian's Postfix and Posthouse: the same replies, envelopes and octets behind them.

Both have the same main.cf, in more than fifteen configurations; messages are made by chance from a fixed seed, and by
hand. What still differs is listed in tests/support/message_differences.py, each with its line in docs/compatibility.md.
With --whole: ten times as many messages, and each configuration is the main.cf of a server of its own.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.support import odd_messages
from tests.support.exact_client import Letter
from tests.support.message_configurations import CONFIGURATIONS
from tests.support.message_differences import DIFFERENCES, explain, level
from tests.support.message_outcomes import Outcome, describe, outcomes, plain_box
from tests.support.message_servers import KINDS, Configuration, Results, Server
from tests.support.messages_by_hand import by_hand, submitted
from tests.support.servers import Postfix, Posthouse

pytestmark = pytest.mark.root
MESSAGES: Final = 16  # made by chance for each configuration
ROWS: Final = Path(__file__).resolve().parents[3] / "docs" / "compatibility.md"
LEAST: Final = 300
NAMES: Final = [configuration.name for configuration in CONFIGURATIONS]
TABLES: Final = {name: text for one in CONFIGURATIONS for name, text in one.files.items()}
Runs = tuple[Results, Results]  # Postfix's, Posthouse's


def letters_of(configuration: Configuration, amount: int) -> list[Letter]:
    """Give the messages for a configuration."""
    chance = (odd_messages.make(f"{configuration.name}.{n}", configuration.families) for n in range(MESSAGES * amount))
    return [*by_hand(configuration.name), *chance]


def run(kind: type[Postfix | Posthouse], configurations: Sequence[Configuration], amount: int) -> Results:
    """Start a server with configurations and give it their messages."""
    server = Server(kind, configurations, TABLES)
    try:
        server.start()
        letters = {one.name: letters_of(one, amount) for one in configurations}
        return server.run(letters, submitted() if configurations[0] is CONFIGURATIONS[0] else ())
    finally:
        server.destroy()


@pytest.fixture(scope="module")
def amount(request: pytest.FixtureRequest) -> int:
    """Say how many times as many messages there are."""
    return 10 if request.config.getoption("--whole") else 1


@pytest.fixture(scope="module")
def runs(amount: int) -> dict[str, Runs]:
    """Give all messages to both servers, at the same time."""
    if reason := Postfix.why_not():
        pytest.skip(reason)
    parts = [CONFIGURATIONS] if amount == 1 else [(one,) for one in CONFIGURATIONS]
    found: dict[str, Runs] = {}
    with ThreadPoolExecutor(2) as pool:
        for part in parts:
            theirs, ours = pool.map(lambda kind, part=part: run(kind, part, amount), (Postfix, Posthouse))
            found |= {one.name: (theirs, ours) for one in part}
    return found


def pairs(runs: Runs, letters: Sequence[Letter]) -> Iterator[tuple[Letter, Outcome, Outcome]]:
    """Bring together what became of each message at both."""
    theirs, ours = (outcomes(letters, results.answers, results.taken) for results in runs)
    for letter in letters:
        yield letter, theirs[letter.name], ours[letter.name]


def unexplained_of(runs: Runs, letters: Sequence[Letter]) -> list[str]:
    """Describe what differs for no known reason; what is known is left out."""
    found = []
    for letter, theirs, ours in pairs(runs, letters):
        if explain(letter, theirs, ours) is None:
            known = [difference for difference in DIFFERENCES if difference.concerns(letter)]
            found.append(describe(letter, level(known, theirs), level(known, ours)))
    return found


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=NAMES)
def test_replies_and_deliveries_are_the_same(runs: dict[str, Runs], configuration: Configuration, amount: int) -> None:
    """Codes, envelopes and content; known differences are told in the documents."""
    letters = letters_of(configuration, amount)
    results = runs[configuration.name]
    unexplained = unexplained_of(results, letters)
    assert not unexplained, f"{len(unexplained)} of {len(letters)} differ:\n" + "\n".join(unexplained[:20])


def test_messages_were_delivered(runs: dict[str, Runs], amount: int) -> None:
    """There are enough of them, and most are not refused."""
    letters = [letter for one in CONFIGURATIONS for letter in letters_of(one, amount)]
    assert len(CONFIGURATIONS) >= 15
    assert len({letter.content for letter in letters}) >= LEAST
    delivered = {delivery.envid.decode() for _, ours in runs.values() for delivery in ours.taken}
    assert len(delivered & {letter.name for letter in letters}) > 0.8 * len(letters)


def test_known_differences_are_documented(runs: dict[str, Runs], amount: int) -> None:
    """Each explains something, and has its line."""
    found: Counter[str] = Counter()
    for one in CONFIGURATIONS:
        for letter, theirs, ours in pairs(runs[one.name], letters_of(one, amount)):
            found.update(difference.row for difference in explain(letter, theirs, ours) or ())
    rows = [line.removeprefix("| ") for line in ROWS.read_text().splitlines()]
    assert set(found) == {difference.row for difference in DIFFERENCES}
    assert all(any(row.startswith(name) for row in rows) for name in found)


def test_the_same_mail_is_held(runs: dict[str, Runs]) -> None:
    """HOLD holds the same messages."""
    theirs, ours = runs["checks"]
    assert ours.held == theirs.held != []


def test_submitted_mail_is_the_same(runs: dict[str, Runs]) -> None:
    """Messages by sendmail."""
    unexplained = unexplained_of(runs[NAMES[0]], submitted())
    assert not unexplained, "\n".join(unexplained)


def test_mailboxes_are_the_same(runs: dict[str, Runs]) -> None:
    """Maildir and mbox, by local(8) and virtual(8), octet for octet."""
    theirs, ours = ({name: plain_box(text) for name, text in each.boxes.items()} for each in runs[NAMES[0]])
    assert ours.keys() == theirs.keys()
    assert {name.rpartition("-")[0] for name in ours} == set(KINDS)
    different = [f"{name}:\n{theirs[name]!r}\n{ours[name]!r}" for name in theirs if ours[name] != theirs[name]]
    assert not different, "\n".join(different)
