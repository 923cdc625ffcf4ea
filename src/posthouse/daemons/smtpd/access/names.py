"""The restrictions that Postfix has and smtpd(8) has not yet, by name: light, for the check of a configuration."""

from typing import Final

# With an argument: the next item belongs to it.
NOT_BUILT_WITH_ARGUMENT: Final = frozenset(
    {
        "check_policy_service",
        "check_client_a_access",
        "check_client_mx_access",
        "check_client_ns_access",
        "check_reverse_client_hostname_a_access",
        "check_reverse_client_hostname_mx_access",
        "check_reverse_client_hostname_ns_access",
        "check_ccert_access",
        "check_sasl_access",
        "check_helo_a_access",
        "check_helo_mx_access",
        "check_helo_ns_access",
        "check_sender_a_access",
        "check_sender_mx_access",
        "check_sender_ns_access",
        "check_recipient_a_access",
        "check_recipient_mx_access",
        "check_recipient_ns_access",
        "check_etrn_access",
        "permit_dnswl_client",
        "permit_rhswl_client",
        "reject_rbl_client",
        "reject_rbl",
        "reject_rhsbl_client",
        "reject_rhsbl_reverse_client",
        "reject_rhsbl_helo",
        "reject_rhsbl_sender",
        "reject_rhsbl_recipient",
    }
)
NOT_BUILT: Final = frozenset(
    {
        "reject_authenticated_sender_login_mismatch",
        "reject_known_sender_login_mismatch",
        "reject_unauthenticated_sender_login_mismatch",
        "reject_sender_login_mismatch",
        "reject_unverified_sender",
        "reject_unverified_recipient",
        "permit_mx_backup",
    }
)
