"""posthouse explain parameter: value, place, meaning, readers, overrides."""

from tests.unit.explain.conftest import Json, Place


def facts(report: Json) -> dict[str, str]:
    """Give results by name of step."""
    return {step["name"]: step.get("result", "") for step in report["sections"][0]["steps"]}


def test_a_value_that_is_set(place: Place) -> None:
    """In force, as written, where; default, class and readers from the declarations."""
    report = place.json("parameter", "mydestination")
    value = report["sections"][0]["steps"][0]
    assert value["result"] == "mx.example.test, example.test, localhost"
    assert value["place"] == {"file": f"{place.directory}/main.cf", "line": 5}
    known = facts(report)
    assert known["written"] == "$myhostname, $mydomain, localhost"
    assert known["default"] == "$myhostname, localhost.$mydomain, localhost"
    assert known["support"] == "used"
    assert "trivial-rewrite" in known["read by"]
    assert "relay_domains" in known["$mydestination is in"]
    assert report["decision"] == "mydestination = mx.example.test, example.test, localhost"


def test_a_default(place: Place) -> None:
    """Said to be one, with limits."""
    known = facts(place.json("parameter", "hopcount_limit"))
    assert known["value"] == "50"
    assert known["set"] == "nowhere: default"
    assert known["range"] == "1.."
    assert known["read by"] == "cleanup"


def test_a_service_that_overrides(place: Place) -> None:
    """Service, value and line of master.cf."""
    (step,) = [
        each
        for each in place.json("parameter", "smtpd_client_restrictions")["sections"][0]["steps"]
        if each["kind"] == "override"
    ]
    assert (step["argument"], step["result"]) == ("submission/inet", "reject")
    assert step["place"] == {"file": f"{place.directory}/master.cf", "line": 2}


def test_a_value_that_is_not_legal(place: Place) -> None:
    """Why, in the words of the daemons."""
    place.write({"hopcount_limit": "many"})
    text = place.json("parameter", "hopcount_limit")["sections"][0]["steps"][0]["text"]
    assert text.startswith('not legal: "many" is not a whole number')


def test_a_parameter_without_effect(place: Place) -> None:
    """Accepted, with the reason."""
    assert facts(place.json("parameter", "daemon_directory"))["support"].startswith("accepted without effect: ")


def test_a_parameter_that_is_not_built(place: Place) -> None:
    """Named as such."""
    assert facts(place.json("parameter", "smtpd_milters"))["support"] == "not supported yet"


def test_a_name_of_ones_own(place: Place) -> None:
    """A macro has a value and users."""
    place.write({"our_host": "mail.example.test", "smtp_helo_name": "$our_host"})
    known = facts(place.json("parameter", "our_host"))
    assert known["meaning"] == "no parameter: a name of main.cf's own, for $name"
    assert known["$our_host is in"] == "smtp_helo_name"


def test_a_member_of_a_family(place: Place) -> None:
    """Its family is told."""
    assert facts(place.json("parameter", "uucp_destination_recipient_limit"))["family"].startswith("<transport>_")


def test_a_name_that_nobody_knows(place: Place) -> None:
    """Status 64, and what was probably meant."""
    status, out, err = place.run("parameter", "hopcount_limt")
    assert (status, out) == (64, "")
    assert err == "posthouse explain parameter: hopcount_limt: no such parameter; did you mean hopcount_limit?\n"
