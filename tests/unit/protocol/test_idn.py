"""Domain names beyond ASCII."""

import subprocess
import sys

CODE = """
import sys
from posthouse.protocol import idn
before = set(sys.modules)
assert idn.is_valid_domain("\u00fc.test")
assert idn.domain_to_ascii("\u00fc.test") == "xn--tda.test"
assert idn.domain_to_unicode("xn--tda.test") == "\u00fc.test"
print(sorted(set(sys.modules) - before))
"""


def test_a_name_beyond_ascii_opens_no_module() -> None:
    """Behind the walls of a daemon nothing can be read any more: a client's first such name ended the session."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
