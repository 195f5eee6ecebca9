"""What a NATS server tells another one about third servers is left out of a link between gateways. Pure.

A server that accepts a gateway tells it the URLs by which it reaches every other gateway itself (an INFO whose
`gateway_cmd` is 1, to be seen in nats-server's server/gateway.go), and the receiver adds them to its own. Here they are
ports of links that belong to the teller: who followed one would be carried, delayed and cut as if it were the teller.
Towards who connected, gateways send only lines and no payload, because messages go the other way.
"""

from __future__ import annotations

import json
import re

INFO = b"INFO "
GOSSIP = 1
"""`gateway_cmd` of what is told about another gateway."""
_LINES = re.compile(rb"[^\n]*\n|[^\n]+")


class WithoutGossip:
    """Passes on what one gateway answers another, without its gossip."""

    def __init__(self) -> None:
        self._held = b""
        self._inside = False

    def passed(self, piece: bytes) -> bytes:
        """What goes on of a piece of the stream, at once but for an INFO that is not whole yet. An empty piece is the
        end: then what was held comes."""
        if not piece:
            held, self._held = self._held, b""
            return held
        lines = _LINES.findall(self._held + piece)
        self._held = b""
        return b"".join(line for line in lines if self._passes(line))

    def _passes(self, line: bytes) -> bool:
        begins, self._inside = not self._inside, not line.endswith(b"\n")
        if begins and self._inside and line[: len(INFO)] == INFO[: len(line)]:
            self._held, self._inside = line, False
            return False
        return not (begins and _is_gossip(line))


def _is_gossip(line: bytes) -> bool:
    if not line.startswith(INFO):
        return False
    try:
        told = json.loads(line[len(INFO) :])
    except ValueError:
        return False
    return isinstance(told, dict) and told.get("gateway_cmd") == GOSSIP
