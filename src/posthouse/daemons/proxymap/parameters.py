"""What proxymap(8) reads from main.cf: the tables it may open and change, and how keys are folded."""

from typing import Final

from posthouse.config.parameter import NameList, String
from posthouse.config.parameters import PROXY_READ_MAPS, SMTPUTF8_ENABLE

PROXY_WRITE_MAPS: Final = NameList(
    "proxy_write_maps",
    "$smtp_sasl_auth_cache_name $lmtp_sasl_auth_cache_name $address_verify_map $postscreen_cache_map",
    doc="Tables that the service proxywrite may change; those written with proxy: count.",
)
PROXYWRITE_SERVICE_NAME: Final = String(
    "proxywrite_service_name", "proxywrite", doc="The service of proxymap(8) that changes tables.", minimum_length=1
)

PARAMETERS: Final = (PROXY_READ_MAPS, PROXY_WRITE_MAPS, PROXYWRITE_SERVICE_NAME, SMTPUTF8_ENABLE)
