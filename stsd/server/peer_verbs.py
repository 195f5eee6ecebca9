"""What the operator asks a node about the peer set, over its socket. The root key stays with the operator: a node gets
records that are signed already, and a record proves itself."""

from __future__ import annotations

from stsd.server.membership import Membership
from stsd.server.operator import OperatorError, Told, Verb
from stsd.view import View


class PeerVerbs:
    """`peers list`: everybody, with how far each origin of theirs is known. `peers take`: a new record."""

    def __init__(self, membership: Membership, view: View) -> None:
        self._membership, self._view = membership, view

    def verbs(self) -> dict[str, Verb]:
        """By name."""
        return {"peers list": self._list, "peers take": self._take}

    def _list(self, call: Told) -> Told:
        peers, replica = self._membership.peers, self._view.replica
        furthest = replica.furthest()
        return {
            "root_key": peers.root_key.hex(),
            "peers": [
                {
                    "region": peer.region,
                    "public_key": peer.public_key.hex(),
                    "url": peer.url,
                    "since": peer.since,
                    "left_at": None if left is None else left.at,
                    "heads": {
                        str(origin): head
                        for origin, head in furthest.items()
                        if replica.identities.get(origin) == peer.public_key
                    },
                }
                for peer, left in peers.peers()
            ],
        }

    async def _take(self, call: Told) -> Told:
        refusals: list[str] = []
        try:
            await self._membership.keep((bytes.fromhex(call["record"]),), refusals.append)
        except (KeyError, TypeError, ValueError) as error:
            raise OperatorError("a record in hexadecimal is expected") from error
        except OSError as error:
            raise OperatorError(f"the node could not store it, nothing changed: {error.strerror}") from error
        if refusals:
            raise OperatorError(f"the node refuses it: {refusals[0]}")
        return {}
