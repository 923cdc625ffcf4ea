"""posthouse explain address: rewriting, class, route and delivery, as the daemons' own code does them."""

import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_dns import FakeDns
from tests.unit.explain.conftest import MASTER, Json, Place

MAIL: dict[str, str] = {
    "alias_maps": "texthash:{DIR}/aliases",
    "canonical_maps": "texthash:{DIR}/canonical",
    "virtual_alias_maps": "texthash:{DIR}/virtual",
    "virtual_mailbox_domains": "hosted.test",
    "virtual_mailbox_maps": "texthash:{DIR}/mailboxes",
    "virtual_mailbox_base": "/var/vmail",
    "virtual_uid_maps": "static:5000",
    "virtual_gid_maps": "static:5001",
    "relay_domains": "relay.test",
    "transport_maps": "texthash:{DIR}/transport",
    "recipient_bcc_maps": "texthash:{DIR}/bcc",
    "append_dot_mydomain": "yes",
    "masquerade_domains": "example.test",
    "masquerade_classes": "envelope_recipient",
}
FILES = {
    "aliases": 'team  alice@elsewhere.test, "|/usr/bin/tool -x"\nself bob@example.test\n',
    "canonical": "# old names\nold.name@example.test  team\n",
    "virtual": "both@alias.test  one@hosted.test, two@elsewhere.test\ncircle@x.test y@x.test\n",
    "mailboxes": "one@hosted.test  one/\n",
    "transport": "relay.test  lmtp:[127.0.0.1]:24\nslow.test retry:4.7.0 not today\n",
    "bcc": "one@hosted.test archive@hosted.test\n",
}


@pytest.fixture
def mail(place: Place) -> Place:
    """A configuration with a bit of everything."""
    place.write(MAIL, **FILES)
    master = place.directory / "master.cf"
    more = "smtp unix - - n - - smtp\nrelay unix - - n - - smtp\nlmtp unix - - n - - lmtp\nretry unix - - n - - error\n"
    more += "error unix - - n - - error\n"
    master.write_text(master.read_text() + more)
    return place


def steps(report: Json, section: str = "recipient", number: int = 0) -> dict[str, Json]:
    """Give the steps of a section by name; of equal names the first."""
    found = [each for each in report["sections"] if each["name"] == section][number]
    named: dict[str, Json] = {}
    for step in found["steps"]:
        named.setdefault(step["name"], step)
    return named


def test_rewriting_step_by_step(mail: Place) -> None:
    """A bare name is completed, mapped, and the result completed in turn; each with parameter and entry."""
    cleanup = steps(mail.json("address", "old.name"), "cleanup")
    assert cleanup["append_at_myorigin"]["result"] == "old.name@example.test"
    mapped = cleanup["canonical_maps"]
    assert (mapped["argument"], mapped["result"]) == ("old.name@example.test", "team@example.test")
    assert mapped["lookups"][0]["place"] == {"file": f"{mail.directory}/canonical", "line": 2}
    assert mapped["place"]["file"] == f"{mail.directory}/main.cf"
    assert mapped["steps"][0]["name"] == "append_at_myorigin"


@pytest.mark.parametrize(
    ("address", "rule", "result"),
    [
        ("user@host", "append_dot_mydomain", "user@host.example.test"),
        ("a.test!user", "swap_bangpath", "user@a.test"),
        ("user%a.test", "allow_percent_hack", "user@a.test"),
        ("@relay.test:user@a.test", "source route", "user@a.test"),
        ("user@a.test.", "final dot", "user@a.test"),
        ('"user"@a.test', "spelling", "user@a.test"),
        ("user@host.example.test", "masquerade_domains", "user@example.test"),
    ],
)
def test_each_rule_is_named(mail: Place, address: str, rule: str, result: str) -> None:
    """The parameter that changed an address."""
    assert steps(mail.json("address", address), "cleanup")[rule]["result"] == result


@pytest.mark.parametrize(
    ("written", "title"),
    [("<u@a.test>", "u@a.test"), ("A B <u@a.test> (c)", "u@a.test"), ("<@x:u@a.test>", "@x:u@a.test"), ("<>", "<>")],
)
def test_an_address_as_it_was_copied(mail: Place, written: str, title: str) -> None:
    """In angle brackets, with a name."""
    report = mail.json("address", written)
    assert report["sections"][0]["title"] == f"cleanup: recipient {title}"


