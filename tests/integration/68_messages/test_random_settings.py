"""Messages and settings made by chance, through Debian's Postfix and Posthouse: replies, envelopes and octets.

A short run from one seed is part of every test run. With --whole there are ten thousand messages under four hundred
configurations; one in two hundred may differ: for what has its line in docs/compatibility.md, and cannot be told from
the message alone (long headers with names in which a dot stands, parts that nobody checks, two reasons to refuse).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tests.support import odd_messages
from tests.support.exact_client import Letter
from tests.support.message_differences import DIFFERENCES, explain, level
from tests.support.message_outcomes import describe, outcomes
from tests.support.message_servers import Configuration, Results, Server
from tests.support.random_settings import receiving
from tests.support.servers import Postfix, Posthouse

pytestmark = pytest.mark.root
SEEDS: Final = tuple("abcdefghij")  # of the whole run
CONFIGURATIONS: Final = 40
MESSAGES: Final = 25
FEW: Final = 12  # configurations and messages for each, of the short run
RARE: Final = 0.005


def run(kind: type[Postfix | Posthouse], some: Sequence[Configuration], letters: dict[str, list[Letter]]) -> Results:
    """Give all messages to one server."""
    server = Server(kind, some)
    try:
        server.start()
        return server.run(letters)
    finally:
        server.destroy()


def differences(seed: str, configurations: int, messages: int) -> list[str]:
    """Describe what differs for no known reason."""
    some = [receiving(f"{seed}-{number}") for number in range(configurations)]
    letters = {
        one.name: [odd_messages.make(f"{one.name}.{number}", one.families) for number in range(messages)]
        for one in some
    }
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda kind: run(kind, some, letters), (Postfix, Posthouse)))
    found = []
    for one in some:
        theirs, ours = (outcomes(letters[one.name], each.answers, each.taken) for each in both)
        for letter in letters[one.name]:
            pair = theirs[letter.name], ours[letter.name]
            if pair[0] != pair[1] and explain(letter, *pair) is None:
                known = [difference for difference in DIFFERENCES if difference.concerns(letter)]
                found.append(f"{dict(one.main)}\n{describe(letter, *(level(known, each) for each in pair))}")
    return found


def test_random_settings(request: pytest.FixtureRequest) -> None:
    """The same at both; of ten thousand, but for what is rare and documented."""
    if reason := Postfix.why_not():
        pytest.skip(reason)
    if not request.config.getoption("--whole"):
        found = differences("few", FEW, FEW)
        assert not found, "\n".join(found)
        return
    found = [text for seed in SEEDS for text in differences(seed, CONFIGURATIONS, MESSAGES)]
    assert len(found) <= RARE * len(SEEDS) * CONFIGURATIONS * MESSAGES, "\n".join(found)
