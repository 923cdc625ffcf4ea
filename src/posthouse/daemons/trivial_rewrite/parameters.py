"""What trivial-rewrite(8) reads from main.cf."""

from typing import Final

from posthouse.config.parameters import IPC_TIMEOUT, PROXYMAP_SERVICE_NAME, SMTPUTF8_ENABLE
from posthouse.rewriting import resolve

PARAMETERS: Final = (*resolve.PARAMETERS, SMTPUTF8_ENABLE, PROXYMAP_SERVICE_NAME, IPC_TIMEOUT)