def test_virtual_aliases_hop_by_hop(mail: Place) -> None:
    """One address becomes two, each is looked up again, and each has its own way."""
    report = mail.json("address", "both@alias.test")
    (section,) = [each for each in report["sections"] if each["name"] == "cleanup"]
    hops = [(each["argument"], each["result"]) for each in section["steps"] if each["name"] == "virtual_alias_maps"]
    assert hops == [
        ("both@alias.test", "one@hosted.test, two@elsewhere.test"),
        ("one@hosted.test", "unchanged"),
        ("two@elsewhere.test", "unchanged"),
    ]
    assert [each["title"] for each in report["sections"] if each["name"] == "recipient"] == [
        "recipient one@hosted.test",
        "recipient two@elsewhere.test",
    ]


def test_aliases_in_a_circle_are_refused_as_cleanup_does(mail: Place) -> None:
    """4.6.0, with its log line."""
    (mail.directory / "virtual").write_text("a@x.test b@x.test\nb@x.test a@x.test\n")
    report = mail.json("address", "a@x.test")
    assert report["decision"] == "451 4.6.0 Error: alias expansion error"
    (section,) = report["sections"]
    assert "unreasonable virtual_alias_maps map nesting" in section["steps"][-1]["log"][-1]


def test_copies(mail: Place) -> None:
    """recipient_bcc_maps adds a recipient."""
    report = mail.json("address", "one@hosted.test")
    assert steps(report, "cleanup")["recipient_bcc_maps"]["result"] == "archive@hosted.test"
    assert [each["result"] for each in report["sections"] if each["name"] == "cleanup"] == [
        "one@hosted.test, archive@hosted.test"
    ]


def test_a_content_filter_comes_first(mail: Place) -> None:
    """The way that is shown is the second one; what an alias forwards is copied to nobody."""
    mail.write({**MAIL, "content_filter": "scan:[127.0.0.1]:26", "always_bcc": "all@elsewhere.test"}, **FILES)
    report = mail.json("address", "team")
    assert any("content_filter = scan:[127.0.0.1]:26" in note for note in report["notes"])
    results = [each["result"] for each in report["sections"] if each["name"] == "cleanup"]
    assert results == ["team@example.test, all@elsewhere.test", "alice@elsewhere.test"]


def test_services_have_content_filters_of_their_own(mail: Place) -> None:
    """As in the usual set-up: one service in front of the filter, one behind it; local mail is not filtered."""
    path = mail.directory / "master.cf"
    path.write_text(
        f"{MASTER}inner inet n - n - - smtpd -o content_filter=\n25 inet n - n - - smtpd -o content_filter=scan:\n"
    )
    notes = [note for note in mail.json("address", "team")["notes"] if "content_filter" in note]
    assert notes == [
        "content_filter = scan:: mail that comes in by 25/inet goes there first, and this is its way when it is back"
    ]


def test_a_mailbox_of_a_hosted_domain(mail: Place) -> None:
    """Class, the item of the list that made it, transport, path and rights."""
    report = mail.json("address", "one@hosted.test")
    found = steps(report)
    assert found["address class"]["result"] == "virtual mailbox"
    assert found["address class"]["text"] == "virtual_mailbox_domains = hosted.test: hosted.test"
    assert found["virtual_transport"]["result"] == "virtual:"
    assert (found["maildir"]["argument"], found["maildir"]["result"]) == ("/var/vmail/one", "as uid 5000, gid 5001")
    assert report["decision"].splitlines()[0] == "one@hosted.test: maildir /var/vmail/one"


def test_nobody_there(mail: Place) -> None:
    """The agent's own words."""
    report = mail.json("address", "none@hosted.test")
    assert report["decision"] == 'none@hosted.test: bounced: 5.1.1 unknown user: "none@hosted.test"'


