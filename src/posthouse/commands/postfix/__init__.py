"""postfix(1): start, stop and look after the mail system."""

from posthouse.commands.postfix.main import main

__all__ = ["main"]
