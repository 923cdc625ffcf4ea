"""Checks of names: those that nothing reads, and those that are referred to and set nowhere."""

from collections.abc import Iterator

from posthouse.config import catalog
from posthouse.config.checks.context import Context
from posthouse.config.findings import WARNING, Finding, Kind
from posthouse.config.usage import Usage, find_usage, references

UNKNOWN_PARAMETER = Kind(
    "unknown-parameter",
    WARNING,
    "main.cf sets a name that is no parameter, and no other value refers to it.",
    "it has no effect",
)
UNKNOWN_OVERRIDE = Kind(
    "unknown-override",
    WARNING,
    "An -o option in master.cf sets a name that is no parameter, and nothing refers to it.",
    "it has no effect",
)
NO_SUCH_TRANSPORT = Kind(
    "setting-of-no-transport",
    WARNING,
    "A name such as uucp_destination_recipient_limit is set, and master.cf has no transport of that name.",
    "it has no effect",
)
UNDEFINED = Kind(
    "undefined-reference",
    WARNING,
    "A value refers to $name, and nothing sets or defines that name.",
    "it is empty",
)


def check_names(context: Context) -> Iterator[Finding]:
    """Find names that nobody reads, and references to names that nobody sets."""
    usage = find_usage(context.configuration.main.values, context.configuration.master.services)
    yield from _unused(context, usage)
    yield from _undefined(context, usage)


def _unused(context: Context, usage: Usage) -> Iterator[Finding]:
    for name in usage.unused:
        place = context.place(name)
        family = catalog.family_of(name)
        if family is not None:
            transport = name.removesuffix(family.name.partition(">")[2])
            yield _of_no_transport(context, name, transport)
        else:
            yield UNKNOWN_PARAMETER.at(place, f"unused parameter: {name}", guess_name(name))
    for override in usage.unused_overrides:
        what = f"unused parameter: {override.name} (service {override.service.name})"
        yield UNKNOWN_OVERRIDE.at(context.line_of(override.service), what, guess_name(override.name))


def _of_no_transport(context: Context, name: str, transport: str) -> Finding:
    place = context.place(name)
    service = next((service for service in context.services() if service.name == transport), None)
    if service is not None:
        what = f"unused parameter: {name}; the service {transport} runs {service.program}, which has none like it"
        return NO_SUCH_TRANSPORT.at(place, what, "take the line out")
    what = f'unused parameter: {name}; master.cf has no transport "{transport}"'
    return NO_SUCH_TRANSPORT.at(place, what, _guess_transport(context, transport))


def _undefined(context: Context, usage: Usage) -> Iterator[Finding]:
    macros = (*context.configuration.main.values, *context.registry.parameters)
    classes = context.items("smtpd_restriction_classes")
    for name in usage.undefined:
        if name in classes:
            continue  # there is a check of its own
        users = [user for user, text in context.configuration.main.values.items() if name in references(text)]
        if not context.bad.intersection(users):
            what = f"{users[0] if users else 'a value'} refers to ${name}, which is not set"
            yield UNDEFINED.at(context.place(users[0] if users else ""), what, guess_name(name, macros))
    for name in usage.undefined_overrides:
        if name in usage.undefined:
            continue
        for service in context.services():
            names = [own for own, text in service.overrides if name in references(text)]
            if names and not context.bad.intersection(names):
                what = f"-o {names[0]} of service {service.name} refers to ${name}, which is not set"
                yield UNDEFINED.at(context.line_of(service), what, guess_name(name, macros))


def guess_name(name: str, more: tuple[str, ...] = ()) -> str:
    """Ask whether another parameter was meant, when there is one like it."""
    guess = catalog.did_you_mean(name, more)
    return f'did you mean "{guess}"?' if guess and guess != name else "correct the name, or take it out"


def _guess_transport(context: Context, transport: str) -> str:
    import difflib  # noqa: PLC0415 (only a mistake should cost it)

    names = [service.name for service in context.services() if service.type == "unix"]
    near = difflib.get_close_matches(transport, names, n=1, cutoff=0.7)
    return f'did you mean the transport "{near[0]}"?' if near else "add the service, or take the line out"
