"""Privileges: what the kernel is told to refuse. The declarations are in each daemon; enforcement grows here."""
