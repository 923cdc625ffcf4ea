"""postsuper -r: what the envelope of a message says when it passes cleanup once more."""

from posthouse.daemons.qmgr.requeue import again
from posthouse.ipc.message import INTERNAL_MAIL, NO_ADDRESS_MAPPINGS, NO_MILTERS, Envelope, Recipient

STORED = Envelope("3A", "s@x", 1.0, hold="why", filter="old:", overrides=NO_ADDRESS_MAPPINGS, redirect="r@x",
                  refusal="5.4.0 x", expanded=(Recipient("a@x"),))  # fmt: skip


def test_requeued_mail_asks_for_the_filter_again() -> None:
    """And for everything but milters; its redirect stays (facts B03.16)."""
    new = again(STORED, "3B", "scan:now")
    assert new == Envelope("3B", "s@x", 1.0, filter="scan:now", overrides=NO_MILTERS, redirect="r@x", returns=True)


def test_a_requeued_notice_stays_a_notice() -> None:
    """No filter, no checks."""
    notice = Envelope("3A", "", 1.0, internal=True, overrides=INTERNAL_MAIL)
    assert again(notice, "3B", "scan:") == Envelope("3B", "", 1.0, internal=True, overrides=INTERNAL_MAIL)
