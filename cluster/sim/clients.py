"""The clients of a simulated world: each node has some, who ask for sessions, verify them and revoke them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cluster.sim import client
from cluster.sim.client import Issued, Request
from stsd.principal import Session

if TYPE_CHECKING:
    from cluster.sim.node import SimNode
    from cluster.sim.world import World

BETWEEN_REQUESTS_S = 0.25


class Clients:
    """Of all nodes of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    def arrive(self, node: SimNode) -> None:
        """A node has clients from now on."""
        self._world.scheduler.after(self._world.scheduler.soon(BETWEEN_REQUESTS_S), partial(self._come, node))

    def _come(self, node: SimNode) -> None:
        """The next request of a node's clients; the one after it is planned."""
        if node.retired:
            return
        self.arrive(node)
        if node.serving is None:
            return
        choice = self._world.scheduler.random.random()
        if choice < 0.35 or not self._world.sessions:
            self._issue(node)
        elif choice < 0.75 or not self._world.troubled:
            self._verify(node)
        else:
            self._revoke(node)

    def _issue(self, node: SimNode) -> None:
        chance = self._world.scheduler.random
        parent = self._living(node) if chance.random() < 0.3 else None
        if parent is not None and (node.verify(parent.session) or len(parent.session.ancestors) > client.CHAIN_MAX):
            return
        number = len(self._world.sessions)
        session = client.issue(chance, node.region, node.now, number, parent.session if parent else None)
        self._world.sessions.append(Issued(session, self._world.scheduler.now))

    def _verify(self, node: SimNode) -> None:
        """Half of the time about a session that somebody revoked, with the token of that revocation."""
        revoked = [asked for asked in self._recent_requests() if asked.token and asked.target.expires_at > node.now]
        if revoked and self._world.scheduler.random.random() < 0.5:
            asked = self._world.scheduler.random.choice(revoked)
            self._judge(node, self._issued(asked.target), asked if asked.acked_at is not None else None)
        elif (issued := self._living(node)) is not None:
            self._judge(node, issued, None)

    def _judge(self, node: SimNode, issued: Issued, at_least: Request | None) -> None:
        self._world.tally.verified += 1
        self._world.checks.verified(node, issued, at_least)
        denied = node.verify(issued.session) is not None
        self._world.tally.denied += denied
        self._world.note(node.name, f"{issued.session.access_key_id} {'denied' if denied else 'accepted'}")

    def _revoke(self, node: SimNode) -> None:
        issued = self._living(node)
        if issued is None:
            return
        # Its holder has used it here before, so a node whose clock is behind has not seen a time before its issue.
        session = issued.session
        now = max(node.now, session.issued_at_ms / 1000)
        revocation = client.revocation_of(self._world.scheduler.random, session, now, len(self._world.requests))
        asked = client.request(revocation, node.name, self._world.scheduler.now, session)
        self._world.requests[asked.entry] = asked
        self._world.tally.requests += 1
        self._world.note(node.name, f"revoke {revocation.kind} {revocation.subject}")
        node.revoke(asked)

    def _living(self, node: SimNode) -> Issued | None:
        recent = [issued for issued in self._world.sessions[-60:] if issued.session.expires_at > node.now]
        return self._world.scheduler.random.choice(recent) if recent else None

    def _recent_requests(self) -> list[Request]:
        return list(self._world.requests.values())[-40:]

    def _issued(self, session: Session) -> Issued:
        return self._world.sessions[int(session.access_key_id[4:])]
