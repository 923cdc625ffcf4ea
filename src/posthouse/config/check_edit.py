"""What `postconf -e` asks before it changes main.cf: names that nothing would read.

Postfix takes any name. A name is taken here when it is a parameter, or one of a transport or service (uucp_time_limit),
when main.cf has it already, when a value refers to it, one that is set by the same command included, when it is a
restriction class, or when it is an attribute of a table that a value names (ldap:people, people_search_base).
"""

from collections.abc import Mapping

from posthouse.config import catalog
from posthouse.config.deprecated import REMOVED
from posthouse.config.load import Configuration
from posthouse.config.usage import find_usage


def unknown_names(configuration: Configuration, new: Mapping[str, str]) -> dict[str, str]:
    """Give the names among `new` that nothing reads, each with the parameter that was probably meant, or ""."""
    before = configuration.main.values
    usage = find_usage({**before, **new}, configuration.master.services)
    found = [
        name
        for name in usage.unused
        if name in new and name not in before and name not in REMOVED and catalog.family_of(name) is None
    ]
    return {name: catalog.did_you_mean(name) or "" for name in found}


def refusal(unknown: Mapping[str, str]) -> str:
    """Say why nothing is changed."""
    shown = [f'"{name}"' + (f' (did you mean "{guess}"?)' if guess else "") for name, guess in unknown.items()]
    return (
        f"no parameter is called {', '.join(shown)}, and no value refers to it; nothing is changed. "
        "Set it together with the value that uses it, or use --force"
    )
