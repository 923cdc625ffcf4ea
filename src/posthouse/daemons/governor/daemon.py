"""governor(8): watches what the mail system lives on, and says what is to be done when it becomes scarce.

It measures free space and files where the queue and the mailboxes are, memory (of the machine, of control groups),
pressure, descriptors, processes, delays, age of the queue and certificates, and it notices daemons that fail again and
again or fall silent. From these it makes a level (normal, busy, strained, critical), logs each change, and tells the
daemons which steps are in force. Before mail has to be refused the postmaster gets a message, and a webhook is called.
It does nothing itself: without it the last word holds.

Diagnostics: "resources: WHAT LEVEL -> LEVEL: NUMBERS; in force: STEPS" for each change; `posthouse status` shows all.
Bugs: a certificate that only root may read is not watched.
See also: smtpd(8), cleanup(8), qmgr(8), pickup(8); docs/reliability.md.
"""

from posthouse.daemons.governor.parameters import CERTIFICATE_PARAMETERS, PARAMETERS
from posthouse.skeleton.daemon import Daemon, Later, Privileges

DAEMON = Daemon(
    name="governor",
    start=Later("posthouse.daemons.governor.service", "GovernorService"),
    parameters=PARAMETERS,
    talks_to=("cleanup", "dns"),
    privileges=Privileges(
        user="$mail_owner",
        chroot="never",
        network=("$resource_notice_webhook",),
        reads=(
            "/proc/meminfo",
            "/proc/pressure",
            "/proc/loadavg",
            "/proc/sys/fs/file-nr",
            "/proc/sys/kernel/threads-max",
            "/proc/self/cgroup",
            "/proc/self/smaps_rollup",
            "/sys/fs/cgroup",
            "$queue_directory/pid",
            *(f"${name}" for name in CERTIFICATE_PARAMETERS),
        ),
        writes=("$data_directory/governor",),
        threads=True,
    ),
    resident=True,
)
