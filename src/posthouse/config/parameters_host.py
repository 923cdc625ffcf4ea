"""Parameters about this host: its names, networks, directories and users. Read by several daemons."""

from typing import Final

from posthouse.config.parameter import Enum, Integer, NameList, Patterns, String

COMPATIBILITY_LEVEL: Final = String(
    "compatibility_level",
    "0",
    doc="Up to which release changed defaults are accepted: major.minor.patch.",
    minimum_length=1,
)
MYHOSTNAME: Final = String(
    "myhostname",
    "",
    doc="The full name of this host. Default: the kernel's host name, with mydomain when it has no dot.",
    minimum_length=1,
)
MYDOMAIN: Final = String(
    "mydomain", "", doc="The domain of this host. Default: myhostname without its first label.", minimum_length=1
)
MYORIGIN: Final = String(
    "myorigin",
    "$myhostname",
    doc="The domain that addresses without one get; an absolute path names a file to read it from.",
    minimum_length=1,
)
MYDESTINATION: Final = Patterns(
    "mydestination",
    "$myhostname, localhost.$mydomain, localhost",
    doc="The domains whose mail is delivered to users of this host, through local_transport.",
)
MYNETWORKS: Final = Patterns(
    "mynetworks",
    "",
    doc="The networks whose clients may relay. Default: computed from the interfaces by mynetworks_style.",
)
MYNETWORKS_STYLE: Final = Enum(
    "mynetworks_style",
    "${{$compatibility_level} <level {2} ? {subnet} : {host}}",
    doc="How mynetworks is computed: this host only, its subnets, or its class A/B/C networks.",
    choices=("class", "subnet", "host"),
)
INET_INTERFACES: Final = NameList(
    "inet_interfaces",
    "all",
    doc="The addresses at which mail is received: all, loopback-only, or addresses and names.",
    minimum_items=1,
)
INET_PROTOCOLS: Final = NameList(
    "inet_protocols", "all", doc="The protocols used to receive and send: all, ipv4, ipv6.", minimum_items=1
)
PROXY_INTERFACES: Final = NameList(
    "proxy_interfaces", "", doc="Further addresses that are ours: of an address translator or proxy before this host."
)

QUEUE_DIRECTORY: Final = String(
    "queue_directory",
    "/var/spool/postfix",
    doc="The directory of the queue and of the services' sockets.",
    minimum_length=1,
)
DATA_DIRECTORY: Final = String(
    "data_directory", "/var/lib/postfix", doc="Data that daemons keep for themselves: caches, locks.", minimum_length=1
)
MAIL_SPOOL_DIRECTORY: Final = String(
    "mail_spool_directory",
    "/var/mail",
    doc="Users' mailboxes; with a slash at the end in Maildir format.",
    minimum_length=1,
)
MULTI_INSTANCE_NAME: Final = String(
    "multi_instance_name", "", doc="The name of this instance: tag in the log and name for postmulti."
)

MAIL_OWNER: Final = String(
    "mail_owner",
    "posthouse",
    doc="The user of the inner daemons. Must own nothing else and run nothing else.",
    minimum_length=1,
)
NETWORK_OWNER: Final = String(
    "network_owner",
    "postnet",
    doc="The user of the daemons that talk to the network (ours, not Postfix's).",
    minimum_length=1,
)
QUEUE_OWNER: Final = String(
    "queue_owner",
    "postspool",
    doc="The user of qmgr, the only one that can open the queue (ours, not Postfix's).",
    minimum_length=1,
)
SETGID_GROUP: Final = String(
    "setgid_group", "postdrop", doc="The group of the maildrop directory and of the public sockets.", minimum_length=1
)
DEFAULT_PRIVS: Final = String(
    "default_privs", "nobody", doc="The user for deliveries to commands and files of root's aliases.", minimum_length=1
)
CONFINEMENT: Final = Enum(
    "confinement",
    "prefer",
    doc="Landlock, filters of system calls and what belongs to them: refuse to start where the kernel lacks some of it "
    "(require), use what there is (prefer), or use none (off). Ours, not Postfix's.",
    choices=("require", "prefer", "off"),
)
LANDLOCK_NEWEST_ABI: Final = Integer(
    "landlock_newest_abi", "99", doc="Use Landlock as if the kernel had no newer version; 0: not at all.", maximum=99
)

HOST_PARAMETERS: Final = (
    COMPATIBILITY_LEVEL,
    MYHOSTNAME,
    MYDOMAIN,
    MYORIGIN,
    MYDESTINATION,
    MYNETWORKS,
    MYNETWORKS_STYLE,
    INET_INTERFACES,
    INET_PROTOCOLS,
    PROXY_INTERFACES,
    QUEUE_DIRECTORY,
    DATA_DIRECTORY,
    MAIL_SPOOL_DIRECTORY,
    MULTI_INSTANCE_NAME,
    MAIL_OWNER,
    NETWORK_OWNER,
    QUEUE_OWNER,
    SETGID_GROUP,
    DEFAULT_PRIVS,
    CONFINEMENT,
    LANDLOCK_NEWEST_ABI,
)
