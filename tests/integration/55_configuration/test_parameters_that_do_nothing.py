"""A parameter that nothing reads does not stop the start, and is never passed over in silence."""

import re

from tests.conftest import Start
from tests.support import net


def test_they_are_named_at_start_with_their_places(posthouse: Start) -> None:
    """One line in the log for those that are not built, one for those that never need to be; mail is served."""
    server = posthouse(
        main={
            "smtp_tls_loglevel": "2",
            "daemon_directory": "/usr/lib/postfix/sbin",
            "smtp_delivery_slot_cost": "7",
            "biff": "no",
        }
    )
    lines = (server.config_directory / "main.cf").read_text(encoding="utf-8").splitlines()
    number = {line.partition(" ")[0]: at for at, line in enumerate(lines, start=1)}
    missing = server.wait_log(r"warning: parameters that are not built yet have no effect: .*")
    assert re.search(rf"\bsmtp_tls_loglevel \([^ ]*/main\.cf:{number['smtp_tls_loglevel']}\)", missing[0])
    needless = server.wait_log(r"warning: parameters that Posthouse has no use for: .*")[0]
    assert f"/main.cf:{number['daemon_directory']})" in needless
    assert "smtp_delivery_slot_cost (" in needless
    assert "biff" not in server.log(), "to switch off what is not there is no mistake"
    assert net.greeting(server.port).startswith(b"220")
