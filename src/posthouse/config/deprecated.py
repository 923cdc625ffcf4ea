"""Parameters that Postfix 3.11 will drop, with what to set instead. "" means: set nothing, the default is right.

Sources: DEPRECATION_README, postconf(5); facts B01.06.
"""

from typing import Final

README: Final = "See https://www.postfix.org/DEPRECATION_README.html for details"

REPLACEMENTS: Final = {
    "authorized_verp_clients": "smtpd_authorized_verp_clients",
    "disable_dns_lookups": "smtp_dns_support_level",
    "fallback_relay": "smtp_fallback_relay",
    "lmtp_cname_overrides_servername": "",
    "lmtp_enforce_tls": "lmtp_tls_security_level",
    "lmtp_per_record_deadline": "lmtp_per_request_deadline",
    "lmtp_tls_enforce_peername": "lmtp_tls_security_level",
    "lmtp_use_tls": "lmtp_tls_security_level",
    "postscreen_blacklist_action": "postscreen_denylist_action",
    "postscreen_dnsbl_ttl": "postscreen_dnsbl_max_ttl",
    "postscreen_dnsbl_whitelist_threshold": "postscreen_dnsbl_allowlist_threshold",
    "postscreen_enforce_tls": "postscreen_tls_security_level",
    "postscreen_use_tls": "postscreen_tls_security_level",
    "postscreen_whitelist_interfaces": "postscreen_allowlist_interfaces",
    "smtp_cname_overrides_servername": "",
    "smtp_enforce_tls": "smtp_tls_security_level",
    "smtp_per_record_deadline": "smtp_per_request_deadline",
    "smtp_tls_enforce_peername": "smtp_tls_security_level",
    "smtp_use_tls": "smtp_tls_security_level",
    "smtpd_client_connection_limit_exceptions": "smtpd_client_event_limit_exceptions",
    "smtpd_enforce_tls": "smtpd_tls_security_level",
    "smtpd_per_record_deadline": "smtpd_per_request_deadline",
    "smtpd_tls_dh1024_param_file": "",
    "smtpd_tls_dh512_param_file": "",
    "smtpd_use_tls": "smtpd_tls_security_level",
    "tlsproxy_client_enforce_tls": "tlsproxy_client_security_level",
    "tlsproxy_client_level": "tlsproxy_client_security_level",
    "tlsproxy_client_policy": "tlsproxy_client_policy_maps",
    "tlsproxy_client_use_tls": "tlsproxy_client_security_level",
    "tlsproxy_enforce_tls": "tlsproxy_tls_security_level",
    "tlsproxy_use_tls": "tlsproxy_tls_security_level",
    "virtual_maps": "virtual_alias_maps",
}
DEFAULT_IS_RIGHT: Final = frozenset({"smtpd_tls_dh1024_param_file", "smtpd_tls_dh512_param_file"})
REMOVED: Final = {"deleted-test-only": "do not specify"}  # the name that Postfix's own tests use


def advice(name: str) -> str:
    """Say what to do in place of a deprecated parameter: "specify "x"" or "do not specify"."""
    replacement = REPLACEMENTS[name]
    if replacement:
        return f'specify "{replacement}"'
    return "do not specify (leave at default)" if name in DEFAULT_IS_RIGHT else "do not specify"