def test_local_aliases_are_followed(mail: Place) -> None:
    """A command is named and not run; an address is a new message, followed in turn."""
    report = mail.json("address", "team")
    found = steps(report)
    assert found["alias_maps"]["result"] == "found"
    assert found["command"]["argument"] == "/usr/bin/tool -x"
    assert found["local"]["result"] == "command /usr/bin/tool -x; forwarded to alice@elsewhere.test"
    assert [each["title"] for each in report["sections"] if each["name"] == "cleanup"] == [
        "cleanup: recipient team",
        "cleanup: recipient alice@elsewhere.test (forwarded)",
    ]


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that every user may look into; pytest's own are for one user only."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_a_forward_file_is_read(mail: Place, home: Path) -> None:
    """With the rights of the user whom it belongs to; root takes them on, others read their own."""
    file = home / ".forward"
    file.write_text("away@elsewhere.test\n")
    mail.write({**MAIL, "alias_maps": "", "forward_path": str(file)}, **FILES)
    user = next(each for each in pwd.getpwall() if each.pw_uid == (os.geteuid() or 1))
    os.chown(file, user.pw_uid, user.pw_gid)
    report = mail.json("address", f"{user.pw_name}@example.test")
    assert steps(report)[str(file)]["result"] == "is followed"
    assert "forwarded to away@elsewhere.test" in report["decision"]


@pytest.mark.root
def test_a_forward_file_that_its_user_may_not_read(mail: Place, home: Path) -> None:
    """The delivery would be put off, and so it is said."""
    (home / "closed").mkdir(mode=0o700)
    (home / "closed/.forward").write_text("away@elsewhere.test\n")
    mail.write({**MAIL, "alias_maps": "", "forward_path": f"{home}/closed/.forward"}, **FILES)
    user = pwd.getpwuid(1).pw_name
    assert "deferred: 4.3.0 cannot access" in mail.json("address", f"{user}@example.test")["decision"]


def test_transport_maps_decide(mail: Place) -> None:
    """Entry, transport and next hop; nothing is asked for an address in brackets."""
    report = mail.json("address", "u@relay.test")
    found = steps(report)
    assert found["relay_transport"]["result"] == "relay:"
    assert found["transport_maps"]["result"] == "lmtp:[127.0.0.1]:24"
    assert found["transport_maps"]["lookups"][-1]["place"]["line"] == 1
    assert report["decision"] == "u@relay.test: goes to 127.0.0.1[127.0.0.1]:24 by lmtp"


def test_the_retry_transport_defers(mail: Place) -> None:
    """With the text of the table."""
    assert mail.json("address", "u@slow.test")["decision"] == "u@slow.test: deferred: 4.7.0 not today"


def test_dns_is_not_asked(mail: Place) -> None:
    """It is said what would be asked."""
    report = mail.json("address", "u@elsewhere.test")
    assert steps(report)["would ask"]["result"] == "MX of elsewhere.test, then addresses"
    assert report["decision"] == "u@elsewhere.test: goes to the MX hosts of elsewhere.test by smtp"


def test_generic_maps_are_shown_where_mail_leaves(mail: Place) -> None:
    """What the server hears, and the line that says so; a table that cannot be asked defers."""
    files = {**FILES, "generic": "# outside\nu@elsewhere.test  mapped@far.test\n"}
    mail.write({**MAIL, "smtp_generic_maps": "texthash:{DIR}/generic"}, **files)
    (mail.directory / "master.cf").write_text("smtp unix - - n - - smtp\n")
    step = steps(mail.json("address", "u@elsewhere.test"))["smtp_generic_maps"]
    assert (step["argument"], step["result"]) == ("u@elsewhere.test", "mapped@far.test")
    assert step["lookups"][-1]["place"] == {"file": f"{mail.directory}/generic", "line": 2}
    assert "smtp_generic_maps" not in steps(mail.json("address", "other@elsewhere.test"))
    mail.write({**MAIL, "smtp_generic_maps": "fail:x"}, **FILES)
    (mail.directory / "master.cf").write_text("smtp unix - - n - - smtp\n")
    assert mail.json("address", "u@elsewhere.test")["decision"].startswith("u@elsewhere.test: deferred: 4.3.0")


