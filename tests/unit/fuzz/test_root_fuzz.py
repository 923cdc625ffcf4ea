"""The fuzz run of root's code: a sample of it is clean, it can be repeated, and it finds what is wrong."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final
from unittest import mock

import pytest

from posthouse.ipc import orders_wire
from posthouse.ipc.fixed import Layout
from posthouse.runas import server
from tests.fuzz import records, root, sequences

REPOSITORY: Final = Path(__file__).resolve().parent.parent.parent.parent
SAMPLE: Final = 50_000  # inputs; make fuzz tries ten million
TARGETS: Final = (*records.targets(), *sequences.targets())


def test_a_sample_is_clean() -> None:
    """The same program as `make fuzz`, in a process of its own: it plays with low descriptors."""
    argv = [sys.executable, "-m", "tests.fuzz.root", "--inputs", str(SAMPLE), "--seed", "20261123"]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SAMPLE:,} inputs" in done.stdout
    assert "nothing found" in done.stdout


def _made(seed: int) -> list[bytes]:
    seen: list[bytes] = []
    listening = [target._replace(check=seen.append) for target in TARGETS]
    root.run_block(listening, seed, 3)
    return seen


def test_a_seed_gives_the_same_inputs_again() -> None:
    """A finding can be repeated from the seed and the number of its block."""
    assert _made(1) == _made(1)
    assert _made(1) != _made(2)


def _lax(layout: Layout[object], record: bytes) -> object:
    """Unpack without the check that nothing else is in the record."""
    with mock.patch.object(Layout, "pack", return_value=record):
        return UNPACK(layout, record)


UNPACK: Final = Layout.unpack


@pytest.mark.parametrize(
    ("owner", "name", "broken", "target"),
    [
        (server, "permitted", lambda *_: True, "runas server"),
        (orders_wire, "_socket_path", lambda text: text, "orders address"),
        (orders_wire, "_host", lambda text: text, "orders address"),
        (Layout, "unpack", _lax, "runas limits"),
    ],
    ids=["identity", "path", "host", "unused places"],
)
def test_a_missing_check_is_found(owner: object, name: str, broken: object, target: str) -> None:
    """A check that is taken out of root's code breaks a property within a few thousand inputs."""
    chosen = [each for each in TARGETS if each.name == target]
    with (
        mock.patch.object(owner, name, broken),
        pytest.raises(root.Finding, match=f"(?s){target}.*repeat with SEED=7 B"),
    ):
        _run(chosen, 20)


def _run(targets: list[records.Target], blocks: int) -> None:
    for block in range(blocks):
        root.run_block(targets, 7, block)


def test_a_finding_ends_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    """Any exception but a refusal is told with what repeats it, and the run fails."""

    def check(data: bytes) -> None:
        raise KeyError(len(data))

    target = records.Target("bad", lambda source: source.randbytes(5), check, 1)
    assert not root.run([target], 1, 4, 2)
    assert "KeyError: 5" in capfd.readouterr().err
    reader, writer = os.pipe()
    assert root.work([target._replace(check=lambda _: None)], 1, range(2), writer) == 0
    assert os.read(reader, 10) == b".."
    os.close(reader)
    os.close(writer)


def test_an_input_that_never_ends_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By processor time where it spins, by the clock where it waits."""
    reader, writer = os.pipe()

    def spin(data: bytes) -> None:
        while data:
            pass

    for name, check in (("CPU_LIMIT_S", spin), ("LIMIT_S", lambda _: os.read(reader, 1))):
        with monkeypatch.context() as patch:
            patch.setattr(root, name, 1)
            target = records.Target("endless", lambda _: b"x", check, 1)  # type: ignore[arg-type]
            assert root.work([target], 1, range(1), writer) == 1
        assert "a block has taken more than" in capfd.readouterr().err
    os.close(reader)
    os.close(writer)
