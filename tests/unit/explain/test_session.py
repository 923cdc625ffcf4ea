"""posthouse explain session: lists, tables, keys and results, as smtpd's own code gives them."""

import pytest

from posthouse.daemons.smtpd.access.lists import SIMPLE
from posthouse.daemons.smtpd.access.names import NOT_BUILT, NOT_BUILT_WITH_ARGUMENT
from posthouse.daemons.smtpd.access.tables import KINDS
from tests.unit.explain.conftest import Json, Place, Session


def command(report: Json, name: str, number: int = 0) -> Json:
    """Give the step of a command."""
    found: list[Json] = [step for step in report["sections"][0]["steps"] if step["name"] == name]
    return found[number]


def rules(report: Json, name: str = "RCPT") -> dict[str, Json]:
    """Give the restrictions of a command's lists, by name."""
    return {rule["name"]: rule for each in command(report, name).get("steps", []) for rule in each.get("steps", [])}


def test_the_whole_dialogue(session: Session) -> None:
    """From greeting to the end of the content; what the client hears last is the decision."""
    report = session()
    names = [step["name"] for step in report["sections"][0]["steps"]]
    assert names == ["client", "connect", "EHLO", "MAIL", "RCPT", "DATA", "end"]
    assert report["decision"] == "250 2.0.0 Ok: queued as (queue ID)"


def test_a_table_says_no(place: Place, session: Session) -> None:
    """Table, keys tried, the key that was there, and the line of the source text it stands in."""
    place.write(
        {"smtpd_sender_restrictions": "check_sender_access texthash:{DIR}/senders", "append_dot_mydomain": "no"},
        senders="# who may not\n\nb.test  REJECT 5.7.1 not you\n",
    )
    report = session()
    assert report["decision"] == "554 5.7.1 <a@b.test>: Sender address rejected: not you"
    listed = command(report, "RCPT")["steps"][0]
    assert listed["place"] == {"file": f"{place.directory}/main.cf", "line": 13}
    assert listed["decided"]
    rule = rules(report)["check_sender_access"]
    assert (rule["result"], rule["decided"]) == ("REJECT", True)
    asked = [(lookup["key"], lookup["value"]) for lookup in rule["lookups"]]
    assert asked == [("a@b.test", None), ("b.test", "REJECT 5.7.1 not you")]
    assert rule["lookups"][1]["place"] == {"file": f"{place.directory}/senders", "line": 3}
    assert rules(report)["permit_mynetworks"]["result"] == "not reached"


def test_the_rule_of_a_pattern_table_is_found(place: Place, session: Session) -> None:
    """Behind an if, with an earlier rule that does not match; inside of a block that is not closed yet."""
    text = "/^no/ OK\nif /^192/\n/\\.8$/ OK\n# a comment\n/\\.9$/\n  REJECT dynamic\nendif\n/[.]/ OK\n"
    place.write({"smtpd_client_restrictions": "check_client_access regexp:{DIR}/clients"}, clients=text)
    lookup = rules(session())["check_client_access"]["lookups"][-1]
    assert lookup["value"] == "REJECT dynamic"
    assert lookup["place"]["line"] == 5


def test_a_cidr_rule_is_found(place: Place, session: Session) -> None:
    """The second of two networks that hold the address is not the one that answers."""
    text = "192.0.2.8/32 OK\n192.0.2.0/24 REJECT\n192.0.0.0/16 OK\n"
    place.write({"smtpd_client_restrictions": "check_client_access cidr:{DIR}/clients"}, clients=text)
    assert rules(session())["check_client_access"]["lookups"][-1]["place"]["line"] == 2


def test_a_table_that_cannot_be_opened_defers(place: Place, session: Session) -> None:
    """As the daemon does: never "not found"."""
    place.write({"smtpd_client_restrictions": "check_client_access texthash:{DIR}/nowhere"})
    report = session()
    assert report["decision"] == "451 4.3.5 <unknown[192.0.2.9]>: Client host rejected: Server configuration error"
    assert "No such file" in rules(report)["check_client_access"]["lookups"][0]["error"]


