"""Requests that change something or come from a peer: decided by the node, stored by the replicator, then answered."""

from __future__ import annotations

from stsd.errors import StsError
from stsd.node import Node
from stsd.operations.v1 import revoke
from stsd.operations.v1.revoke import Wanted
from stsd.revocation import feed
from stsd.server.backbone.http import HttpBackbone
from stsd.server.clock import Clock
from stsd.server.copies import Recorded
from stsd.server.metrics import Metrics
from stsd.server.replication import Replicator
from stsd.wire import json_api
from stsd.wire.envelope import EnvelopeError
from stsd.wire.messages import Request, Response

PEER_OPERATION = "peer_messages"
TOLD_FROM_S = 0.01
"""A clock that was set back by so much is told with the revocation; a millisecond is one between two calls."""


class Changes:
    """The routes of one node that are not plain functions."""

    def __init__(self, node: Node, replicator: Replicator, clock: Clock, metrics: Metrics) -> None:
        self._node, self._replicator, self._clock, self._metrics = node, replicator, clock, metrics

    async def present(self, request: Request) -> Response:
        """An MFA code: that it was used, or that it failed, is durable here before the answer (spec 3.2.9)."""
        decided = self._node.decide_code(request, *self._clock.read())
        if isinstance(decided, Response):
            return decided
        try:
            await self._replicator.keep_code(decided.verdict)
        except StsError as error:
            return decided.refuse(error)
        return decided.finish()

    async def revoke(self, request: Request) -> Response:
        """POST /v1/revocations: durable here and effective here before the answer (contract 6)."""
        decided = self._node.decide_revocation(request, self._clock.service(), self._clock.wall())
        if isinstance(decided, Response):
            return decided
        wanted, revocation = decided.wanted, decided.wanted.revocation
        try:
            recorded = await self._replicator.revoke(revocation, wanted.wait_s)
        except StsError as error:
            response = json_api.error(error, request.id, revoke.OPERATION)
            response.event = decided.event | {"reason": error.reason}
            return response
        response = json_api.answer(_answer(wanted, recorded), revoke.OPERATION)
        told: dict[str, object] = {"revoked": revocation.kind, "subject": revocation.subject}
        told["revocation"] = _id(recorded)
        if wanted.clock_behind_s >= TOLD_FROM_S:
            told["clock_behind_s"] = wanted.clock_behind_s
        response.event = decided.event | told
        return response


class PeerCalls:
    """The route on which peers call, where nodes call each other."""

    def __init__(self, replicator: Replicator, backbone: HttpBackbone, metrics: Metrics) -> None:
        self._replicator, self._backbone, self._metrics = replicator, backbone, metrics

    async def receive(self, request: Request) -> Response:
        """A peer's messages. What is not authentic, current and well-formed changes nothing, is counted and is named in
        the log; the answer says why."""
        try:
            answer = await self._backbone.receive(request.body, self._replicator.answer)
        except EnvelopeError as error:
            self._replicator.conversation.refuse(error.reason, error.sender or request.source_ip)
            reason = error.reason.encode()
            return Response(403, reason, "text/plain", (), PEER_OPERATION, "Refused", {"reason": error.reason})
        self._metrics.peer_message("accepted")
        return Response(200, answer, "application/octet-stream", (), PEER_OPERATION)


def _answer(wanted: Wanted, recorded: Recorded) -> dict[str, object]:
    answer: dict[str, object] = {
        "id": _id(recorded),
        "origin": str(recorded.origin),
        "sequence": recorded.sequence,
        "applies_until": wanted.revocation.applies_until,
        "copies": recorded.copies,
        "revocation_token": recorded.token,
    }
    return answer | ({"confirmed": recorded.confirmed, "lagging": recorded.lagging} if wanted.tell else {})


def _id(recorded: Recorded) -> str:
    return feed.revocation_id(recorded.origin, recorded.sequence)
