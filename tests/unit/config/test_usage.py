"""Which settings are used."""

import pytest

from posthouse.config.main_cf import parse_main_cf
from posthouse.config.master_cf import parse_master_cf
from posthouse.config.usage import Usage, brace_faults, comment_faults, find_usage, references, service_parameters


def usage(main: str, master: str = "") -> Usage:
    """Search a configuration given as texts."""
    values = parse_main_cf(main.encode(), "main.cf").values
    return find_usage(values, parse_master_cf(master.encode(), "master.cf").services)


SMTPD = "smtp inet n - n - - smtpd"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("$a ${b} $(c) ${ d?x}", ["a", "b", "c", "d"]),
        ("$$a", []),
        ("${{$a} == {b} ? {$c} : {$a}}", ["a", "c"]),
        ("$", []),
    ],
)
def test_references_are_found(text: str, names: list[str]) -> None:
    """In every form, each once, in order."""
    assert references(text) == names


def test_a_macro_that_is_referred_to_is_used() -> None:
    """By a parameter or by another macro."""
    found = usage("mydestination = $a\na = $b\nb = x\nc = $d\nd = y\n")
    assert found.macros == {"a", "b", "d"}
    assert found.unused == ("c",)


def test_names_that_nobody_sets_are_found() -> None:
    """Apart from raw parameters, whose names come from their daemon alone; and a function is no name."""
    found = usage("mydestination = $nobody ${domain_to_ascii{x}}\nforward_path = $home $a\na = x\n")
    assert found.undefined == ("nobody",)
    assert found.unused == ("a",)


def test_restriction_classes_are_used() -> None:
    """And one that is not defined is an undefined name."""
    found = usage("smtpd_restriction_classes = $more b\nmore = a\na = reject\n")
    assert (found.unused, found.undefined) == ((), ("b",))


def test_overrides_use_main_cf() -> None:
    """A reference in -o reaches main.cf, unless -o sets the name itself."""
    found = usage("bar = xx\nbaz = yy\n", SMTPD + "\n -o bar=yes -o always_bcc=$bar$baz\n")
    assert (found.unused, found.unused_overrides) == (("bar",), ())


def test_main_cf_uses_overrides() -> None:
    """A macro may be set for one service only."""
    found = usage("always_bcc = $foo\n", SMTPD + "\n -o foo=x -o baz=y -o forward_path=$home$foo\n")
    assert [override.name for override in found.unused_overrides] == ["baz"]
    assert (found.undefined, found.undefined_overrides) == ((), ())


def test_overrides_may_define_restriction_classes() -> None:
    """With names from main.cf."""
    found = usage("bar = reject\n", SMTPD + "\n -o smtpd_restriction_classes=bar,none\n")
    assert (found.unused, found.undefined_overrides) == ((), ("none",))


def test_attributes_of_used_tables_are_used() -> None:
    """foo_domain belongs to ldap:foo; a file name means a file with attributes."""
    used = "alias_maps = $t:foo mysql:/etc/x.cf\nt = ldap\nfoo_domain = a\nfoo_other = b\n"
    found = usage(used + "unused = ldap:bar\nbar_domain = c\n")
    assert found.unused == ("foo_other", "unused", "bar_domain")
    assert found.table_files == (("mysql", "/etc/x.cf"),)


def test_circles_do_not_stop_the_search() -> None:
    """They are reported elsewhere."""
    assert usage("alias_maps = $a\na = $b\nb = $a\n").unused == ()


def test_wrong_braces_of_composites_are_told() -> None:
    """Text after the brace, or no brace at all."""
    assert list(brace_faults("foo:{x} pipemap:{ldap:a}x proxy:randmap:{a pipemap:{a}")) == [
        "syntax error after '}' in \"{ldap:a}x\"",
        "missing '}' in \"{a pipemap:{a}\"",
    ]
    assert usage("alias_maps = unionmap:{a}b\n").brace_faults


def test_services_bring_parameters() -> None:
    """Delivery agents have a family, pipe and spawn a time limit; local has defaults of its own."""
    text = "uucp unix - n n - - pipe\nx inet n n n - - spawn\nsmtp unix - - - - - smtp\nsmtp inet - - - - - smtpd\n"
    text += "local unix - - - - - local\n"
    found = service_parameters(parse_master_cf(text.encode(), "master.cf").services)
    assert found["uucp_time_limit"] == found["x_time_limit"] == "$command_time_limit"
    assert found["uucp_recipient_limit"] == "$default_recipient_limit"
    assert "x_recipient_limit" not in found
    assert found["smtp_destination_recipient_limit"] == "$default_destination_recipient_limit"
    assert found["local_destination_recipient_limit"] == "1"
    assert "smtp_delivery_slot_cost" in found


def test_names_of_services_exist_with_them() -> None:
    """smtp_destination_recipient_limit means nothing while master.cf has no such transport."""
    main = "smtp_destination_recipient_limit = 1\nlocal_destination_recipient_limit = 1\n"
    assert usage(main).unused == ("smtp_destination_recipient_limit",)
    assert usage(main, "smtp unix - - n - - smtp").unused == ()


def test_entries_of_one_name_share_their_overrides() -> None:
    """The later value of a setting counts, and what cannot be set is none."""
    found = usage("", SMTPD + " -o a=1 -o b=1\n" + SMTPD + " -o a=2 -o process_id=1\n")
    assert [(override.name, override.value) for override in found.unused_overrides] == [("a", "2"), ("b", "1")]


def test_comments_in_rules_are_found() -> None:
    """Behind other text only, and not inside of a pattern."""
    text = "inline:{{a = b #c}, #d } proxy:regexp:{{/ #x/ y} #e} cidr:{#f} lmdb:{ a #g }"
    assert [(kind, why.rpartition(": ")[2]) for kind, why in comment_faults(text)] == [
        ("inline", "#c ..."),
        ("inline", "#d ..."),
        ("regexp", "#e ..."),
    ]