def test_restriction_classes_and_answers_that_name_restrictions(place: Place, session: Session) -> None:
    """What a class or a table's answer asks stands below it."""
    main = {
        "smtpd_restriction_classes": "strict",
        "strict": "reject_non_fqdn_sender, permit",
        "smtpd_sender_restrictions": "check_sender_access inline:{b.test=strict}",
    }
    place.write(main)
    rule = rules(session())["check_sender_access"]
    (strict,) = [step for step in rule["steps"] if step["kind"] != "resolve"]
    assert strict["name"] == "strict"
    assert [(each["name"], each["result"]) for each in strict["steps"]] == [
        ("reject_non_fqdn_sender", "DUNNO"),
        ("permit", "PERMIT"),
    ]


def test_without_delay_each_list_has_its_own_stage(place: Place, session: Session) -> None:
    """And a refused greeting is the end of it."""
    place.write({"smtpd_delay_reject": "no", "smtpd_client_restrictions": "reject"})
    report = session()
    assert report["decision"].startswith("554 5.7.1 <unknown[192.0.2.9]>: Client host rejected")
    assert [step["name"] for step in report["sections"][0]["steps"]] == ["client", "connect"]
    assert command(report, "connect")["steps"][0]["name"] == "smtpd_client_restrictions"


def test_keywords_that_are_not_offered(place: Place, session: Session) -> None:
    """The table is asked about the client's address at once; the reply to EHLO is what the client would get."""
    place.write({"smtpd_discard_ehlo_keyword_address_maps": "cidr:{DIR}/offers"}, offers="192.0.2.0/24 chunking, dsn\n")
    report = session()
    (lookup,) = [each for each in command(report, "connect")["lookups"] if each["table"].endswith("/offers")]
    assert (lookup["key"], lookup["value"], lookup["place"]["line"]) == ("192.0.2.9", "chunking, dsn", 1)
    assert {"250-SIZE 10240000", "250 SMTPUTF8"} < set(command(report, "EHLO")["text"].split("\n"))
    assert "CHUNKING" not in command(report, "EHLO")["text"]
    assert command(report, "EHLO")["log"] == ["discarding EHLO keywords: DSN CHUNKING"]


def test_delay_is_told(place: Place, session: Session) -> None:
    """A list about the client that is asked at RCPT says why."""
    place.write({"smtpd_helo_restrictions": "permit"})
    (text,) = [
        each["text"] for each in command(session(), "RCPT")["steps"] if each["name"] == "smtpd_helo_restrictions"
    ]
    assert text == "about HELO, asked at RCPT: smtpd_delay_reject = yes (default)"


def test_overrides_of_the_service_hold(session: Session) -> None:
    """-o of the named service; the place is master.cf's."""
    report = session(service="submission")
    assert report["decision"] == "554 5.7.1 <unknown[192.0.2.9]>: Client host rejected: Access denied"
    assert command(report, "RCPT")["steps"][0]["place"]["line"] == 2


def test_dns_that_is_not_asked_is_said(place: Place, session: Session) -> None:
    """A restriction that needs it gives no answer, and a note says what would have been asked."""
    place.write({"smtpd_peername_lookup": "yes", "smtpd_client_restrictions": "reject_unknown_client_hostname"})
    report = session()
    assert rules(report)["reject_unknown_client_hostname"]["result"] == "NOT ASKED"
    assert "name of 192.0.2.9" in report["notes"][0]
    assert session(name="unknown")["decision"].startswith("450 4.7.25")
    told = session(name="c.test")
    assert rules(told)["reject_unknown_client_hostname"]["result"] == "DUNNO"
    assert "notes" not in told


def test_each_restriction_has_its_line(place: Place, session: Session) -> None:
    """Of a list over several lines, with comments and repeated words; what a $name gave has the line of the $name."""
    text = "permit_mynetworks\n  # strangers\n  warn_if_reject\n   reject_non_fqdn_sender, permit_inet_interfaces\n"
    place.write({"more": "reject_unauth_destination", "smtpd_relay_restrictions": f"{text}  permit_mynetworks $more"})
    (listed,) = [each for each in command(session(), "RCPT")["steps"] if each["name"] == "smtpd_relay_restrictions"]
    first = listed["place"]["line"]
    assert [each["place"]["line"] - first for each in listed["steps"]] == [0, 3, 3, 4, 4]


def test_which_network_matched(place: Place, session: Session) -> None:
    """permit_mynetworks says which pattern it was, and what was not asked after it."""
    report = session(client="127.0.0.2")
    rule = rules(report)["permit_mynetworks"]
    assert rule["result"] == "PERMIT"
    assert rule["text"] == f"127.0.0.2 is in mynetworks ({place.directory}/main.cf:6): 127.0.0.2/32"
    assert rules(report)["reject_unauth_destination"]["result"] == "not reached"


