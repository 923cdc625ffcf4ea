"""The receiving system of tests/support/receiver.py."""

from tests.support.receiver import receiver

__all__ = ["receiver"]
