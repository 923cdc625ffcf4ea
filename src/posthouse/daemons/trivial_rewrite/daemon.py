"""trivial-rewrite(8): brings addresses to standard form, and says where mail for an address goes.

Three requests: rewrite, to standard form; resolve, to transport, nexthop and recipient; verify, as resolve, with the
settings for address probes. Clients send the addresses of one message together and remember the answers; an answer's
generation tells them when to forget. A table that cannot be asked gives "try again", never a guess.

Security: it takes requests from the mail system's own processes only; addresses in them come from strangers.
Standards: RFC 5321 appendix C (source routes), RFC 6531. Diagnostics: lookup failures, and domains that are listed in
more than one address class. See also: transport(5), relocated(5), ADDRESS_CLASS_README.
"""

from posthouse.daemons.trivial_rewrite.parameters import PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="trivial-rewrite",
    start=Later("posthouse.daemons.trivial_rewrite.service", "RewriteService"),
    parameters=PARAMETERS,
    talks_to=("proxymap",),
    privileges=Privileges(user="$mail_owner"),
)