def test_sender_dependent_relay(mail: Place) -> None:
    """The sender is rewritten first, and then decides about the next hop."""
    mail.write({**MAIL, "sender_dependent_relayhost_maps": "inline:{boss@example.test=[127.0.0.9]:26}"}, **FILES)
    (mail.directory / "master.cf").write_text("smtp unix - - n - - smtp\n")
    report = mail.json("address", "u@elsewhere.test", "--sender", "boss")
    assert report["sections"][0]["result"] == "boss@example.test"
    assert steps(report)["sender_dependent_relayhost_maps"]["result"] == "smtp:[127.0.0.9]:26"
    assert report["decision"] == "u@elsewhere.test: goes to 127.0.0.9[127.0.0.9]:26 by smtp"


def test_the_null_sender_has_its_own_steps(mail: Place) -> None:
    """It is looked up like any other, by its name."""
    tables = {
        "sender_dependent_relayhost_maps": "inline:{<>=[127.0.0.8]}",
        "sender_dependent_default_transport_maps": "inline:{<>=smtp:}",
    }
    mail.write({**MAIL, **tables}, **FILES)
    found = steps(mail.json("address", "u@elsewhere.test"))
    for name, result in zip(tables, ("smtp:[127.0.0.8]", "smtp:"), strict=True):
        assert (found[name]["argument"], found[name]["result"]) == ("<>", result)
        assert found[name]["lookups"][-1]["key"] == "<>"


def test_a_table_that_fails_defers(mail: Place) -> None:
    """In cleanup with its reply, in trivial-rewrite with qmgr's word; never an answer made without the table."""
    mail.write({"virtual_alias_maps": "fail:broken"})
    assert mail.json("address", "alice")["decision"] == "451 4.3.0 Error: queue file write error"
    mail.write({"transport_maps": "fail:broken"})
    report = mail.json("address", "alice")
    assert report["decision"] == "alice@example.test: deferred: 4.3.0 address resolver failure"
    assert steps(report)["trivial-rewrite"]["result"] == "cannot be told now"


def test_routed_addresses(mail: Place) -> None:
    """What hides in a local part is taken apart before the class is looked for."""
    report = mail.json("address", "u%relay.test@example.test")
    assert steps(report)["allow_percent_hack"]["result"] == "u@relay.test"
    assert steps(report)["address class"]["result"] == "relay"


def test_a_bad_address(mail: Place) -> None:
    """The error transport's text is qmgr's."""
    assert "5.1.3 bad address syntax" in mail.json("address", "u@a..b")["decision"]


def test_a_transport_that_is_not_in_master(mail: Place) -> None:
    """Mail would wait, and the reason is named."""
    mail.write({**MAIL, "default_transport": "uucp:hub"}, **FILES)
    assert "master.cf has no service uucp" in mail.json("address", "u@elsewhere.test")["decision"]


def test_dns_is_asked_when_wanted(mail: Place) -> None:
    """Questions, answers, and the addresses in the order in which they would be tried."""
    zone = {("elsewhere.test", "MX"): ["20 b.elsewhere.test.", "10 a.elsewhere.test."]}
    zone |= {("a.elsewhere.test", "A"): ["192.0.2.11"], ("b.elsewhere.test", "A"): ["192.0.2.12"]}
    with FakeDns(zone) as names:
        mail.write({**MAIL, "dns_nameservers": names.address}, **FILES)
        (mail.directory / "master.cf").write_text("smtp unix - - n - - smtp\nerror unix - - n - - error\n")
        report = mail.json("address", "u@elsewhere.test", "--dns")
        missing = mail.json("address", "u@nowhere.test", "--dns")
    found = steps(report)
    assert (found["elsewhere.test"]["argument"], found["elsewhere.test"]["kind"]) == ("MX", "dns")
    assert found["a.elsewhere.test"]["result"] == "192.0.2.11"
    order = "a.elsewhere.test[192.0.2.11]:25, b.elsewhere.test[192.0.2.12]:25"
    assert found["tried in this order"]["result"] == order
    assert report["decision"] == f"u@elsewhere.test: goes to {order} by smtp"
    assert missing["decision"].startswith("u@nowhere.test: bounced: 5.4.4 Host or domain name not found.")


def test_aliases_that_lead_back_are_a_loop(mail: Place) -> None:
    """What delivery says of such mail in the end, and not the first way once more."""
    (mail.directory / "aliases").write_text("here there\nthere here\n")
    ends = mail.json("address", "here")["decision"].splitlines()
    assert ends[-1] == "here: bounced: 5.4.6 mail forwarding loop"
