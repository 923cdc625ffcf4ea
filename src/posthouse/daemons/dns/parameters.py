"""What dns(8) reads from main.cf."""

from typing import Final

from posthouse.config.parameter import NameList

DNS_NAMESERVERS: Final = NameList(
    "dns_nameservers",
    "",
    doc="Name servers to ask in place of those of /etc/resolv.conf: addresses, each with :port where it is not 53 "
    "(127.0.0.1:5353, [::1]:5353). The first that answers is used.",
)

PARAMETERS: Final = (DNS_NAMESERVERS,)
