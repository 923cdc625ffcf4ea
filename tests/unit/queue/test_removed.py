"""The record of removed queue IDs: bounded, and long enough."""

from posthouse.queue.sqlite.removed import GENERATION, Removed


def test_last_generation_is_always_known() -> None:
    """Whatever the sizes of batches, the last GENERATION IDs are known and not much more than twice as many."""
    removed = Removed()
    total = 0
    for batch in range(1, 400):
        size = 1 + batch % 700
        removed.add([f"ID{number}" for number in range(total, total + size)], batch)
        total += size
        assert all(f"ID{number}" in removed for number in range(max(0, total - GENERATION), total, 97))
        assert len(removed) <= 2 * GENERATION + 1400
    assert "ID0" not in removed


def test_oldest_batch_is_what_the_ledger_must_keep() -> None:
    """Rows before it hold forgotten IDs only."""
    removed = Removed()
    assert not removed.add(["A"], 1)
    assert not removed.add([f"B{number}" for number in range(GENERATION)], 2)
    assert removed.add(["C"], 3)
    assert removed.oldest_batch <= 1
    assert not removed.add([f"D{number}" for number in range(GENERATION)], 4)
    assert removed.add(["E"], 5)
    assert removed.oldest_batch == 3
    assert "A" not in removed
    assert "C" in removed
