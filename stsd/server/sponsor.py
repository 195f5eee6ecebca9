"""The sponsor's side of joining: POST /_peer/join, for a machine that holds a ticket (stsd.revocation.joining).

The record that names the machine is on disk before the answer. What is refused changes nothing, is counted and named in
the log, and is told to the machine as a word.
"""

from __future__ import annotations

import asyncio

from stsd.revocation import joining
from stsd.revocation.identity import Signer
from stsd.revocation.joining import JoinError
from stsd.server.clock import Clock
from stsd.server.membership import Membership
from stsd.server.metrics import Metrics
from stsd.server.store import DataDirectory
from stsd.view import View
from stsd.wire import json_api
from stsd.wire.messages import Request, Response

PATH = "/_peer/join"
OPERATION = "join"
STATUS = {"not_ready": 503, "not_stored": 503, "peer_set_full": 503, "oversized": 413}
"""Of a refusal, where it is not 403."""


class Sponsor:
    """Lets machines join the cluster of this node."""

    def __init__(
        self, directory: DataDirectory, membership: Membership, view: View, clock: Clock, metrics: Metrics
    ) -> None:
        self._directory, self._membership, self._view = directory, membership, view
        self._clock, self._metrics = clock, metrics
        self._one_at_a_time = asyncio.Lock()

    async def join(self, request: Request) -> Response:
        """Name the machine in the peer set, and give it what a node needs."""
        try:
            async with self._one_at_a_time:  # what is asked of a ticket holds until its record is kept
                asked = await self._admit(request.body)
        except JoinError as error:
            self._metrics.peer_message(f"join_{error.reason}")
            content = {"error": {"code": error.reason, "message": REASONS[error.reason], "request_id": request.id}}
            response = json_api.answer(content, OPERATION)
            response.status, response.code = STATUS.get(error.reason, 403), "Refused"
            response.event = {"reason": error.reason}
            return response
        self._metrics.peer_message("joined")
        event = {"joined": asked.ticket.region, "ticket": asked.ticket.id, "key": asked.public_key.hex()}
        answer = joining.seal_answer(self._signer, asked, self._content())
        return Response(200, answer, "application/octet-stream", (), OPERATION, "", event)

    @property
    def _signer(self) -> Signer:
        return self._directory.files.signer

    async def _admit(self, content: bytes) -> joining.Request:
        if not self._view.replica.joined or self._membership.left:
            raise JoinError("not_ready")
        asked = joining.read_request(self._membership.peers, content, self._clock.wall())
        refusals: list[str] = []
        try:
            await self._membership.keep((asked.record,), refusals.append)
        except OSError as error:
            raise JoinError("not_stored") from error
        if refusals:
            raise JoinError(refusals[0])
        return asked

    def _content(self) -> dict[str, object]:
        files = self._directory.files
        return {
            "cluster_key": self._directory.cluster_key.hex(),
            "files": {name: content.hex() for name, content in self._directory.shared_files().items()},
            "peers": [record.hex() for record in self._membership.peers.records()],
            "region": self._view.region,
            "urls": self._membership.urls(),
            "world_digest": files.node.world_digest,
            "issuer": self._view.issuer,
            "epoch": self._view.replica.epoch,
        }


REASONS = {
    "oversized": "The request is too large",
    "malformed": "The request is not one of a node that joins",
    "wrong_version": "The request is of another version of stsd",
    "other_cluster": "The ticket is of another cluster",
    "forged": "The ticket or the request is not signed by who it says",
    "ticket_expired": "The ticket is over: it holds for ten minutes; make a new one",
    "ticket_used": "The ticket was used by another machine: it names one node; make a new one",
    "region_taken": "The region has a node; remove that one first (stsd peers ticket --replace)",
    "identity_left": "This machine's key was removed from the cluster; join anew with an empty directory",
    "not_ready": "The sponsor is no ready node of its cluster; ask another one",
    "not_stored": "The sponsor could not store who joins; nothing changed",
    "peer_set_full": "The cluster has seen too many nodes",
}
"""What a refusal tells the machine, by reason."""
