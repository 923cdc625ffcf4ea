"""Records as octets: strict, and able to hold text that is no UTF-8."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.ipc import cleanup, delivery, queue, showq
from posthouse.ipc.codec import ESCAPED, Decoder, RecordError, encode
from posthouse.ipc.message import Envelope, Recipient, decode_envelope, encode_envelope
from posthouse.ipc.queue import Commit, ToQueue

octets_as_text = st.binary(max_size=20).map(lambda octets: octets.decode("utf-8", "surrogateescape"))
recipients = st.builds(Recipient, octets_as_text, octets_as_text, octets_as_text, st.integers(0, 15))
envelopes = st.builds(Envelope, octets_as_text, octets_as_text, st.floats(0, 2e9), message_id=octets_as_text)
commits = st.builds(Commit, st.integers(0, 2**31), envelopes, st.lists(recipients, max_size=3), st.binary(max_size=50))


@given(commits)
def test_every_record_comes_back_as_it_was(commit: Commit) -> None:
    """Octets that are no UTF-8 too, wherever they stand."""
    assert Decoder[ToQueue](ToQueue).decode(encode(commit)) == commit


def test_only_a_record_with_odd_text_is_written_the_other_way() -> None:
    """The usual one costs nothing more."""
    assert encode(Recipient("ü@b"))[0] != ESCAPED
    assert encode(Recipient("\udcff@b"))[0] == ESCAPED


@given(envelopes)
def test_envelopes_in_the_queue_come_back(envelope: Envelope) -> None:
    """The store keeps them as octets."""
    assert decode_envelope(encode_envelope(envelope)) == envelope


def test_an_envelope_of_an_older_version_is_read() -> None:
    """Messages that wait in the queue outlive the version that stored them: new fields stand at the end."""
    envelope = Envelope("3x", "a@example.com", 1.0, full_name="A", filter="scan:", bcc=("b@example.com",))
    fields = msgspec.msgpack.decode(encode_envelope(envelope))
    assert decode_envelope(msgspec.msgpack.encode(fields[:15])) == Envelope("3x", "a@example.com", 1.0, full_name="A")


DECODERS = [Decoder[object](kind) for kind in (queue.ToQueue, cleanup.ToCleanup, delivery.Results, showq.FromShowq)]


@given(st.binary(max_size=100), st.sampled_from([b"", bytes([ESCAPED]), b"\x93\x01\x01", b"\x95\x02\x01\x91"]))
def test_no_octets_make_it_raise_anything_else(octets: bytes, start: bytes) -> None:
    """A peer can send what it likes."""
    for decoder in DECODERS:
        try:
            decoder.decode(memoryview(start + octets))
        except RecordError:
            continue


@pytest.mark.parametrize("start", [b"", bytes([ESCAPED])])
def test_nested_arrays_do_not_exhaust_the_stack(start: bytes) -> None:
    """A hundred thousand brackets are one octet each."""
    decoder = Decoder[object](queue.ToQueue)
    with pytest.raises(RecordError):
        decoder.decode(start + b"\x95\x02\x01\x91" + b"\x91" * 100_000)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\xc1",
        b"\xc1\x94\x02\x01",
        encode(Recipient("a"))[:-1],
        encode(Recipient("a")) + b"x",
        b"\x94\x01\x01\x02\x03",
    ],
)
def test_what_is_no_record_is_refused(octets: bytes) -> None:
    """Cut off, too long, of the wrong types, or escaped nothing."""
    with pytest.raises(RecordError):
        Decoder[Recipient](Recipient).decode(octets)
