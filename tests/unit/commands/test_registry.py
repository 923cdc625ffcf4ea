"""The registry says truly what is built: a check that believes it must neither stop nor pass by mistake."""

from posthouse.commands.registry import registry
from posthouse.config.check_restrictions import KNOWN, REMOVED, WITH_ARGUMENT
from posthouse.daemons.smtpd.access import tables
from posthouse.daemons.smtpd.access.lists import SIMPLE
from posthouse.daemons.smtpd.access.names import NOT_BUILT, NOT_BUILT_WITH_ARGUMENT


def test_restrictions_are_those_that_smtpd_compiles() -> None:
    """What the check lets pass is what smtpd knows, and what it calls unbuilt is what smtpd answers with 451."""
    compiled = {*SIMPLE, *tables.KINDS, "sleep", "warn_if_reject"}
    assert registry().restrictions == compiled
    assert compiled | NOT_BUILT | NOT_BUILT_WITH_ARGUMENT == KNOWN
    assert not KNOWN & REMOVED.keys()


def test_words_with_an_argument_are_the_same_for_smtpd() -> None:
    """Otherwise the check would take an argument for a restriction."""
    assert {*tables.KINDS, *NOT_BUILT_WITH_ARGUMENT, "sleep"} == WITH_ARGUMENT


def test_the_daemons_of_this_release_are_programs() -> None:
    """A few that must be there, and the scheduler that we do not have."""
    programs = registry().programs
    assert {"smtpd", "cleanup", "qmgr", "smtp", "lmtp", "local", "virtual", "bounce", "pickup"} <= programs
    assert "oqmgr" not in programs
