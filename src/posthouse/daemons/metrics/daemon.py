"""metrics(8): tells monitoring how the mail system is, over HTTP: numbers, liveness, readiness.

It runs where master.cf has a line for it and nowhere else. On a port ("127.0.0.1:9154 inet n - n - - metrics") it
answers whoever reaches the port; on a UNIX socket ("metrics unix - - n - - metrics") root and the mail system's own
users. GET /metrics gives everything that governor(8) knows, as OpenMetrics or in Prometheus' classic text format,
whichever the Accept field asks for; /live is 200 when master, this process and governor(8) work; /ready is 200 when
mail would be taken now, and otherwise 503 with the reasons. No address, name or content of mail is in any of it.

Requests come from strangers, so it is a process of its own: it can neither measure nor change anything, only ask. What
is not a plain GET or HEAD is refused; sizes, time and the number of connections are limited.

Standards: RFC 9110, RFC 9112; OpenMetrics 1.0.
Diagnostics: none; requests are not logged.
Bugs: whoever reaches the port can hold all its connections, for five seconds each.
See also: governor(8), smtpd(8); docs/metrics.md.
"""

from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="metrics",
    start=Later("posthouse.daemons.metrics.service", "MetricsService"),
    parameters=(),
    talks_to=("governor", "cleanup"),
    privileges=Privileges(user="$network_owner", network=("accept",)),
    clients=32,
)