def test_deferral_that_was_asked_for_decides(place: Place, session: Session) -> None:
    """defer_if_permit is the decision when nothing refuses."""
    place.write({"smtpd_sender_restrictions": "defer_if_permit"})
    report = session()
    rule = rules(report)["defer_if_permit"]
    assert (rule["result"], rule["decided"]) == ("DEFER_IF_PERMIT", True)
    assert report["decision"] == "450 4.7.0 <a@b.test>: Sender address rejected: defer_if_permit requested"


def test_warn_if_reject_is_shown_with_its_log_line(place: Place, session: Session) -> None:
    """It decides nothing; the log line says what it would have been."""
    place.write({"smtpd_sender_restrictions": "warn_if_reject reject"})
    rule = rules(session())["warn_if_reject reject"]
    assert rule["result"] == "DUNNO"
    assert "reject_warning: RCPT from unknown[192.0.2.9]: 554" in rule["log"][0]


def test_sleep_is_told_and_not_slept(place: Place, session: Session) -> None:
    """Nobody waits for an explanation."""
    place.write({"smtpd_client_restrictions": "sleep 999"})
    assert rules(session())["sleep"]["text"] == "would wait 999 seconds"


def test_postmaster_without_domain(session: Session) -> None:
    """No list is asked, and the explanation says why."""
    report = session(to="postmaster")
    assert command(report, "RCPT")["steps"][0]["text"] == "without domain always accepted (RFC 5321 4.5.1)"


def test_an_action_is_shown(place: Place, session: Session) -> None:
    """What an access table does to the message."""
    place.write({"smtpd_sender_restrictions": "check_sender_access inline:{{b.test=PREPEND X-Seen: yes}}"})
    steps = rules(session())["check_sender_access"]["steps"]
    (action,) = [step for step in steps if step["kind"] != "resolve"]
    assert (action["kind"], action["name"], action["argument"]) == ("action", "PREPEND", "X-Seen: yes")


@pytest.mark.parametrize("name", sorted({*SIMPLE, *KINDS, *NOT_BUILT, *NOT_BUILT_WITH_ARGUMENT, "sleep"}))
def test_every_restriction_can_be_explained(place: Place, session: Session, name: str) -> None:
    """Each name that smtpd knows gives a step with a result, wherever it is built or not."""
    arguments = {"sleep": " 1"} | dict.fromkeys(KINDS, " inline:{k=OK}") | dict.fromkeys(NOT_BUILT_WITH_ARGUMENT, " x")
    guard = "smtpd_relay_restrictions"
    place.write({guard: f"{name}{arguments.get(name, '')}, reject_unauth_destination"})
    rule = rules(session())[name]
    assert rule["result"] in ("PERMIT", "DUNNO", "REJECT", "DEFER", "DEFER_IF_PERMIT", "DEFER_IF_REJECT", "NOT ASKED")
    if name in NOT_BUILT or name in NOT_BUILT_WITH_ARGUMENT:
        assert rule["text"] == "not built yet, so it is answered with 451 4.3.5 Server configuration error"


def test_wrong_words_are_usage(place: Place) -> None:
    """What is missing or no address is said; status 64."""
    status, _, err = place.run("session", "--client", "x", "--helo", "c", "--from", "", "--to", "a")
    assert (status, err.splitlines()[0]) == (64, "posthouse explain session: --client x: not an IP address")
    status, _, err = place.run("session", "--client", "192.0.2.1")
    assert (status, err.splitlines()[0]) == (64, "posthouse explain session: --helo, --from, --to must be given")


def test_a_daemon_that_would_not_start(place: Place) -> None:
    """Without relay protection smtpd does not start, and neither does its explanation: status 78."""
    place.write({"smtpd_relay_restrictions": "permit"})
    words = ("--client", "192.0.2.1", "--helo", "c", "--from", "", "--to", "a")
    status, _, err = place.run("session", *words)
    assert status == 78
    assert "specify at least one working instance of" in err


def test_the_question_is_part_of_the_report(session: Session) -> None:
    """Recipients are a list, the null sender is empty, an option without value is true."""
    asked = session("--dns", **{"from": "", "name": "c.test"})["asked"]
    assert (asked["from"], asked["to"], asked["dns"]) == ("", ["alice@example.test"], True)
