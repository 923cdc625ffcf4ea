"""postmulti(1): manage several mail systems on one host, each with its own configuration, queue and data directories.

The primary instance is that of MAIL_CONFIG, or the default one; its main.cf names the others. Source: postmulti(1).
"""

from posthouse.commands.postmulti.main import main

__all__ = ["main"]
