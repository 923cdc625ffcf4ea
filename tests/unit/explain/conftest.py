"""A configuration directory to be explained, and the command run on it."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from posthouse.commands.explain import main
from posthouse.util import log
from tests.support.inprocess import MAIN

Json = dict[str, Any]

MASTER = """\
smtp inet n - n - - smtpd
submission inet n - n - - smtpd -o smtpd_client_restrictions=reject
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
local unix - n n - - local
virtual unix - n n - - virtual
dns unix - - n - 1 dns
"""


class Place:
    """One directory. `explain` gives what the command wrote, as JSON when asked for it."""

    def __init__(self, directory: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capture = capture

    def write(self, main_cf: Mapping[str, str] | None = None, **files: str) -> None:
        """Write main.cf, master.cf and further files; {DIR} in values stands for the directory."""
        values = {**MAIN, **(main_cf or {})}
        lines = [f"{name} = {value.replace('{DIR}', str(self.directory))}\n" for name, value in values.items()]
        (self.directory / "main.cf").write_text("".join(lines))
        (self.directory / "master.cf").write_text(MASTER)
        for name, text in files.items():
            (self.directory / name).write_text(text.replace("{DIR}", str(self.directory)))

    def run(self, subject: str, *words: str) -> tuple[int, str, str]:
        """Run the command: status, standard output, standard error."""
        status = main([subject, "-c", str(self.directory), *words])
        found = self._capture.readouterr()
        return status, found.out, found.err

    def json(self, subject: str, *words: str) -> Json:
        """Run with --json; the status must be 0."""
        status, out, err = self.run(subject, *words, "--json")
        assert status == 0, err
        return dict(json.loads(out))


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    """Make a directory with a usual main.cf; the log is as it was afterwards."""
    made = Place(tmp_path, capsys)
    made.write()
    yield made
    log.LOG.open("test", log.NullSink())


Session = Callable[..., Json]


@pytest.fixture
def session(place: Place) -> Session:
    """Explain a session of a stranger who writes to alice."""

    def explain(*words: str, **changed: str) -> Json:
        options = {"client": "192.0.2.9", "helo": "c.test", "from": "a@b.test", "to": "alice@example.test", **changed}
        flat = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
        return place.json("session", *flat, *words)

    return explain
