"""The checks of a configuration, by subject: each module has its kinds of findings and the functions that look.

config/check.py has the table of them all; docs/checks.md is made from the kinds.
"""
