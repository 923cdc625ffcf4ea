"""What proxymap(8) reads from main.cf: the tables it may open, and how keys are folded."""

from typing import Final

from posthouse.config.parameters import PROXY_READ_MAPS, SMTPUTF8_ENABLE

PARAMETERS: Final = (PROXY_READ_MAPS, SMTPUTF8_ENABLE)
