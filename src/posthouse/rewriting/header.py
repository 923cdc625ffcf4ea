"""map_header: map the addresses of one header, and write it anew when one of them has become another.

So everybody else's formatting survives. What a table gives that is no address stays out of headers. Long headers are
gone through with turns for others in between. Sources: RFC 5322 3.4; facts B07.03, B07.14, B10.17.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from posthouse.protocol.message.folding import fold
from posthouse.protocol.message.tokens import (
    Node,
    external_elements,
    group_tokens,
    parse_address_list,
    read_tokens,
)
from posthouse.util.turns import Turns

# Headers whose addresses are mapped, as addresses of senders or of recipients; lower case.
SENDER_HEADERS: Final = frozenset(
    b"disposition-notification-to errors-to from mail-followup-to reply-to resent-from resent-sender return-path "
    b"return-receipt-to sender".split()
)
RECIPIENT_HEADERS: Final = frozenset(b"apparently-to bcc cc resent-bcc resent-cc resent-reply-to resent-to to".split())
MapNode = Callable[[Node], Awaitable[bool]]  # maps one address in place; whether it is another one now


async def map_header(name: bytes, value: bytes, token_limit: int, map_node: MapNode, turns: Turns) -> bytes | None:
    """Give the header as it must be now, without last line end; None: it stays as it is.

    name: as it stands, without colon; value: what is behind the colon, without last line end. Of a header with more
    than token_limit words and marks the rest is lost when it is written anew. Raises what map_node raises.
    """
    await turns.rest()
    tokens = read_tokens(value.decode("utf-8", "surrogateescape"), token_limit)
    await turns.rest()
    nodes = group_tokens(tokens)
    changed = False
    for node in nodes:
        if node.kind == "address":
            await turns.rest()
            changed |= await map_node(node)
    if not changed:
        return None
    elements = []
    for element in external_elements(nodes):
        elements.append(element)
        await turns.rest()
    pieces = ",\n".join(elements).encode("utf-8", "surrogateescape").split(b"\n")
    return fold(name + b": ", pieces)


def put_address(node: Node, text: str) -> bool:
    """Put the one address of a text in the place of a node's; False: the text has none, or several."""
    addresses = [found for found in parse_address_list(text) if found.kind == "address"]
    if len(addresses) != 1:
        return False
    node.children = addresses[0].children
    return True
