"""Single: an echo that there may be only one of, and that stays, as qmgr does."""

from fake_daemons.echo.daemon import Echo  # type: ignore[import-not-found]  # found by fake_warm.py
from posthouse.skeleton.daemon import Daemon, Privileges

DAEMON = Daemon(name="single", start=Echo, parameters=(), privileges=Privileges(user="$queue_owner"), resident=True)
