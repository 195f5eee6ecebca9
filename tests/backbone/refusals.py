"""Messages that change nothing, each wrong in one way, as Europe's node would send them to Asia's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import aiohttp

from stsd import nats_layout
from stsd.revocation import codec
from stsd.revocation.identity import Signer
from stsd.revocation.messages import Batch, Delta
from stsd.server.backbone.http import HttpBackbone
from stsd.server.backbone.links import PATH
from stsd.server.backbone.sealing import Sealing, pack
from stsd.wire import envelope
from stsd.wire.envelope import Header
from tests.backbone.regions import World

EUROPE, ASIA = "eu-west-1", "ap-southeast-1"
STRANGER = Signer(b"of nobody's node".ljust(32))


def _key(world: World) -> bytes:
    return envelope.peer_key(world.data.read_key())


def _sealing(world: World, *, key: bytes | None = None, signer: Signer | None = None) -> Sealing:
    europe = world.regions[EUROPE]
    return Sealing(key or _key(world), EUROPE, signer or europe.signer, europe.membership.peers)


def _said(world: World, *batches: Batch) -> list[bytes]:
    """Batches in an envelope that nothing is wrong with."""
    return [_sealing(world).seal(ASIA, [codec.encode_message(Delta(0, batches, "page"))])[1]]


def _newest(world: World) -> Batch:
    """The newest batch of Europe's log."""
    replica = world.regions[EUROPE].view.replica
    return [batch for batch in replica.seen() if batch.origin == replica.origin][-1]


def forged_envelope(world: World) -> list[bytes]:
    return [_sealing(world, signer=STRANGER).seal(ASIA, [b"anything"])[1]]


def forged_batch(world: World) -> list[bytes]:
    return _said(world, replace(_newest(world), signature=bytes(64), chain=bytes(32)))


def replayed(world: World) -> list[bytes]:
    return [_sealing(world).seal(ASIA, [])[1]] * 2


def reordered(world: World) -> list[bytes]:
    """The newest batch, in a place that comes later."""
    batch = _newest(world)
    return _said(world, replace(batch, first=batch.first + 5))


def oversized(world: World) -> list[bytes]:
    return [_sealing(world).seal(ASIA, [b" " * (codec.MAX_MESSAGE_BYTES + 1)])[1]]


def of_another_version(world: World) -> list[bytes]:
    fields = b'[9,"eu-west-1","a member of a later version"]\n'
    content = fields + bytes(64) + b"body"
    return [envelope._tag(_key(world), content) + content]


def of_another_cluster(world: World) -> list[bytes]:
    return [_sealing(world, key=b"x" * 32).seal(ASIA, [])[1]]


def for_another_node(world: World) -> list[bytes]:
    return [_sealing(world).seal("us-east-1", [])[1]]


def malformed(world: World) -> list[bytes]:
    header = Header(EUROPE, ASIA, "i", 1)
    body = pack([b"message"])[:-1]
    return [envelope.seal(_key(world), header, body, world.regions[EUROPE].signer.sign)]


REFUSALS: list[tuple[Callable[[World], list[bytes]], str]] = [
    (forged_envelope, "not_a_peer"),
    (forged_batch, "bad_chain"),
    (replayed, "replayed"),
    (reordered, "bad_chain"),
    (oversized, "too_large"),
    (of_another_version, "wrong_version"),
    (of_another_cluster, "wrong_cluster"),
    (for_another_node, "wrong_recipient"),
    (malformed, "malformed"),
]


async def send(world: World, sealed: bytes) -> None:
    """As Europe's node, to Asia's, whatever it is."""
    europe = world.regions[EUROPE]
    if isinstance(europe.backbone, HttpBackbone):
        async with aiohttp.ClientSession() as session:
            await session.post(f"http://127.0.0.1:{world.data.ports.regions[ASIA]}{PATH}", data=BytesIO(sealed))
    else:
        subject = nats_layout.letter_subject(nats_layout.cluster_name(world.data.read_key()), ASIA, EUROPE)
        await europe.backbone._connected().publish(subject, sealed)
