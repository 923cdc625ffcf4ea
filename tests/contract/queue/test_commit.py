"""What a queue store promises of messages that come in: durable once, and only once, under their queue ID."""

import asyncio
import os

from posthouse.ipc.message import BOUNCED as REFUSED
from posthouse.ipc.message import NOTIFY_FAILURE, Recipient, RecipientResult
from posthouse.queue.values import BOUNCED, Committed, NotStoredError
from tests.contract.queue.harness import ARRIVAL, Harness, message


def test_committed_message_comes_back_as_it_was_given(queue: Harness) -> None:
    """Every field of message and recipients survives, in the order of the recipients."""
    recipients = [Recipient("a@example.org", "A@example.org", "rfc822;A@example.org", NOTIFY_FAILURE), Recipient("b")]
    [key] = queue.put(message("ID1", sender="", recipients=recipients, attributes=b"\x00\xff", flags=1 << 20))
    found = queue.get("ID1")
    assert found == queue.wait(queue.store.load(key))
    assert (found.queue_name, found.sender, found.arrival, found.size) == ("incoming", "", ARRIVAL, 5)
    assert (found.attributes, found.flags, found.recipient_count, found.spooled) == (b"\x00\xff", 1 << 20, 2, False)
    assert [(r.rcpt_id, r.address, r.original, r.dsn_orcpt, r.notify) for r in found.recipients] == [
        (1, "a@example.org", "A@example.org", "rfc822;A@example.org", NOTIFY_FAILURE),
        (2, "b", "", "", 0),
    ]
    assert queue.content(key) == b"body\n"


def test_commit_survives_a_restart(queue: Harness) -> None:
    """What was answered is there when the store is opened again, and so are the counts."""
    queue.put(message("ID1"), message("ID2", hold=True))
    again = queue.reopen()
    assert again.listed_ids() == ["ID1", "ID2"]
    assert again.store.counts == (1, 0, 1, 0)
    assert again.content(again.get("ID1").key) == b"body\n"
    again.close()


def test_replayed_commit_is_a_success_without_a_second_copy(queue: Harness) -> None:
    """The same queue ID again, in the same batch or later, is answered "already there" with the old key."""
    first, second = queue.commit(message("ID1"), message("ID1"))
    assert first == Committed(1, already=False)
    assert second == Committed(1, already=True)
    assert queue.commit(message("ID0"), message("ID1", content=b"other"), message("ID2")) == [
        Committed(3, already=False),
        Committed(1, already=True),
        Committed(5, already=False),
    ]
    assert queue.listed_ids() == ["ID1", "ID0", "ID2"]
    assert queue.content(1) == b"body\n"
    assert queue.store.counts.incoming == 3


def test_replay_after_removal_is_still_committed(queue: Harness) -> None:
    """A message that was delivered and removed is not taken a second time, also not after a restart."""
    [key] = queue.put(message("ID1"))
    queue.remove(key, "ID1")
    assert queue.commit(message("ID1")) == [Committed(0, already=True)]
    again = queue.reopen()
    assert again.commit(message("ID1")) == [Committed(0, already=True)]
    assert again.wait(again.store.is_committed("ID1"))
    assert again.listed_ids() == []
    again.close()


def test_is_committed_waits_for_the_batch_under_way(queue: Harness) -> None:
    """The answer takes every commit into account that was asked for before."""
    queue.store.commit(message("ID1"), lambda _: None)
    assert queue.wait(queue.store.is_committed("ID1"))
    assert not queue.wait(queue.store.is_committed("ID2"))


def test_replaced_message_goes_when_the_new_one_comes(queue: Harness) -> None:
    """A requeued message takes the old one's place in one transaction; its replay does not remove anything more."""
    [old] = queue.put(message("OLD"))
    [new] = queue.put(message("NEW", replaces=old))
    assert queue.listed_ids() == ["NEW"]
    assert queue.commit(message("NEW", replaces=old)) == [Committed(new, already=True)]
    assert queue.listed_ids() == ["NEW"]
    assert queue.store.counts.incoming == 1


def test_octets_that_are_no_utf8_come_back(queue: Harness) -> None:
    """Addresses and reasons with surrogate escapes are kept; other text of the same batch is not touched."""
    odd = "o\udcffd@ex\udc80.org"
    keys = queue.put(message("ID1", odd, sender=odd), message("ID2", "é@example.org"))
    queue.record(keys[0], [RecipientResult(1, REFUSED, "5.0.0", "said \udcfe")])
    found = queue.get("ID1")
    assert (found.sender, found.recipients[0].address, found.recipients[0].text) == (odd, odd, "said \udcfe")
    assert found.recipients[0].state == BOUNCED
    assert queue.get("ID2").recipients[0].address == "é@example.org"


