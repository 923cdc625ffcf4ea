"""Which item of a match list (mynetworks, mydestination ...) matched: asked of a list of that item alone."""

from posthouse.config.parameter import Parameter
from posthouse.config.parameters import PARENT_DOMAIN_MATCHES_SUBDOMAINS
from posthouse.config.settings import Settings
from posthouse.tables.matchlist import Kind, ListOptions, MatchList
from posthouse.tables.open import Opener
from posthouse.util.errors import ConfigError, TableError


async def matching_pattern(
    parameter: Parameter[tuple[str, ...]], settings: Settings, opener: Opener, text: str, *, name: str | None = None
) -> str:
    """Give the first item that matches, as it is written; "" when there is none.

    name: of a client whose address is `text` (a list of hosts); None: a list of texts or domains.
    """
    parents = parameter.name in settings[PARENT_DOMAIN_MATCHES_SUBDOMAINS]
    kind = Kind.DOMAIN if parents else Kind.STRING
    options = ListOptions(kind if name is None else Kind.HOST, parents=parents, label=parameter.name)
    for item in settings[parameter]:
        try:
            alone = MatchList([item.lstrip("!")], opener, options)
            found = await (alone.matches(text) if name is None else alone.matches_client(name, text))
        except (ConfigError, TableError):
            continue
        if found:
            return item
    return ""
