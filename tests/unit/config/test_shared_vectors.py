"""Cases that lie beside the work tree: the expansion language, lines, ports and times as Postfix has them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from posthouse.config.expand import expand
from posthouse.config.level import LEVEL_OPERATORS, CompatLevel
from posthouse.config.lists import split_name_value
from posthouse.config.logical import logical_lines
from posthouse.config.parameter import parse_time

SHARED = Path(__file__).resolve().parents[4] / "shared" / "vectors" / "data" / "config"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not os.path.isdir(SHARED), reason=f"the cases are not there: {SHARED}"),
]

LENGTHS = {
    "==length": lambda a, b: len(a) == len(b),
    "!=length": lambda a, b: len(a) != len(b),
    "<length": lambda a, b: len(a) < len(b),
    "<=length": lambda a, b: len(a) <= len(b),
    ">=length": lambda a, b: len(a) >= len(b),
}


def cases(name: str) -> Iterator[dict[str, object]]:
    """Read a file of JSON lines."""
    for line in (SHARED / f"{name}.v.jsonl").read_text().splitlines():
        yield json.loads(line)


def blocks(name: str) -> Iterator[tuple[str, dict[str, str], str, list[str]]]:
    """Read a reference: text, names in force, "stat= result=" and the messages."""
    names: dict[str, str] = {}
    block: list[str] = []
    for line in [*(SHARED / f"{name}.v.ref").read_text().split("\n"), "<< "]:
        if not line.startswith("<< "):
            block.append(line)
            continue
        if block:
            answers = [text for text in block[1:] if text.startswith("stat=")]
            if answers:
                messages = [text.removeprefix("unknown: warning: ") for text in block[1:] if ": warning: " in text]
                yield block[0], dict(names), answers[0], messages
            elif "=" in block[0]:
                key, _, value = block[0].partition("=")
                names = {key.strip(): value.strip()}
        block = [line[3:]]


@pytest.mark.parametrize("name", ["mac_expand", "compat_level_expand"])
def test_expansion(name: str) -> None:
    """Result, status and every message."""
    functions = {"test_named_fn": lambda text: f"-=oO{text}Oo=-"}
    seen = 0
    for text, names, answer, messages in blocks(name):
        result = expand(text, names.get, functions, {**LEVEL_OPERATORS, **LENGTHS})
        status = (1 if result.syntax_error else 0) + (2 if result.undefined else 0)
        assert f"stat={status} result={result.text}" == answer, text
        assert list(result.problems) == messages, text
        seen += 1
    assert seen > 10


def test_levels() -> None:
    """Packed numbers and refusals."""
    reference = (SHARED / "compat_level_convert.v.ref").read_text()
    for text in (SHARED / "compat_level_convert.v.in").read_text().splitlines():
        try:
            shown = f"{text} -> 0x{int(CompatLevel.parse(text)):x}"
        except ValueError as error:
            shown = f"warning: {error}"
        assert f"unknown: {shown}\n" in reference


def test_lines() -> None:
    """The first logical line, with its numbers."""
    for case in cases("readllines"):
        data, want = case["input"], case["want"]
        octets = bytes.fromhex(data["hex"]) if isinstance(data, dict) else str(data).encode()
        wanted = bytes.fromhex(want["hex"]) if isinstance(want, dict) else str(want).encode()
        first = next(logical_lines(octets), None)
        if wanted:
            assert first is not None
            assert first == (wanted, case["want_first_line"], case["want_last_line"]), case["testname"]
        else:
            assert first is None


def test_times() -> None:
    """Every unit."""
    for case in cases("mail_conf_time"):
        assert parse_time(str(case["value"])) == case["want_seconds"]


def test_names_and_values() -> None:
    """Pairs and reasons."""
    for case in cases("split_qnameval"):
        if case["want_error"] is None:
            assert split_name_value(str(case["input"])) == (case["want_key"], case["want_value"])
        else:
            with pytest.raises(ValueError, match=r"^(missing|unbalanced)") as caught:
                split_name_value(str(case["input"]))
            assert str(caught.value) == case["want_error"]
