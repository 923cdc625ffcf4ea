"""What joins an explanation, what is behind proxymap, what cannot be read, how it looks on a terminal."""

import contextlib
import importlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from posthouse.commands.explain.explainer import EXPLAINERS, Explainer, Registry
from posthouse.commands.explain.model import Report, Section, Step
from posthouse.commands.explain.situation import Situation
from posthouse.commands.explain.text import Painter
from posthouse.commands.posthouse import main as posthouse
from tests.unit.explain.conftest import Place, Session
from tests.unit.explain.test_session import rules


class Weather(Explainer):
    """A feature that comes later."""

    subject: ClassVar[str] = "session"
    name: ClassVar[str] = "weather"

    async def explain(self, situation: Situation, report: Report) -> None:
        """Say where the client is, from the question and the settings."""
        host = situation.settings("smtpd").text("myhostname")
        report.sections.append(
            Section(self.name, "weather", [Step("fact", host, result=situation.word("client") or "")])
        )


@pytest.fixture
def weather(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it join for one test."""
    importlib.import_module("posthouse.commands.explain.session")  # the command does so when it is asked
    both = Registry()
    for each in (*EXPLAINERS.of("session"), Weather()):
        both.add(each)
    monkeypatch.setattr("posthouse.commands.explain.command.EXPLAINERS", both)


@pytest.mark.usefixtures("weather")
def test_a_feature_joins(session: Session) -> None:
    """Its section stands behind those that were there, in JSON and in text."""
    sections = session()["sections"]
    assert [each["name"] for each in sections] == ["smtpd", "weather"]
    assert sections[1]["steps"] == [{"kind": "fact", "name": "mx.example.test", "result": "192.0.2.9"}]


def test_a_table_behind_proxymap(place: Place, session: Session) -> None:
    """One that proxymap serves is asked; one that it does not serve fails, as for the daemon."""
    rule = "check_sender_access proxy:inline:{b.test=REJECT}"
    place.write({"smtpd_sender_restrictions": rule, "proxy_read_maps": "proxy:inline:{b.test=REJECT}"})
    assert rules(session())["check_sender_access"]["result"] == "REJECT"
    place.write({"smtpd_sender_restrictions": rule, "proxy_read_maps": ""})
    found = rules(session())["check_sender_access"]
    assert found["result"] == "DEFER"
    assert "see proxy_read_maps" in found["lookups"][0]["error"]


def test_a_table_with_a_connection_of_its_own(place: Place, session: Session) -> None:
    """It is asked in the middle of restrictions and of a delivery, and its answer waited for."""
    with contextlib.closing(sqlite3.connect(place.directory / "mail.db")) as base, base:
        base.execute("CREATE TABLE entries (k TEXT, v TEXT)")
        base.executemany("INSERT INTO entries VALUES (?, ?)", [("b.test", "REJECT"), ("team", "x@elsewhere.test")])
    main = {"smtpd_sender_restrictions": "check_sender_access sqlite:{DIR}/sql", "alias_maps": "sqlite:{DIR}/sql"}
    place.write(main, sql="dbpath = {DIR}/mail.db\nquery = SELECT v FROM entries WHERE k = '%s'\n")
    assert rules(session())["check_sender_access"]["lookups"][-1]["value"] == "REJECT"
    decision = place.json("address", "team")["decision"]
    assert decision.splitlines()[0] == "team@example.test: forwarded to x@elsewhere.test"


def test_an_index_older_than_its_text(place: Place, session: Session) -> None:
    """The table decides; that its text says something else is said."""
    place.write(
        {"smtpd_sender_restrictions": "check_sender_access lmdb:{DIR}/senders"}, senders="b.test OK\nd.test REJECT\n"
    )
    assert posthouse(["posthouse", "postmap", f"lmdb:{place.directory}/senders"]) == 0
    (place.directory / "senders").write_text("b.test REJECT\n")
    lookup = rules(session())["check_sender_access"]["lookups"][-1]
    assert lookup["value"] == "OK"
    assert "run postmap" in lookup["note"]
    assert lookup["place"]["line"] == 1


def test_an_item_in_a_file(place: Place, session: Session) -> None:
    """mynetworks = /file: the line of the network that matched."""
    place.write({"mynetworks": "{DIR}/networks"}, networks="# ours\n192.0.2.128/25\n192.0.2.0/28 # small\n")
    text = rules(session())["permit_mynetworks"]["text"]
    where = f"{place.directory}/main.cf:6"
    assert text == f"192.0.2.9 is in mynetworks ({where}): 192.0.2.0/28 ({place.directory}/networks:3)"


def test_behind_postscreen(place: Place, session: Session) -> None:
    """The smtpd that postscreen passes clients to comes before a submission service."""
    master = place.directory / "master.cf"
    text = master.read_text().replace("smtp inet n - n - - smtpd\n", "smtp inet n - n - 1 postscreen\n")
    master.write_text(text + "smtpd pass - - n - - smtpd\n")
    assert session()["sections"][0]["title"].startswith("smtpd, service smtpd ")


def test_a_system_that_is_drained(place: Place, session: Session) -> None:
    """What the administrator has ordered counts."""
    place.write({"queue_directory": "{DIR}/queue"})
    (place.directory / "queue/pid").mkdir(parents=True)
    (place.directory / "queue/pid/drain").write_text('{"to": "", "since": 1}')
    assert session()["decision"] == "451 4.3.2 System is not accepting messages: it is being drained"


def test_sasl_is_not_there_yet(session: Session) -> None:
    """Said, not ignored."""
    assert session("--sasl", "someone")["notes"] == [
        "SASL is not built yet: a client that logs in as someone is treated like one that does not"
    ]


@pytest.mark.root
def test_a_user_who_may_not_read_a_table(place: Place) -> None:
    """The table's error stands there, and that it may be this user's alone."""
    place.write({"smtpd_sender_restrictions": "check_sender_access texthash:{DIR}/secret"}, secret="b.test REJECT\n")
    directory = Path("/tmp") / f"explain-{os.getpid()}"
    os.rename(place.directory, directory)
    try:
        directory.chmod(0o755)
        (directory / "main.cf").write_text(
            (directory / "main.cf").read_text().replace(str(place.directory), str(directory))
        )
        (directory / "secret").chmod(0o600)
        words = ["--client", "192.0.2.9", "--helo", "c.test", "--from", "a@b.test", "--to", "alice@example.test"]
        argv = [
            sys.executable,
            "-m",
            "posthouse.commands.posthouse",
            "explain",
            "session",
            "-c",
            str(directory),
            *words,
        ]
        done = subprocess.run(argv, user=65534, group=65534, capture_output=True, text=True, check=False, timeout=60)
    finally:
        os.rename(directory, place.directory)
    assert done.returncode == 0, done.stderr
    assert "Permission denied  (this user may not read it; the daemons perhaps may)" in done.stdout


def test_a_directory_that_is_not_there(place: Place) -> None:
    """Status 78, with what to do."""
    place.directory = place.directory / "nowhere"
    status, out, err = place.run("parameter", "myhostname")
    assert (status, out) == (78, "")
    assert "there is no such directory; name it with -c or MAIL_CONFIG" in err


def test_colours() -> None:
    """On a terminal the words that decide stand out; elsewhere there is nothing but text."""
    step = Step("restriction", "reject", result="REJECT", decided=True)
    report = Report("session", {}, sections=[Section("s", "title", [step])], decision="554 no")
    assert list(Painter(colour=False).lines(report)) == [
        "title",
        "  => reject                                   REJECT",
        "",
        "=> 554 no",
    ]
    assert "\033[31mREJECT\033[0m" in "\n".join(Painter(colour=True).lines(report))
