"""What resolving reads from main.cf beyond the parameters that other parts read, too."""

from typing import Final

from posthouse.config.parameter import Boolean, String, Tables

RESOLVE_DEQUOTED_ADDRESS: Final = Boolean(
    "resolve_dequoted_address", "yes", doc='Look for "@", "%" and "!" in quoted local parts, too.'
)
RESOLVE_NULL_DOMAIN: Final = Boolean(
    "resolve_null_domain", "no", doc='Take "user@" for a local address, in place of an error.'
)
RESOLVE_NUMERIC_DOMAIN: Final = Boolean(
    "resolve_numeric_domain", "no", doc="Take user@1.2.3.4 for user@[1.2.3.4] instead of an error."
)
EMPTY_ADDRESS_RELAYHOST_MAPS_LOOKUP_KEY: Final = String(
    "empty_address_relayhost_maps_lookup_key",
    "<>",
    doc="What stands for the null sender in sender_dependent_relayhost_maps.",
    minimum_length=1,
)
EMPTY_ADDRESS_DEFAULT_TRANSPORT_MAPS_LOOKUP_KEY: Final = String(
    "empty_address_default_transport_maps_lookup_key",
    "<>",
    doc="What stands for the null sender in sender_dependent_default_transport_maps.",
    minimum_length=1,
)
RELOCATED_PREFIX_ENABLE: Final = Boolean(
    "relocated_prefix_enable", "yes", doc='Put "5.1.6 User has moved to " in front of what relocated_maps gives.'
)
ADDRESS_VERIFY_LOCAL_TRANSPORT: Final = String(
    "address_verify_local_transport", "$local_transport", doc="As local_transport, for probes.", minimum_length=1
)
ADDRESS_VERIFY_VIRTUAL_TRANSPORT: Final = String(
    "address_verify_virtual_transport", "$virtual_transport", doc="As virtual_transport, for probes.", minimum_length=1
)
ADDRESS_VERIFY_RELAY_TRANSPORT: Final = String(
    "address_verify_relay_transport", "$relay_transport", doc="As relay_transport, for probes.", minimum_length=1
)
ADDRESS_VERIFY_DEFAULT_TRANSPORT: Final = String(
    "address_verify_default_transport", "$default_transport", doc="As default_transport, for probes.", minimum_length=1
)
ADDRESS_VERIFY_RELAYHOST: Final = String("address_verify_relayhost", "$relayhost", doc="As relayhost, for probes.")
ADDRESS_VERIFY_TRANSPORT_MAPS: Final = Tables(
    "address_verify_transport_maps", "$transport_maps", doc="As transport_maps, for probes."
)
ADDRESS_VERIFY_SENDER_DEPENDENT_RELAYHOST_MAPS: Final = Tables(
    "address_verify_sender_dependent_relayhost_maps",
    "$sender_dependent_relayhost_maps",
    doc="As sender_dependent_relayhost_maps, for probes.",
)
ADDRESS_VERIFY_SENDER_DEPENDENT_DEFAULT_TRANSPORT_MAPS: Final = Tables(
    "address_verify_sender_dependent_default_transport_maps",
    "$sender_dependent_default_transport_maps",
    doc="As sender_dependent_default_transport_maps, for probes.",
)
