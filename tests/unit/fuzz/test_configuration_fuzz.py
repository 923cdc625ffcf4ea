"""The fuzz run of the parsers of configuration: a sample of it is clean, and it finds what is wrong."""

import random
from typing import Final
from unittest import mock

import pytest

from posthouse.config import edit, lists, main_cf
from posthouse.util.errors import ConfigError
from tests.fuzz import configuration, root
from tests.support.fuzz_sample import run_sample

SAMPLE: Final = 30_000  # inputs; make fuzz-config tries a million


def test_a_sample_is_clean() -> None:
    """The same program as `make fuzz-config`."""
    run_sample("configuration", SAMPLE)


@pytest.mark.parametrize(
    ("owner", "name", "broken", "target"),
    [
        (edit, "_name_of", lambda line: lists.split_name_value(line.decode())[0], "main_cf"),
        (edit, "names_by_line", lambda _: {}, "main_cf"),
        (configuration, "read_tcp_ports", lambda text: ({text: len(text) - 1}, []), "values"),
        (lists, "split_tokens", lambda text, *_: iter(text.split(" ")), "lists"),
    ],
)
def test_it_finds_what_is_wrong(owner: object, name: str, broken: object, target: str) -> None:
    """A parser with a mistake in it does not get through."""
    chosen = [each for each in configuration.targets() if each.name.startswith(target)]
    with mock.patch.object(owner, name, broken), pytest.raises(root.Finding, match=f"(?s){target}.*BLOCK=1"):
        root.run_block(chosen, 7, 1)


def test_inputs_are_of_both_kinds() -> None:
    """Some texts are good, some are not; a run that only ever sees refusals would show little."""
    source = random.Random(1)
    good = 0
    for _ in range(200):
        try:
            main_cf.parse_main_cf(configuration.damaged_seed(source), "x")
            good += 1
        except ConfigError:
            pass
    assert 50 < good < 200