def test_strings_that_look_like_statements_are_only_text(queue: Harness) -> None:
    """Quotes, NUL and statement text in addresses are stored and found as they are."""
    odd = 'x\'); DROP TABLE message; --\x00@"example".org'
    queue.put(message("ID1", odd, sender=odd))
    found = queue.get("ID1")
    assert (found.sender, found.recipients[0].address) == (odd, odd)


def test_many_recipients_come_in_pages(queue: Harness) -> None:
    """A message brings its first thousand recipients; the others are asked for."""
    addresses = [f"user{number}@example.org" for number in range(2500)]
    [key] = queue.put(message("ID1", *addresses))
    found = queue.get("ID1")
    assert found.has_more_recipients
    assert [r.address for r in found.recipients] == addresses[:1000]
    more = queue.wait(queue.store.recipients(key, after=1000, limit=2000))
    assert [r.address for r in more] == addresses[1000:]
    queue.remove(key, "ID1")


def test_large_batches_are_stored_whole(queue: Harness) -> None:
    """Any number of messages in one batch goes in, whatever pieces the statements have."""
    for count in (1, 15, 16, 17, 63, 64, 65, 130):
        queue.put(*[message(f"B{count}N{number}") for number in range(count)])
    assert queue.store.counts.incoming == 371
    assert len(queue.listed_ids()) == 371


def test_leased_numbers_are_never_given_twice(queue: Harness) -> None:
    """Leases do not overlap, in one batch, one after the other, or over a restart."""
    together = [queue.store.lease(10), queue.store.lease(5)]
    firsts = [queue.wait(lease) for lease in together] + [queue.wait(queue.store.lease(1))]
    assert firsts == [1, 11, 16]
    again = queue.reopen()
    assert again.wait(again.store.lease(1)) == 17
    again.close()


def test_spooled_content_is_a_file_that_cannot_be_written(queue: Harness) -> None:
    """Large content comes back as a descriptor for reading; removal deletes the file."""
    data = os.urandom(200_000)
    [key] = queue.put(message("ID1", content=queue.spool(data)))
    assert queue.get("ID1").spooled
    assert queue.content(key) == data
    [name] = os.listdir(queue.files.spool_path)
    assert os.stat(os.path.join(queue.files.spool_path, name)).st_mode & 0o777 == 0o400
    queue.remove(key, "ID1")
    assert os.listdir(queue.files.spool_path) == []


def test_replayed_spool_file_is_dropped(queue: Harness) -> None:
    """The second copy's file does not stay."""
    queue.put(message("ID1", content=queue.spool(b"first")))
    assert queue.commit(message("ID1", content=queue.spool(b"second"))) == [Committed(1, already=True)]
    assert len(os.listdir(queue.files.spool_path)) == 1
    assert queue.content(1) == b"first"


def test_spool_file_that_is_still_open_for_writing_is_refused(queue: Harness) -> None:
    """A descriptor that was lent and not closed would let its holder change committed mail."""
    file = queue.spool(b"content")
    lent = os.dup(file.descriptor)
    [refused, stored] = queue.commit(message("ID1", content=file), message("ID2"))
    assert isinstance(refused, NotStoredError)
    assert isinstance(stored, Committed)
    os.close(lent)
    assert queue.listed_ids() == ["ID2"]


def test_dropped_spool_file_leaves_nothing(queue: Harness) -> None:
    """A transaction that was given up leaves no file."""
    queue.store.drop_spool_file(queue.spool(b"content"))
    assert os.listdir(queue.files.spool_path) == []


def test_orphaned_spool_files_are_swept_after_a_start(queue: Harness) -> None:
    """A file without a row, from a crash between its link and the commit, goes; the others and foreign ones stay."""
    queue.put(message("ID1", content=queue.spool(b"content")))
    [kept] = os.listdir(queue.files.spool_path)
    queue.close()
    for name in ("0123456789abcdef01234567", "tmp-0123456789abcdef01234567", "notes"):
        with open(os.path.join(queue.files.spool_path, name), "wb") as file:
            file.write(b"x")
    again = Harness(queue.directory)
    for _ in range(300):
        if sorted(os.listdir(queue.files.spool_path)) == [kept, "notes"]:
            break
        again.loop.run_until_complete(asyncio.sleep(0.01))
    assert sorted(os.listdir(queue.files.spool_path)) == [kept, "notes"]
    again.close()
