"""The error that ends a process. Apart from util/errors.py because what runs as root needs this one only."""


class Fatal(Exception):
    """This process cannot go on: one log line, then exit; master starts another one after a delay."""
